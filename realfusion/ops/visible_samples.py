"""The samples of a ray that light reaches: those behind a surface are dropped."""

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
    FieldWeights,
    check_field_arguments,
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
    if not 0.0 <= min_transmittance < 1.0:
        raise ValueError(
            f"`min_transmittance` must be in [0, 1), got {min_transmittance}"
        )
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


@torch.library.register_fake("realfusion::visible_samples")
def _visible_samples_fake(positions: Tensor, *others: Any) -> tuple[Tensor, ...]:
    ray_offsets, _, capacity, pad_to_capacity = others[-4:]
    return fake_samples(positions, ray_offsets.shape[0], capacity, pad_to_capacity)
