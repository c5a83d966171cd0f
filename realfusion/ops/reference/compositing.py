"""Slow, plain twin of `realfusion.ops.compositing`."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from realfusion.ops.compositing import EARLY_STOP_TRANSMITTANCE, Composited


def composite(
    densities: Float[Tensor, " num_samples"],
    channels: Float[Tensor, "num_samples channels"],
    t: Float[Tensor, " num_samples"],
    deltas: Float[Tensor, " num_samples"],
    ray_offsets: Int64[Tensor, " num_rays_plus_1"],
    *,
    directions: Float[Tensor, "num_rays 3"] | None = None,
    early_stop_transmittance: float = EARLY_STOP_TRANSMITTANCE,
) -> Composited:
    """Emission-absorption rendering with torch's own operations.

    The arguments are those of `realfusion.ops.compositing.composite`. Transmittance is
    the exponential of a running sum over all samples; the sum is in float64 because
    each ray subtracts the part of the rays before it.
    """
    num_rays = ray_offsets.shape[0] - 1
    num_owned = int(ray_offsets[-1])
    ray_indices = torch.repeat_interleave(
        torch.arange(num_rays, device=densities.device), ray_offsets.diff()
    )
    optical_depths = (densities * deltas)[:num_owned]
    before = torch.cumsum(optical_depths.double(), dim=0) - optical_depths.double()
    before_padded = torch.cat([before, before.new_zeros(1)])
    before_ray = before_padded[ray_offsets[:-1].clamp(max=num_owned)]
    transmittance = torch.exp(before_ray[ray_indices] - before).to(densities.dtype)
    is_followed = transmittance.detach() >= early_stop_transmittance
    weights = transmittance * -torch.expm1(-optical_depths) * is_followed
    back_facing = None
    if directions is not None:
        cosines = (channels[:num_owned, -3:] * directions[ray_indices]).sum(-1)
        shares = weights.detach() * cosines.clamp(min=0.0).square()
        back_facing = channels.new_zeros(num_rays).index_add(0, ray_indices, shares)
    return Composited(
        values=channels.new_zeros(num_rays, channels.shape[1]).index_add(
            0, ray_indices, weights[:, None] * channels[:num_owned]
        ),
        opacity=densities.new_zeros(num_rays).index_add(0, ray_indices, weights),
        depth=densities.new_zeros(num_rays).index_add(
            0, ray_indices, weights * t[:num_owned]
        ),
        back_facing=back_facing,
        weights=torch.cat(
            [weights.detach(), weights.new_zeros(len(densities) - num_owned)]
        ),
    )
