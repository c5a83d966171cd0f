"""Pure-torch twin of ``realfusion.ops.hash_grid``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout, check_num_active_levels

_PRIMES = (1, 2654435761, 805459861)


def _corner_entries(corners: Tensor, layout: HashGridLayout, level: int) -> Tensor:
    """Entries of the vertices ``corners`` [..., 3] within their level."""
    x, y, z = corners.unbind(-1)
    size = layout.offsets[level + 1] - layout.offsets[level]
    resolution = layout.resolutions[level]
    if resolution**3 <= size:
        return x + resolution * (y + resolution * z)
    if layout.indexing == "hash":
        hashed = (x * _PRIMES[0]) ^ (y * _PRIMES[1]) ^ (z * _PRIMES[2])
        return hashed & (size - 1)
    num_bits = size.bit_length() - 1
    bits_x, bits_y, bits_z = (num_bits + 2) // 3, (num_bits + 1) // 3, num_bits // 3
    period_x, period_y, period_z = 2**bits_x, 2**bits_y, 2**bits_z
    return x % period_x + period_x * (y % period_y + period_y * (z % period_z))


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
    num_points = positions.shape[0]
    is_inside = ((positions >= 0) & (positions <= 1)).all(dim=1, keepdim=True)
    safe_positions = torch.where(is_inside, positions, 0.5)
    corner_offsets = torch.tensor(
        [[c & 1, c >> 1 & 1, c >> 2] for c in range(8)], device=positions.device
    )
    is_upper = corner_offsets.bool()
    outputs = []
    for level in range(active):
        # In float64 the product is exact: rounding the sum is what fmaf does.
        exact = safe_positions.double() * layout.scales[level] + 0.5
        lattice_positions = exact.to(positions.dtype)
        lower = lattice_positions.detach().floor()
        blend = lattice_positions - lower
        if layout.interpolation == "smoothstep":
            blend = blend * blend * (3 - 2 * blend)
        corners = lower.long()[:, None, :] + corner_offsets
        entries = _corner_entries(corners, layout, level) + layout.offsets[level]
        blend = blend[:, None, :]
        weights = torch.where(is_upper, blend, 1 - blend).prod(dim=2)
        features = torch.nn.functional.embedding(entries, table)
        outputs.append((weights[:, :, None] * features).sum(dim=1))
    num_inactive = (layout.num_levels - active) * layout.num_features
    outputs.append(table.new_zeros(num_points, num_inactive))
    return torch.where(is_inside, torch.cat(outputs, dim=1), 0.0)
