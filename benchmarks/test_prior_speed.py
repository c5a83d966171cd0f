"""Iterations of score distillation and of textual inversion, beside the bare networks.

On a CPU with a small model of random weights; on CUDA in Stable Diffusion 1.5's shape.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from benchmarks.prior_speed import (
    Case,
    bare_denoiser,
    bare_networks,
    inversion_steps,
    judgement,
    make_prior,
)
from realfusion.priors.random_weights import STABLE_DIFFUSION_1_5, TINY, ModelShape

SMALL = dataclasses.replace(
    TINY,
    latent_size=16,
    unet_channels=(64, 128),
    attention_heads=4,
    text_width=64,
    vae_channels=(16, 32, 64),
    norm_groups=8,
)
CASES = (
    Case("float32"),
    Case("bfloat16"),
    Case("float32", num_views=4),
    Case("float32", has_tiny_vae=True),
    Case("float32", is_compiled=True),
    Case("float32", is_graphed=True),
)
BATCHES = (1, 4)


def shape_on(device: torch.device) -> ModelShape:
    return SMALL if device.type == "cpu" else STABLE_DIFFUSION_1_5


def time_beside_floor(
    benchmark, synchronize: Callable[[], None], run: Callable[[], None]
) -> None:
    def call() -> None:
        run()
        synchronize()

    benchmark.pedantic(call, rounds=10, warmup_rounds=3)
    rate = 1.0 / benchmark.stats.stats.median
    benchmark.extra_info["iterations per second"] = f"{rate:.3g}"


# torch.compile and what it imports warn about themselves.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["ours", "bare networks"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_score_distillation(benchmark, device, synchronize, case, method):
    if case.is_graphed and device.type == "cpu":
        pytest.skip("CUDA graphs need a CUDA device")
    prior = make_prior(case, shape_on(device), str(device))
    make = judgement if method == "ours" else bare_networks
    benchmark.group = f"judgement of views, {case.name}"
    time_beside_floor(benchmark, synchronize, make(prior, case.num_views))


@pytest.mark.parametrize("method", ["ours", "bare networks"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_textual_inversion(benchmark, device, synchronize, dtype, batch, method):
    prior = make_prior(Case(dtype), shape_on(device), str(device))
    make = inversion_steps if method == "ours" else bare_denoiser
    benchmark.group = f"textual inversion, {dtype}, batch of {batch}"
    time_beside_floor(benchmark, synchronize, make(prior, batch))
