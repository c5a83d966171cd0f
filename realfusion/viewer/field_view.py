"""The radiance field as a browser's camera sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from realfusion.cameras.camera import FreeCamera
from realfusion.io.images import composite_on, to_uint8
from realfusion.io.videos import colorize_depth, colorize_normals
from realfusion.outputs import Picture
from realfusion.viewer.conventions import from_viser

Channel = Literal["colours", "normals", "depth"]
CHANNELS: tuple[Channel, ...] = ("colours", "normals", "depth")
FAR = 100.0
"""Depth of the background, behind everything in the scene."""


@dataclass(frozen=True)
class FieldView:
    """What a rendered picture depends on: two that are equal need not be drawn twice.

    Attributes:
        wxyz: viser's rotation of the camera.
        position: Centre of the camera.
        fov: Vertical field of view, in radians.
        aspect: Width over height of the browser's window.
        channel: What is shown of the field.
        checkpoint: Stamp of the checkpoint the field is of.
    """

    wxyz: tuple[float, ...]
    position: tuple[float, ...]
    fov: float
    aspect: float
    channel: Channel
    checkpoint: int | None

    def camera(self) -> FreeCamera:
        """The camera in this package's convention."""
        return from_viser(np.array(self.wxyz), np.array(self.position), self.fov)

    def size(self, longer_edge: float) -> tuple[int, int]:
        """Height and width in pixels for a given longer edge."""
        height = longer_edge / max(self.aspect, 1.0)
        return max(round(height), 1), max(round(height * self.aspect), 1)


def colour(picture: Picture, channel: Channel) -> UInt8[np.ndarray, "height width 3"]:
    """One channel of a rendered view as bytes, on white."""
    opacity = picture.rgba[..., 3]
    if channel == "normals":
        return to_uint8(colorize_normals(picture.normals, opacity))
    if channel == "depth":
        return to_uint8(colorize_depth(picture.depth, opacity))
    return to_uint8(composite_on(picture.rgba))


def depth_along_axis(
    picture: Picture, camera: FreeCamera
) -> Float[np.ndarray, "height width"]:
    """Depth as the browser's depth buffer takes it, so that it hides what is behind.

    Args:
        picture: A view with distances along its rays.
        camera: Its camera.

    Returns:
        Distances along the camera's axis; `FAR` where there is nothing.
    """
    shape = picture.depth.shape
    forward = -camera.camera_to_world[:3, 2].float()
    cosines = (camera.rays(*shape).directions @ forward).reshape(shape).numpy()
    return np.where(picture.depth > 0.0, picture.depth * cosines, FAR)
