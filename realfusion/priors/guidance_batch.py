"""What a denoiser is asked under guidance: every side of it, in one batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realfusion.priors.config import DistillationMode
from realfusion.priors.guidance import GuidanceSides, rescaled_guidance
from realfusion.priors.protocol import Conditioning

NoisePredictor = Callable[
    [Tensor, Tensor, Tensor, Tensor | None, Tensor | None], Tensor
]
"""ε̂ of noisy latents at their levels, under texts, classes and pictures of the body:
`StableDiffusionPrior.predict_noise`."""


def predict_sides(
    predict: NoisePredictor,
    noisy: Float[Tensor, "batch channels height width"],
    timesteps: Int[Tensor, " batch"],
    conditioning: Conditioning,
) -> GuidanceSides:
    """ε̂ under every prompt of guidance, in one batch.

    Args:
        predict: The denoiser.
        noisy: Noisy latents.
        timesteps: Noise level of each.
        conditioning: One entry a latent.

    Returns:
        The sides; differentiable as `predict` is.
    """
    contexts = [conditioning.negative_context, conditioning.context]
    classes = [conditioning.negative_class_labels, conditioning.class_labels]
    if conditioning.unconditional_context is not None:
        contexts.insert(0, conditioning.unconditional_context)
        classes.insert(0, conditioning.unconditional_class_labels)
    labels = [side for side in classes if side is not None]
    guide = conditioning.guide
    if guide is not None:
        guide = guide.repeat(len(contexts), 1, 1, 1)
    *neutral, negative, positive = predict(
        noisy.repeat(len(contexts), 1, 1, 1),
        timesteps.repeat(len(contexts)),
        torch.cat(contexts),
        torch.cat(labels) if labels else None,
        guide,
    ).chunk(len(contexts))
    return GuidanceSides(
        positive,
        negative,
        neutral[0] if neutral else None,
        conditioning.perpendicular_weight,
    )


def predict_guided(
    predict: NoisePredictor,
    noisy: Float[Tensor, "batch channels height width"],
    timesteps: Int[Tensor, " batch"],
    conditioning: Conditioning,
    alphas_cumprod: Float[Tensor, " batch"],
    *,
    guidance_scale: float,
    guidance_rescale: float,
) -> Float[Tensor, "batch channels height width"]:
    """ε̂ with guidance.

    Args:
        predict: The denoiser.
        noisy: Noisy latents.
        timesteps: Noise level of each.
        conditioning: One entry a latent.
        alphas_cumprod: ᾱ of each level.
        guidance_scale: Classifier-free guidance; where it is 1, and nothing acts
            perpendicularly, the other sides are not asked for.
        guidance_rescale: See `rescaled_guidance`.

    Returns:
        The estimate; differentiable as `predict` is.
    """
    if guidance_scale == 1.0 and conditioning.unconditional_context is None:
        return predict(
            noisy,
            timesteps,
            conditioning.context,
            conditioning.class_labels,
            conditioning.guide,
        )
    sides = predict_sides(predict, noisy, timesteps, conditioning)
    return rescaled_guidance(
        sides.estimate(guidance_scale),
        sides.positive,
        noisy,
        alphas_cumprod,
        guidance_rescale,
    )


def check_judgement(
    latents: Float[Tensor, "batch channels height width"],
    conditioning: Conditioning,
    mode: DistillationMode,
    guidance_rescale: float,
) -> None:
    """Raise a ValueError where `noise_residual` is asked for what cannot be.

    Args:
        latents: What is judged.
        conditioning: One entry a latent.
        mode: Score distillation, or its classifier part alone.
        guidance_rescale: Must be 0 with the latter, which estimates no x̂_0.
    """
    if len(conditioning) != latents.shape[0]:
        raise ValueError(
            f"`conditioning` must have one entry a latent ({latents.shape[0]}), "
            f"got {len(conditioning)}"
        )
    if mode == "csd" and guidance_rescale != 0.0:
        raise ValueError(
            f"`guidance_rescale` must be 0 with mode 'csd', got {guidance_rescale}"
        )
