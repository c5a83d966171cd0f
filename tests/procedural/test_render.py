"""Cameras, paints and shading of the procedural renderer."""

from __future__ import annotations

import numpy as np
import torch

from realfusion.cameras.camera import Camera
from realfusion.procedural.builder import Builder, TexturedMesh
from realfusion.procedural.paint import picture, plain
from realfusion.procedural.render import (
    Light,
    ObjectView,
    render_occupancy,
    render_views,
)

FLAT = Light(ambient=1.0)


def marked_block() -> TexturedMesh:
    """A black block with a red knob on +x, green on +y and blue on +z."""
    builder = Builder(np.random.default_rng(0), "black", "black", is_patterned=False)
    builder.box(plain(np.zeros(3, np.float32)), (0, 0, 0), (0.5, 0.5, 0.5))
    for axis in range(3):
        centre = np.eye(3)[axis] * 0.5
        colour = np.eye(3, dtype=np.float32)[axis]
        builder.box(plain(colour), centre, (0.2, 0.2, 0.2))
        builder.box(plain(np.zeros(3, np.float32)), -centre, (0.2, 0.2, 0.2))
    return builder.finish(0.55)


def colours_seen(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    view = ObjectView(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    image = render_views(marked_block(), [view], FLAT, size=48)[0]
    return image[..., :3].reshape(-1, 3).sum(axis=0)


def test_azimuth_grows_towards_plus_x_and_elevation_towards_plus_y() -> None:
    front, right, above = colours_seen(0, 0), colours_seen(90, 0), colours_seen(0, 89)
    assert front.argmax() == 2
    assert right.argmax() == 0
    assert above.argmax() == 1
    assert colours_seen(180, 0)[2] == 0


def test_image_axes_are_right_and_down() -> None:
    view = ObjectView(azimuth_deg=0, elevation_deg=0)
    image = render_views(marked_block(), [view], FLAT, size=48)[0]
    rows, columns = np.mgrid[0:48, 0:48]
    red, green = image[..., 0], image[..., 1]
    assert (red * columns).sum() / red.sum() > 30
    assert (green * rows).sum() / green.sum() < 18


def test_a_pixel_lies_on_the_ray_of_the_products_camera() -> None:
    view = ObjectView(azimuth_deg=37, elevation_deg=21, radius=1.7, fov_y_deg=43)
    camera = Camera(azimuth_deg=37, elevation_deg=21, radius=1.7, fov_y_deg=43)
    rays = camera.rays(48, 48)
    builder = Builder(np.random.default_rng(0), "red", "red", is_patterned=False)
    builder.ellipsoid(builder.main, (0, 0, 0), (1, 1, 1), segments=48)
    mask = render_views(builder.finish(0.5), [view], FLAT, size=48)[0, ..., 3]
    closest = torch.cross(rays.origins, rays.directions, dim=-1).norm(dim=-1)
    expected = (closest < 0.5).reshape(48, 48).numpy()
    assert (np.abs(mask - expected) > 0.5).mean() < 0.01
    origin = torch.tensor(view.eye(), dtype=torch.float32)
    torch.testing.assert_close(rays.origins[0], origin, atol=1e-5, rtol=1e-5)


def test_colour_is_multiplied_by_alpha_at_the_edge() -> None:
    view = ObjectView(azimuth_deg=20, elevation_deg=30)
    image = render_views(marked_block(), [view], Light(exposure=1.1, gloss=0.3))[0]
    assert image.min() >= 0
    assert image.max() <= 1
    assert (image[..., :3] <= image[..., 3:] + 1e-6).all()
    is_edge = (image[..., 3] > 0) & (image[..., 3] < 1)
    assert is_edge.any()


def test_a_light_that_follows_the_camera_looks_the_same_from_everywhere() -> None:
    builder = Builder(np.random.default_rng(0), "gray", "gray", is_patterned=False)
    builder.ellipsoid(builder.main, (0, 0, 0), (1, 1, 1), segments=60)
    ball = builder.finish(0.5)
    views = [ObjectView(azimuth_deg=a, elevation_deg=0) for a in (0, 90)]
    attached = render_views(ball, views, Light(ambient=0.3, follows_camera=True))
    fixed = render_views(ball, views, Light(ambient=0.3))
    assert np.abs(attached[0] - attached[1]).mean() < 0.01
    assert np.abs(fixed[0] - fixed[1]).mean() > 0.02


def test_a_picture_faces_the_front_with_its_first_row_at_the_top() -> None:
    artwork = np.zeros((2, 2, 3), np.float32)
    artwork[0, 0] = (1, 0, 0)
    artwork[1, 1] = (0, 1, 0)
    paint = picture(
        plain(np.ones(3, np.float32)),
        artwork,
        azimuth_range=(-1.0, 1.0),
        height_range=(-0.5, 0.5),
    )
    points = np.array(
        [[-0.3, 0.3, 1], [0.3, -0.3, 1], [0.3, 0.3, -1], [0, 0.9, 1]], np.float32
    )
    expected = [[1, 0, 0], [0, 1, 0], [1, 1, 1], [1, 1, 1]]
    np.testing.assert_array_equal(paint(points), expected)


def test_occupancy_of_a_ball_is_its_chords() -> None:
    builder = Builder(np.random.default_rng(0), "red", "red", is_patterned=False)
    builder.ellipsoid(builder.main, (0, 0, 0), (1, 1, 1), segments=64)
    ball = builder.finish(0.5)
    view = ObjectView(azimuth_deg=30, elevation_deg=20)
    words = render_occupancy(ball, [view], size=33, extent=0.64)[0]
    middle = np.unpackbits(words[16:17, 16].view(np.uint8), bitorder="little")
    depths = (np.arange(64) + 0.5) * 0.02 - 0.64
    np.testing.assert_array_equal(middle, abs(depths) < 0.5)
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    # Pixels widen with depth: the sum of z^2 over the inside gives the volume.
    pixel = 2 * np.tan(np.deg2rad(20)) / 33
    areas = ((depths + 1.8) * pixel) ** 2
    volume = (bits.reshape(-1, 64).sum(0) * areas).sum() * 0.02
    assert abs(volume / (4 / 3 * np.pi * 0.5**3) - 1) < 0.03


def test_from_behind_shows_the_last_surface_of_each_pixel() -> None:
    view = ObjectView(azimuth_deg=0, elevation_deg=0)
    front = render_views(marked_block(), [view], FLAT, size=48)[0]
    back = render_views(marked_block(), [view], FLAT, size=48, from_behind=True)[0]
    np.testing.assert_array_equal(front[..., 3], back[..., 3])
    assert front[24, 24, 2] > 0.9
    assert back[24, 24, :3].max() < 0.1, "the black knob at the back"
