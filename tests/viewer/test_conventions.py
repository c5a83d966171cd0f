"""Our cameras and viser's are the same cameras."""

import math

import numpy as np
import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.viewer.conventions import from_viser, to_viser


@pytest.mark.parametrize("elevation", [-60, 0, 15, 90])
@pytest.mark.parametrize("azimuth", [0, 45, 180, 300])
def test_there_and_back_gives_the_same_rays(azimuth, elevation):
    camera = Camera(azimuth_deg=azimuth, elevation_deg=elevation, fov_y_deg=50)
    wxyz, position = to_viser(camera)
    back = from_viser(wxyz, position, math.radians(50))
    expected, rays = camera.rays(3, 5), back.rays(3, 5)
    torch.testing.assert_close(rays.origins, expected.origins)
    torch.testing.assert_close(rays.directions, expected.directions)


def test_the_front_camera_is_turned_half_about_x():
    wxyz, position = to_viser(Camera(elevation_deg=0.0, radius=2.0))
    np.testing.assert_allclose(np.abs(wxyz), [0, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(position, [0, 0, 2], atol=1e-12)
