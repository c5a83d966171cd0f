"""Occupancy grid: cells in Morton order, remembered densities, one bit a cell.

The grid has resolution³ cells over the box [-bound, bound]³; the resolution is a power
of two from 4 to 1024. Nothing here is differentiable.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int32, Int64, UInt8
from torch import Tensor

_MAX_RESOLUTION = 1024


def check_resolution(resolution: int) -> None:
    """Check that a resolution suits the Morton order.

    Args:
        resolution: Cells along an edge.

    Raises:
        ValueError: It is not a power of two in 4..1024.
    """
    is_power_of_two = resolution > 0 and resolution & (resolution - 1) == 0
    if not is_power_of_two or not 4 <= resolution <= _MAX_RESOLUTION:
        raise ValueError(
            f"`resolution` must be a power of two in 4..{_MAX_RESOLUTION}, got "
            f"{resolution}"
        )


def check_tensor(
    name: str, tensor: Tensor, shape: tuple[int | str, ...], dtype: torch.dtype
) -> None:
    """Check shape and dtype of an argument.

    Args:
        name: The argument, for the message.
        tensor: Its value.
        shape: Expected lengths; a letter stands for any length.
        dtype: Expected dtype.

    Raises:
        ValueError: The tensor breaks the contract.
    """
    is_shape = tensor.ndim == len(shape) and all(
        isinstance(expected, str) or length == expected
        for length, expected in zip(tensor.shape, shape, strict=True)
    )
    if not is_shape:
        expected_shape = ", ".join(str(length) for length in shape)
        raise ValueError(
            f"`{name}` must have shape [{expected_shape}], got {list(tensor.shape)}"
        )
    if tensor.dtype != dtype:
        raise ValueError(f"`{name}` must be {dtype}, got {tensor.dtype}")


def check_device(name: str, tensor: Tensor, like_name: str, like: Tensor) -> None:
    """Check that two arguments live on one device.

    Args:
        name: The argument, for the message.
        tensor: Its value.
        like_name: The argument that decides.
        like: Its value.

    Raises:
        ValueError: They live on different devices.
    """
    if tensor.device != like.device:
        raise ValueError(
            f"`{name}` must be on the device of `{like_name}`, {like.device}, got "
            f"{tensor.device}"
        )


def morton_encode(coords: Int32[Tensor, "num_cells 3"]) -> Int64[Tensor, " num_cells"]:
    """Interleave the bits of cell coordinates (Morton 1966); x has the lowest bit.

    Args:
        coords: Coordinates in 0..1023 (checked on the CPU only).

    Returns:
        Indices of the cells.

    Raises:
        ValueError: Wrong shape or dtype.
    """
    check_tensor("coords", coords, ("M", 3), torch.int32)
    return torch.ops.realfusion.morton_encode(coords.contiguous())


def morton_decode(cells: Int64[Tensor, " num_cells"]) -> Int32[Tensor, "num_cells 3"]:
    """Invert `morton_encode`.

    Args:
        cells: Indices of cells in 0..2³⁰ - 1 (checked on the CPU only).

    Returns:
        Coordinates of the cells.

    Raises:
        ValueError: Wrong shape or dtype.
    """
    check_tensor("cells", cells, ("M",), torch.int64)
    return torch.ops.realfusion.morton_decode(cells.contiguous())


def occupancy_cell_points(
    cells: Int64[Tensor, " num_cells"],
    resolution: int,
    bound: float,
    noise: Float[Tensor, "num_cells 3"],
) -> Float[Tensor, "num_cells 3"]:
    """A point in each cell, where its density is to be queried.

    Args:
        cells: Morton indices in 0..resolution³ - 1 (checked on the CPU only).
        resolution: Cells along an edge, a power of two in 4..1024.
        bound: Half the edge of the box, in world units.
        noise: Place in the cell along each axis, in [0, 1).

    Returns:
        World points.

    Raises:
        ValueError: Wrong shape, dtype, device or range.
    """
    check_resolution(resolution)
    check_tensor("cells", cells, ("M",), torch.int64)
    check_tensor("noise", noise, (cells.shape[0], 3), torch.float32)
    check_device("noise", noise, "cells", cells)
    return torch.ops.realfusion.occupancy_cell_points(
        cells.contiguous(), noise.contiguous(), resolution, bound
    )


def update_occupancy_(
    density_ema: Float[Tensor, " num_cells"],
    cells: Int64[Tensor, " num_visited"],
    densities: Float[Tensor, " num_visited"],
    decay: float,
) -> None:
    """Decay the remembered densities of the visited cells and raise them to new ones.

    ``ema[c] = max(ema[c] * decay, max of the densities at c)``, in place: a cell that
    is visited several times decays once (instant-ngp, appendix E.2).

    Args:
        density_ema: Remembered densities (1/unit), non-negative, contiguous.
        cells: Morton indices of the visited cells, duplicates allowed (the range is
            checked on the CPU only).
        densities: New densities (1/unit); NaN counts as 0.
        decay: Factor in [0, 1].

    Raises:
        ValueError: Wrong shape, dtype, device or range, or not contiguous.
    """
    check_tensor("density_ema", density_ema, ("R³",), torch.float32)
    check_tensor("cells", cells, ("M",), torch.int64)
    check_tensor("densities", densities, (cells.shape[0],), torch.float32)
    check_device("cells", cells, "density_ema", density_ema)
    check_device("densities", densities, "density_ema", density_ema)
    if density_ema.shape[0] > _MAX_RESOLUTION**3:
        raise ValueError(
            f"`density_ema` must have at most {_MAX_RESOLUTION}³ cells, got "
            f"{density_ema.shape[0]}"
        )
    if not density_ema.is_contiguous():
        raise ValueError(
            "`density_ema` must be contiguous (it is updated in place), got strides "
            f"{density_ema.stride()}"
        )
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"`decay` must be in [0, 1], got {decay}")
    torch.ops.realfusion.update_occupancy_(
        density_ema, cells.contiguous(), densities.contiguous(), decay
    )


def pack_occupancy(
    density_ema: Float[Tensor, " num_cells"], threshold: Float[Tensor, ""] | float
) -> UInt8[Tensor, " num_bytes"]:
    """One bit a cell: whether its density exceeds the threshold.

    Args:
        density_ema: Remembered densities (1/unit) in Morton order.
        threshold: Density (1/unit). A tensor is not read by the host.

    Returns:
        Bits, eight cells a byte, the first cell in the lowest bit.

    Raises:
        ValueError: Wrong shape, dtype or device.
    """
    check_tensor("density_ema", density_ema, ("R³",), torch.float32)
    if density_ema.shape[0] % 8:
        raise ValueError(
            f"`density_ema` must have a multiple of 8 cells, got {density_ema.shape[0]}"
        )
    if not isinstance(threshold, Tensor):
        threshold = density_ema.new_full((), threshold)
    check_tensor("threshold", threshold, (), torch.float32)
    check_device("threshold", threshold, "density_ema", density_ema)
    return torch.ops.realfusion.pack_occupancy(density_ema.contiguous(), threshold)


def sample_occupied_cells(
    bits: UInt8[Tensor, " num_bytes"], uniforms: Float[Tensor, " num_draws"]
) -> Int64[Tensor, " num_draws"]:
    """Draw occupied cells, each with the same probability, with replacement.

    A draw u picks the occupied cell of rank ⌊u · n⌋ among n in Morton order; without
    an occupied cell it picks among all cells. Nothing is read by the host.

    Args:
        bits: Occupied cells as `pack_occupancy` gives them, a multiple of 8 bytes.
        uniforms: Draws in [0, 1), float32. Their 24 bits tell up to 2²⁴ occupied cells
            apart.

    Returns:
        Morton indices of the drawn cells.

    Raises:
        ValueError: Wrong shape, dtype or device.
    """
    check_tensor("bits", bits, ("B",), torch.uint8)
    max_bytes = _MAX_RESOLUTION**3 // 8
    if bits.shape[0] % 8 or not 8 <= bits.shape[0] <= max_bytes:
        raise ValueError(
            f"`bits` must have a multiple of 8 bytes in 8..{max_bytes}, got "
            f"{bits.shape[0]}"
        )
    check_tensor("uniforms", uniforms, ("M",), torch.float32)
    check_device("uniforms", uniforms, "bits", bits)
    return torch.ops.realfusion.sample_occupied_cells(
        bits.contiguous(), uniforms.contiguous()
    )


@torch.library.register_fake("realfusion::morton_encode")
def _morton_encode_fake(coords: Tensor) -> Tensor:
    return coords.new_empty(coords.shape[0], dtype=torch.int64)


@torch.library.register_fake("realfusion::morton_decode")
def _morton_decode_fake(cells: Tensor) -> Tensor:
    return cells.new_empty(cells.shape[0], 3, dtype=torch.int32)


@torch.library.register_fake("realfusion::occupancy_cell_points")
def _occupancy_cell_points_fake(
    cells: Tensor, noise: Tensor, resolution: int, bound: float
) -> Tensor:
    return torch.empty_like(noise)


@torch.library.register_fake("realfusion::update_occupancy_")
def _update_occupancy_fake(
    density_ema: Tensor, cells: Tensor, densities: Tensor, decay: float
) -> None:
    return None


@torch.library.register_fake("realfusion::pack_occupancy")
def _pack_occupancy_fake(density_ema: Tensor, threshold: Tensor) -> Tensor:
    return density_ema.new_empty(density_ema.shape[0] // 8, dtype=torch.uint8)


@torch.library.register_fake("realfusion::sample_occupied_cells")
def _sample_occupied_cells_fake(bits: Tensor, uniforms: Tensor) -> Tensor:
    return uniforms.new_empty(uniforms.shape[0], dtype=torch.int64)
