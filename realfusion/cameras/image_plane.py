"""A photo as a picture that world points are looked up in."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera


def resized(
    image: Float[Tensor, "4 height width"], size: int
) -> Float[Tensor, "4 {size} {size}"]:
    """A premultiplied image in another size, by area."""
    return functional.interpolate(image[None], size=(size, size), mode="area")[0]


def blurred_colours(
    image: Float[Tensor, "4 size size"], blur: float
) -> Float[Tensor, "3 size size"]:
    """The colours of a premultiplied image, blurred within its silhouette.

    Args:
        image: Colour times alpha, alpha.
        blur: Standard deviation of the Gaussian, as a share of the frame.
    """
    size = image.shape[-1]
    sigma = max(blur * size, 1e-3)
    offsets = torch.arange(size, dtype=torch.float32, device=image.device)
    kernel = (-0.5 * ((offsets[:, None] - offsets) / sigma).square()).exp()
    spread = kernel @ image @ kernel.T
    return spread[:3] / spread[3:].clamp(min=1e-6)


def width_at_origin(camera: Camera) -> float:
    """World units that the frame spans at the origin's distance."""
    return 2.0 * camera.radius * math.tan(0.5 * math.radians(camera.fov_y_deg))


class Projection:
    """From world points to places in a camera's image; nothing waits for the device.

    Args:
        camera: The camera.
        device: Where the points lie.
    """

    def __init__(self, camera: Camera, device: torch.device) -> None:
        matrix = camera.camera_to_world().to(device, torch.float32)
        self._rotation, self._eye = matrix[:3, :3], matrix[:3, 3]
        self._focal = 1.0 / math.tan(0.5 * math.radians(camera.fov_y_deg))
        self._radius = camera.radius

    def __call__(
        self, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, "num_points 2"], Float[Tensor, num_points]]:
        """Places in the image, in [-1, 1] with y down, and depths behind the origin."""
        right, up, backward = ((points - self._eye) @ self._rotation).unbind(-1)
        places = torch.stack([right, -up], dim=-1) * (self._focal / -backward)[:, None]
        return places, -backward - self._radius


def look_up(
    image: Float[Tensor, "channels size size"], places: Float[Tensor, "num_points 2"]
) -> Float[Tensor, "num_points channels"]:
    """Bilinear values of an image; 0 beyond its border."""
    grid = places.view(1, 1, -1, 2)
    return functional.grid_sample(image[None], grid, align_corners=False)[0, :, 0].T
