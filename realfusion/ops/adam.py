"""A step of Adam on several parameters and their averages, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AdamSettings:
    """What all parameters share.

    Attributes:
        betas: Decay of the first and the second moments, a step.
        eps: Added to the root of the second moment.
        is_decoupled: Weights decay by themselves (AdamW) rather than by an addition to
            their gradients.
    """

    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-15
    is_decoupled: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"`betas` must lie in [0, 1), got {self.betas}")
        if not 0.0 <= self.eps < float("inf"):
            raise ValueError(f"`eps` must be finite and not negative, got {self.eps}")


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
    """Adam (Kingma & Ba 2015, alg. 1) or AdamW (Loshchilov & Hutter 2019), in place.

    Moments, parameters and their running averages are read and written once, where
    torch's fused step and an average of its own take two passes and half. All tensors
    are float32 and on one device, which is not waited for; a CUDA graph can repeat the
    step.

    Args:
        parameters: What is optimised.
        gradients: Of the objective times `loss_scale`, of the same sizes.
        first_moments: Running means of the gradients.
        second_moments: Running means of their squares.
        averages: Running averages of the parameters.
        count: Steps done before; one more afterwards.
        rates: Learning rate of each parameter.
        weight_decays: Of each parameter.
        withheld: 1 if this step changes nothing, not even the count; else 0.
        loss_scale: Divided out of the gradients.
        average_share: How far the averages move to the new parameters, in [0, 1].
        settings: What all parameters share.

    Raises:
        RuntimeError: A number of tensors, a size, dtype or device does not fit.
    """
    torch.ops.realfusion.adam_step_(
        list(parameters),
        list(gradients),
        list(first_moments),
        list(second_moments),
        list(averages),
        count,
        rates,
        list(weight_decays),
        withheld,
        loss_scale,
        average_share,
        *settings.betas,
        settings.eps,
        settings.is_decoupled,
    )


@torch.library.register_fake("realfusion::adam_step_")
def _adam_step_fake(*arguments: Any) -> None:
    """Changes its arguments alone."""
