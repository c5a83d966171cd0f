"""How diffusers' networks are called, in tensors alone: what a graph can repeat."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor


def call_denoiser(
    unet: Any,
    noisy: Float[Tensor, "batch input_channels height width"],
    timesteps: Int[Tensor, " batch"],
    context: Float[Tensor, "batch tokens text_width"],
    class_labels: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """The prediction of a denoiser, all in its precision.

    Args:
        unet: `UNet2DConditionModel`.
        noisy: x_t.
        timesteps: Noise levels.
        context: Text states.
        class_labels: View classes, for denoisers that take them.

    Returns:
        The prediction; differentiable in latents and context.
    """
    return unet(
        noisy, timesteps, encoder_hidden_states=context, class_labels=class_labels
    ).sample


def call_encoder(
    vae: Any, pixels: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch channels latent_height latent_width"]:
    """The mean of an autoencoder's posterior, unscaled.

    Args:
        vae: `AutoencoderKL`, or `AutoencoderTiny`, which has no posterior.
        pixels: In [-1, 1], in its precision.

    Returns:
        Latents; differentiable in the pixels.
    """
    encoded = vae.encode(pixels)
    return encoded.latents if "latents" in encoded else encoded.latent_dist.mean
