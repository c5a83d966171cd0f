"""A training step and its parts: occupancy, rendering, prior, backward, optimiser.

With ``--device cuda`` also under a prior of Stable Diffusion 1.5's shape with random
weights, whose speed is that of the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.presets import PRESETS
from realfusion.priors.config import Prompt
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.training.config import ReconstructionConfig
from realfusion.training.objective import (
    prior_terms,
    reconstruction_terms,
    weighted_sum,
)
from realfusion.training.photo import prepare_photo, reference_camera
from realfusion.training.state import TrainState
from realfusion.training.step import Task, compute_terms, train_step

PROGRESS = 0.5
WARM_UP_STEPS = 20
ROUNDS = 10


@dataclass(frozen=True)
class Bench:
    """A reconstruction in full swing, and the means to time it."""

    state: TrainState
    task: Task
    config: ReconstructionConfig
    synchronize: Callable[[], None]

    def objective(self) -> torch.Tensor:
        """All terms of a step, weighted and summed."""
        terms = compute_terms(self.state, self.task, self.config, PROGRESS)
        return weighted_sum(terms, self.config.objective, PROGRESS)


def make_prior(name: str, device: torch.device) -> StableDiffusionPrior | None:
    if name == "none":
        return None
    if name == "bundled":
        return StableDiffusionPrior.from_pretrained(name, device=device)
    from realfusion.priors.random_weights import random_prior

    return random_prior(device=device)


@pytest.fixture(params=["none", "bundled", "stable-diffusion-1.5"], scope="module")
def prior(
    request: pytest.FixtureRequest, device: torch.device
) -> StableDiffusionPrior | None:
    if request.param == "stable-diffusion-1.5" and device.type == "cpu":
        pytest.skip("timed on CUDA only: a step would take a minute")
    return make_prior(request.param, device)


@pytest.fixture(scope="module")
def bench(
    prior: StableDiffusionPrior | None,
    device: torch.device,
    synchronize: Callable[[], None],
) -> Bench:
    """The `fast` preset on a disc, after some steps, in the middle of its run."""
    config = PRESETS["fast"].reconstruction
    axis = torch.linspace(-1.0, 1.0, 128)
    inside = (axis[:, None] ** 2 + axis**2 < 0.5).float()
    rgba = torch.stack([0.8 * inside, 0.3 * inside, 0.2 * inside, inside], dim=-1)
    camera = reference_camera(config.reference_camera)
    photo = prepare_photo(rgba, size=128, camera=camera, device=device)
    state = TrainState(config, seed=0, device=device)
    task = Task(photo, prior, None if prior is None else Prompt(subject="an object"))
    alone = Task(photo)
    for _ in range(WARM_UP_STEPS):
        train_step(state, alone, config)
    state.step = int(PROGRESS * config.iterations) + 1  # no occupancy sweep is due
    return Bench(state, task, config, synchronize)


def name_of(prior: StableDiffusionPrior | None) -> str:
    return "no prior" if prior is None else prior.name


def record_speed(benchmark, bench: Bench, prior: StableDiffusionPrior | None) -> None:
    """The table's footnote: what was timed, and iterations per second."""
    config = bench.config
    benchmark.group = f"training step, {name_of(prior)}"
    benchmark.extra_info["rays"] = (
        f"{config.reference_rays} + {config.prior_views} × {config.prior_view_size}²"
    )


def test_whole_step(benchmark, bench, prior):
    record_speed(benchmark, bench, prior)

    def step() -> None:
        train_step(bench.state, bench.task, bench.config)
        bench.state.step -= 1
        bench.synchronize()

    benchmark.pedantic(step, rounds=ROUNDS, warmup_rounds=2)
    rate = 1.0 / benchmark.stats.stats.median
    benchmark.extra_info["iterations per second"] = f"{rate:.2f}"


def test_stage_occupancy(benchmark, bench, prior):
    record_speed(benchmark, bench, prior)

    def update() -> None:
        bench.state.scene.update_occupancy(
            every_cell=False, generator=bench.state.generator
        )
        bench.synchronize()

    benchmark.pedantic(update, rounds=ROUNDS, warmup_rounds=2)
    interval = bench.config.renderer.occupancy_interval
    benchmark.extra_info["due"] = f"every {interval} steps"


def test_stage_render_photo(benchmark, bench, prior):
    record_speed(benchmark, bench, prior)

    def render() -> None:
        reconstruction_terms(
            bench.state.scene, bench.task.photo, bench.config, bench.state.generator
        )
        bench.synchronize()

    benchmark.pedantic(render, rounds=ROUNDS, warmup_rounds=2)


def test_stage_render_view(benchmark, bench, prior):
    """The random views with their regularisers, without the prior's judgement."""
    record_speed(benchmark, bench, prior)
    state, task = bench.state, bench.task

    def render() -> None:
        prior_terms(
            state.scene, None, None, task.photo, bench.config, PROGRESS, state.generator
        )
        bench.synchronize()

    benchmark.pedantic(render, rounds=ROUNDS, warmup_rounds=2)


def test_stage_prior(benchmark, bench, prior, device):
    """Encoding the views and judging the latents, both guidance branches."""
    if prior is None:
        pytest.skip("no prior")
    record_speed(benchmark, bench, prior)
    config, generator = bench.config, bench.state.generator
    size = config.prior_view_size
    images = torch.rand(
        config.prior_views, 3, size, size, device=device, requires_grad=True
    )
    cameras = [Camera(azimuth_deg=90.0)] * config.prior_views
    timesteps = torch.full((config.prior_views,), 500)
    condition = prior.condition(bench.task.prompt, cameras)

    def judge() -> None:
        latents = prior.encode(images)
        prior.noise_residual(
            latents.detach(),
            condition,
            timesteps=timesteps.to(device),
            guidance_scale=config.score_distillation.guidance_scale,
            generator=generator,
        )
        bench.synchronize()

    benchmark.pedantic(judge, rounds=ROUNDS, warmup_rounds=2)


def test_stage_backward(benchmark, bench, prior):
    record_speed(benchmark, bench, prior)

    def prepare() -> tuple[tuple[torch.Tensor], dict]:
        bench.state.optimizer.zero_grad(set_to_none=True)
        loss = bench.objective()
        bench.synchronize()
        return (loss,), {}

    def backward(loss: torch.Tensor) -> None:
        loss.backward()
        bench.synchronize()

    benchmark.pedantic(backward, setup=prepare, rounds=ROUNDS, warmup_rounds=2)


def test_stage_optimizer(benchmark, bench, prior):
    record_speed(benchmark, bench, prior)
    bench.objective().backward()

    def update() -> None:
        bench.state.optimizer.step()
        bench.state.update_average(bench.config.optimizer.ema_decay)
        bench.synchronize()

    benchmark.pedantic(update, rounds=ROUNDS, warmup_rounds=2)
