"""The silhouette becomes a closed body of the right outline and depth."""

import numpy as np
import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.training.photo import prepare_photo
from realfusion.training.silhouette import InflatedSilhouette, inflate_silhouette


def grid(size):
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    return np.meshgrid(axis, axis, indexing="ij")


def test_a_disc_becomes_a_ball():
    rows, columns = grid(128)
    radius = np.hypot(rows, columns)
    thickness = inflate_silhouette((radius < 0.6).astype(np.float32), 2 / 128)
    expected = np.sqrt(np.maximum(0.36 - radius**2, 0))
    assert thickness.max() == pytest.approx(0.6, abs=0.02)
    inside = radius < 0.5
    np.testing.assert_allclose(thickness[inside], expected[inside], atol=0.02)
    assert (thickness[radius > 0.65] == 0).all()


def test_a_long_bar_is_as_deep_as_it_is_narrow():
    rows, columns = grid(96)
    bar = (abs(rows) < 0.15) & (abs(columns) < 0.9)
    thickness = inflate_silhouette(bar.astype(np.float32), 2 / 96)
    # Far from its ends ∇²u = u'' = -4 has u = 2 (w² - y²): √2 times the half-width.
    assert thickness.max() == pytest.approx(0.15 * 2**0.5, rel=0.1)


def test_no_silhouette_no_body():
    assert inflate_silhouette(np.zeros((8, 8), np.float32), 0.1).max() == 0.0


def test_a_silhouette_that_fills_the_frame_is_closed_at_its_border():
    thickness = inflate_silhouette(np.ones((16, 16), np.float32), 1 / 16)
    assert np.isfinite(thickness).all()
    assert thickness[0].max() < thickness[8].max()


def test_target_lies_where_the_camera_sees_the_object():
    size = 64
    rgba = torch.zeros(size, size, 4)
    rgba[:32, 32:] = 1.0  # top right
    camera = Camera(azimuth_deg=0, elevation_deg=0)
    photo = prepare_photo(rgba, size=size, camera=camera)
    points = torch.tensor([[0.3, 0.3, 0.0], [-0.3, 0.3, 0.0], [0.3, -0.3, 0.0]])
    surety, colours = InflatedSilhouette(photo).at(points)
    assert surety[0] > 0 > surety[1:].max()
    torch.testing.assert_close(colours[0], torch.ones(3), atol=1e-3, rtol=0)
