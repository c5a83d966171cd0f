"""What a body guessed from the photo looks like from any side: a guide for a denoiser.

A denoiser that is told the view in words has to turn the object in its head. One that
sees a rough picture of the turned object only has to paint it well. The picture lies
beside the noisy latents in the layout of inpainting models (Rombach et al. 2022, latent
concatenation): one channel of opacity, then the picture's own latents; all zeros say
that there is none. Projected features guide single-view diffusion in the same way in
GeNVS (Chan et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera, Rays, pixel_rays
from realfusion.priors.estimated_body import EstimatedBody
from realfusion.priors.shape_estimator import ShapeEstimator
from realfusion.transfer import send

NUM_OPACITY_CHANNELS = 1
"""Channels of a guide before the picture's latents."""

GUIDE_PIXELS = 32
"""Side of the pictures that guides are made of."""

_HALF_WIDTH = 0.66  # world units; bodies lie within
_VOXELS = 60
_SAMPLES = 48
_THINNEST = 0.02  # opacity from which a pixel has a colour
_OUTSIDE = -0.9  # surety up to which space is empty
_DENSITY = 3.0  # per world unit where the surety is 0
_SHARPNESS = 5.0  # growth of log-density with the surety


@runtime_checkable
class Body(Protocol):
    """An opaque body with colours."""

    def at(
        self, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, num_points], Float[Tensor, "num_points 3"]]:
        """How surely world points are inside, in [-1, 1], and their colours."""
        ...


class BodyPictures:
    """Pictures of a body from any side, at low resolution and little cost.

    Density is looked up in voxels; the colour of a pixel is the body's where its ray
    ends on average.

    Args:
        body: It lies within 0.66 of the origin along each axis.
        device: Where the body computes.
    """

    def __init__(self, body: Body, device: torch.device) -> None:
        self._body = body
        self._device = device
        middles = (torch.arange(_VOXELS, device=device) + 0.5) * (2 / _VOXELS) - 1.0
        z, y, x = torch.meshgrid(middles, middles, middles, indexing="ij")
        points = torch.stack([x, y, z], dim=-1).reshape(-1, 3) * _HALF_WIDTH
        surety, _ = body.at(points)
        self._surety = surety.view(1, 1, _VOXELS, _VOXELS, _VOXELS)

    def render(self, rays: Rays, size: int) -> Float[Tensor, "4 {size} {size}"]:
        """The body alone: colour times opacity, opacity.

        Args:
            rays: Through the pixels, row by row.
            size: Pixels a side.
        """
        origins, directions = rays.origins, rays.directions
        # The ball around the box that holds the body bounds what is sampled.
        nearest = -(origins * directions).sum(dim=-1)
        offset = origins.square().sum(dim=-1) - nearest.square()
        reach = (_HALF_WIDTH**2 - offset).clamp(min=0.0).sqrt()
        shares = (torch.arange(_SAMPLES, device=self._device) + 0.5) / _SAMPLES
        beyond = reach[:, None] * (2.0 * shares - 1.0)
        depths = nearest[:, None] + beyond
        points = origins[:, None] + directions[:, None] * depths[..., None]
        surety = functional.grid_sample(
            self._surety,
            (points / _HALF_WIDTH).view(1, 1, 1, -1, 3),
            padding_mode="border",
            align_corners=False,
        ).view(-1, _SAMPLES)
        density = _DENSITY * (_SHARPNESS * surety).exp()
        density = torch.where(surety > _OUTSIDE, density, 0.0)
        passed = (-density * (reach * (2.0 / _SAMPLES))[:, None]).exp()
        before = torch.cumprod(passed, dim=1).roll(1, dims=1)
        before[:, 0] = 1.0
        weights = before * (1.0 - passed)
        opacity = weights.sum(dim=1)
        depth = nearest + (weights * beyond).sum(dim=1) / opacity.clamp(min=_THINNEST)
        _, colours = self._body.at(origins + directions * depth[:, None])
        colours = colours * torch.where(opacity > _THINNEST, opacity, 0.0)[:, None]
        picture = torch.cat([colours, opacity[:, None]], dim=1)
        return picture.T.reshape(4, size, size)

    def seen_from(self, camera: Camera, size: int) -> Float[Tensor, "4 {size} {size}"]:
        """The body as a camera sees it; see `render`."""
        # A copy of the pose that the device need not be waited for.
        pose = send(camera.camera_to_world(), self._device)
        rays = pixel_rays(pose, camera.free().focal_px(size), size, size)
        return self.render(rays, size)


