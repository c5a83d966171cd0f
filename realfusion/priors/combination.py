"""Several priors at once, each with a weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.priors.protocol import JudgedViews, Prior


@dataclass(frozen=True)
class WeightedPriors:
    """The weighted sum of what several priors say of the same views.

    Attributes:
        priors: In the order they are asked.
        weights: One a prior.
    """

    priors: tuple[Prior, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse weights that belong to nobody."""
        if not self.priors or len(self.priors) != len(self.weights):
            raise ValueError(
                f"`weights` must be one a prior and at least one, got "
                f"{len(self.weights)} for {len(self.priors)} priors"
            )

    @property
    def name(self) -> str:
        """Their names, with weights."""
        pairs = zip(self.priors, self.weights, strict=True)
        return "+".join(f"{prior.name}:{weight:g}" for prior, weight in pairs)

    def judge(
        self, views: JudgedViews, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """The weighted sum of their losses; see `Prior.judge`."""
        pairs = zip(self.priors, self.weights, strict=True)
        losses = [weight * prior.judge(views, generator) for prior, weight in pairs]
        return torch.stack(losses).sum()

    def figures(self) -> Mapping[str, float]:
        """The figures of all; those of one name are added."""
        found: dict[str, float] = {}
        for prior in self.priors:
            for name, value in prior.figures().items():
                found[name] = found.get(name, 0) + value
        return found
