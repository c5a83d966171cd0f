"""The outputs show the field, in its own frame and scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from realfusion.cameras.camera import Camera, orbit
from realfusion.config import ExportConfig
from realfusion.fields.config import FieldConfig
from realfusion.fields.radiance_field import RadianceField
from realfusion.ops.radiance_field import FieldSamples
from realfusion.outputs import build_mesh, render_rgba, with_whole_object
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


class BarField(torch.nn.Module):
    """A bar from the middle of the scene towards the reference camera."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def forward(self, positions, *, num_active_levels=None, with_normals=True):
        x, y, z = positions.unbind(-1)
        inside = (x.abs() < 0.08) & (y.abs() < 0.08) & (z > 0.0) & (z < self.length)
        zeros = torch.zeros_like(positions)
        return FieldSamples(500.0 * inside.float(), zeros, zeros)

    def density(self, positions, *, num_active_levels=None):
        return self(positions).densities


def make_bar_scene(length):
    config = RendererConfig(occupancy_resolution=32)
    scene = Scene(BarField(length), config=config, bound=0.75)
    scene.update_occupancy(every_cell=True, generator=torch.Generator().manual_seed(0))
    return scene


def border_of(scene, camera):
    alpha = render_rgba(scene, camera, 64)[..., 3]
    return max(edge.max() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_a_turntable_shows_the_whole_object_though_it_is_deeper_than_wide():
    scene, camera = make_bar_scene(0.72), Camera(elevation_deg=0.0, fov_y_deg=40.0)
    assert border_of(scene, camera) < 0.5, "the photo's own side is in the frame"
    assert any(border_of(scene, view) > 0.5 for view in orbit(12, camera))
    wider = with_whole_object(scene, camera)
    assert 40.0 < wider.fov_y_deg < 55.0
    assert all(border_of(scene, view) < 0.5 for view in orbit(12, wider))


def test_a_turntable_of_what_fits_keeps_the_photos_lens():
    camera = Camera(elevation_deg=0.0)
    assert with_whole_object(make_bar_scene(0.4), camera) == camera
