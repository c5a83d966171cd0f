"""The fused field beside its twin, beside finite differences, and beside its floor.

Samples lie along the rays of one view through a ball, as in training.
`unfused` is the composition of our own hash-grid operator with torch's layers; its
normals come from autograd, and so does their gradient. The floor of the fused kernel is
the time that `torch.mm` takes for as many floating-point operations: a benchmark of its
own in each group, and with the distance in the table's notes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.ops.cases import field_work, make_field_case
from benchmarks.ops.roofline import record_floor

ROUNDS = 7


def time_matrix_products(operations: float, device: torch.device) -> Callable[[], None]:
    """A call of `torch.mm` with as many operations."""
    size = 512
    a = torch.randn(size, size, device=device)
    num_products = max(1, round(operations / (2 * size**3)))

    def run() -> None:
        for _ in range(num_products):
            torch.mm(a, a)

    return run


METHODS = [
    "native",
    "native_without_normals",
    "finite_difference_4",
    "finite_difference_6",
    "unfused",
    "reference",
    "floor_torch_mm",
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("direction", ["forward", "forward_backward"])
def test_radiance_field(
    benchmark,
    device: torch.device,
    synchronize: Callable[[], None],
    method: str,
    width: int,
    direction: str,
) -> None:
    benchmark.group = f"radiance_field {direction}, H = {width}"
    field = make_field_case(width, device)
    is_backward = direction == "forward_backward"
    num_samples = len(field.positions)
    work = field_work(width, num_samples, is_backward)
    multiply = time_matrix_products(work.num_operations, device)

    def run() -> None:
        if method == "floor_torch_mm":
            multiply()
        elif is_backward:
            field.gradients(method)
        else:
            with torch.no_grad():
                field.run(method)
        synchronize()

    benchmark.pedantic(run, warmup_rounds=1, rounds=ROUNDS)
    if method == "native":
        benchmark.extra_info["samples"] = num_samples
        record_floor(benchmark, device, work)
