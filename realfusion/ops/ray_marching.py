"""Ray marching through an occupancy grid to packed samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int32, Int64, UInt8
from torch import Tensor

from realfusion.ops.occupancy import check_device, check_resolution, check_tensor


@dataclass(frozen=True)
class RaySamples:
    """Samples of many rays, packed ray after ray.

    Attributes:
        positions: World positions of the samples.
        t: Distances from the rays' origins.
        deltas: Length of the ray that each sample stands for.
        ray_indices: The ray of each sample.
        ray_offsets: Ascending; ray i owns the samples ``ray_offsets[i]`` up to
            ``ray_offsets[i + 1]``. Samples behind the last offset are padding (zeros).
        num_requested: Samples that all rays wanted; more than there are means overflow.
    """

    positions: Float[Tensor, "num_samples 3"]
    t: Float[Tensor, " num_samples"]
    deltas: Float[Tensor, " num_samples"]
    ray_indices: Int32[Tensor, " num_samples"]
    ray_offsets: Int64[Tensor, " num_rays_plus_1"]
    num_requested: Int64[Tensor, ""]

    @property
    def num_samples(self) -> int:
        """Rows of the tensors, padding included."""
        return self.positions.shape[0]

    @property
    def overflowed(self) -> Bool[Tensor, ""]:
        """Whether some rays did not fit and were left without samples."""
        return self.num_requested > self.num_samples


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
    """Sample rays where the occupancy grid is set (instant-ngp, appendix E.1).

    A ray enters the box (or starts in it) at ``t_near`` and has the steps
    ``t_i = t_near + (noise + i) * step_size`` up to where it leaves; with a cone angle,
    the step at t is ``max(step_size, cone_angle * t)`` long. The steps whose cell is
    occupied become samples, in the order of rays and distances, the same on every
    device and for any number of threads. Not differentiable.

    Args:
        origins: World origins.
        directions: World directions of unit length. A ray that is not finite, or has no
            direction, gets no samples.
        occupancy: Bits of the cells in Morton order, from `pack_occupancy`.
        resolution: Cells along an edge, a power of two in 4..1024.
        bound: Half the edge of the box, in world units.
        step_size: Distance between steps, in world units.
        noise: Stratified jitter in [0, 1), the part of its interval at which each step
            of the ray lies; None for the middle.
        max_steps_per_ray: Steps tried along a ray; what lies beyond is not seen.
        cone_angle: Growth of the step with distance; 0 for equal steps.
        near: Distance before which there are no steps, in world units.
        capacity: Most samples; the first ray that does not fit and all rays behind it
            get none, and ``num_requested`` tells how many were wanted. None for no
            limit.
        pad_to_capacity: Return exactly ``capacity`` rows, zeros behind the samples.
            Then a CUDA device is not synchronised.

    Returns:
        The packed samples.

    Raises:
        ValueError: Wrong shape, dtype, device or range.
    """
    check_resolution(resolution)
    check_tensor("origins", origins, ("N", 3), torch.float32)
    num_rays = origins.shape[0]
    if num_rays >= 2**31:
        raise ValueError(f"`origins` must have fewer than 2**31 rays, got {num_rays}")
    check_tensor("directions", directions, (num_rays, 3), torch.float32)
    check_tensor("occupancy", occupancy, (resolution**3 // 8,), torch.uint8)
    check_device("directions", directions, "origins", origins)
    check_device("occupancy", occupancy, "origins", origins)
    if noise is not None:
        check_tensor("noise", noise, (num_rays,), torch.float32)
        check_device("noise", noise, "origins", origins)
        noise = noise.contiguous()
    for name, value in {"bound": bound, "step_size": step_size}.items():
        if not 0.0 < value < float("inf"):
            raise ValueError(f"`{name}` must be positive and finite, got {value}")
    for name, value in {"cone_angle": cone_angle, "near": near}.items():
        if not 0.0 <= value < float("inf"):
            raise ValueError(f"`{name}` must be finite and not negative, got {value}")
    if not 1 <= max_steps_per_ray <= 2**24:
        raise ValueError(
            f"`max_steps_per_ray` must be in 1..2**24, got {max_steps_per_ray}"
        )
    check_capacity(capacity, pad_to_capacity)
    with torch.no_grad():
        return RaySamples(
            *torch.ops.realfusion.march_rays(
                origins.contiguous(),
                directions.contiguous(),
                occupancy.contiguous(),
                noise,
                resolution,
                bound,
                step_size,
                max_steps_per_ray,
                cone_angle,
                near,
                capacity,
                pad_to_capacity,
            )
        )


def check_capacity(capacity: int | None, pad_to_capacity: bool) -> None:
    """Raise ValueError unless there can be as many samples as `capacity` says."""
    if capacity is not None and capacity < 0:
        raise ValueError(f"`capacity` must not be negative, got {capacity}")
    if capacity is None and pad_to_capacity:
        raise ValueError("`capacity` must be given where `pad_to_capacity`, got None")


def fake_samples(
    like: Tensor,
    num_offsets: int | torch.SymInt,
    capacity: int | None,
    pad_to_capacity: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What an operator that returns packed samples returns, without values."""
    if pad_to_capacity and capacity is not None:
        num_samples: int | torch.SymInt = capacity
    else:
        num_samples = torch.library.get_ctx().new_dynamic_size()
    return (
        like.new_empty(num_samples, 3),
        like.new_empty(num_samples),
        like.new_empty(num_samples),
        like.new_empty(num_samples, dtype=torch.int32),
        like.new_empty(num_offsets, dtype=torch.int64),
        like.new_empty((), dtype=torch.int64),
    )


@torch.library.register_fake("realfusion::march_rays")
def _march_rays_fake(
    origins: Tensor,
    directions: Tensor,
    occupancy: Tensor,
    noise: Tensor | None,
    resolution: int,
    bound: float,
    step_size: float,
    max_steps_per_ray: int,
    cone_angle: float,
    near: float,
    capacity: int | None,
    pad_to_capacity: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return fake_samples(origins, origins.shape[0] + 1, capacity, pad_to_capacity)
