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

from benchmarks.training_step import Bench, make_bench
from realfusion.presets import PRESETS
from realfusion.priors.stable_diffusion import StableDiffusionPrior


@dataclass(frozen=True)
class Timer:
    """Times parts of a step; the table shows their share of the whole."""

    prior_name: str
    bench: Bench
    synchronize: Callable[[], None]

    @property
    def is_slow(self) -> bool:
        """Whether a step takes so long that few rounds must do."""
        prior = self.bench.task.prior
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
        """Time a part.

        Args:
            benchmark: The fixture.
            part: What is timed.
            setup: Makes its arguments before each round, untimed.
            calls_a_step: How often a step does it, on average.
        """
        benchmark.group = f"training step, prior {self.prior_name}"
        benchmark.extra_info["rays"] = self.bench.rays
        benchmark.extra_info["calls a step"] = calls_a_step

        def run(*arguments: Any) -> None:
            part(*arguments)
            self.synchronize()

        rounds, warmup_rounds = (3, 0) if self.is_slow else (10, 2)
        benchmark.pedantic(run, setup=setup, rounds=rounds, warmup_rounds=warmup_rounds)


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
def timer(
    prior_name: str, device: torch.device, synchronize: Callable[[], None]
) -> Timer:
    """The `fast` preset on a disc, after some steps, in the middle of its run."""
    prior = make_prior(prior_name, device)
    bench = make_bench(PRESETS["fast"].reconstruction, prior, device)
    return Timer(prior_name, bench, synchronize)


def test_whole_step(benchmark, timer):
    timer.time(benchmark, timer.bench.whole_step)
    rate = 1.0 / benchmark.stats.stats.median
    benchmark.extra_info["iterations per second"] = f"{rate:.3g}"


def test_stage_render_photo(benchmark, timer):
    timer.time(benchmark, timer.bench.render_photo)


def test_stage_render_view(benchmark, timer):
    timer.time(benchmark, timer.bench.render_view)


def test_stage_prior(benchmark, timer):
    judge = timer.bench.judge()
    if judge is None:
        pytest.skip("no prior")
    timer.time(benchmark, judge)


def test_stage_backward(benchmark, timer):
    def prepare() -> tuple[tuple[torch.Tensor], dict]:
        loss = timer.bench.make_loss()
        timer.synchronize()
        return (loss,), {}

    timer.time(benchmark, torch.Tensor.backward, setup=prepare)


def test_stage_optimizer(benchmark, timer):
    timer.bench.make_gradients()
    timer.time(benchmark, timer.bench.update)


def test_stage_occupancy(benchmark, timer):
    """Last, since it changes how many samples the other stages take."""
    interval = timer.bench.config.renderer.occupancy_interval
    timer.time(benchmark, timer.bench.update_occupancy, calls_a_step=1.0 / interval)
