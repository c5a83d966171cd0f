"""Occupancy-grid operators against their twins and their properties."""

from __future__ import annotations

import math

import pytest
import torch

from realfusion.ops import (
    morton_decode,
    morton_encode,
    occupancy_cell_points,
    pack_occupancy,
    sample_occupied_cells,
    update_occupancy_,
)
from realfusion.ops.reference import occupancy as reference

RESOLUTION = 16
NUM_CELLS = RESOLUTION**3


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_morton_round_trip_covers_every_cell(device):
    cells = torch.arange(NUM_CELLS, device=device)
    coords = morton_decode(cells)
    assert coords.min() == 0
    assert coords.max() == RESOLUTION - 1
    assert len(coords.unique(dim=0)) == NUM_CELLS
    assert torch.equal(morton_encode(coords), cells)


def test_morton_matches_reference_up_to_ten_bits(device, generator):
    coords = torch.randint(1024, (5000, 3), generator=generator, dtype=torch.int32)
    coords[0] = 1023
    coords = coords.to(device)
    cells = morton_encode(coords)
    assert torch.equal(cells, reference.morton_encode(coords))
    assert cells[0] == 2**30 - 1
    assert torch.equal(morton_decode(cells), coords)
    assert torch.equal(reference.morton_decode(cells), coords)


def test_morton_gives_x_the_lowest_bit(device):
    axes = torch.eye(3, dtype=torch.int32, device=device)
    assert morton_encode(axes).tolist() == [1, 2, 4]


def test_cell_points_lie_in_their_cells(device, generator):
    cells = torch.randint(NUM_CELLS, (1000,), generator=generator).to(device)
    noise = torch.rand(1000, 3, generator=generator).to(device)
    points = occupancy_cell_points(cells, RESOLUTION, 0.75, noise)
    expected = reference.occupancy_cell_points(cells, RESOLUTION, 0.75, noise)
    torch.testing.assert_close(points, expected, atol=1e-6, rtol=0)
    centres = occupancy_cell_points(
        cells, RESOLUTION, 0.75, torch.full_like(noise, 0.5)
    )
    found = ((centres + 0.75) / 1.5 * RESOLUTION).floor().int()
    assert torch.equal(morton_encode(found), cells)


