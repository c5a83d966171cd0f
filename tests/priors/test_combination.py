from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.combination import WeightedPriors
from realfusion.priors.protocol import JudgedViews, Prior


@dataclass(frozen=True)
class Wants:
    """A prior that wants all views of one grey."""

    grey: float

    @property
    def name(self) -> str:
        return f"grey-{self.grey:g}"

    def judge(self, views, generator):
        return (views.images - self.grey).square().mean()

    def figures(self):
        return {"asked": 1.0, self.name: self.grey}


def views(image: torch.Tensor) -> JudgedViews:
    return JudgedViews(
        images=image,
        colours=image,
        opacities=torch.ones(len(image), 1, *image.shape[2:]),
        cameras=(Camera(),) * len(image),
        progress=0.5,
    )


def test_losses_and_gradients_are_weighted_and_added() -> None:
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    both = WeightedPriors((Wants(0.2), Wants(0.8)), (2.0, 0.5))
    assert isinstance(both, Prior)
    generator = torch.Generator()
    (actual,) = torch.autograd.grad(both.judge(views(image), generator), image)
    expected = (2.0 * 2.0 * (image - 0.2) + 0.5 * 2.0 * (image - 0.8)) / image.numel()
    torch.testing.assert_close(actual, expected.detach())


def test_names_and_figures_are_those_of_all() -> None:
    both = WeightedPriors((Wants(0.2), Wants(0.8)), (2.0, 0.5))
    assert both.name == "grey-0.2:2+grey-0.8:0.5"
    assert both.figures() == {"asked": 2.0, "grey-0.2": 0.2, "grey-0.8": 0.8}


def test_every_prior_needs_a_weight() -> None:
    with pytest.raises(ValueError, match="one a prior"):
        WeightedPriors((Wants(0.2),), ())
    with pytest.raises(ValueError, match="one a prior"):
        WeightedPriors((), ())


def test_views_can_be_put_over_another_background() -> None:
    half = torch.full((1, 1, 2, 2), 0.5)
    seen = JudgedViews(
        images=torch.zeros(1, 3, 2, 2),
        colours=torch.full((1, 3, 2, 2), 0.25),
        opacities=half,
        cameras=(Camera(),),
        progress=0.0,
    )
    torch.testing.assert_close(
        seen.over(torch.ones(1, 3, 2, 2)), torch.full((1, 3, 2, 2), 0.75)
    )
