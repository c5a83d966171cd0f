"""Multiresolution hash-grid encoding with native CPU and CUDA kernels."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

_MAX_LEVELS = 32
_NUM_FEATURES = (1, 2, 4, 8)


def _round_to_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


@dataclass(frozen=True, kw_only=True)
class HashGridLayout:
    """Geometry of a multiresolution hash grid.

    Müller et al. 2022, "Instant neural graphics primitives with a multiresolution hash
    encoding", section 3. Level l has ``scale = base * growth**l - 1``, and a point x
    of the unit cube lies at ``p = scale * x + 0.5`` on its lattice. The scales are
    rounded to float32 here, once: every kernel takes them from this table, so that
    all devices floor into the same cells. Unlike the paper's code, a level has a vertex
    more where rounding needs one, so that no corner wraps to the opposite face.

    Attributes:
        num_levels: L, 1 to 32.
        num_features: F, features an entry: 1, 2, 4 or 8.
        base_resolution: Resolution of the coarsest level.
        finest_resolution: Resolution of the finest level (unused if ``num_levels`` is
            1).
        log2_table_size: T; a level has at most 2**T entries. Levels that fit are dense.
        indexing: How a level that does not fit shares its entries: by the paper's
            spatial hash, or as a tile that repeats along each axis.
        interpolation: Trilinear, or smoothstep of the trilinear weights (continuous
            gradients).
        scales: Scale of each level, exact in float32.
        resolutions: Vertices an axis of each level.
        offsets: First entry of each level, and the number of entries at the end.
    """

    num_levels: int = 16
    num_features: int = 2
    base_resolution: int = 16
    finest_resolution: int = 2048
    log2_table_size: int = 19
    indexing: Literal["hash", "tiled"] = "hash"
    interpolation: Literal["linear", "smoothstep"] = "linear"
    scales: tuple[float, ...] = field(init=False, repr=False)
    resolutions: tuple[int, ...] = field(init=False, repr=False)
    offsets: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the settings and lay out the levels."""
        self._check()
        growth = 1.0
        if self.num_levels > 1:
            ratio = self.finest_resolution / self.base_resolution
            growth = math.exp(math.log(ratio) / (self.num_levels - 1))
        scales, resolutions, offsets = [], [], [0]
        for level in range(self.num_levels):
            exact = self.base_resolution * growth**level - 1.0
            scale = _round_to_float32(exact)
            # The corner above the last cell, which is that of x = 1.
            resolution = math.floor(_round_to_float32(scale + 0.5)) + 2
            num_dense = (resolution**3 + 7) // 8 * 8
            scales.append(scale)
            resolutions.append(resolution)
            offsets.append(offsets[-1] + min(num_dense, 2**self.log2_table_size))
        object.__setattr__(self, "scales", tuple(scales))
        object.__setattr__(self, "resolutions", tuple(resolutions))
        object.__setattr__(self, "offsets", tuple(offsets))

    def _check(self) -> None:
        if not 1 <= self.num_levels <= _MAX_LEVELS:
            raise ValueError(
                f"`num_levels` must be in 1..{_MAX_LEVELS}, got {self.num_levels}"
            )
        if self.num_features not in _NUM_FEATURES:
            raise ValueError(
                f"`num_features` must be 1, 2, 4 or 8, got {self.num_features}"
            )
        if self.base_resolution < 1:
            raise ValueError(
                f"`base_resolution` must be at least 1, got {self.base_resolution}"
            )
        if not self.base_resolution <= self.finest_resolution <= 2**19:
            raise ValueError(
                "`finest_resolution` must be in `base_resolution`..2**19, got "
                f"{self.finest_resolution}"
            )
        if not 3 <= self.log2_table_size <= 28:
            raise ValueError(
                f"`log2_table_size` must be in 3..28, got {self.log2_table_size}"
            )
        if self.indexing not in ("hash", "tiled"):
            raise ValueError(
                f"`indexing` must be 'hash' or 'tiled', got {self.indexing!r}"
            )
        if self.interpolation not in ("linear", "smoothstep"):
            raise ValueError(
                "`interpolation` must be 'linear' or 'smoothstep', got "
                f"{self.interpolation!r}"
            )

    @property
    def num_entries(self) -> int:
        """Entries of the table over all levels."""
        return self.offsets[-1]

    @property
    def num_outputs(self) -> int:
        """Features of an encoded point, L * F."""
        return self.num_levels * self.num_features


def check_num_active_levels(
    layout: HashGridLayout, num_active_levels: int | None
) -> int:
    """Resolve the default (all levels) and check the range.

    Args:
        layout: Geometry of the grid.
        num_active_levels: Levels in use, the coarsest first; None for all.

    Returns:
        The number of levels in use.

    Raises:
        ValueError: It is not within 0..num_levels.
    """
    if num_active_levels is None:
        return layout.num_levels
    if not 0 <= num_active_levels <= layout.num_levels:
        raise ValueError(
            f"`num_active_levels` must be in 0..{layout.num_levels}, got "
            f"{num_active_levels}"
        )
    return num_active_levels


