"""Slow, plain twin of `realfusion.ops.visible_samples`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import DensityBlob, FieldWeights
from realfusion.ops.ray_marching import RaySamples
from realfusion.ops.reference.radiance_field import radiance_field


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
    """Keep the samples that light reaches, from the densities of all of them.

    The arguments are those of `realfusion.ops.visible_samples.visible_samples`.
    """
    field = radiance_field(
        samples.positions,
        table,
        weights,
        layout,
        bound=bound,
        blob=blob,
        num_active_levels=num_active_levels,
        with_normals=False,
    )
    depths = field.densities.double() * samples.deltas
    before = torch.cat([depths.new_zeros(1), depths.cumsum(0)])
    offsets = samples.ray_offsets
    rays = samples.ray_indices.long()
    transmittance = torch.exp(-(before[:-1] - before[offsets[rays]]))
    owned = torch.arange(samples.num_samples, device=offsets.device) < offsets[-1]
    keep = (transmittance >= min_transmittance) & owned
    counts = torch.zeros(len(offsets) - 1, dtype=torch.int64, device=offsets.device)
    counts.index_add_(0, rays[keep], torch.ones_like(rays[keep]))
    ends = counts.cumsum(0)
    if capacity is not None:
        is_fitting = ends <= capacity
        keep &= is_fitting[rays]
        last = torch.cat([ends.new_zeros(1), ends * is_fitting]).amax()
        ends = torch.where(is_fitting, ends, last)
    kept = keep.nonzero().flatten()
    num_padded = capacity - len(kept) if pad_to_capacity and capacity is not None else 0

    def take(rows: Tensor) -> Tensor:
        return torch.cat([rows[kept], rows.new_zeros(num_padded, *rows.shape[1:])])

    return RaySamples(
        positions=take(samples.positions),
        t=take(samples.t),
        deltas=take(samples.deltas),
        ray_indices=take(samples.ray_indices),
        ray_offsets=torch.cat([ends.new_zeros(1), ends]),
        num_requested=counts.sum(),
    )
