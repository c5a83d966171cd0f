"""`composite` beside its pure-torch twin: 96 x 96 rays, up to 64 samples each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.ops.cases import compositing_work, make_packed_rays
from benchmarks.ops.roofline import record_floor
from realfusion.ops.compositing import composite
from realfusion.ops.reference import compositing as reference

IMPLEMENTATIONS = {"native": composite, "reference": reference.composite}


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
    rays = make_packed_rays(num_channels, device)
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
    work = compositing_work(len(rays["t"]), num_channels, is_backward)
    record_floor(benchmark, device, work)
