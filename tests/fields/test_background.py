"""The learned background is a colour by direction that can learn one."""

import torch

from realfusion.fields.background import LearnedBackground
from realfusion.fields.config import BackgroundConfig


def test_it_learns_a_colour_by_direction():
    generator = torch.Generator().manual_seed(0)
    background = LearnedBackground(BackgroundConfig(), generator=generator)
    directions = torch.nn.functional.normalize(
        torch.randn(512, 3, generator=generator), dim=-1
    )
    target = 0.5 + 0.4 * directions
    optimizer = torch.optim.Adam(background.parameters(), lr=1e-2)
    for _ in range(300):
        loss = (background(directions) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3


def test_equal_generators_give_equal_networks():
    colours = [
        LearnedBackground(
            BackgroundConfig(), generator=torch.Generator().manual_seed(1)
        )(torch.eye(3))
        for _ in range(2)
    ]
    assert torch.equal(*colours)
