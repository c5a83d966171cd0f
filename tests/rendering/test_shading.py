"""Shading against its formulas, and its shares."""

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.rendering.config import ShadingConfig
from realfusion.rendering.shading import Shading, sample_shading

ALBEDO = torch.tensor([[0.8, 0.4, 0.2], [0.8, 0.4, 0.2]])
NORMALS = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])


def test_albedo_ignores_normals():
    shading = Shading("albedo")
    assert torch.equal(shading.shade(ALBEDO, NORMALS), ALBEDO)
    assert not shading.needs_normals


def test_lambertian_is_ambient_plus_cosine():
    shaded = Shading("lambertian", (0.0, 0.0, 1.0), ambient=0.1).shade(ALBEDO, NORMALS)
    torch.testing.assert_close(shaded[0], ALBEDO[0])
    torch.testing.assert_close(shaded[1], 0.1 * ALBEDO[1])


def test_textureless_is_grey():
    shaded = Shading("textureless", (0.0, 0.6, 0.8), ambient=0.2).shade(ALBEDO, NORMALS)
    torch.testing.assert_close(shaded[0], torch.full((3,), 0.2 + 0.8 * 0.8))
    torch.testing.assert_close(shaded[1], torch.full((3,), 0.2))


def test_normals_become_colours():
    shaded = Shading("normal").shade(ALBEDO, NORMALS)
    torch.testing.assert_close(shaded[0], torch.tensor([0.5, 0.5, 1.0]))


def test_shares_and_warm_up():
    config = ShadingConfig(
        albedo_until=0.2, albedo_probability=0.25, textureless_probability=0.5
    )
    generator = torch.Generator().manual_seed(0)
    camera = Camera()
    early = [sample_shading(config, 0.1, camera, generator).mode for _ in range(50)]
    assert set(early) == {"albedo"}
    late = [sample_shading(config, 0.5, camera, generator).mode for _ in range(3000)]
    shares = {mode: late.count(mode) / len(late) for mode in set(late)}
    assert shares["albedo"] == pytest.approx(0.25, abs=0.03)
    assert shares["textureless"] == pytest.approx(0.375, abs=0.03)
    assert shares["lambertian"] == pytest.approx(0.375, abs=0.03)


def test_light_is_a_unit_vector_around_the_camera():
    generator = torch.Generator().manual_seed(0)
    camera = Camera(azimuth_deg=120, elevation_deg=30)
    towards = camera.position() / camera.radius
    lights = torch.tensor(
        [
            sample_shading(ShadingConfig(), 0.0, camera, generator).light
            for _ in range(500)
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(lights.norm(dim=-1), torch.ones(500).double())
    assert (lights @ towards).mean() > 0.5
