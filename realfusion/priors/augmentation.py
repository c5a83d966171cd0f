"""Heavy augmentation of one photo: stands in for the many that there are not.

Everything works on premultiplied colour, so that what the photo shows behind the
object never leaks in, and results stay in [0, 1]; the prior's `encode` takes them to
the VAE's [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.priors.config import AugmentationConfig

_LUMINANCE = (0.299, 0.587, 0.114)
_PASTEL_FLOOR = 0.5


@dataclass(frozen=True)
class AugmentedImages:
    """Variations of one photo on plain backgrounds."""

    images: Float[Tensor, "batch 3 size size"]
    """In [0, 1]."""
    masks: Float[Tensor, "batch 1 size size"]
    """Where the object is, in [0, 1]."""


def augment(
    image: Float[Tensor, "height width 4"],
    count: int,
    size: int,
    config: AugmentationConfig,
    generator: torch.Generator,
) -> AugmentedImages:
    """Draw variations of a photo (RealFusion, Sec. 3.2).

    Args:
        image: RGBA with straight alpha in [0, 1]; square images keep their shape.
        count: How many to draw.
        size: Side of the results, in pixels.
        config: Which variations, and how strong.
        generator: CPU generator; results are made on the image's device.

    Returns:
        Images and masks.
    """
    if image.ndim != 3 or image.shape[-1] != 4:
        raise ValueError(
            f"`image` must have the shape [height, width, 4], got {list(image.shape)}"
        )
    largest = math.ceil(size * max(1.0, config.scale_range[1]))
    source = _premultiplied(image, largest).expand(count, -1, -1, -1)
    source = _vary_colours(source, config, generator)
    warped = _warp(source, size, config, generator)
    warped = _blur_some(warped, config, generator)
    colours, masks = warped[:, :3], warped[:, 3:]
    background = _backgrounds(count, config, generator).to(image.device)
    images = (colours + (1.0 - masks) * background).clamp(0.0, 1.0)
    return AugmentedImages(images, masks.clamp(0.0, 1.0))


def _premultiplied(image: Tensor, size: int) -> Tensor:
    channels = image.permute(2, 0, 1)[None].float()
    premultiplied = torch.cat([channels[:, :3] * channels[:, 3:], channels[:, 3:]], 1)
    return functional.interpolate(
        premultiplied, (size, size), mode="bilinear", antialias=True
    ).clamp(0.0, 1.0)


def _vary_colours(
    source: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    """Brightness, contrast, saturation: linear maps, so premultiplied colour serves."""
    count = source.shape[0]
    draws = torch.rand(count, 4, generator=generator).to(source.device)
    factors = 1.0 + config.jitter * (2.0 * draws[:, :3] - 1.0)
    brightness, contrast, saturation = factors.T[:, :, None, None, None]
    is_grey = (draws[:, 3] < config.grey_probability)[:, None, None, None]
    saturation = torch.where(is_grey, 0.0, saturation)
    colours, alpha = source[:, :3], source[:, 3:]
    weights = torch.tensor(_LUMINANCE, device=source.device)[None, :, None, None]
    colours = colours * brightness
    grey = (colours * weights).sum(dim=1, keepdim=True)
    mean = grey.sum(dim=(2, 3), keepdim=True) / alpha.sum(
        dim=(2, 3), keepdim=True
    ).clamp(min=1e-6)
    colours = grey + saturation * (colours - grey)
    colours = mean * alpha + contrast * (colours - mean * alpha)
    return torch.cat([colours.clamp(min=0.0).minimum(alpha), alpha], dim=1)


def _warp(
    source: Tensor, size: int, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    count = source.shape[0]
    draws = torch.rand(count, 5, generator=generator).to(source.device)
    angle = math.radians(config.rotation_deg) * (2.0 * draws[:, 0] - 1.0)
    low, high = config.scale_range
    # Uniform in the logarithm: as many smaller as larger ones.
    scale = low * (high / low) ** draws[:, 1]
    shift = 2.0 * config.translation * (2.0 * draws[:, 2:4] - 1.0)
    mirror = torch.where(draws[:, 4] < config.flip_probability, -1.0, 1.0)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    # affine_grid maps output to input coordinates: the inverse of the variation.
    matrix = torch.stack(
        [
            torch.stack([mirror * cosine, mirror * sine, shift[:, 0]], dim=1),
            torch.stack([-sine, cosine, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(matrix, [count, 4, size, size], align_corners=False)
    return functional.grid_sample(
        source, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def _blur_some(
    images: Tensor, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    count, _, size, _ = images.shape
    draws = torch.rand(count, 2, generator=generator)
    chosen = (draws[:, 0] < config.blur_probability).nonzero()[:, 0].tolist()
    result = images.clone()
    for index in chosen:
        # Up to 1/64 of the side: one pixel of the bundled prior, eight at 512 px.
        deviation = (0.3 + 0.7 * float(draws[index, 1])) * size / 64.0
        result[index] = _gaussian_blur(images[index], deviation)
    return result


def _gaussian_blur(image: Tensor, deviation: float) -> Tensor:
    radius = math.ceil(3.0 * deviation)
    offsets = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    planes = image[:, None]
    planes = functional.conv2d(planes, kernel[None, None, None], padding=(0, radius))
    planes = functional.conv2d(planes, kernel[None, None, :, None], padding=(radius, 0))
    return planes[:, 0]


def _backgrounds(
    count: int, config: AugmentationConfig, generator: torch.Generator
) -> Tensor:
    draws = torch.rand(count, 4, generator=generator)
    pastel = _PASTEL_FLOOR + (1.0 - _PASTEL_FLOOR) * draws[:, 1:]
    is_white = draws[:, :1] < config.white_background_probability
    return torch.where(is_white, torch.ones_like(pastel), pastel)[:, :, None, None]
