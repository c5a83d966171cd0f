"""The one camera convention, checked against hand-made cases and a projection."""

import math

import pytest
import torch

from realfusion.cameras.camera import Camera, orbit
from realfusion.errors import InputError


@pytest.mark.parametrize(
    ("azimuth", "elevation", "expected"),
    [
        (0, 0, (0, 0, 2)),
        (90, 0, (2, 0, 0)),
        (180, 0, (0, 0, -2)),
        (-90, 0, (-2, 0, 0)),
        (0, 90, (0, 2, 0)),
        (0, 30, (0, 1, math.sqrt(3))),
    ],
)
def test_position_follows_the_convention(azimuth, elevation, expected):
    camera = Camera(azimuth_deg=azimuth, elevation_deg=elevation, radius=2.0)
    torch.testing.assert_close(
        camera.position(), torch.tensor(expected, dtype=torch.float64)
    )


@pytest.mark.parametrize("elevation", [-90, -35, 0, 50, 90])
@pytest.mark.parametrize("azimuth", [0, 45, 200])
def test_axes_are_right_handed_and_look_at_the_origin(azimuth, elevation):
    camera = Camera(azimuth_deg=azimuth, elevation_deg=elevation)
    matrix = camera.camera_to_world()
    rotation = matrix[:3, :3]
    torch.testing.assert_close(rotation.T @ rotation, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(rotation) == pytest.approx(1.0)
    forward = -rotation[:, 2]
    torch.testing.assert_close(forward * camera.radius, -camera.position())
    assert rotation[1, 0] == 0.0, "the horizon stays level"
    assert rotation[1, 1] >= 0.0, "up points up"


def test_rays_pass_through_pixel_centres():
    camera = Camera(azimuth_deg=30, elevation_deg=20, radius=2.5, fov_y_deg=50)
    height, width = 4, 6
    rays = camera.rays(height, width)
    assert len(rays) == height * width
    matrix = camera.camera_to_world()
    points = rays.origins + 1.7 * rays.directions
    in_camera = (points.double() - matrix[:3, 3]) @ matrix[:3, :3]
    focal = camera.free().focal_px(height)
    columns = width / 2 + focal * in_camera[:, 0] / -in_camera[:, 2]
    rows = height / 2 - focal * in_camera[:, 1] / -in_camera[:, 2]
    expected_rows, expected_columns = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    torch.testing.assert_close(
        rows, expected_rows.flatten().double(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        columns, expected_columns.flatten().double(), atol=1e-5, rtol=0
    )


def test_vertical_field_of_view_spans_the_image():
    camera = Camera(elevation_deg=0, fov_y_deg=60)
    rays = camera.rays(1000, 1)
    top, bottom = rays.directions[0], rays.directions[-1]
    angle = math.degrees(math.acos(float(top @ bottom)))
    assert angle == pytest.approx(60, abs=0.1)
    assert top[1] > 0 > bottom[1], "row 0 is the top"


def test_azimuth_turns_counter_clockwise_seen_from_above():
    """A point to the viewer's right in the photo comes to the front at azimuth 90."""
    front = Camera(azimuth_deg=0, elevation_deg=0).camera_to_world()
    right_of_photo = front[:3, 0]
    torch.testing.assert_close(
        right_of_photo, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    )
    side = Camera(azimuth_deg=90, elevation_deg=0, radius=1.0)
    torch.testing.assert_close(side.position(), right_of_photo)


def test_orbit_starts_at_the_camera_and_closes():
    start = Camera(azimuth_deg=10, elevation_deg=5)
    cameras = orbit(8, start)
    assert cameras[0] == start
    assert [camera.azimuth_deg for camera in cameras] == [10 + 45 * i for i in range(8)]
    assert {camera.elevation_deg for camera in cameras} == {5}


def test_json_round_trip():
    camera = Camera(azimuth_deg=1.5, elevation_deg=-10, radius=1.2, fov_y_deg=33)
    assert Camera.from_dict(camera.to_dict()) == camera


@pytest.mark.parametrize(
    "values",
    [
        {"azimuth_deg": 0},
        {"azimuth_deg": 0, "elevation_deg": 0, "radius": 1, "fov": 40},
        {"azimuth_deg": 0, "elevation_deg": 91, "radius": 1, "fov_y_deg": 40},
        {"azimuth_deg": 0, "elevation_deg": 0, "radius": 0, "fov_y_deg": 40},
        {"azimuth_deg": 0, "elevation_deg": 0, "radius": 1, "fov_y_deg": 180},
        {"azimuth_deg": math.nan, "elevation_deg": 0, "radius": 1, "fov_y_deg": 40},
        {"azimuth_deg": "0", "elevation_deg": 0, "radius": 1, "fov_y_deg": 40},
        {"azimuth_deg": 10**400, "elevation_deg": 0, "radius": 1, "fov_y_deg": 40},
        {"azimuth_deg": 0, "elevation_deg": 0, "radius": True, "fov_y_deg": 40},
        [0, 15, 1.8, 40],
    ],
)
def test_impossible_cameras_are_refused(values):
    with pytest.raises(InputError):
        Camera.from_dict(values)


def test_empty_images_are_refused():
    with pytest.raises(ValueError, match="height, width"):
        Camera().rays(0, 4)
