"""The fused radiance field: hash grid, network and normals in one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import (
    HashGridLayout,
    check_encode_arguments,
    check_num_active_levels,
    layout_arguments,
)

HIDDEN_WIDTHS = (16, 32, 64)

# exp of the pre-activation is cut off here: 3e6 1/unit is opaque at any step.
MAX_LOG_DENSITY = 15.0

# A gradient of the log-density shorter than this (1/unit) gives a shorter normal.
MIN_GRADIENT_NORM = 1e-3

# w1 [H, L * F], b1 [H], w2 [H, H], b2 [H], w3 [4, H], b3 [4].
FieldWeights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class DensityBlob:
    """What the log-density starts from: ``density * exp(-|x|² / (2 radius²))``.

    An untrained field is then a soft ball around the origin instead of fog.

    Attributes:
        density: Height, added to the log-density at the origin.
        radius: Standard deviation, in world units.
    """

    density: float = 5.0
    radius: float = 0.2

    def __post_init__(self) -> None:
        """Check the radius."""
        if not self.radius > 0.0:
            raise ValueError(f"`radius` must be positive, got {self.radius}")


@dataclass(frozen=True)
class FieldSamples:
    """What the field says of each position.

    Attributes:
        densities: In 1/unit; 0 outside the box.
        albedo: In [0, 1]; 0 outside the box.
        normals: ``-grad density / |grad density|``: of unit length and outward, shorter
            where the log-density is flat, 0 outside the box. None if not asked for.
    """

    densities: Float[Tensor, " num_samples"]
    albedo: Float[Tensor, "num_samples 3"]
    normals: Float[Tensor, "num_samples 3"] | None


def radiance_field(
    positions: Float[Tensor, "num_samples 3"],
    table: Float[Tensor, "num_entries num_features"],
    weights: FieldWeights,
    layout: HashGridLayout,
    *,
    bound: float,
    blob: DensityBlob,
    num_active_levels: int | None = None,
    with_normals: bool = True,
    table_gradient: Float[Tensor, "num_entries num_features"] | None = None,
) -> FieldSamples:
    """Density, albedo and analytic normals of a hash-grid field, in one kernel.

    With E the hash-grid features of a position (Müller et al. 2022) and o the outputs
    of a network with two hidden ReLU layers, ``log density = o[0] + blob``, cut off at
    15, and ``albedo = sigmoid(o[1:])``. Normals are exact derivatives of the same
    function; the backward includes their second order. ReLU masks, log-density
    gradients and outputs are kept for it, 44 bytes a sample; all else is recomputed.

    On a CUDA device the layers are multiplied in TF32 unless
    `realfusion.ops.field_precision.set_field_precision` says otherwise.

    Args:
        positions: World positions; outside ``[-bound, bound]³`` everything is 0 and has
            no gradient.
        table: Features of all levels of the hash grid.
        weights: ``w1 [H, L * F], b1 [H], w2 [H, H], b2 [H], w3 [4, H], b3 [4]`` with
            the hidden width H one of 16, 32, 64.
        layout: Geometry of the hash grid.
        bound: Half the side of the scene's box, in world units.
        blob: Added to the log-density.
        num_active_levels: Levels in use, the coarsest first; None for all.
        with_normals: Without, the kernel does half the work.
        table_gradient: Where backward passes add the gradient to ``table``, of which
            autograd then learns nothing. Calls that share a table share it: else each
            zeroes a gradient of the table's size, and autograd adds them up.

    Returns:
        Differentiable once in ``table`` and ``weights``, not in ``positions``. The
        gradient passes the cut-off of the log-density as if it were not there. On a
        CUDA device the gradient to ``table`` is summed by atomics, in no fixed order,
        unless ``torch.use_deterministic_algorithms`` is on: then in 64-bit fixed point,
        the same bits every time, with twice the work, 8 more bytes an element of the
        table and NaN everywhere in it if one gradient is not finite. On the CPU every
        sum has the same bits for any number of threads.

    Raises:
        ValueError: An argument has the wrong shape, dtype, device or range, or
            `positions` require a gradient.
    """
    check_field_arguments(positions, table, weights, layout, bound)
    active = check_num_active_levels(layout, num_active_levels)
    tensors = [each.contiguous() for each in (positions, table, *weights)]
    settings = (*layout_arguments(layout, active), bound, blob.density, blob.radius)
    if table_gradient is None:
        densities, albedo, normals, _, _ = torch.ops.realfusion.radiance_field(
            *tensors, *settings, with_normals
        )
    else:
        densities, albedo, normals = _FieldWithSharedGradient.apply(
            table_gradient, settings, with_normals, *tensors
        )
    return FieldSamples(
        densities=densities, albedo=albedo, normals=normals if with_normals else None
    )


def radiance_field_finite_difference(
    positions: Float[Tensor, "num_samples 3"],
    table: Float[Tensor, "num_entries num_features"],
    weights: FieldWeights,
    layout: HashGridLayout,
    *,
    bound: float,
    blob: DensityBlob,
    num_active_levels: int | None = None,
    epsilon: float = 1e-2,
    taps: Literal[4, 6] = 6,
    table_gradient: Float[Tensor, "num_entries num_features"] | None = None,
) -> FieldSamples:
    """As `radiance_field`, with normals from differences of the log-density.

    Differences over `epsilon` are blind to detail finer than it: they low-pass the
    normals that a linear grid makes noisy. Six taps are central differences along the
    axes; four are the corners of a regular tetrahedron (Quílez), a third cheaper. Taps
    outside the box are moved to its surface.

    Args:
        positions: World positions.
        table: Features of all levels of the hash grid.
        weights: As of `radiance_field`.
        layout: Geometry of the hash grid.
        bound: Half the side of the scene's box.
        blob: Added to the log-density.
        num_active_levels: Levels in use, the coarsest first; None for all.
        epsilon: Distance of the taps along each axis, in world units.
        taps: 6 or 4 further evaluations a sample.
        table_gradient: As of `radiance_field`.

    Returns:
        As of `radiance_field`; normals are differentiable through the taps.

    Raises:
        ValueError: As of `radiance_field`, or `epsilon` or `taps` is out of range.
    """
    if not epsilon > 0.0:
        raise ValueError(f"`epsilon` must be positive, got {epsilon}")
    if taps not in (4, 6):
        raise ValueError(f"`taps` must be 4 or 6, got {taps}")
    check_field_arguments(positions, table, weights, layout, bound)
    directions = _tap_directions(taps, positions)
    tapped = positions[:, None, :] + epsilon * directions
    limit = torch.nextafter(positions.new_full((), bound), positions.new_zeros(()))
    tapped = tapped.clamp(-limit, limit)
    samples = radiance_field(
        torch.cat([positions[:, None, :], tapped], dim=1).reshape(-1, 3),
        table,
        weights,
        layout,
        bound=bound,
        blob=blob,
        num_active_levels=num_active_levels,
        with_normals=False,
        table_gradient=table_gradient,
    )
    densities = samples.densities.view(-1, 1 + taps)
    tiny = torch.finfo(densities.dtype).tiny
    log_densities = densities[:, 1:].clamp(min=tiny).log()
    # Both sets of directions satisfy sum d d^T = c I: c = 2 for six taps, 4 for four.
    scale = {6: 2.0, 4: 4.0}[taps] * epsilon
    gradients = (log_densities[:, :, None] * directions).sum(dim=1) / scale
    norms = gradients.square().sum(-1, keepdim=True).clamp(min=MIN_GRADIENT_NORM**2)
    is_inside = (positions.abs() <= bound).all(-1, keepdim=True)
    return FieldSamples(
        densities=densities[:, 0],
        albedo=samples.albedo.view(-1, 1 + taps, 3)[:, 0],
        normals=torch.where(is_inside, -gradients * norms.rsqrt(), 0.0),
    )


def _tap_directions(taps: int, like: Tensor) -> Tensor:
    # Made on the device: a copy from the host would wait for it.
    axes = torch.eye(3, dtype=like.dtype, device=like.device)
    if taps == 4:
        return torch.cat([like.new_ones(1, 3), 2.0 * axes - 1.0])
    return torch.cat([axes, -axes])


def check_field_arguments(
    positions: Tensor,
    table: Tensor,
    weights: FieldWeights,
    layout: HashGridLayout,
    bound: float,
) -> None:
    """Raise ValueError unless the arguments describe a field at float positions."""
    check_encode_arguments(positions, table, layout)
    if positions.requires_grad:
        raise ValueError(
            "`positions` must not require a gradient: the field has none to them"
        )
    if table.dtype != positions.dtype:
        raise ValueError(
            f"`table` must be {positions.dtype} as `positions`, got {table.dtype}"
        )
    if not bound > 0.0:
        raise ValueError(f"`bound` must be positive, got {bound}")
    if len(weights) != 6:
        raise ValueError(f"`weights` must be 6 tensors, got {len(weights)}")
    width = weights[0].shape[0] if weights[0].ndim == 2 else None
    if width not in HIDDEN_WIDTHS:
        raise ValueError(
            f"`w1` must have the shape [H, {layout.num_outputs}] with H in "
            f"{HIDDEN_WIDTHS}, got {list(weights[0].shape)}"
        )
    shapes = {
        "w1": [width, layout.num_outputs],
        "b1": [width],
        "w2": [width, width],
        "b2": [width],
        "w3": [4, width],
        "b3": [4],
    }
    for (name, shape), weight in zip(shapes.items(), weights, strict=True):
        if list(weight.shape) != shape:
            raise ValueError(
                f"`{name}` must have the shape {shape}, got {list(weight.shape)}"
            )
        if weight.dtype != positions.dtype or weight.device != positions.device:
            raise ValueError(
                f"`{name}` must be {positions.dtype} on {positions.device} as "
                f"`positions`, got {weight.dtype} on {weight.device}"
            )


_NUM_WEIGHTS = 6


@torch.library.register_fake("realfusion::radiance_field")
def _field_fake(positions: Tensor, *others: Any) -> tuple[Tensor, ...]:
    return fake_field(positions, others[-1])


def fake_field(positions: Tensor, with_normals: bool) -> tuple[Tensor, ...]:
    """What the operator returns for so many positions, without values."""
    num_samples = positions.shape[0]
    num_normals = num_samples if with_normals else 0
    return (
        positions.new_empty(num_samples),
        positions.new_empty(num_samples, 3),
        positions.new_empty(num_normals, 3),
        positions.new_empty(num_normals, 3),
        positions.new_empty(num_samples, 2, dtype=torch.int64),
    )


@torch.library.register_fake("realfusion::radiance_field_backward")
def _field_backward_fake(*arguments: Any) -> tuple[Tensor, ...]:
    # After three gradients, four saved outputs and the positions.
    table_and_weights = arguments[8 : 9 + _NUM_WEIGHTS]
    return tuple(
        torch.empty_like(tensor, memory_format=torch.contiguous_format)
        for tensor in table_and_weights
    )


@torch.library.register_fake("realfusion::radiance_field_backward_")
def _shared_field_backward_fake(
    table_gradient: Tensor, *arguments: Any
) -> tuple[Tensor, ...]:
    return _field_backward_fake(*arguments)[1:]


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    positions, table, *others = inputs
    densities, albedo, _, gradients, masks = output
    ctx.save_for_backward(
        densities, albedo, gradients, masks, positions, table, *others[:_NUM_WEIGHTS]
    )
    ctx.arguments = others[_NUM_WEIGHTS:-1]
    ctx.with_normals = others[-1]
    # A loss that does not look at the normals leaves their gradient None, and the
    # backward then is half the work.
    ctx.set_materialize_grads(False)


def _contiguous_or_none(grad: Tensor | None) -> Tensor | None:
    return None if grad is None else grad.contiguous()


def _backward(
    ctx: Any,
    grad_densities: Tensor | None,
    grad_albedo: Tensor | None,
    grad_normals: Tensor | None,
    grad_gradients: Tensor | None,
    grad_masks: Tensor | None,
) -> tuple[Tensor | None, ...]:
    grads = torch.ops.realfusion.radiance_field_backward(
        _contiguous_or_none(grad_densities),
        _contiguous_or_none(grad_albedo),
        _contiguous_or_none(grad_normals) if ctx.with_normals else None,
        *ctx.saved_tensors,
        *ctx.arguments,
        torch.are_deterministic_algorithms_enabled(),
    )
    return None, *grads, *([None] * (len(ctx.arguments) + 1))


class _FieldWithSharedGradient(torch.autograd.Function):
    """The field, whose backward adds the table's gradient to a tensor that is given."""

    @staticmethod
    def forward(
        ctx: Any,
        table_gradient: Tensor,
        settings: tuple[Any, ...],
        with_normals: bool,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        densities, albedo, normals, *others = torch.ops.realfusion.radiance_field(
            *tensors, *settings, with_normals
        )
        ctx.save_for_backward(densities, albedo, *others, *tensors)
        # Not saved for the backward, which changes it.
        ctx.table_gradient, ctx.settings = table_gradient, settings
        ctx.with_normals = with_normals
        ctx.set_materialize_grads(False)
        return densities, albedo, normals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        network = add_field_gradients(
            ctx.table_gradient, grads, ctx.saved_tensors, ctx.settings, ctx.with_normals
        )
        return None, None, None, None, None, *network


def add_field_gradients(
    table_gradient: Tensor,
    grads: Sequence[Tensor | None],
    saved: Sequence[Tensor],
    settings: tuple[Any, ...],
    with_normals: bool,
) -> tuple[Tensor, ...]:
    """The backward of the field, for functions that evaluate it.

    Args:
        table_gradient: The gradient to the table is added here.
        grads: Of densities, albedo and normals; None for zeros.
        saved: Densities, albedo, log-density gradients and masks of the forward, then
            positions, table and weights.
        settings: Layout, bound and blob as the operator takes them.
        with_normals: As in the forward.

    Returns:
        The gradients to the weights.
    """
    grad_densities, grad_albedo, grad_normals = map(_contiguous_or_none, grads)
    gradients: tuple[Tensor, ...] = torch.ops.realfusion.radiance_field_backward_(
        table_gradient,
        grad_densities,
        grad_albedo,
        grad_normals if with_normals else None,
        *saved,
        *settings,
        torch.are_deterministic_algorithms_enabled(),
    )
    return gradients


def _refuse_double_backward(ctx: Any, *grads: Any) -> Any:
    raise NotImplementedError(
        "`radiance_field` is differentiable once only: its backward has no derivative"
    )


torch.library.register_autograd(
    "realfusion::radiance_field", _backward, setup_context=_save_for_backward
)
torch.library.register_autograd(
    "realfusion::radiance_field_backward", _refuse_double_backward
)
