"""The factor on the objective before its backward pass (Micikevicius et al. 2018).

Where gradients pass through half precision small ones vanish and large ones overflow.
A dynamic scale looks for the largest factor with which none overflows: it is halved by
each step whose gradient does, which then changes nothing else, and doubled after many
that went well. It lives on the device and is never read by the host in a step.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from realfusion.training.config import OptimizerConfig

INITIAL_SCALE = 2.0**16
"""Where a dynamic scale starts, unless told."""
LOWEST_SCALE = 1.0
"""A gradient that is not finite with this one is the objective's fault."""
HIGHEST_SCALE = 2.0**24
"""Far beyond what half precision needs, far below what the sum in float32 holds."""
GROWTH_INTERVAL = 200
"""Steps without overflow after which the scale is doubled; a run has some thousands."""


def changes_scale(
    config: OptimizerConfig, device: torch.device | str, *, has_prior: bool
) -> bool:
    """Whether the settings ask for a dynamic scale; see `LossScale`."""
    if config.loss_scaling == "auto":
        return has_prior and torch.device(device).type == "cuda"
    return config.loss_scaling == "dynamic"


class LossScale:
    """A scale on the device, and what it remembers.

    Powers of two, unless told otherwise: scaling by them loses nothing in float32.

    Attributes:
        value: The scale of the next step, float32; changed in place.
        is_dynamic: Whether it changes.
        good_steps: Steps without overflow since it last changed.
        num_skipped: Steps that overflowed, and changed nothing but the scale.
    """

    def __init__(
        self, config: OptimizerConfig, device: torch.device | str, *, has_prior: bool
    ) -> None:
        """Start at the scale that the settings ask for.

        Args:
            config: Kind of scaling and the scale.
            device: Of the scene.
            has_prior: Whether a prior judges: on CUDA it does so in half precision.
        """
        self.is_dynamic = changes_scale(config, device, has_prior=has_prior)
        start = config.loss_scale
        if self.is_dynamic:
            start = INITIAL_SCALE if start == 1.0 else start
            start = min(max(start, LOWEST_SCALE), HIGHEST_SCALE)
        self._start = start
        self.value = torch.tensor(start, device=device)
        self.good_steps = torch.zeros((), device=device)
        self.num_skipped = torch.zeros((), device=device)

    def overflows(self, is_finite: Bool[Tensor, ""]) -> Bool[Tensor, ""]:
        """Whether a smaller scale may mend a step whose gradient is not finite.

        Args:
            is_finite: Of the step's gradient.

        Returns:
            False with a scale that stays, or at its lowest.
        """
        if not self.is_dynamic:
            return torch.zeros_like(is_finite)
        return ~is_finite & (self.value > LOWEST_SCALE)

    def update(self, overflowed: Float[Tensor, ""], refused: Float[Tensor, ""]) -> None:
        """Halve, double or keep the scale, in place, after its gradients are used.

        Args:
            overflowed: 1 if the step is left out for its scale's sake, else 0.
            refused: 1 if nothing may change, since the step will be repeated, else 0.
        """
        if not self.is_dynamic:
            return
        self.num_skipped.add_(overflowed * (1.0 - refused))
        good = (1.0 - overflowed) * (1.0 - refused)
        # Refused steps leave the count; one that overflows begins it anew.
        kept = 1.0 - overflowed * (1.0 - refused)
        self.good_steps.add_(good).mul_(kept)
        doubles = (self.good_steps >= GROWTH_INTERVAL).float()
        self.good_steps.mul_(1.0 - doubles)
        self.value.mul_((1.0 + doubles) * (0.5 + 0.5 * kept))
        self.value.clamp_(LOWEST_SCALE, HIGHEST_SCALE)

    def figures(self) -> dict[str, float]:
        """The scale and the skipped steps, if it changes; waits for the device."""
        if not self.is_dynamic:
            return {}
        return {
            "loss_scale": float(self.value),
            "skipped_steps": int(self.num_skipped),
        }

    def tensors(self) -> dict[str, Tensor]:
        """What a saved run remembers (not copies); nothing of a scale that stays."""
        if not self.is_dynamic:
            return {}
        names = ("value", "good_steps", "num_skipped")
        return {name: getattr(self, name) for name in names}

    def load(self, saved: dict[str, Tensor]) -> None:
        """Take over, in place, what `tensors` gave; what is missing starts anew."""
        for name, tensor in self.tensors().items():
            start = self._start if name == "value" else 0.0
            tensor.copy_(saved[name]) if name in saved else tensor.fill_(start)
