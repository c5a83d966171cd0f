"""A training step and its parts: occupancy, rendering, prior, backward, optimiser.

Without a prior, under the embedded one, and under one of Stable Diffusion 1.5's shape
with random weights, whose speed is that of the real one. On a CPU the latter takes
minutes and 5 GB: ``-k "not stable-diffusion"`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Bench:
    """A reconstruction in full swing, and the means to time it."""

    prior_name: str
    state: TrainState
    task: Task
    config: ReconstructionConfig
    synchronize: Callable[[], None]

    @property
    def is_slow(self) -> bool:
        """Whether a step takes so long that few rounds must do."""
        prior = self.task.prior
        is_large = prior is not None and self.prior_name != "bundled"
        return is_large and prior.device.type == "cpu"

    def time(
        self,
        benchmark: Any,
        part: Callable[..., None],
        *,
        setup: Callable[[], tuple[tuple, dict]] | None = None,
        calls_a_step: float = 1.0,
    ) -> None:
        """Time a part of the step; the table shows its share of the whole.

        Args:
            benchmark: The fixture.
            part: What is timed.
            setup: Makes its arguments before each round, untimed.
            calls_a_step: How often a step does it, on average.
        """
        config = self.config
        benchmark.group = f"training step, prior {self.prior_name}"
        benchmark.extra_info["rays"] = (
            f"{config.reference_rays} + {config.prior_views} × "
            f"{config.prior_view_size}²"
        )
        benchmark.extra_info["calls a step"] = calls_a_step

        def run(*arguments: Any) -> None:
            part(*arguments)
            self.synchronize()

        rounds, warmup_rounds = (3, 0) if self.is_slow else (10, 2)
        benchmark.pedantic(run, setup=setup, rounds=rounds, warmup_rounds=warmup_rounds)

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
def prior_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def prior(prior_name: str, device: torch.device) -> StableDiffusionPrior | None:
    return make_prior(prior_name, device)


@pytest.fixture(scope="module")
def bench(
    prior_name: str,
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
    return Bench(prior_name, state, task, config, synchronize)


def test_whole_step(benchmark, bench):
    def step() -> None:
        train_step(bench.state, bench.task, bench.config)
        bench.state.step -= 1

    bench.time(benchmark, step)
    rate = 1.0 / benchmark.stats.stats.median
    benchmark.extra_info["iterations per second"] = f"{rate:.3g}"


def test_stage_render_photo(benchmark, bench):
    state, photo = bench.state, bench.task.photo

    def render() -> None:
        reconstruction_terms(state.scene, photo, bench.config, state.generator)

    bench.time(benchmark, render)


def test_stage_render_view(benchmark, bench):
    """The random views with their regularisers, without the prior's judgement."""
    state, photo = bench.state, bench.task.photo

    def render() -> None:
        prior_terms(
            state.scene, None, None, photo, bench.config, PROGRESS, state.generator
        )

    bench.time(benchmark, render)


def test_stage_prior(benchmark, bench, prior, device):
    """Encoding the views and judging the latents, both guidance branches."""
    if prior is None:
        pytest.skip("no prior")
    config, generator = bench.config, bench.state.generator
    size = config.prior_view_size
    images = torch.rand(
        config.prior_views, 3, size, size, device=device, requires_grad=True
    )
    cameras = [Camera(azimuth_deg=90.0)] * config.prior_views
    timesteps = torch.full((config.prior_views,), 500, device=device)
    condition = prior.condition(bench.task.prompt, cameras)

    def judge() -> None:
        latents = prior.encode(images)
        prior.noise_residual(
            latents.detach(),
            condition,
            timesteps=timesteps,
            guidance_scale=config.score_distillation.guidance_scale,
            generator=generator,
        )

    bench.time(benchmark, judge)


def test_stage_backward(benchmark, bench):
    def prepare() -> tuple[tuple[torch.Tensor], dict]:
        bench.state.optimizer.zero_grad(set_to_none=True)
        loss = bench.objective()
        bench.synchronize()
        return (loss,), {}

    bench.time(benchmark, torch.Tensor.backward, setup=prepare)


def test_stage_optimizer(benchmark, bench):
    # The gradients' values do not matter, so the prior is spared.
    alone = Task(bench.task.photo)
    terms = compute_terms(bench.state, alone, bench.config, PROGRESS)
    weighted_sum(terms, bench.config.objective, PROGRESS).backward()

    def update() -> None:
        bench.state.optimizer.step()
        bench.state.update_average(bench.config.optimizer.ema_decay)

    bench.time(benchmark, update)


def test_stage_occupancy(benchmark, bench):
    """Last, since it changes how many samples the other stages take."""
    scene, generator = bench.state.scene, bench.state.generator

    def update() -> None:
        scene.update_occupancy(every_cell=False, generator=generator)

    interval = bench.config.renderer.occupancy_interval
    bench.time(benchmark, update, calls_a_step=1.0 / interval)
