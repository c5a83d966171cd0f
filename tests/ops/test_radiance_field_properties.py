"""What holds for every radiance field: its normals, its levels, its samples' order."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import DensityBlob, FieldSamples, radiance_field

BOUND = 0.75
BLOB = DensityBlob()


class Field(NamedTuple):
    positions: Tensor
    table: Tensor
    weights: tuple[Tensor, ...]
    layout: HashGridLayout

    def evaluate(self, **options: object) -> FieldSamples:
        return radiance_field(*self, bound=BOUND, blob=BLOB, **options)


@st.composite
def fields(draw, dtype=torch.float32) -> Field:
    """A field of random weights and samples, some of them outside the box."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    layout = HashGridLayout(
        num_levels=draw(st.integers(1, 5)),
        num_features=draw(st.sampled_from([1, 2, 4, 8])),
        base_resolution=draw(st.integers(2, 5)),
        finest_resolution=draw(st.integers(5, 40)),
        log2_table_size=9,
        interpolation=draw(st.sampled_from(["linear", "smoothstep"])),
    )
    width, inputs = draw(st.sampled_from([16, 32, 64])), layout.num_outputs
    weights = (
        *(normal(width, inputs) * inputs**-0.5, normal(width) * 0.3),
        *(normal(width, width) * width**-0.5, normal(width) * 0.3),
        *(normal(4, width) * width**-0.5, normal(4) * 0.3),
    )
    positions = normal(draw(st.integers(1, 70)), 3) * 0.4
    table = normal(layout.num_entries, layout.num_features)
    return Field(positions, table, weights, layout)


@given(field=fields())
def test_normals_are_of_unit_length_or_zero(simd_level, field):
    samples = field.evaluate()
    is_inside = (field.positions.abs() <= BOUND).all(1)
    lengths = samples.normals.norm(dim=1)
    # The log-density's gradient is nowhere near the length that shortens a normal.
    torch.testing.assert_close(lengths, is_inside.float(), atol=1e-5, rtol=0.0)
    assert ((samples.albedo >= 0) & (samples.albedo <= 1)).all()
    assert torch.equal(samples.densities > 0, is_inside)


@given(field=fields())
def test_permuted_samples_give_permuted_outputs(simd_level, field):
    samples = field.evaluate()
    order = torch.arange(len(field.positions)).flip(0)
    permuted = field._replace(positions=field.positions[order]).evaluate()
    for name in ("densities", "albedo", "normals"):
        assert torch.equal(getattr(permuted, name), getattr(samples, name)[order]), name


@given(field=fields(dtype=torch.float64), share=st.floats(0.0, 1.0))
def test_an_inactive_level_is_one_whose_weights_are_zero(field, share):
    active = round(share * field.layout.num_levels)
    num_columns = active * field.layout.num_features
    w1 = field.weights[0].clone()
    w1[:, num_columns:] = 0.0
    table = field.table.clone().requires_grad_()
    masked = field._replace(table=table).evaluate(num_active_levels=active)
    zeroed = field._replace(table=table, weights=(w1, *field.weights[1:])).evaluate()
    grads = []
    for samples in (masked, zeroed):
        loss = samples.densities.log1p().sum() + (samples.normals**3).sum()
        grads.append(torch.autograd.grad(loss, table)[0])
    torch.testing.assert_close(masked.densities, zeroed.densities)
    torch.testing.assert_close(masked.albedo, zeroed.albedo)
    torch.testing.assert_close(masked.normals, zeroed.normals)
    torch.testing.assert_close(*grads)


@given(field=fields(dtype=torch.float64))
def test_a_single_level_layout_is_the_first_level_of_a_larger_one(field):
    single = replace(field.layout, num_levels=1)
    first = Field(
        field.positions,
        field.table[: single.num_entries],
        (field.weights[0][:, : single.num_outputs], *field.weights[1:]),
        single,
    )
    expected = field.evaluate(num_active_levels=1)
    for name in ("densities", "albedo", "normals"):
        torch.testing.assert_close(
            getattr(first.evaluate(), name), getattr(expected, name)
        )