def layout_arguments(
    layout: HashGridLayout, num_active_levels: int
) -> tuple[list[float], list[int], list[int], int, int, bool, bool]:
    """The layout as the native operators take it.

    Args:
        layout: Geometry of the grid.
        num_active_levels: Levels in use.

    Returns:
        Scales, resolutions, offsets, num_features, num_active_levels, is_tiled,
        is_smoothstep.
    """
    return (
        list(layout.scales),
        list(layout.resolutions),
        list(layout.offsets),
        layout.num_features,
        num_active_levels,
        layout.indexing == "tiled",
        layout.interpolation == "smoothstep",
    )


def check_encode_arguments(
    positions: Tensor, table: Tensor, layout: HashGridLayout
) -> None:
    """Check shapes, dtypes and devices of an encoding.

    Args:
        positions: Points in the unit cube.
        table: Features of all levels.
        layout: Geometry of the grid.

    Raises:
        ValueError: An argument breaks its contract.
    """
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(
            f"`positions` must have shape [N, 3], got {list(positions.shape)}"
        )
    expected = (layout.num_entries, layout.num_features)
    if tuple(table.shape) != expected:
        raise ValueError(
            f"`table` must have shape {list(expected)}, got {list(table.shape)}"
        )
    if positions.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"`positions` must be float32 or float64, got {positions.dtype}"
        )
    if positions.is_cuda and positions.dtype != torch.float32:
        raise ValueError(
            f"`positions` must be float32 on a CUDA device, got {positions.dtype}"
        )
    is_half_allowed = positions.is_cuda and table.dtype == torch.float16
    if table.dtype != positions.dtype and not is_half_allowed:
        raise ValueError(
            f"`table` must be {positions.dtype} like `positions` (or float16 on a CUDA "
            f"device), got {table.dtype}"
        )
    if table.device != positions.device:
        raise ValueError(
            f"`table` must be on the device of `positions`, {positions.device}, got "
            f"{table.device}"
        )


def hash_grid_encode(
    positions: Float[Tensor, "num_points 3"],
    table: Float[Tensor, "num_entries num_features"],
    layout: HashGridLayout,
    *,
    num_active_levels: int | None = None,
) -> Float[Tensor, "num_points num_outputs"]:
    """Encode points by a multiresolution hash grid (Müller et al. 2022, section 3).

    Args:
        positions: Points in the unit cube [0, 1]³, float32 (or float64 on the CPU).
            Points outside, and NaN, encode to zeros and have no gradient.
        table: Features of all levels, in the dtype of ``positions``; float16 too on a
            CUDA device, where sums and gradients are float32 nevertheless.
        layout: Geometry of the grid.
        num_active_levels: Levels in use, the coarsest first (coarse to fine); the
            others cost nothing and their features are zero. None for all.

    Returns:
        Features, level by level, in the dtype of ``positions``. Differentiable in
        ``table`` (any number of times) and in ``positions`` (twice, as a loss on
        normals needs; a third derivative raises RuntimeError). On a CUDA device the
        gradient to ``table`` is summed by atomics, in no fixed order, unless
        ``torch.use_deterministic_algorithms`` is on: then in 64-bit fixed point, the
        same bits every time, with 8 more bytes an element of the table and NaN
        everywhere if one gradient is not finite.

    Raises:
        ValueError: An argument has the wrong shape, dtype, device or range.
    """
    check_encode_arguments(positions, table, layout)
    active = check_num_active_levels(layout, num_active_levels)
    return torch.ops.realfusion.hash_grid_encode(
        positions.contiguous(), table.contiguous(), *layout_arguments(layout, active)
    )


@torch.library.register_fake("realfusion::hash_grid_encode")
def _encode_fake(positions: Tensor, table: Tensor, *grid: Any) -> Tensor:
    return positions.new_empty(positions.shape[0], len(grid[0]) * grid[3])


@torch.library.register_fake("realfusion::hash_grid_encode_backward_table")
def _backward_table_fake(
    grad_features: Tensor, positions: Tensor, *grid: Any
) -> Tensor:
    return grad_features.new_empty(grid[2][-1], grid[3])


@torch.library.register_fake("realfusion::hash_grid_encode_backward_positions")
def _backward_positions_fake(
    grad_features: Tensor, positions: Tensor, table: Tensor, *grid: Any
) -> Tensor:
    return torch.empty_like(positions)


@torch.library.register_fake("realfusion::hash_grid_encode_tangent")
def _tangent_fake(
    directions: Tensor, positions: Tensor, table: Tensor, *grid: Any
) -> Tensor:
    return _encode_fake(positions, table, *grid)


