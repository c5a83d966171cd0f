"""Ray marching against a brute-force march in Python, and what holds for all grids."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from realfusion.ops import RaySamples, march_rays, morton_encode

RESOLUTION = 8
NUM_CELLS = RESOLUTION**3
NUM_BYTES = NUM_CELLS // 8

# A point this near to a face, in cells, may be found on either side of it in float32.
MARGIN = 1e-4


coordinate = st.floats(-1.0, 1.0, width=32)
# In halves of the bound: the centre and the faces of the box and of cells.
lattice_coordinate = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0])
units = [tuple(sign * (axis == k) for k in range(3)) for axis in range(3)
         for sign in (1.0, -1.0)]  # fmt: skip


@st.composite
def rays(draw) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Origin in bounds, direction of unit length, and jitter."""
    kind = draw(st.sampled_from(["across", "inside", "axis", "grazing"]))
    noise = draw(st.floats(0.0, 0.9375, width=32))
    if kind == "axis":
        origin = draw(st.tuples(*[st.one_of(coordinate, lattice_coordinate)] * 3))
        return origin, draw(st.sampled_from(units)), noise
    if kind == "grazing":
        # In the plane of a face, or in that of faces of cells.
        origin = draw(st.tuples(*[lattice_coordinate] * 3))
        slope = draw(st.tuples(coordinate, coordinate))
        direction = (0.0, *slope)
    else:
        reach = 1.0 if kind == "inside" else 4.0
        origin = tuple(reach * x for x in draw(st.tuples(*[coordinate] * 3)))
        direction = draw(st.tuples(*[coordinate] * 3))
    length = math.hypot(*direction)
    if length < 1e-3:
        return origin, (0.0, 0.0, 1.0), noise
    return origin, tuple(x / length for x in direction), noise


def random_bits(seed: int, num_ands: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    bits = torch.full((NUM_BYTES,), 255, dtype=torch.uint8)
    for _ in range(num_ands):
        bits &= torch.randint(256, (NUM_BYTES,), generator=generator, dtype=torch.uint8)
    return bits


bit_grids = st.builds(random_bits, st.integers(0, 2**32 - 1), st.integers(0, 3))


def march(drawn, bits: Tensor, bound: float, step_size: float) -> RaySamples:
    origins, directions, noise = zip(*drawn, strict=True)
    return march_rays(
        bound * torch.tensor(origins),
        torch.tensor(directions),
        bits,
        resolution=RESOLUTION,
        bound=bound,
        step_size=step_size,
        noise=torch.tensor(noise),
    )


def occupied_cells(bits: Tensor) -> set[tuple[int, ...]]:
    axis = torch.arange(RESOLUTION, dtype=torch.int32)
    coords = torch.cartesian_prod(axis, axis, axis)
    cells = morton_encode(coords)
    is_set = bits[cells >> 3] >> (cells & 7) & 1
    return set(map(tuple, coords[is_set.bool()].tolist()))


def ray_interval(origin, direction, bound: float) -> tuple[float, float]:
    near, far = 0.0, math.inf
    for o, d in zip(origin, direction, strict=True):
        if d == 0.0:
            if abs(o) > bound:
                return 0.0, -math.inf
            continue
        ends = sorted(((-bound - o) / d, (bound - o) / d))
        near, far = max(near, ends[0]), min(far, ends[1])
    return near, far


def cells_around(point, bound: float) -> set[tuple[int, ...]]:
    """The cells that contain the point, give or take the margin."""
    axes = []
    for x in point:
        place = (x + bound) / (2 * bound) * RESOLUTION
        found = {math.floor(place - MARGIN), math.floor(place + MARGIN)}
        axes.append({min(max(cell, 0), RESOLUTION - 1) for cell in found})
    return {(x, y, z) for x in axes[0] for y in axes[1] for z in axes[2]}


def brute_force(ray, bits, bound, step_size) -> tuple[set[int], set[int]]:
    """Steps that must be samples of a ray, and those that may be, in float64.

    They differ where rounding decides: at faces of cells and at the ends of the ray.
    """
    origin, direction, noise = ray
    origin = [bound * x for x in origin]
    occupied = occupied_cells(bits)
    near, far = ray_interval(origin, direction, bound * (1 + 1e-6))
    _, surely_far = ray_interval(origin, direction, bound * (1 - 1e-6))
    must, may = set(), set()
    step = 0
    while (t := near + (noise + step) * step_size) < far + 1e-5:
        point = [o + t * d for o, d in zip(origin, direction, strict=True)]
        found = cells_around(point, bound)
        if found & occupied:
            may.add(step)
        if found <= occupied and t < surely_far - 1e-5:
            must.add(step)
        step += 1
    return must, may


@given(
    st.lists(rays(), min_size=1, max_size=6),
    bit_grids,
    st.sampled_from([0.5, 0.75, 2.0]),
    st.sampled_from([0.07, 0.113]),
)
def test_samples_are_those_of_a_brute_force_march(
    simd_level, drawn, bits, bound, step_share
):
    step_size = step_share * bound
    samples = march(drawn, bits, bound, step_size)
    for ray, (origin, direction, noise) in enumerate(drawn):
        must, may = brute_force(drawn[ray], bits, bound, step_size)
        begin, end = samples.ray_offsets[ray : ray + 2].tolist()
        near, _ = ray_interval([bound * x for x in origin], direction, bound)
        steps = ((samples.t[begin:end].double() - near) / step_size - noise).tolist()
        indices = [round(step) for step in steps]
        assert steps == pytest.approx(indices, abs=1e-3)
        assert must <= set(indices) <= may
        assert indices == sorted(set(indices))


@given(st.lists(rays(), min_size=1, max_size=6), bit_grids, bit_grids)
def test_more_occupied_cells_never_lose_a_sample(simd_level, drawn, bits, others):
    fewer = march(drawn, bits & others, 0.75, 0.05)
    more = march(drawn, bits, 0.75, 0.05)
    for ray in range(len(drawn)):
        a, b = (
            set(samples.t[slice(*samples.ray_offsets[ray : ray + 2].tolist())].tolist())
            for samples in (fewer, more)
        )
        assert a <= b


@given(st.lists(rays(), min_size=1, max_size=6), bit_grids)
def test_a_grid_and_its_complement_share_out_all_steps(simd_level, drawn, bits):
    counts, complement, full = (
        march(drawn, grid, 0.75, 0.05).ray_offsets.diff()
        for grid in (bits, ~bits, torch.full_like(bits, 255))
    )
    assert torch.equal(counts + complement, full)
