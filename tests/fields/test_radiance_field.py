"""The field's own choices; its kernels have tests with the operators."""

from __future__ import annotations

import torch

from realfusion.fields.config import FieldConfig
from realfusion.ops.hash_grid import HashGridLayout, hash_grid_encode


def test_every_level_of_the_default_index_sees_all_three_axes():
    """Defect 8: at 2^16 entries the tiled index ignores z on its finest levels."""
    assert FieldConfig().indexing == "hash"
    layout = HashGridLayout(log2_table_size=16, indexing=FieldConfig().indexing)
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(layout.num_entries, layout.num_features, generator=generator)
    points = torch.rand(64, 3, generator=generator) * 0.5
    here = hash_grid_encode(points, table, layout)
    for axis in range(3):
        moved = points.clone()
        moved[:, axis] += 0.4
        there = hash_grid_encode(moved, table, layout)
        changed = (here != there).reshape(64, layout.num_levels, -1).any(dim=-1)
        assert changed.all(dim=0).all(), f"axis {axis}"
