"""Images to a denoiser's latents and back, by the autoencoder of its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realfusion.priors.network_calls import call_encoder

LATENT_LIMIT = 64.0
"""Largest latent that is judged as it is: ten times what images have, and a thousandth
of what float16 holds."""


@dataclass(frozen=True)
class LatentCodec:
    """An autoencoder with what its denoiser expects around it: sizes, ranges, scales.

    Attributes:
        vae: `AutoencoderKL`, or another for the same latents.
        image_size: Side of the square images that are encoded, in pixels.
        device: Where it computes.
        is_one_by_one: Encode one image at a time, to save memory.
        replayed: `call_encoder` of `vae`, repeated by a graph; None where it runs
            eagerly.
    """

    vae: Any
    image_size: int
    device: torch.device
    is_one_by_one: bool = False
    replayed: Callable[[Tensor], Tensor] | None = None

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels latent_height latent_width"]:
        """Latents of images, by the mean of the posterior.

        Args:
            images: In [0, 1], any size; resized to `image_size`.

        Returns:
            Latents, float32; differentiable in the images.
        """
        size = (self.image_size, self.image_size)
        if tuple(images.shape[-2:]) != size:
            shrinks = images.shape[-2] > size[0] or images.shape[-1] > size[1]
            images = torch.nn.functional.interpolate(
                images, size, mode="bilinear", antialias=shrinks
            )
        # The VAE wants [-1, 1]; it runs in its own precision, see choose_precision.
        pixels = (2.0 * images - 1.0).to(self.device, self.vae.dtype)
        chunk = 1 if self.is_one_by_one else pixels.shape[0]
        encoded = [self._mean(part) for part in pixels.split(max(chunk, 1))]
        config = self.vae.config
        mean = torch.cat(encoded).float()
        return (mean - (config.shift_factor or 0.0)) * config.scaling_factor

    def _mean(self, pixels: Tensor) -> Tensor:
        if self.replayed is not None:
            return self.replayed(pixels)
        return call_encoder(self.vae, pixels)

    @torch.no_grad()
    def decode(
        self, latents: Float[Tensor, "batch channels latent_height latent_width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """Images in [0, 1] of latents; no gradient."""
        config = self.vae.config
        scaled = latents / config.scaling_factor + (config.shift_factor or 0.0)
        pixels = self.vae.decode(scaled.to(self.device, self.vae.dtype)).sample
        return (0.5 * pixels.float() + 0.5).clamp(0.0, 1.0)


def limit_latents(
    latents: Float[Tensor, "batch channels height width"],
) -> tuple[Float[Tensor, "batch channels height width"], Int[Tensor, ""]]:
    """Latents within what half precision can go on with, and how many were not.

    NaN stays NaN: the training loop refuses it and names the term.
    """
    num_beyond = (latents.abs() > LATENT_LIMIT).sum()
    return latents.clamp(-LATENT_LIMIT, LATENT_LIMIT), num_beyond