class ViewGuide:
    """Guides of a latent denoiser, one a view.

    Args:
        pictures: Of the guessed body.
        encode: From images in [0, 1] to latents.
        image_size: Side of the images that `encode` is given.
    """

    def __init__(
        self,
        pictures: BodyPictures,
        encode: Callable[[Tensor], Tensor],
        image_size: int,
    ) -> None:
        self._pictures = pictures
        self._encode = encode
        self._image_size = image_size

    @torch.no_grad()
    def __call__(
        self, cameras: Sequence[Camera]
    ) -> Float[Tensor, "batch channels latent_height latent_width"]:
        """Opacity and latents (over white) of the body from each camera."""
        seen = [self._pictures.seen_from(each, GUIDE_PIXELS) for each in cameras]
        pictures = torch.stack(seen)
        return guide_latents(pictures, self._encode, self._image_size)


def guide_from_photo(
    image: Float[Tensor, "size size 4"],
    camera: Camera,
    estimator: ShapeEstimator,
    encode: Callable[[Tensor], Tensor],
    image_size: int,
    device: torch.device,
) -> ViewGuide:
    """The guide that shows the body which is guessed from a photo.

    Args:
        image: The photo, RGBA with straight alpha in [0, 1].
        camera: The camera that took it.
        estimator: Guesses the body.
        encode: From images in [0, 1] to latents.
        image_size: Side of the images that `encode` is given.
        device: Where the body computes.
    """
    rgba = image.permute(2, 0, 1).to(device, torch.float32)
    photo = torch.cat([rgba[:3] * rgba[3:], rgba[3:]])
    body = EstimatedBody(photo, camera, estimator)
    return ViewGuide(BodyPictures(body, device), encode, image_size)


def guide_latents(
    pictures: Float[Tensor, "batch 4 height width"],
    encode: Callable[[Tensor], Tensor],
    image_size: int,
) -> Float[Tensor, "batch channels latent_height latent_width"]:
    """A denoiser's guides from pictures of a body.

    Args:
        pictures: Colour times opacity, opacity.
        encode: From images in [0, 1] to latents.
        image_size: Side of the images that `encode` is given.
    """
    size = (image_size, image_size)
    pictures = functional.interpolate(pictures, size, mode="bilinear")
    latents = encode(pictures[:, :3] + 1.0 - pictures[:, 3:])
    opacity = functional.interpolate(pictures[:, 3:], latents.shape[-2:], mode="area")
    return torch.cat([opacity.to(latents), latents], dim=1)


def guessed_latents(
    guide: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch latent_channels height width"]:
    """The latents of a guide: what its views are guessed to be."""
    return guide[:, NUM_OPACITY_CHANNELS:]


def guided_input(
    noisy: Float[Tensor, "batch latent_channels height width"],
    guide: Float[Tensor, "batch guide_channels height width"] | None,
    num_channels: int,
) -> Float[Tensor, "batch {num_channels} height width"]:
    """What a guided denoiser reads; zeros where there is no guide.

    Args:
        noisy: Noisy latents.
        guide: From `ViewGuide`, or None.
        num_channels: That the denoiser reads.
    """
    missing = num_channels - noisy.shape[1]
    if missing == 0:
        return noisy
    if guide is None:
        guide = noisy.new_zeros(noisy.shape[0], missing, *noisy.shape[2:])
    return torch.cat([noisy, guide.to(noisy)], dim=1)
