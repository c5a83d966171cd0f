"""The samples of a ray that light reaches: those behind a surface are dropped.

Alone, or together with what the field says of those that are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import (
    HashGridLayout,
    check_num_active_levels,
    layout_arguments,
)
from realfusion.ops.radiance_field import (
    DensityBlob,
    FieldSamples,
    FieldWeights,
    add_field_gradients,
    check_field_arguments,
    fake_field,
    radiance_field,
)
from realfusion.ops.ray_marching import RaySamples, check_capacity, fake_samples


@torch.no_grad()
def visible_samples(
    samples: RaySamples,
    table: Float[Tensor, "num_entries num_features"],
    weights: FieldWeights,
    layout: HashGridLayout,
    *,
    bound: float,
    blob: DensityBlob,
    num_active_levels: int | None = None,
    min_transmittance: float = 1e-4,
    capacity: int | None = None,
    pad_to_capacity: bool = False,
) -> RaySamples:
    """Keep of each ray the samples in front of which some light is left.

    What lies behind an opaque surface has no weight in the image (`composite` stops
    there) and no gradient, so nothing is lost by not evaluating it: two thirds of the
    samples of a solid object, of which the normals and the backward are then spared.
    The densities that decide are those of `radiance_field`. On the CPU each ray asks
    for a few at a time and stops, so that most of the hidden ones are never evaluated
    at all. Not differentiable.

    Args:
        samples: From `march_rays`.
        table: Features of all levels of the hash grid.
        weights: As of `radiance_field`.
        layout: Geometry of the hash grid.
        bound: Half the side of the scene's box, in world units.
        blob: Added to the log-density.
        num_active_levels: Levels in use, the coarsest first; None for all.
        min_transmittance: A sample is kept if at least this much of the light arrives
            at it. 0 keeps all.
        capacity: Most samples, as of `march_rays`.
        pad_to_capacity: Return exactly ``capacity`` rows, as of `march_rays`.

    Returns:
        The packed samples that are left, in their order.

    Raises:
        ValueError: Wrong shape, dtype, device or range.
    """
    _check_min_transmittance(min_transmittance)
    check_capacity(capacity, pad_to_capacity)
    check_field_arguments(samples.positions, table, weights, layout, bound)
    active = check_num_active_levels(layout, num_active_levels)
    return RaySamples(
        *torch.ops.realfusion.visible_samples(
            samples.positions,
            table.contiguous(),
            *(weight.contiguous() for weight in weights),
            *layout_arguments(layout, active),
            bound,
            blob.density,
            blob.radius,
            samples.t,
            samples.deltas,
            samples.ray_indices,
            samples.ray_offsets,
            min_transmittance,
            capacity,
            pad_to_capacity,
        )
    )


def visible_field(
    samples: RaySamples,
    table: Float[Tensor, "num_entries num_features"],
    weights: FieldWeights,
    layout: HashGridLayout,
    *,
    bound: float,
    blob: DensityBlob,
    num_active_levels: int | None = None,
    with_normals: bool = True,
    min_transmittance: float = 1e-4,
    table_gradient: Float[Tensor, "num_entries num_features"] | None = None,
) -> tuple[RaySamples, FieldSamples]:
    """`visible_samples`, and `radiance_field` of what they keep.

    To know what is hidden the field must be asked anyway. On the CPU its answers are
    kept, so that no sample is evaluated twice. On other devices the two follow one
    another.

    Args:
        samples: From `march_rays`.
        table: Features of all levels of the hash grid.
        weights: As of `radiance_field`.
        layout: Geometry of the hash grid.
        bound: Half the side of the scene's box, in world units.
        blob: Added to the log-density.
        num_active_levels: Levels in use, the coarsest first; None for all.
        with_normals: Without, the kernel does half the work.
        min_transmittance: As of `visible_samples`.
        table_gradient: As of `radiance_field`.

    Returns:
        The packed samples that are left, and what the field says of them,
        differentiable as of `radiance_field`.

    Raises:
        ValueError: Wrong shape, dtype, device or range.
    """
    if samples.positions.device.type != "cpu":
        kept = visible_samples(
            samples,
            table,
            weights,
            layout,
            bound=bound,
            blob=blob,
            num_active_levels=num_active_levels,
            min_transmittance=min_transmittance,
        )
        return kept, radiance_field(
            kept.positions,
            table,
            weights,
            layout,
            bound=bound,
            blob=blob,
            num_active_levels=num_active_levels,
            with_normals=with_normals,
            table_gradient=table_gradient,
        )
    _check_min_transmittance(min_transmittance)
    check_field_arguments(samples.positions, table, weights, layout, bound)
    active = check_num_active_levels(layout, num_active_levels)
    *rows, densities, albedo, normals = _VisibleField.apply(
        table_gradient,
        (*layout_arguments(layout, active), bound, blob.density, blob.radius),
        (
            samples.t,
            samples.deltas,
            samples.ray_indices,
            samples.ray_offsets,
            min_transmittance,
            with_normals,
        ),
        samples.positions,
        table.contiguous(),
        *(weight.contiguous() for weight in weights),
    )
    return RaySamples(*rows), FieldSamples(
        densities=densities, albedo=albedo, normals=normals if with_normals else None
    )


class _VisibleField(torch.autograd.Function):
    """The field as a ray comes to its samples; its backward is `radiance_field`'s."""

    @staticmethod
    def forward(
        ctx: Any,
        table_gradient: Tensor | None,
        settings: tuple[Any, ...],
        rays: tuple[Any, ...],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        results = torch.ops.realfusion.visible_field(*tensors, *settings, *rays)
        kept, (densities, albedo, normals, gradients, masks) = results[:6], results[6:]
        ctx.save_for_backward(
            densities, albedo, gradients, masks, kept[0], *tensors[1:]
        )
        # Not saved for the backward, which changes it.
        ctx.table_gradient, ctx.settings = table_gradient, settings
        ctx.with_normals = rays[-1]
        ctx.mark_non_differentiable(*kept)
        ctx.set_materialize_grads(False)
        return *kept, densities, albedo, normals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        table = ctx.saved_tensors[5]
        is_shared = ctx.table_gradient is not None
        table_gradient = ctx.table_gradient if is_shared else torch.zeros_like(table)
        network = add_field_gradients(
            table_gradient, grads[6:], ctx.saved_tensors, ctx.settings, ctx.with_normals
        )
        own = None if is_shared else table_gradient
        return None, None, None, None, own, *network


def _check_min_transmittance(min_transmittance: float) -> None:
    if not 0.0 <= min_transmittance < 1.0:
        raise ValueError(
            f"`min_transmittance` must be in [0, 1), got {min_transmittance}"
        )


@torch.library.register_fake("realfusion::visible_samples")
def _visible_samples_fake(positions: Tensor, *others: Any) -> tuple[Tensor, ...]:
    ray_offsets, _, capacity, pad_to_capacity = others[-4:]
    return fake_samples(positions, ray_offsets.shape[0], capacity, pad_to_capacity)


@torch.library.register_fake("realfusion::visible_field")
def _visible_field_fake(positions: Tensor, *others: Any) -> tuple[Tensor, ...]:
    ray_offsets, _, with_normals = others[-3:]
    kept = fake_samples(positions, ray_offsets.shape[0], None, False)
    return kept + fake_field(kept[0], with_normals)
