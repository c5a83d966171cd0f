"""The fused field beside its twin, beside finite differences, and beside its floor.

Samples lie along the rays of one view through a ball, as in training. The floor of the
fused kernel is the time that `torch.mm` takes for as many floating-point operations: a
benchmark of its own in each group, and with the distance in the table's notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from benchmarks.ops.roofline import record_floor
from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import (
    DensityBlob,
    FieldSamples,
    radiance_field,
    radiance_field_finite_difference,
)
from realfusion.ops.reference import radiance_field as reference

BOUND = 0.75
NUM_SAMPLES = 2**15
ROUNDS = 7
LAYOUT = HashGridLayout(
    num_levels=12, base_resolution=16, finest_resolution=1024, log2_table_size=16
)


@dataclass(frozen=True)
class Field:
    positions: Tensor
    table: Tensor
    weights: tuple[Tensor, ...]

    def run(self, method: str) -> FieldSamples:
        arguments = (self.positions, self.table, self.weights, LAYOUT)
        options = {"bound": BOUND, "blob": DensityBlob()}
        if method == "finite_difference_6":
            return radiance_field_finite_difference(*arguments, taps=6, **options)
        if method == "finite_difference_4":
            return radiance_field_finite_difference(*arguments, taps=4, **options)
        if method == "reference":
            return reference.radiance_field(*arguments, **options)
        if method == "native_without_normals":
            return radiance_field(*arguments, with_normals=False, **options)
        return radiance_field(*arguments, **options)

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.table, *self.weights)


def make_field(width: int, device: torch.device) -> Field:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*shape, generator=generator) * scale
        return values.to(device).requires_grad_()

    inputs = LAYOUT.num_outputs
    weights = (
        normal(width, inputs, scale=inputs**-0.5),
        normal(width, scale=0.1),
        normal(width, width, scale=(2.0 / width) ** 0.5),
        normal(width, scale=0.1),
        normal(4, width, scale=width**-0.5),
        normal(4, scale=0.1),
    )
    # Rays along z through a ball of radius 0.4, row by row, 16 samples each.
    side = int((NUM_SAMPLES / 16) ** 0.5)
    ticks = torch.linspace(-0.45, 0.45, side)
    y, x, z = torch.meshgrid(ticks, ticks, torch.arange(16.0), indexing="ij")
    surface = (0.4**2 - x**2 - y**2).clamp(min=0.0).sqrt()
    positions = torch.stack([x, y, surface - 0.01 * (z - 6.0)], dim=-1).reshape(-1, 3)
    return Field(
        positions=positions.to(device),
        table=normal(LAYOUT.num_entries, LAYOUT.num_features),
        weights=weights,
    )


def count_operations(width: int, direction: str) -> int:
    """Floating-point operations a sample of the network with normals.

    Forward: both layers and both reverse passes. Backward: of the first layer the
    value, tangent, two passes back and two weight products; of the second the same but
    its tangent, whose products with the mask are sums.
    """
    inputs = LAYOUT.num_outputs
    forward = 2 * inputs * width + 2 * width**2 + 4 * width
    backward = 6 * inputs * width + 5 * width**2 + 8 * width
    return 2 * (forward if direction == "forward" else forward + backward)


def count_bytes(is_backward: bool) -> int:
    """Bytes a sample: the features of every level's corners, inputs and outputs."""
    corners = LAYOUT.num_levels * 8 * LAYOUT.num_features * 4
    # Gathered twice forward, once backward, and read and written by the scatter.
    return (5 if is_backward else 2) * corners + 12 + (2 if is_backward else 1) * 72


def time_matrix_products(operations: int, device: torch.device) -> Callable[[], None]:
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
    group = f"radiance_field {direction}, H = {width}"
    benchmark.group = group
    field = make_field(width, device)
    is_backward = direction == "forward_backward"
    num_samples = len(field.positions)
    multiply = time_matrix_products(
        num_samples * count_operations(width, direction), device
    )

    def run() -> None:
        if method == "floor_torch_mm":
            multiply()
        elif is_backward:
            samples = field.run(method)
            outputs = [samples.densities, samples.albedo]
            if samples.normals is not None:
                outputs.append(samples.normals)
            upstream = [torch.ones_like(output) for output in outputs]
            torch.autograd.grad(outputs, field.parameters(), upstream)
        else:
            with torch.no_grad():
                field.run(method)
        synchronize()

    benchmark.pedantic(run, warmup_rounds=1, rounds=ROUNDS)
    if method == "native":
        benchmark.extra_info["samples"] = num_samples
        record_floor(
            benchmark,
            device,
            num_bytes=num_samples * count_bytes(is_backward),
            num_operations=num_samples * count_operations(width, direction),
        )
