"""All sides of guidance in one batch are what they are one by one."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import perpendicularly_guided
from realfusion.priors.stable_diffusion import StableDiffusionPrior

WORDS = Prompt(subject="a duck")
CAMERAS = [Camera(), Camera(azimuth_deg=90.0), Camera(azimuth_deg=180.0)]
TIMESTEPS = torch.tensor([30, 500, 950])


@pytest.mark.parametrize("name", ["prior", "class_prior"])
@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_guidance_in_one_batch_equals_two_calls(
    name: str, scale: float, latents: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    prior = request.getfixturevalue(name)
    conditioning = prior.condition(WORDS, CAMERAS)
    got = prior.guided_noise(latents, TIMESTEPS, conditioning, guidance_scale=scale)
    with torch.no_grad():
        negative = prior.unet(
            latents,
            TIMESTEPS,
            conditioning.negative_context,
            class_labels=conditioning.negative_class_labels,
        ).sample
        positive = prior.unet(
            latents,
            TIMESTEPS,
            conditioning.context,
            class_labels=conditioning.class_labels,
        ).sample
    expected = negative + scale * (positive - negative)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["prior", "class_prior"])
def test_perpendicular_guidance_in_one_batch_equals_three_calls(
    name: str, latents: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    prior = request.getfixturevalue(name)
    prompt = dataclasses.replace(WORDS, negative_guidance="perpendicular")
    conditioning = prior.condition(prompt, CAMERAS)
    got = prior.guided_noise(latents, TIMESTEPS, conditioning, guidance_scale=5.0)
    with torch.no_grad():
        sides = [
            prior.predict_noise(latents, TIMESTEPS, context, labels)
            for context, labels in (
                (
                    conditioning.unconditional_context,
                    conditioning.unconditional_class_labels,
                ),
                (conditioning.negative_context, conditioning.negative_class_labels),
                (conditioning.context, conditioning.class_labels),
            )
        ]
    expected = perpendicularly_guided(*sides, 5.0, 1.0)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_classifier_score_cannot_be_rescaled(
    prior: StableDiffusionPrior, latents: torch.Tensor, generator: torch.Generator
) -> None:
    with pytest.raises(ValueError, match="`guidance_rescale` must be 0 with mode"):
        prior.noise_residual(
            latents,
            prior.condition(WORDS, CAMERAS),
            timesteps=TIMESTEPS,
            guidance_scale=5.0,
            generator=generator,
            guidance_rescale=0.5,
            mode="csd",
        )


def test_mismatched_conditioning_is_refused(
    prior: StableDiffusionPrior, latents: torch.Tensor, generator: torch.Generator
) -> None:
    with pytest.raises(ValueError, match=r"one entry a latent \(3\), got 1"):
        prior.noise_residual(
            latents,
            prior.condition(WORDS, CAMERAS[:1]),
            timesteps=TIMESTEPS,
            guidance_scale=1.0,
            generator=generator,
        )
    with pytest.raises(ValueError, match="`cameras` must not be empty"):
        prior.condition(WORDS, [])
