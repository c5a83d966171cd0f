"""Random cameras stay within their ranges and depend on the generator alone."""

import pytest
import torch

from realfusion.cameras.config import CameraSamplingConfig
from realfusion.cameras.sampling import sample_camera


def draw(config, count=2000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [sample_camera(config, generator) for _ in range(count)]


def test_samples_stay_within_the_ranges():
    config = CameraSamplingConfig(
        elevation_range_deg=(-5, 40),
        overhead_probability=0.25,
        overhead_elevation_range_deg=(60, 80),
        radius_range=(1.0, 1.5),
        fov_y_range_deg=(40, 70),
    )
    cameras = draw(config)
    overhead = [c for c in cameras if c.elevation_deg >= 60]
    assert len(overhead) / len(cameras) == pytest.approx(0.25, abs=0.04)
    assert all(-5 <= c.elevation_deg <= 40 for c in cameras if c not in overhead)
    assert all(c.elevation_deg <= 80 for c in overhead)
    assert all(1.0 <= c.radius <= 1.5 and 40 <= c.fov_y_deg <= 70 for c in cameras)


def test_azimuths_cover_the_circle_evenly():
    azimuths = torch.tensor([c.azimuth_deg for c in draw(CameraSamplingConfig(), 4000)])
    counts = torch.histc(azimuths, bins=8, min=-180, max=180)
    assert counts.sum() == 4000
    assert counts.min() > 400


def test_uniform_hemisphere_has_the_right_mean_height():
    config = CameraSamplingConfig(
        overhead_probability=0.0, uniform_sphere_probability=1.0
    )
    heights = [c.position()[1] / c.radius for c in draw(config, 4000)]
    assert min(heights) >= 0
    assert torch.stack(heights).mean() == pytest.approx(0.5, abs=0.02)


def test_same_seed_same_cameras():
    config = CameraSamplingConfig()
    assert draw(config, 10, seed=3) == draw(config, 10, seed=3)
    assert draw(config, 10, seed=3) != draw(config, 10, seed=4)
