"""What a browser is sent of the field."""

import dataclasses
import math

import numpy as np
import pytest

from realfusion.cameras.camera import Camera
from realfusion.outputs import Picture
from realfusion.viewer.conventions import to_viser
from realfusion.viewer.field_view import (
    FAR,
    FieldView,
    colour,
    depth_along_axis,
)

CAMERA = Camera(elevation_deg=0.0, radius=2.0, fov_y_deg=90.0)


def view(**values):
    wxyz, position = to_viser(CAMERA)
    defaults = {
        "wxyz": tuple(wxyz), "position": tuple(position), "fov": math.radians(90),
        "aspect": 1.0, "channel": "colours", "checkpoint": 1,
    }  # fmt: skip
    return FieldView(**defaults | values)


@pytest.fixture
def picture():
    """Red in the upper half, seen at distance 2, facing the camera."""
    rgba = np.zeros((4, 4, 4), np.float32)
    rgba[:2] = (1.0, 0.0, 0.0, 1.0)
    normals = np.zeros((4, 4, 3), np.float32)
    normals[:2, :, 2] = 1.0
    depth = np.where(rgba[..., 3] > 0, np.float32(2.0), np.float32(0.0))
    return Picture(rgba=rgba, normals=normals, depth=depth)


@pytest.mark.parametrize(
    ("aspect", "size"), [(1.0, (100, 100)), (2.0, (50, 100)), (0.5, (100, 50))]
)
def test_size_is_that_of_the_longer_edge(aspect, size):
    assert view(aspect=aspect).size(100) == size


def test_size_is_never_nothing():
    assert view(aspect=1000.0).size(4) == (1, 4)


def test_views_differ_where_the_picture_would():
    assert view() == view()
    for change in ({"channel": "depth"}, {"checkpoint": 2}, {"position": (0, 0, 1)}):
        assert dataclasses.replace(view(), **change) != view()


def test_colours_are_on_white(picture):
    shown = colour(picture, "colours")
    assert shown[0, 0].tolist() == [255, 0, 0]
    assert shown[3, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("channel", ["normals", "depth"])
def test_other_channels_are_on_white(picture, channel):
    shown = colour(picture, channel)
    assert shown[0, 0].tolist() != [255, 255, 255]
    assert shown[3, 0].tolist() == [255, 255, 255]


def test_depth_is_along_the_axis_and_far_where_nothing_is(picture):
    depth = depth_along_axis(picture, CAMERA.free())
    # The pixel (0, 0) lies at (-0.75, 0.75, -1) from a camera of 90 degrees.
    assert depth[0, 0] == pytest.approx(2.0 / math.sqrt(1 + 2 * 0.75**2), rel=1e-5)
    assert (depth[2:] == FAR).all()