def test_update_matches_reference_with_duplicates(device, generator):
    before = torch.rand(NUM_CELLS, generator=generator).to(device)
    cells = torch.randint(NUM_CELLS // 4, (5000,), generator=generator).to(device)
    densities = torch.rand(5000, generator=generator).to(device)
    densities[:3] = torch.tensor([math.nan, math.inf, -1.0])
    got, expected = before.clone(), before.clone()
    update_occupancy_(got, cells, densities, 0.9)
    reference.update_occupancy_(expected, cells, densities, 0.9)
    assert torch.equal(got, expected)
    assert torch.equal(got[NUM_CELLS // 4 :], before[NUM_CELLS // 4 :])


@pytest.mark.parametrize("is_rising", [True, False])
def test_update_of_more_visits_than_a_task_matches_reference(
    device, generator, is_rising
):
    # Several buckets and several tasks; rising cells take a short cut.
    before = torch.rand(2**18, generator=generator).to(device)
    cells = torch.randint(2**18, (140_000,), generator=generator).to(device)
    if is_rising:
        cells = cells.unique()
    densities = torch.rand(len(cells), generator=generator).to(device)
    densities[::7] = math.nan
    got, expected = before.clone(), before.clone()
    update_occupancy_(got, cells, densities, 0.9)
    reference.update_occupancy_(expected, cells, densities, 0.9)
    assert torch.equal(got, expected)


def test_cell_visited_twice_decays_once(device):
    density_ema = torch.tensor([8.0, 8.0] + [0.0] * 6, device=device)
    cells = torch.tensor([0, 0, 0], device=device)
    update_occupancy_(density_ema, cells, torch.tensor([1.0, 2, 3]).to(device), 0.5)
    assert density_ema[:2].tolist() == [4.0, 8.0]
    update_occupancy_(density_ema, cells, torch.tensor([1.0, 6, 3]).to(device), 0.5)
    assert density_ema[0] == 6.0


def test_update_gives_the_same_bits_for_any_number_of_threads(generator):
    cells = torch.randint(64, (100_000,), generator=generator)
    densities = torch.rand(100_000, generator=generator)
    num_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            density_ema = torch.full((64,), 0.5)
            update_occupancy_(density_ema, cells, densities, 0.9)
            results.append(density_ema)
    finally:
        torch.set_num_threads(num_threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("as_tensor", [True, False])
def test_pack_matches_reference(device, generator, as_tensor):
    density_ema = torch.rand(NUM_CELLS, generator=generator).to(device)
    density_ema[5] = 0.25
    threshold = torch.tensor(0.25, device=device) if as_tensor else 0.25
    bits = pack_occupancy(density_ema, threshold)
    assert bits.dtype == torch.uint8
    assert torch.equal(bits, reference.pack_occupancy(density_ema, threshold))
    assert bits[0] >> 5 & 1 == 0  # equal is not above


def test_pack_puts_the_first_cell_in_the_lowest_bit(device):
    density_ema = torch.zeros(16, device=device)
    density_ema[[0, 9]] = 1.0
    assert pack_occupancy(density_ema, 0.5).tolist() == [1, 2]


@pytest.mark.parametrize("occupied_share", [0.0, 0.002, 0.3, 1.0])
def test_sampled_cells_match_reference(device, generator, occupied_share):
    # More words than a block of the device's or a task of the CPU's takes.
    density_ema = torch.rand(64**3, generator=generator).to(device)
    bits = pack_occupancy(density_ema, 1.0 - occupied_share)
    uniforms = torch.rand(20_000, generator=generator).to(device)
    uniforms[:4] = torch.tensor([0.0, 1.0 - 2.0**-24, 1.0, math.nan])
    cells = sample_occupied_cells(bits, uniforms)
    assert torch.equal(cells, reference.sample_occupied_cells(bits, uniforms))
    if occupied_share > 0.0:
        assert (density_ema[cells] > 1.0 - occupied_share).all()


def test_every_occupied_cell_is_sampled_alike(device, generator):
    density_ema = (torch.rand(NUM_CELLS, generator=generator) > 0.9).float().to(device)
    bits = pack_occupancy(density_ema, 0.5)
    occupied = density_ema.nonzero().flatten()
    places = torch.arange(8, device=device) / 8 + 1 / 16
    uniforms = (torch.arange(len(occupied), device=device)[:, None] + places).flatten()
    cells = sample_occupied_cells(bits, uniforms / len(occupied))
    assert torch.equal(cells, occupied.repeat_interleave(8))


def test_empty_input_gives_empty_output(device):
    cells = torch.empty(0, dtype=torch.int64, device=device)
    coords = torch.empty(0, 3, dtype=torch.int32, device=device)
    noise = torch.empty(0, 3, device=device)
    assert morton_encode(coords).shape == (0,)
    assert morton_decode(cells).shape == (0, 3)
    assert occupancy_cell_points(cells, 8, 1.0, noise).shape == (0, 3)
    density_ema = torch.ones(8, device=device)
    update_occupancy_(density_ema, cells, noise[:, 0], 0.5)
    assert density_ema.tolist() == [1.0] * 8
    bits = torch.zeros(8, dtype=torch.uint8, device=device)
    assert sample_occupied_cells(bits, noise[:, 0]).shape == (0,)


def test_noncontiguous_inputs_match_contiguous(device, generator):
    coords = torch.randint(64, (3, 50), generator=generator, dtype=torch.int32)
    coords = coords.to(device).T
    assert torch.equal(morton_encode(coords), morton_encode(coords.contiguous()))
    cells = morton_encode(coords).repeat_interleave(2)[::2]
    assert torch.equal(morton_decode(cells), coords)
    densities = torch.rand(NUM_CELLS, 2, generator=generator).to(device)[:, 0]
    expected = pack_occupancy(densities.contiguous(), 0.5)
    assert torch.equal(pack_occupancy(densities, 0.5), expected)
    # Bytes that do not start where a word may.
    shifted = torch.cat([expected[:1], expected])[1:]
    assert torch.equal(
        sample_occupied_cells(shifted, densities),
        sample_occupied_cells(expected, densities.contiguous()),
    )


def test_opcheck_passes(device, generator):
    operators = torch.ops.realfusion
    coords = torch.randint(16, (20, 3), generator=generator, dtype=torch.int32)
    cells = morton_encode(coords).to(device)
    noise = torch.rand(20, 3, generator=generator).to(device)
    density_ema = torch.rand(NUM_CELLS, generator=generator).to(device)
    threshold = torch.tensor(0.5, device=device)
    bits = pack_occupancy(density_ema, threshold)
    for operator, arguments in [
        (operators.morton_encode, (coords.to(device),)),
        (operators.morton_decode, (cells,)),
        (operators.occupancy_cell_points, (cells, noise, 16, 0.75)),
        (operators.update_occupancy_, (density_ema, cells, noise[:, 0].clone(), 0.9)),
        (operators.pack_occupancy, (density_ema, threshold)),
        (operators.sample_occupied_cells, (bits, noise[:, 0].clone())),
    ]:
        torch.library.opcheck(operator.default, arguments)


def test_wrong_arguments_are_named():
    cells = torch.zeros(4, dtype=torch.int64)
    noise = torch.zeros(4, 3)
    with pytest.raises(ValueError, match=r"`coords` must have shape \[M, 3\], got"):
        morton_encode(torch.zeros(4, 2, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"`coords` must be torch.int32, got"):
        morton_encode(torch.zeros(4, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="`resolution` must be a power of two"):
        occupancy_cell_points(cells, 12, 1.0, noise)
    with pytest.raises(ValueError, match=r"`noise` must have shape \[4, 3\], got"):
        occupancy_cell_points(cells, 8, 1.0, noise[:3])
    with pytest.raises(ValueError, match=r"`densities` must be torch\.float32"):
        update_occupancy_(torch.zeros(8), cells, noise[:, 0].double(), 0.5)
    with pytest.raises(ValueError, match=r"`decay` must be in \[0, 1\], got 1.5"):
        update_occupancy_(torch.zeros(8), cells, noise[:, 0], 1.5)
    with pytest.raises(ValueError, match="`density_ema` must be contiguous"):
        update_occupancy_(torch.zeros(8, 2)[:, 0], cells, noise[:, 0], 0.5)
    with pytest.raises(ValueError, match="multiple of 8 cells, got 12"):
        pack_occupancy(torch.zeros(12), 0.5)
    with pytest.raises(ValueError, match=r"a multiple of 8 bytes in 8\.\..*, got 12"):
        sample_occupied_cells(torch.zeros(12, dtype=torch.uint8), noise[:, 0])
    with pytest.raises(ValueError, match=r"`uniforms` must be torch\.float32"):
        sample_occupied_cells(torch.zeros(8, dtype=torch.uint8), noise[:, 0].double())


def test_grids_beyond_the_largest_are_named():
    # Expanded: one element in memory.
    densities, cells = torch.zeros(4), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"must have at most 1024³ cells, got"):
        update_occupancy_(torch.zeros(1).expand(2**32), cells, densities, 0.5)
    bits = torch.zeros(1, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"multiple of 8 bytes in 8..134217728, got"):
        sample_occupied_cells(bits.expand(2**27 + 8), densities)


def test_cells_beyond_the_grid_are_named_on_cpu():
    cells = torch.tensor([0, 512])
    with pytest.raises(RuntimeError, match=r"`cells` must be in 0..511, got 512"):
        occupancy_cell_points(cells, 8, 1.0, torch.zeros(2, 3))
    with pytest.raises(RuntimeError, match=r"`cells` must be in 0..511, got 512"):
        update_occupancy_(torch.zeros(512), cells, torch.zeros(2), 0.5)
    with pytest.raises(RuntimeError, match=r"`coords` must be in 0..1023, got -1"):
        morton_encode(torch.tensor([[0, -1, 0]], dtype=torch.int32))