@torch.library.register_fake("realfusion::hash_grid_encode_tangent_backward_table")
def _tangent_backward_table_fake(
    grad_tangents: Tensor, directions: Tensor, positions: Tensor, *grid: Any
) -> Tensor:
    return _backward_table_fake(grad_tangents, positions, *grid)


@torch.library.register_fake("realfusion::hash_grid_encode_tangent_backward_positions")
def _tangent_backward_positions_fake(
    grad_tangents: Tensor,
    directions: Tensor,
    positions: Tensor,
    table: Tensor,
    *grid: Any,
) -> Tensor:
    return torch.empty_like(positions)


def _encode_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    positions, table, *grid = inputs
    ctx.save_for_backward(positions, table)
    ctx.grid = tuple(grid)


def _encode_backward(ctx: Any, grad_features: Tensor) -> tuple[Any, ...]:
    positions, table = ctx.saved_tensors
    grad_features = grad_features.contiguous()
    grad_positions = grad_table = None
    if ctx.needs_input_grad[0]:
        grad_positions = torch.ops.realfusion.hash_grid_encode_backward_positions(
            grad_features, positions, table, *ctx.grid
        )
    if ctx.needs_input_grad[1]:
        grad_table = torch.ops.realfusion.hash_grid_encode_backward_table(
            grad_features,
            positions,
            *ctx.grid,
            torch.are_deterministic_algorithms_enabled(),
        )
    return grad_positions, grad_table, *([None] * len(ctx.grid))


def _backward_table_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad_features, positions, *grid, _ = inputs
    ctx.save_for_backward(grad_features, positions)
    ctx.grid = tuple(grid)


def _backward_table_backward(ctx: Any, grad_output: Tensor) -> tuple[Any, ...]:
    # <grad_output, scatter(grad_features)> = <grad_features, encode(grad_output)>:
    # the encoding of the upstream gradient, taken as a table, serves both.
    grad_features, positions = ctx.saved_tensors
    grad_output = grad_output.contiguous()
    grad_grad_features = grad_positions = None
    if ctx.needs_input_grad[0]:
        grad_grad_features = torch.ops.realfusion.hash_grid_encode(
            positions, grad_output, *ctx.grid
        )
    if ctx.needs_input_grad[1]:
        grad_positions = torch.ops.realfusion.hash_grid_encode_backward_positions(
            grad_features, positions, grad_output, *ctx.grid
        )
    return grad_grad_features, grad_positions, *([None] * (len(ctx.grid) + 1))


def _backward_positions_setup(
    ctx: Any, inputs: tuple[Any, ...], output: Tensor
) -> None:
    grad_features, positions, table, *grid = inputs
    ctx.save_for_backward(grad_features, positions, table)
    ctx.grid = tuple(grid)


def _backward_positions_backward(ctx: Any, directions: Tensor) -> tuple[Any, ...]:
    # <directions, J^T grad_features> = <J directions, grad_features>: the derivative of
    # the features along the upstream gradient, and its backward.
    grad_features, positions, table = ctx.saved_tensors
    directions = directions.contiguous()
    operators = torch.ops.realfusion
    grad_grad_features = grad_positions = grad_table = None
    if ctx.needs_input_grad[0]:
        grad_grad_features = operators.hash_grid_encode_tangent(
            directions, positions, table, *ctx.grid
        )
    if ctx.needs_input_grad[1]:
        grad_positions = operators.hash_grid_encode_tangent_backward_positions(
            grad_features, directions, positions, table, *ctx.grid
        )
    if ctx.needs_input_grad[2]:
        grad_table = operators.hash_grid_encode_tangent_backward_table(
            grad_features,
            directions,
            positions,
            *ctx.grid,
            torch.are_deterministic_algorithms_enabled(),
        )
    return grad_grad_features, grad_positions, grad_table, *([None] * len(ctx.grid))


def _third_derivative(ctx: Any, grad_output: Tensor) -> tuple[Any, ...]:
    raise RuntimeError(
        "hash_grid_encode has no third derivative: its second derivative to "
        "`positions` is not differentiable"
    )


torch.library.register_autograd(
    "realfusion::hash_grid_encode", _encode_backward, setup_context=_encode_setup
)
torch.library.register_autograd(
    "realfusion::hash_grid_encode_backward_table",
    _backward_table_backward,
    setup_context=_backward_table_setup,
)
torch.library.register_autograd(
    "realfusion::hash_grid_encode_backward_positions",
    _backward_positions_backward,
    setup_context=_backward_positions_setup,
)
for _name in ("", "_backward_table", "_backward_positions"):
    torch.library.register_autograd(
        f"realfusion::hash_grid_encode_tangent{_name}", _third_derivative
    )
