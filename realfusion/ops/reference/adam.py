"""Slow, plain twin of `realfusion.ops.adam`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.adam import AdamSettings


@torch.no_grad()
def adam_step_(
    parameters: Sequence[Float[Tensor, ...]],
    gradients: Sequence[Float[Tensor, ...]],
    first_moments: Sequence[Float[Tensor, ...]],
    second_moments: Sequence[Float[Tensor, ...]],
    averages: Sequence[Float[Tensor, ...]],
    *,
    count: Float[Tensor, ""],
    rates: Float[Tensor, " num_parameters"],
    weight_decays: Sequence[float],
    withheld: Float[Tensor, ""],
    loss_scale: Float[Tensor, ""],
    average_share: Float[Tensor, ""],
    settings: AdamSettings,
) -> None:
    """The step with torch's own operations, an operation at a time.

    The arguments are those of `realfusion.ops.adam.adam_step_`.
    """
    if withheld.item() != 0.0:
        return
    count += 1.0
    (beta1, beta2), steps = settings.betas, count.item()
    tensors = (parameters, gradients, first_moments, second_moments, averages)
    for k, (value, gradient, first, second, average) in enumerate(
        zip(*tensors, strict=True)
    ):
        rate, decay = rates[k].item(), weight_decays[k]
        gradient = gradient / loss_scale
        if settings.is_decoupled:
            value.mul_(1.0 - rate * decay)
        else:
            gradient = gradient + decay * value
        first.lerp_(gradient, 1.0 - beta1)
        second.lerp_(gradient.square(), 1.0 - beta2)
        root = (second / (1.0 - beta2**steps)).sqrt()
        value.sub_(rate / (1.0 - beta1**steps) * first / (root + settings.eps))
        average.lerp_(value, average_share.item())
