"""Pure-torch twin of ``realfusion.ops.ray_marching``."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from realfusion.ops.ray_marching import RaySamples
from realfusion.ops.reference.occupancy import morton_encode


def _fmaf(a: Tensor, b: Tensor | float, c: Tensor | float) -> Tensor:
    """Fused multiply-add: in float64 the product of float32 numbers is exact."""
    return (a.double() * b + c).float()


def _box_interval(
    origins: Tensor, directions: Tensor, bound: float, near: float
) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / directions
    t0, t1 = (-bound - origins) * inverse, (bound - origins) * inverse
    nearest = torch.fmin(t0, t1).nan_to_num(nan=-torch.inf, neginf=-torch.inf)
    farthest = torch.fmax(t0, t1).nan_to_num(nan=torch.inf, posinf=torch.inf)
    t_far = farthest.amin(dim=1)
    is_finite = (origins + directions).isfinite().all(dim=1) & t_far.isfinite()
    return nearest.amax(dim=1).clamp(min=near), torch.where(is_finite, t_far, 0.0)


def _cone_steps(
    first: Tensor, far: Tensor, step_size: Tensor, cone_angle: Tensor, max_steps: int
) -> Tensor:
    steps = [first]
    for _ in range(max_steps - 1):
        if not bool((steps[-1] < far).any()):
            break
        steps.append(steps[-1] + torch.maximum(step_size, cone_angle * steps[-1]))
    return torch.stack(steps, dim=1)


def march_rays(
    origins: Float[Tensor, "num_rays 3"],
    directions: Float[Tensor, "num_rays 3"],
    occupancy: UInt8[Tensor, " num_bytes"],
    *,
    resolution: int,
    bound: float,
    step_size: float,
    noise: Float[Tensor, " num_rays"] | None = None,
    max_steps_per_ray: int = 1024,
    cone_angle: float = 0.0,
    near: float = 0.0,
    capacity: int | None = None,
    pad_to_capacity: bool = False,
) -> RaySamples:
    """Sample rays where the occupancy grid is set: all steps of all rays at once.

    Args:
        origins: World origins.
        directions: World directions of unit length.
        occupancy: Bits of the cells in Morton order.
        resolution: Cells along an edge.
        bound: Half the edge of the box.
        step_size: Distance between steps.
        noise: Stratified jitter in [0, 1); None for 0.5.
        max_steps_per_ray: Steps tried along a ray.
        cone_angle: Growth of the step with distance.
        near: Distance before which there are no steps.
        capacity: Most samples.
        pad_to_capacity: Return exactly ``capacity`` rows.

    Returns:
        The packed samples.
    """
    num_rays, device = origins.shape[0], origins.device
    step = origins.new_tensor(step_size)
    cone = origins.new_tensor(cone_angle)
    t_near, t_far = _box_interval(origins, directions, bound, near)
    jitter = torch.full_like(t_near, 0.5) if noise is None else noise
    first = _fmaf(jitter, torch.maximum(step, cone * t_near), t_near)
    if cone_angle > 0.0:
        t = _cone_steps(first, t_far, step, cone, max_steps_per_ray)
    else:
        # Steps beyond the longest ray are no ray's.
        longest = (t_far - first).amax().item() / step_size if num_rays else 0.0
        num_steps = min(max_steps_per_ray, max(int(longest) + 2, 1))
        indices = torch.arange(num_steps, device=device, dtype=torch.float32)
        t = _fmaf(indices[None, :], step, first[:, None].double())
    rays, step_indices = (t < t_far[:, None]).nonzero(as_tuple=True)
    t = t[rays, step_indices]
    positions = _fmaf(t[:, None], directions[rays], origins[rays].double())
    scale = resolution / (2.0 * origins.new_tensor(bound).cpu()).item()
    scale = float(torch.tensor(scale, dtype=torch.float32))
    cells = _fmaf(positions, scale, 0.5 * resolution).floor().int()
    cells = morton_encode(cells.clamp(0, resolution - 1))
    is_hit = (occupancy[cells >> 3] >> (cells & 7) & 1).bool()
    rays, t, positions = rays[is_hit], t[is_hit], positions[is_hit]
    ends = torch.bincount(rays, minlength=num_rays).cumsum(0)
    offsets = torch.cat([ends.new_zeros(1), ends])
    num_requested = offsets[-1].clone()
    if capacity is not None:
        offsets = offsets.clamp(max=int(offsets[offsets <= capacity].amax()))
    num_fitting = int(offsets[-1])
    num_padded = capacity - num_fitting if pad_to_capacity and capacity else 0

    def pad(tensor: Tensor) -> Tensor:
        rows = tensor[:num_fitting]
        return torch.cat([rows, rows.new_zeros(num_padded, *rows.shape[1:])])

    return RaySamples(
        positions=pad(positions),
        t=pad(t),
        deltas=pad(torch.maximum(step, cone * t)),
        ray_indices=pad(rays.int()),
        ray_offsets=offsets,
        num_requested=num_requested,
    )
