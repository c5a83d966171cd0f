"""Between this package's cameras and viser's, which look along +z with y downwards."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float

from realfusion.cameras.camera import Camera, FreeCamera

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])


def to_viser(
    camera: Camera,
) -> tuple[Float[np.ndarray, 4], Float[np.ndarray, 3]]:
    """A camera as viser takes it: rotation (w, x, y, z) and position."""
    from scipy.spatial.transform import Rotation

    matrix = camera.camera_to_world().numpy()
    rotation = Rotation.from_matrix(matrix[:3, :3] @ OPENCV_FROM_OPENGL)
    return np.roll(rotation.as_quat(), 1), matrix[:3, 3]


def from_viser(
    wxyz: Float[np.ndarray, 4], position: Float[np.ndarray, 3], fov: float
) -> FreeCamera:
    """viser's camera as one of ours; `fov` is vertical, in radians."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_quat(np.roll(wxyz, -1)).as_matrix() @ OPENCV_FROM_OPENGL
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.from_numpy(rotation)
    matrix[:3, 3] = torch.from_numpy(position)
    return FreeCamera(camera_to_world=matrix, fov_y_deg=math.degrees(fov))
