"""What holds for every hash grid: unity, linearity, adjointness, interpolation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from realfusion.ops import HashGridLayout, hash_grid_encode

layouts = st.builds(
    HashGridLayout,
    num_levels=st.integers(1, 6),
    num_features=st.sampled_from([1, 2, 4, 8]),
    base_resolution=st.integers(1, 9),
    finest_resolution=st.integers(9, 100),
    log2_table_size=st.integers(3, 10),
    indexing=st.sampled_from(["hash", "tiled"]),
    interpolation=st.sampled_from(["linear", "smoothstep"]),
)
seeds = st.integers(0, 2**32 - 1)
DTYPES = [torch.float32, torch.float64]


def make_points(seed: int, num_points: int, dtype=torch.float32) -> Tensor:
    """Points of the cube, a few of them outside."""
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(num_points, 3, generator=generator, dtype=torch.float64)
    return (unit * 1.1 - 0.05).to(dtype)


def make_table(layout: HashGridLayout, seed: int, dtype=torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    shape = layout.num_entries, layout.num_features
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(layout=layouts, seed=seeds, active_share=st.floats(0.0, 1.0))
def test_a_table_of_ones_encodes_to_ones_inside(
    simd_level, dtype, layout, seed, active_share
):
    points = make_points(seed, 50, dtype)
    table = torch.ones(layout.num_entries, layout.num_features, dtype=dtype)
    active = round(active_share * layout.num_levels)
    features = hash_grid_encode(points, table, layout, num_active_levels=active)
    is_inside = ((points >= 0) & (points <= 1)).all(1)
    num_columns = active * layout.num_features
    ones = torch.ones(int(is_inside.sum()), num_columns, dtype=dtype)
    torch.testing.assert_close(features[is_inside, :num_columns], ones)
    assert (features[~is_inside] == 0).all()
    assert (features[:, num_columns:] == 0).all()


@given(layout=layouts, seed=seeds, factor=st.floats(-3.0, 3.0))
def test_features_are_linear_in_the_table(layout, seed, factor):
    points = make_points(seed, 30, torch.float64)
    first, second = (make_table(layout, seed + k, torch.float64) for k in (0, 1))
    combined = hash_grid_encode(points, first + factor * second, layout)
    features = [hash_grid_encode(points, table, layout) for table in (first, second)]
    expected = features[0] + factor * features[1]
    torch.testing.assert_close(combined, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@given(layout=layouts, seed=seeds)
def test_the_backward_is_the_adjoint_of_the_encoding(simd_level, dtype, layout, seed):
    points = make_points(seed, 40, dtype)
    table = make_table(layout, seed, dtype).requires_grad_()
    features = hash_grid_encode(points, table, layout)
    generator = torch.Generator().manual_seed(seed)
    grad = torch.randn(features.shape, generator=generator, dtype=dtype)
    (grad_table,) = torch.autograd.grad(features, table, grad)
    forward = (features.detach().double() * grad.double()).sum().item()
    backward = (table.detach().double() * grad_table.double()).sum().item()
    scale = features.detach().double().norm().item() * grad.double().norm().item()
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    assert forward == pytest.approx(backward, abs=tolerance * (scale + 1.0))


@given(base=st.integers(2, 9), num_features=st.sampled_from([1, 2, 4, 8]), seed=seeds)
def test_a_dense_level_is_trilinear_interpolation(base, num_features, seed):
    layout = HashGridLayout(
        num_levels=1,
        num_features=num_features,
        base_resolution=base,
        finest_resolution=base,
        log2_table_size=12,
    )
    points = make_points(seed, 40, torch.float64).clamp(0.0, 1.0)
    table = make_table(layout, seed, torch.float64)
    (resolution,), (scale,) = layout.resolutions, layout.scales
    lattice = table[: resolution**3].T.reshape(1, num_features, *[resolution] * 3)
    places = (points * scale + 0.5) * (2.0 / (resolution - 1)) - 1.0
    expected = torch.nn.functional.grid_sample(
        lattice, places.view(1, 1, 1, -1, 3), align_corners=True
    )
    features = hash_grid_encode(points, table, layout)
    torch.testing.assert_close(
        features, expected.view(num_features, -1).T, atol=1e-12, rtol=1e-12
    )


@given(layout=layouts, seed=seeds, num_points=st.integers(1, 70))
def test_a_point_encodes_the_same_wherever_it_stands(
    simd_level, layout, seed, num_points
):
    points, table = make_points(seed, num_points), make_table(layout, seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(num_points, generator=generator)
    features = hash_grid_encode(points, table, layout)
    assert torch.equal(hash_grid_encode(points[order], table, layout), features[order])
    alone = torch.cat([hash_grid_encode(p[None], table, layout) for p in points[:5]])
    torch.testing.assert_close(alone, features[:5], atol=1e-6, rtol=1e-6)
