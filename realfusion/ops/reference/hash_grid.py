"""Pure-torch twin of ``realfusion.ops.hash_grid``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout, check_num_active_levels

_PRIMES = (1, 2654435761, 805459861)


def _axis_terms(lower: Tensor, layout: HashGridLayout, level: int) -> list[Tensor]:
    """For each axis the lower and upper corner's part of the entry, [2, N]."""
    corners = torch.stack([lower, lower + 1])
    x, y, z = corners.unbind(-1)
    size = layout.offsets[level + 1] - layout.offsets[level]
    resolution = layout.resolutions[level]
    if resolution**3 <= size:
        return [x, y * resolution, z * resolution**2]
    if layout.indexing == "hash":
        pairs = zip((x, y, z), _PRIMES, strict=True)
        return [axis * prime & (size - 1) for axis, prime in pairs]
    num_bits = size.bit_length() - 1
    bits_x, bits_y, bits_z = (num_bits + 2) // 3, (num_bits + 1) // 3, num_bits // 3
    y, z = y % 2**bits_y * 2**bits_x, z % 2**bits_z * 2 ** (bits_x + bits_y)
    return [x % 2**bits_x, y, z]


def _encode_level(
    positions: Tensor, table: Tensor, layout: HashGridLayout, level: int
) -> Tensor:
    # In float64 the product is exact: rounding the sum is what fmaf does.
    exact = positions.double() * layout.scales[level] + 0.5
    lattice_positions = exact.to(positions.dtype)
    lower = lattice_positions.detach().floor()
    blend = lattice_positions - lower
    if layout.interpolation == "smoothstep":
        blend = blend * blend * (3 - 2 * blend)
    weights_x, weights_y, weights_z = torch.stack([1 - blend, blend]).unbind(-1)
    terms_x, terms_y, terms_z = _axis_terms(lower.long(), layout, level)
    # The terms of a dense level add up; those of a shared one are combined by XOR.
    size = layout.offsets[level + 1] - layout.offsets[level]
    is_dense = layout.resolutions[level] ** 3 <= size
    entries = table[layout.offsets[level] : layout.offsets[level + 1]]
    features = entries.new_zeros(len(positions), layout.num_features)
    for corner in range(8):
        i, j, k = corner & 1, corner >> 1 & 1, corner >> 2
        if is_dense:
            indices = terms_x[i] + terms_y[j] + terms_z[k]
        else:
            indices = terms_x[i] ^ terms_y[j] ^ terms_z[k]
        weights = weights_x[i] * weights_y[j] * weights_z[k]
        looked_up = torch.nn.functional.embedding(indices, entries)
        features = features + weights[:, None] * looked_up
    return features


def hash_grid_encode(
    positions: Float[Tensor, "num_points 3"],
    table: Float[Tensor, "num_entries num_features"],
    layout: HashGridLayout,
    *,
    num_active_levels: int | None = None,
) -> Float[Tensor, "num_points num_outputs"]:
    """Encode points by a multiresolution hash grid, level by level.

    Args:
        positions: Points in the unit cube; those outside encode to zeros.
        table: Features of all levels.
        layout: Geometry of the grid.
        num_active_levels: Levels in use, the coarsest first; None for all.

    Returns:
        Features, level by level. Differentiable in ``table`` and ``positions`` any
        number of times.
    """
    active = check_num_active_levels(layout, num_active_levels)
    is_inside = ((positions >= 0) & (positions <= 1)).all(dim=1, keepdim=True)
    inside_positions = torch.where(is_inside, positions, 0.5)
    outputs = [
        _encode_level(inside_positions, table, layout, level) for level in range(active)
    ]
    num_inactive = (layout.num_levels - active) * layout.num_features
    outputs.append(table.new_zeros(len(positions), num_inactive))
    return torch.where(is_inside, torch.cat(outputs, dim=1), 0.0)
