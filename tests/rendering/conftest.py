"""A field whose pictures are known: a solid ball with analytic normals."""

from __future__ import annotations

import pytest
import torch

from realfusion.ops.radiance_field import FieldSamples
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.scene import Scene

BOUND = 0.75


class Ball(torch.nn.Module):
    """A ball at the origin: dense inside, empty outside, normals pointing outwards."""

    def __init__(self, radius: float = 0.4, density: float = 400.0) -> None:
        super().__init__()
        self.radius = radius
        self.log_density = torch.nn.Parameter(torch.tensor(density).log())
        self.colour = torch.nn.Parameter(torch.tensor([0.9, 0.3, 0.1]))
        self.calls = 0

    def forward(self, positions, *, num_active_levels=None, with_normals=True):
        self.calls += 1
        distance = positions.norm(dim=-1)
        inside = (distance < self.radius).float()
        return FieldSamples(
            densities=inside * self.log_density.exp(),
            albedo=self.colour.expand_as(positions),
            normals=positions / distance.clamp(min=1e-6)[:, None],
        )

    @torch.no_grad()
    def density(self, positions, *, num_active_levels=None):
        return self(positions).densities


@pytest.fixture
def settings() -> RendererConfig:
    return RendererConfig(steps_across=256, occupancy_resolution=32)


@pytest.fixture
def ball_scene(settings) -> Scene:
    scene = Scene(Ball(), config=settings, bound=BOUND)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        scene.update_occupancy(every_cell=True, generator=generator)
    return scene
