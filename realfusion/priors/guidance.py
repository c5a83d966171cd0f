"""Arithmetic of a denoiser's output: parameterisations and guidance.

Throughout, x_t = √ᾱ x_0 + √(1 - ᾱ) ε (Ho et al. 2020, Eq. 4), and `alphas_cumprod`
holds one ᾱ a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from realfusion.errors import InputError

PREDICTION_TYPES = ("epsilon", "v_prediction")
"""What a denoiser may put out."""


def add_noise(
    latents: Float[Tensor, "batch channels height width"],
    noise: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """x_t of clean latents x_0 and noise ε."""
    signal, spread = _scales(alphas_cumprod)
    return signal * latents + spread * noise


def noise_from_prediction(
    prediction: Float[Tensor, "batch channels height width"],
    noisy: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
    prediction_type: str,
) -> Float[Tensor, "batch channels height width"]:
    """ε̂ of a denoiser's output; v = √ᾱ ε - √(1 - ᾱ) x_0 (Salimans & Ho 2022)."""
    check_prediction_type(prediction_type)
    if prediction_type == "epsilon":
        return prediction
    signal, spread = _scales(alphas_cumprod)
    return signal * prediction + spread * noisy


def denoised_from_noise(
    noise: Float[Tensor, "batch channels height width"],
    noisy: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """x̂_0 of a noise estimate."""
    signal, spread = _scales(alphas_cumprod)
    return (noisy - spread * noise) / signal


@dataclass(frozen=True)
class GuidanceSides:
    """ε̂ of one batch under every prompt of guidance.

    Attributes:
        positive: Of the prompt.
        negative: Of the prompt to keep away from; without a neutral side it is that.
        unconditional: Of no prompt: with it the negative acts perpendicularly.
        perpendicular_weight: Strength of the perpendicular push, for all or each.
    """

    positive: Float[Tensor, "batch channels height width"]
    negative: Float[Tensor, "batch channels height width"]
    unconditional: Float[Tensor, "batch channels height width"] | None = None
    perpendicular_weight: float | Float[Tensor, " batch"] = 1.0

    def estimate(
        self, guidance_scale: float
    ) -> Float[Tensor, "batch channels height width"]:
        """The guided ε̂, see `guided` and `perpendicularly_guided`."""
        if self.unconditional is None:
            return guided(self.negative, self.positive, guidance_scale)
        return perpendicularly_guided(
            self.unconditional,
            self.negative,
            self.positive,
            guidance_scale,
            self.perpendicular_weight,
        )

    def classifier_score(
        self, guidance_scale: float
    ) -> Float[Tensor, "batch channels height width"]:
        """What guidance adds to the neutral ε̂ (CSD, Yu et al. 2023).

        s (positive - negative), or with Perp-Neg s (towards - w · perpendicular): the
        score of an implicit classifier, how much more a noisy image is what the prompt
        says. `estimate` is this plus the neutral side.

        Args:
            guidance_scale: s; it only scales here.

        Returns:
            The score, in units of the noise.
        """
        if self.unconditional is None:
            return guidance_scale * (self.positive - self.negative)
        return guidance_scale * perpendicular_direction(
            self.unconditional, self.negative, self.positive, self.perpendicular_weight
        )


def guided(
    negative: Float[Tensor, "batch channels height width"],
    positive: Float[Tensor, "batch channels height width"],
    guidance_scale: float,
) -> Float[Tensor, "batch channels height width"]:
    """Classifier-free guidance (Ho & Salimans 2022).

    negative + s (positive - negative); a scale s of 1 is the positive estimate.
    """
    return negative + guidance_scale * (positive - negative)


def perpendicularly_guided(
    unconditional: Float[Tensor, "batch channels height width"],
    negative: Float[Tensor, "batch channels height width"],
    positive: Float[Tensor, "batch channels height width"],
    guidance_scale: float,
    weight: float | Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """Perp-Neg (Armandpour et al. 2023, Eq. 7).

    Args:
        unconditional: ε̂ of no prompt.
        negative: ε̂ of the prompt to keep away from.
        positive: ε̂ of the prompt.
        guidance_scale: Scale of the whole.
        weight: Strength of the push away, for all or each.

    Returns:
        The guided ε̂.
    """
    direction = perpendicular_direction(unconditional, negative, positive, weight)
    return unconditional + guidance_scale * direction


def perpendicular_direction(
    unconditional: Float[Tensor, "batch channels height width"],
    negative: Float[Tensor, "batch channels height width"],
    positive: Float[Tensor, "batch channels height width"],
    weight: float | Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """Where Perp-Neg goes from no prompt (Armandpour et al. 2023, Eq. 7).

    Away from the negative prompt, but only by the part of its direction that is
    perpendicular to the positive one: what both share (the object) is kept.

    Args:
        unconditional: ε̂ of no prompt.
        negative: ε̂ of the prompt to keep away from.
        positive: ε̂ of the prompt.
        weight: Strength of the push away, for all or each.

    Returns:
        towards - weight · perpendicular.
    """
    towards = positive - unconditional
    away = negative - unconditional
    axes = (1, 2, 3)
    share = (away * towards).sum(axes, keepdim=True) / towards.square().sum(
        axes, keepdim=True
    ).clamp(min=1e-12)
    perpendicular = away - share * towards
    strength = weight[:, None, None, None] if isinstance(weight, Tensor) else weight
    return towards - strength * perpendicular


def rescaled_guidance(
    guided_noise: Float[Tensor, "batch channels height width"],
    positive_noise: Float[Tensor, "batch channels height width"],
    noisy: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
    rescale: float,
) -> Float[Tensor, "batch channels height width"]:
    """Give x̂_0 back a share of the spread it had before guidance.

    After Lin et al. 2023 (Eq. 15 and 16), applied to x̂_0 rather than to the network's
    output, since it is x̂_0 that saturates.

    Args:
        guided_noise: ε̂ after guidance.
        positive_noise: ε̂ of the positive prompt alone.
        noisy: x_t.
        alphas_cumprod: ᾱ_t.
        rescale: Share in [0, 1]; 0 changes nothing.

    Returns:
        The rescaled ε̂.
    """
    if rescale == 0.0:
        return guided_noise
    denoised = denoised_from_noise(guided_noise, noisy, alphas_cumprod)
    plain = denoised_from_noise(positive_noise, noisy, alphas_cumprod)
    spread_plain = plain.std(dim=(1, 2, 3), keepdim=True)
    spread_guided = denoised.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-8)
    denoised = denoised * (rescale * spread_plain / spread_guided + 1.0 - rescale)
    signal, spread = _scales(alphas_cumprod)
    return (noisy - signal * denoised) / spread


def check_prediction_type(prediction_type: str) -> None:
    """Raise an InputError unless the scheduler's prediction type is known."""
    if prediction_type not in PREDICTION_TYPES:
        raise InputError(
            f"the prior's scheduler must predict one of {', '.join(PREDICTION_TYPES)}, "
            f"got {prediction_type!r}"
        )


def _scales(alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    per_sample = alphas_cumprod[:, None, None, None]
    return per_sample.sqrt(), (1.0 - per_sample).sqrt()
