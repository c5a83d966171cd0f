"""View words are bound to the reference view (defect 3 of the original release)."""

import pytest

from realfusion.cameras.camera import Camera
from realfusion.cameras.view_direction import (
    ViewDirection,
    relative_azimuth_deg,
    relative_view_bin,
    view_direction,
)

PHOTO = Camera(azimuth_deg=0)


@pytest.mark.parametrize(
    ("azimuth", "expected"),
    [
        (0, ViewDirection.FRONT),
        (44, ViewDirection.FRONT),
        (-44, ViewDirection.FRONT),
        (316, ViewDirection.FRONT),
        (46, ViewDirection.SIDE),
        (-90, ViewDirection.SIDE),
        (134, ViewDirection.SIDE),
        (136, ViewDirection.BACK),
        (180, ViewDirection.BACK),
        (-150, ViewDirection.BACK),
    ],
)
def test_front_is_centred_on_the_photo(azimuth, expected):
    assert view_direction(Camera(azimuth_deg=azimuth), PHOTO) is expected


def test_directions_turn_with_the_reference():
    photo = Camera(azimuth_deg=100)
    assert view_direction(Camera(azimuth_deg=100), photo) is ViewDirection.FRONT
    assert view_direction(Camera(azimuth_deg=0), photo) is ViewDirection.SIDE
    assert view_direction(Camera(azimuth_deg=-80), photo) is ViewDirection.BACK


def test_from_above_is_overhead_whatever_the_azimuth():
    camera = Camera(azimuth_deg=170, elevation_deg=70)
    assert view_direction(camera, PHOTO) is ViewDirection.OVERHEAD


@pytest.mark.parametrize(
    ("azimuth", "elevation", "expected"),
    [
        (0, 15, (0, 0)),
        (22, 15, (0, 0)),
        (-22, 15, (0, 0)),
        (23, 15, (1, 0)),
        (90, 30, (2, 1)),
        (180, 57.9, (4, 1)),
        (-180, 58, (4, 2)),
        (270, -10, (6, 0)),
        (-45, 0, (7, 0)),
    ],
)
def test_bins_count_counter_clockwise_from_the_photo(azimuth, elevation, expected):
    camera = Camera(azimuth_deg=azimuth, elevation_deg=elevation)
    assert relative_view_bin(camera, PHOTO) == expected


def test_relative_azimuth_is_the_short_way():
    photo = Camera(azimuth_deg=350)
    assert relative_azimuth_deg(Camera(azimuth_deg=10), photo) == pytest.approx(20)
