"""What holds for every cell of the occupancy grid."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from realfusion.ops import morton_decode, morton_encode, update_occupancy_

coordinates = st.tuples(*[st.integers(0, 1023)] * 3)


def interleave(x: int, y: int, z: int) -> int:
    bits = zip(f"{z:010b}", f"{y:010b}", f"{x:010b}", strict=True)
    return int("".join(bit for triple in bits for bit in triple), 2)


@given(st.lists(coordinates, min_size=1, max_size=20))
def test_morton_order_interleaves_bits_and_round_trips(coords):
    tensor = torch.tensor(coords, dtype=torch.int32)
    cells = morton_encode(tensor)
    assert cells.tolist() == [interleave(*xyz) for xyz in coords]
    assert torch.equal(morton_decode(cells), tensor)


@given(st.integers(0, 2**30 - 1))
def test_every_cell_round_trips(cell):
    cells = torch.tensor([cell])
    assert torch.equal(morton_encode(morton_decode(cells)), cells)


@given(
    st.lists(st.tuples(st.integers(0, 7), st.floats(0, 9, width=32)), max_size=30),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_the_order_of_visits_does_not_change_a_bit(visits, decay, random):
    grids = []
    for order in (visits, random.sample(visits, len(visits))):
        grid = torch.linspace(0.0, 7.0, 8)
        cells = torch.tensor([cell for cell, _ in order], dtype=torch.int64)
        densities = torch.tensor([density for _, density in order])
        update_occupancy_(grid, cells, densities, decay)
        grids.append(grid)
    assert torch.equal(*grids)
    visited = {cell for cell, _ in visits}
    for cell in set(range(8)) - visited:
        assert grids[0][cell] == cell
    for cell in visited:
        assert grids[0][cell] >= max(d for other, d in visits if other == cell)
