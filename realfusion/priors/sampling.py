"""Sample images from a prior, one a view: what the prior believes, before any 3D."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import add_noise, denoised_from_noise
from realfusion.priors.protocol import Conditioning
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.view_guide import guessed_latents


@torch.no_grad()
def sample_views(
    prior: StableDiffusionPrior,
    prompt: Prompt,
    cameras: Sequence[Camera],
    *,
    generator: torch.Generator,
    num_steps: int = 25,
    guidance_scale: float = 5.0,
    guidance_rescale: float = 0.0,
    is_noise_shared: bool = True,
) -> Float[Tensor, "views 3 size size"]:
    """DDIM sampling (Song et al. 2021, Eq. 12 with σ = 0), conditioned on the view.

    Noise levels are spaced from the last one down ("trailing", Lin et al. 2023, Tab. 2)
    and the last step ends at x̂_0, as diffusers' DDIMScheduler has it. A guided prior
    begins with what it is shown, see `first_latents`.

    Args:
        prior: The prior; a token that the prompt needs must be set.
        prompt: What to paint.
        cameras: One image each.
        generator: The source of the noise.
        num_steps: Denoising steps.
        guidance_scale: Classifier-free guidance; 1 is none.
        guidance_rescale: Share of x̂_0's spread that is restored after guidance.
        is_noise_shared: Start all views from the same noise: they agree better.

    Returns:
        Images in [0, 1] on the prior's device.
    """
    if not 1 <= num_steps <= prior.num_train_timesteps:
        raise ValueError(
            f"`num_steps` must lie within [1, {prior.num_train_timesteps}], got "
            f"{num_steps}"
        )
    count = len(cameras)
    conditioning = prior.condition(prompt, cameras)
    size = prior.image_size // prior.latent_factor
    channels = int(prior.vae.config.latent_channels)
    latents = torch.randn(
        (1 if is_noise_shared else count, channels, size, size),
        generator=generator,
        device=generator.device,
    )
    latents = latents.to(prior.device).expand(count, -1, -1, -1)
    levels = _schedule(prior.num_train_timesteps, num_steps)
    first = torch.full((count,), levels[0][0], device=prior.device)
    latents = first_latents(conditioning, latents, prior.alphas_cumprod[first])
    for now, after in levels:
        timesteps = torch.full((count,), now, device=prior.device)
        noise = prior.guided_noise(
            latents,
            timesteps,
            conditioning,
            guidance_scale=guidance_scale,
            guidance_rescale=guidance_rescale,
        )
        latents = denoised_from_noise(noise, latents, prior.alphas_cumprod[timesteps])
        if after >= 0:
            timesteps = torch.full((count,), after, device=prior.device)
            latents = add_noise(latents, noise, prior.alphas_cumprod[timesteps])
    return prior.decode(latents)


def first_latents(
    conditioning: Conditioning,
    noise: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """The noisy latents that sampling begins with.

    Stable Diffusion's schedule never ends in noise alone: 7 % of the clean latents are
    left (Lin et al. 2023), and a denoiser hears them. Noise alone tells it that the
    picture is neither light nor dark, of no colour and nowhere, and draws every object
    towards the mean of all (the signal-leak bias of Everaert et al. 2024). Where there
    is a guide, what it shows shines through the noise instead.

    Args:
        conditioning: Of the views.
        noise: Of unit variance.
        alphas_cumprod: ᾱ of the first noise level.

    Returns:
        The noised guide, or without a guide the noise.
    """
    if conditioning.guide is None:
        return noise
    return add_noise(guessed_latents(conditioning.guide), noise, alphas_cumprod)


def _schedule(num_train_timesteps: int, num_steps: int) -> list[tuple[int, int]]:
    """Pairs of a noise level and the one after it; -1 stands for no noise."""
    levels = [
        round(num_train_timesteps * (num_steps - index) / num_steps) - 1
        for index in range(num_steps + 1)
    ]
    return list(itertools.pairwise(levels))
