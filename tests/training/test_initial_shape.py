"""The silhouette becomes a closed body of the right outline, depth and colour."""

import dataclasses

import numpy as np
import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.training.config import InitialShapeConfig
from realfusion.training.initial_shape import (
    fit_initial_shape,
    inflate_silhouette,
    silhouette_log_density,
)
from realfusion.training.photo import prepare_photo
from realfusion.training.state import TrainState


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
    target = silhouette_log_density(photo, InitialShapeConfig(), points)
    assert target[0] > 0 > target[1:].max()


def test_the_fitted_field_has_the_outline_and_the_colours(config, photo):
    settings = InitialShapeConfig(kind="silhouette", steps=150, points=4096)
    field = dataclasses.replace(config.field, blob_density=0.0)
    state = TrainState(dataclasses.replace(config, field=field), seed=0)
    fit_initial_shape(
        state.scene.field,
        photo,
        settings,
        num_active_levels=4,
        generator=state.generator,
    )
    for _ in range(2):
        state.scene.update_occupancy(every_cell=True, generator=state.generator)
    front = state.scene.render_image(photo.camera, (24, 24))
    found, expected = front.opacity > 0.5, photo.alpha > 0.5
    iou = (found & expected).sum() / (found | expected).sum()
    assert iou > 0.85
    side = state.scene.render_image(Camera(azimuth_deg=90), (24, 24))
    assert 0.5 < (side.opacity > 0.5).sum() / expected.sum() < 1.5, "a body, no card"
    colour = side.rgb[side.opacity > 0.9].mean(0)
    torch.testing.assert_close(colour, torch.tensor([0.8, 0.2, 0.2]), atol=0.1, rtol=0)
