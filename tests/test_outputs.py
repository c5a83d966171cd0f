"""The outputs show the field, in its own frame and scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from realfusion.config import ExportConfig
from realfusion.fields.config import FieldConfig
from realfusion.fields.radiance_field import RadianceField
from realfusion.outputs import build_mesh
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.scene import Scene

CENTRE = (0.1, 0.2, -0.15)
RADIUS = 0.3


class BallScene(Scene):
    """A scene with a ball that is not in the middle."""

    def density(self, positions):
        distance = (positions - torch.tensor(CENTRE)).norm(dim=-1)
        return 200.0 * torch.sigmoid((RADIUS - distance) / 0.01)


@pytest.mark.parametrize("bound", [0.55, 0.75, 1.0])
def test_mesh_has_the_frame_and_scale_of_the_field_whatever_its_bound(bound):
    """Defect 6: the release sampled [-1, 1] although the scene was 0.75."""
    field = RadianceField(
        FieldConfig(num_levels=2, log2_table_size=8), generator=torch.Generator()
    )
    scene = BallScene(
        field, config=RendererConfig(occupancy_resolution=16), bound=bound
    )
    settings = ExportConfig(mesh_resolution=72, mesh_threshold=100.0)
    mesh = build_mesh(scene, settings)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), CENTRE, atol=0.01)
    np.testing.assert_allclose(mesh.extents, 2 * RADIUS, atol=0.03)


class FoggyBallScene(BallScene):
    """The same in a fog so thin that no ray looks for it."""

    def density(self, positions):
        return super().density(positions) + 0.6


def test_fog_that_is_never_rendered_does_not_become_a_mesh():
    """Across the box it is opaque, but rays visit only the cells of the ball."""
    field = RadianceField(
        FieldConfig(num_levels=2, log2_table_size=8), generator=torch.Generator()
    )
    scene = FoggyBallScene(
        field, config=RendererConfig(occupancy_resolution=32), bound=1.0
    )
    scene.update_occupancy(every_cell=True, generator=torch.Generator().manual_seed(0))
    mesh = build_mesh(scene, ExportConfig(mesh_resolution=72))
    assert mesh.is_watertight
    np.testing.assert_allclose(mesh.extents, 2 * RADIUS, atol=0.1)
