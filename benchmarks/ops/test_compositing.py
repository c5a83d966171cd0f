"""`composite` beside its pure-torch twin: 96 x 96 rays, up to 64 samples each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.ops.roofline import record_floor
from realfusion.ops.compositing import composite
from realfusion.ops.reference import compositing as reference

NUM_RAYS = 96 * 96
IMPLEMENTATIONS = {"native": composite, "reference": reference.composite}


def make_rays(num_channels: int, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 64, (NUM_RAYS,), generator=generator)
    num_samples = int(counts.sum())

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    return {
        "densities": 5.0 * uniform(num_samples),
        "channels": uniform(num_samples, num_channels),
        "t": uniform(num_samples),
        "deltas": torch.full((num_samples,), 0.01, device=device),
        "ray_offsets": torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(device),
    }


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("num_channels", [3, 7])
@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
def test_composite(
    benchmark,
    device: torch.device,
    synchronize: Callable[[], None],
    implementation: str,
    num_channels: int,
    direction: str,
) -> None:
    benchmark.group = f"composite {direction}, {num_channels} channels"
    rays = make_rays(num_channels, device)
    parameters = [rays["densities"], rays["channels"]]
    function = IMPLEMENTATIONS[implementation]
    is_backward = direction == "forward_backward"
    for parameter in parameters:
        parameter.requires_grad_(is_backward)

    def run() -> None:
        result = function(**rays)
        if is_backward:
            outputs = (result.values, result.opacity, result.depth)
            upstream = [torch.ones_like(output) for output in outputs]
            torch.autograd.grad(outputs, parameters, upstream)
        synchronize()

    benchmark.pedantic(run, warmup_rounds=3, rounds=15)
    num_samples = len(rays["t"])
    # Every array once: channels and their gradient, a few numbers a sample besides.
    floats = 2 * num_channels + 8 if is_backward else num_channels + 4
    # An exponential takes about 20 operations.
    operations = 6 * num_channels + 40 if is_backward else 2 * num_channels + 25
    record_floor(
        benchmark,
        device,
        num_bytes=4 * floats * num_samples,
        num_operations=operations * num_samples,
    )
