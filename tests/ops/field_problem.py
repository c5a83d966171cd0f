"""A small radiance field, native and in pure torch, for the tests of the operators."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import DensityBlob, FieldSamples, radiance_field
from realfusion.ops.reference import radiance_field as reference

BOUND = 0.75


@dataclass(frozen=True)
class Problem:
    positions: Tensor
    table: Tensor
    weights: tuple[Tensor, ...]
    layout: HashGridLayout

    def parameters(self) -> tuple[Tensor, ...]:
        return (self.table, *self.weights)

    def arguments(self) -> tuple:
        return (self.positions, self.table, self.weights, self.layout)

    def requiring_grad(self) -> Problem:
        return replace(
            self,
            table=self.table.detach().clone().requires_grad_(),
            weights=tuple(w.detach().clone().requires_grad_() for w in self.weights),
        )


def make_problem(
    num_samples: int = 300,
    *,
    width: int = 16,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    extent: float = 0.99,
    seed: int = 0,
    **layout_options: object,
) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    options = {
        "num_levels": 4,
        "base_resolution": 4,
        "finest_resolution": 32,
        "log2_table_size": 10,
        **layout_options,
    }
    layout = HashGridLayout(**options)  # type: ignore[arg-type]

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*shape, generator=generator, dtype=torch.float64) * scale
        return values.to(dtype=dtype, device=device)

    inputs = layout.num_outputs
    weights = (
        normal(width, inputs, scale=inputs**-0.5),
        normal(width, scale=0.3),
        normal(width, width, scale=(2.0 / width) ** 0.5),
        normal(width, scale=0.3),
        normal(4, width, scale=width**-0.5),
        normal(4, scale=0.3),
    )
    table = normal(layout.num_entries, layout.num_features)
    unit = torch.rand(num_samples, 3, generator=generator, dtype=torch.float64)
    positions = ((unit * 2.0 - 1.0) * BOUND * extent).to(dtype=dtype, device=device)
    return Problem(positions, table, weights, layout)


def evaluate(problem: Problem, **options) -> FieldSamples:
    options = {"bound": BOUND, "blob": DensityBlob(), **options}
    return radiance_field(*problem.arguments(), **options)


def evaluate_reference(problem: Problem, **options) -> FieldSamples:
    options = {"bound": BOUND, "blob": DensityBlob(), **options}
    return reference.radiance_field(*problem.arguments(), **options)


def outputs_of(samples: FieldSamples) -> list[Tensor]:
    outputs = [samples.densities, samples.albedo]
    return outputs if samples.normals is None else [*outputs, samples.normals]


def gradients(samples: FieldSamples, problem: Problem) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    outputs = outputs_of(samples)
    upstream = [
        torch.randn(o.shape, generator=generator, dtype=torch.float64).to(o)
        for o in outputs
    ]
    # Densities span decades: without this, the largest would drown all the others.
    upstream[0] = upstream[0] / (1.0 + samples.densities.detach())
    return torch.autograd.grad(
        outputs, problem.parameters(), upstream, materialize_grads=True
    )


def assert_same(actual: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    """Up to rounding, measured against the tensor's own size."""
    relative = 1e-4 if dtype == torch.float32 else 1e-10
    scale = expected.abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=relative, atol=relative * scale)


def assert_matches_reference(problem: Problem, **options) -> None:
    native, twin = problem.requiring_grad(), problem.requiring_grad()
    samples = evaluate(native, **options)
    expected = evaluate_reference(twin, **options)
    dtype = problem.positions.dtype
    for output, expected_output in zip(
        outputs_of(samples), outputs_of(expected), strict=True
    ):
        assert_same(output, expected_output, dtype)
    for grad, expected_grad in zip(
        gradients(samples, native), gradients(expected, twin), strict=True
    ):
        assert_same(grad, expected_grad, dtype)
