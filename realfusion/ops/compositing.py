"""Volume rendering of packed rays: every channel, opacity and depth in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

# Light below this share of a ray's is not followed: it moves no 8-bit pixel value.
EARLY_STOP_TRANSMITTANCE = 1e-4


@dataclass(frozen=True)
class Composited:
    """What `composite` makes of each ray.

    Attributes:
        values: Sum of weight times channel over the ray's samples. No background is
            added: that is ``values + (1 - opacity) * background``.
        opacity: Sum of the weights, in [0, 1].
        depth: Sum of weight times distance, in world units (not divided by opacity).
        back_facing: Sum of weight times squared cosine of the normals that face away
            (Ref-NeRF, Verbin et al. 2022, Eq. 11); None without `directions`.
        weights: Weight of each sample, detached; 0 behind the point of early stop.
    """

    values: Float[Tensor, "num_rays channels"]
    opacity: Float[Tensor, " num_rays"]
    depth: Float[Tensor, " num_rays"]
    back_facing: Float[Tensor, " num_rays"] | None
    weights: Float[Tensor, " num_samples"]


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
    """Emission-absorption rendering (Max 1995; Mildenhall et al. 2020, eq. 3).

    Sample i of a ray has the weight ``w_i = T_i (1 - exp(-density_i delta_i))``, where
    the transmittance ``T_i`` is 1 minus the weights before it. A ray ends at the first
    sample with ``T_i < early_stop_transmittance``.

    Args:
        densities: Non-negative, in 1/unit.
        channels: Any number of values to render: colour, normal, ...
        t: Distance of each sample from its ray's origin.
        deltas: Length of the ray that each sample stands for.
        ray_offsets: Ascending from 0; ray i owns the samples from ``ray_offsets[i]`` up
            to ``ray_offsets[i + 1]``. Samples behind the last offset belong to no ray.
        directions: Unit directions of the rays: then the last three channels are
            normals, and the result tells how far they face away from the camera.
        early_stop_transmittance: In [0, 1); 0 follows every ray to its end.

    Returns:
        Values, opacity and depth of each ray, differentiable once in `densities` and
        `channels`, and the weights of the samples. `back_facing` is differentiable in
        the normals alone: none is to hide by becoming transparent.

    Raises:
        ValueError: A shape, dtype or device does not fit, or the threshold is out of
            range.
        RuntimeError: The offsets do not ascend (checked on the CPU only; elsewhere the
            check would stall the device).
    """
    _check_arguments(densities, channels, t, deltas, ray_offsets, directions)
    if not 0.0 <= early_stop_transmittance < 1.0:
        raise ValueError(
            "`early_stop_transmittance` must lie in [0, 1), got "
            f"{early_stop_transmittance}"
        )
    values, transmittance, depth, back_facing, weights = torch.ops.realfusion.composite(
        densities.contiguous(),
        channels.contiguous(),
        t.detach().contiguous(),
        deltas.detach().contiguous(),
        ray_offsets.contiguous(),
        None if directions is None else directions.detach().contiguous(),
        early_stop_transmittance,
    )
    return Composited(
        values=values,
        opacity=1.0 - transmittance,
        depth=depth,
        back_facing=None if directions is None else back_facing,
        weights=weights.detach(),
    )


def _check_arguments(
    densities: Tensor,
    channels: Tensor,
    t: Tensor,
    deltas: Tensor,
    ray_offsets: Tensor,
    directions: Tensor | None,
) -> None:
    if channels.ndim != 2:
        raise ValueError(
            "`channels` must have the shape [num_samples, channels], got "
            f"{list(channels.shape)}"
        )
    if channels.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"`channels` must be float32 or float64, got {channels.dtype}")
    for name, tensor in (("densities", densities), ("t", t), ("deltas", deltas)):
        if tensor.shape != channels.shape[:1]:
            raise ValueError(
                f"`{name}` must have the shape [{channels.shape[0]}], got "
                f"{list(tensor.shape)}"
            )
        if tensor.dtype != channels.dtype:
            raise ValueError(
                f"`{name}` must be {channels.dtype} as `channels`, got {tensor.dtype}"
            )
    if ray_offsets.ndim != 1 or ray_offsets.shape[0] < 1:
        raise ValueError(
            "`ray_offsets` must have the shape [num_rays + 1], got "
            f"{list(ray_offsets.shape)}"
        )
    if ray_offsets.dtype != torch.int64:
        raise ValueError(f"`ray_offsets` must be int64, got {ray_offsets.dtype}")
    others = {"densities": densities, "t": t, "deltas": deltas}
    others["ray_offsets"] = ray_offsets
    if directions is not None:
        _check_directions(directions, channels, ray_offsets.shape[0] - 1)
        others["directions"] = directions
    for name, tensor in others.items():
        if tensor.device != channels.device:
            raise ValueError(
                f"`{name}` must be on {channels.device} as `channels`, got "
                f"{tensor.device}"
            )


def _check_directions(directions: Tensor, channels: Tensor, num_rays: int) -> None:
    if directions.shape != (num_rays, 3):
        raise ValueError(
            f"`directions` must have the shape [{num_rays}, 3], got "
            f"{list(directions.shape)}"
        )
    if directions.dtype != channels.dtype:
        raise ValueError(
            f"`directions` must be {channels.dtype} as `channels`, got "
            f"{directions.dtype}"
        )
    if channels.shape[1] < 3:
        raise ValueError(
            "the last three `channels` must be normals where there are `directions`, "
            f"got {channels.shape[1]} channels"
        )


@torch.library.register_fake("realfusion::composite")
def _composite_fake(
    densities: Tensor,
    channels: Tensor,
    t: Tensor,
    deltas: Tensor,
    ray_offsets: Tensor,
    directions: Tensor | None,
    early_stop_transmittance: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    num_rays = ray_offsets.shape[0] - 1
    return (
        channels.new_empty(num_rays, channels.shape[1]),
        channels.new_empty(num_rays),
        channels.new_empty(num_rays),
        channels.new_empty(0 if directions is None else num_rays),
        torch.empty_like(densities),
    )


@torch.library.register_fake("realfusion::composite_backward")
def _composite_backward_fake(
    grad_values: Tensor,
    grad_transmittance: Tensor,
    grad_depth: Tensor,
    grad_back_facing: Tensor,
    channels: Tensor,
    *others: Any,
) -> tuple[Tensor, Tensor]:
    return channels.new_empty(channels.shape[0]), torch.empty_like(channels)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    _, channels, t, deltas, ray_offsets, directions, early_stop_transmittance = inputs
    _, transmittance, _, _, weights = output
    ctx.save_for_backward(
        channels, t, deltas, ray_offsets, directions, weights, transmittance
    )
    ctx.early_stop_transmittance = early_stop_transmittance
    # Else the weights would get zeros, one a sample, that nobody looks at.
    ctx.set_materialize_grads(False)


def _backward(
    ctx: Any,
    grad_values: Tensor | None,
    grad_transmittance: Tensor | None,
    grad_depth: Tensor | None,
    grad_back_facing: Tensor | None,
    grad_weights: Tensor | None,
) -> tuple[Tensor | None, ...]:
    channels, _, _, _, directions, _, transmittance = ctx.saved_tensors
    num_rays = len(transmittance)

    def given(grad: Tensor | None, *shape: int) -> Tensor:
        return channels.new_zeros(shape) if grad is None else grad.contiguous()

    grad_densities, grad_channels = torch.ops.realfusion.composite_backward(
        given(grad_values, num_rays, channels.shape[1]),
        given(grad_transmittance, num_rays),
        given(grad_depth, num_rays),
        given(grad_back_facing, 0 if directions is None else num_rays),
        *ctx.saved_tensors,
        ctx.early_stop_transmittance,
    )
    return grad_densities, grad_channels, *(None,) * 5


def _refuse_double_backward(ctx: Any, *grads: Any) -> Any:
    raise NotImplementedError(
        "`composite` is differentiable once only: its backward has no derivative"
    )


torch.library.register_autograd(
    "realfusion::composite", _backward, setup_context=_save_for_backward
)
torch.library.register_autograd(
    "realfusion::composite_backward", _refuse_double_backward
)
