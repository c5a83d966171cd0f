"""The input photo as the objective sees it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera, Rays
from realfusion.cameras.config import ReferenceCameraConfig


def reference_camera(config: ReferenceCameraConfig) -> Camera:
    """The camera that took the photo."""
    return Camera(
        azimuth_deg=0.0,
        elevation_deg=config.elevation_deg,
        radius=config.radius,
        fov_y_deg=config.fov_y_deg,
    )


@dataclass(frozen=True)
class Pixels:
    """Pixels of a photo, each with its ray.

    Attributes:
        premultiplied: Colours times alpha, one row a pixel.
        alpha: The mask, in [0, 1].
        rays: Rays through the pixels.
    """

    premultiplied: Float[Tensor, "num_pixels 3"]
    alpha: Float[Tensor, num_pixels]
    rays: Rays

    def select(self, places: Int64[Tensor, num_selected]) -> Pixels:
        """Some of them."""
        # index_select takes a tenth of the time of indexing on a CPU.
        return Pixels(
            self.premultiplied.index_select(0, places),
            self.alpha.index_select(0, places),
            self.rays.select(places),
        )

    def over(self, background: Tensor) -> Float[Tensor, "num_pixels 3"]:
        """Colours over a background, [3] or [num_pixels, 3]."""
        return self.premultiplied + (1.0 - self.alpha)[:, None] * background


@dataclass(frozen=True)
class Photo(Pixels):
    """The photo, resized: all its pixels, row by row.

    Attributes:
        size: Pixels along an edge.
        camera: The reference camera.
    """

    size: int
    camera: Camera

    @property
    def image(self) -> Float[Tensor, "4 size size"]:
        """Colour times alpha, alpha."""
        rows = torch.cat([self.premultiplied, self.alpha[:, None]], dim=-1)
        return rows.T.reshape(4, self.size, self.size)


def prepare_photo(
    rgba: Float[Tensor, "height width 4"],
    *,
    size: int,
    camera: Camera,
    device: torch.device | str = "cpu",
) -> Photo:
    """Resize the photo (by area, premultiplied) and cast its rays.

    Args:
        rgba: Straight alpha, values in [0, 1], square.
        size: Pixels along an edge of the result.
        camera: The reference camera.
        device: Where the result is put.

    Returns:
        The photo.

    Raises:
        ValueError: If `rgba` is not a square RGBA image.
    """
    if rgba.ndim != 3 or rgba.shape[0] != rgba.shape[1] or rgba.shape[2] != 4:
        raise ValueError(f"rgba must be [S, S, 4], got {list(rgba.shape)}")
    image = rgba.to(device=device, dtype=torch.float32).permute(2, 0, 1)
    image = torch.cat([image[:3] * image[3:], image[3:]])[None]
    if rgba.shape[0] != size:
        image = functional.interpolate(image, size=(size, size), mode="area")
    flat = image[0].flatten(1).T.contiguous()
    return Photo(
        premultiplied=flat[:, :3].contiguous(),
        alpha=flat[:, 3].contiguous(),
        rays=camera.rays(size, size, device=device),
        size=size,
        camera=camera,
    )
