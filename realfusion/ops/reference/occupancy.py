"""Pure-torch twins of ``realfusion.ops.occupancy``."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int32, Int64, UInt8
from torch import Tensor

_SPREAD = ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249))


def morton_encode(coords: Int32[Tensor, "num_cells 3"]) -> Int64[Tensor, " num_cells"]:
    """Interleave the bits of cell coordinates; x has the lowest bit.

    Args:
        coords: Coordinates in 0..1023.

    Returns:
        Indices of the cells.
    """
    spread = coords.long()
    for shift, mask in _SPREAD:
        spread = (spread | spread << shift) & mask
    x, y, z = spread.unbind(-1)
    return x | y << 1 | z << 2


def morton_decode(cells: Int64[Tensor, " num_cells"]) -> Int32[Tensor, "num_cells 3"]:
    """Invert `morton_encode`.

    Args:
        cells: Indices of cells.

    Returns:
        Coordinates of the cells.
    """
    axes = torch.stack([cells, cells >> 1, cells >> 2], dim=-1) & _SPREAD[-1][1]
    masks = [mask for _, mask in _SPREAD[-2::-1]] + [0x3FF]
    for (shift, _), mask in zip(_SPREAD[::-1], masks, strict=True):
        axes = (axes | axes >> shift) & mask
    return axes.int()


def occupancy_cell_points(
    cells: Int64[Tensor, " num_cells"],
    resolution: int,
    bound: float,
    noise: Float[Tensor, "num_cells 3"],
) -> Float[Tensor, "num_cells 3"]:
    """A point in each cell.

    Args:
        cells: Morton indices.
        resolution: Cells along an edge.
        bound: Half the edge of the box.
        noise: Place in the cell along each axis, in [0, 1).

    Returns:
        World points.
    """
    return (morton_decode(cells) + noise) * (2.0 * bound / resolution) - bound


def update_occupancy_(
    density_ema: Float[Tensor, " num_cells"],
    cells: Int64[Tensor, " num_visited"],
    densities: Float[Tensor, " num_visited"],
    decay: float,
) -> None:
    """Decay the visited cells and raise them to the new densities, in place.

    Args:
        density_ema: Remembered densities.
        cells: Morton indices, duplicates allowed.
        densities: New densities.
        decay: Factor in [0, 1].
    """
    density_ema[cells] = density_ema[cells] * decay
    density_ema.scatter_reduce_(0, cells, densities.nan_to_num(0.0, torch.inf), "amax")


def pack_occupancy(
    density_ema: Float[Tensor, " num_cells"], threshold: Float[Tensor, ""] | float
) -> UInt8[Tensor, " num_bytes"]:
    """One bit a cell: whether its density exceeds the threshold.

    Args:
        density_ema: Remembered densities in Morton order.
        threshold: Density.

    Returns:
        Bits, eight cells a byte, the first cell in the lowest bit.
    """
    is_occupied = (density_ema > threshold).reshape(-1, 8)
    places = 2 ** torch.arange(8, device=density_ema.device)
    return (is_occupied * places).sum(dim=1).to(torch.uint8)


def sample_occupied_cells(
    bits: UInt8[Tensor, " num_bytes"], uniforms: Float[Tensor, " num_draws"]
) -> Int64[Tensor, " num_draws"]:
    """Draw occupied cells with replacement, or any cells if none is occupied.

    Args:
        bits: Occupied cells, eight a byte, the first in the lowest bit.
        uniforms: Draws in [0, 1).

    Returns:
        Morton indices of the drawn cells.
    """
    places = torch.arange(8, device=bits.device, dtype=torch.uint8)
    flags = (bits[:, None] >> places & 1).flatten()
    candidates = flags.nonzero().flatten()
    if len(candidates) == 0:
        candidates = torch.arange(len(flags), device=bits.device)
    ranks = (uniforms.double() * len(candidates)).nan_to_num(0.0).long()
    return candidates[ranks.clamp(0, len(candidates) - 1)]
