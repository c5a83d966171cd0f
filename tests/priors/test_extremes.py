"""Half precision stays finite, whatever the latents are; what is clipped is counted."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.latent_codec import LATENT_LIMIT
from realfusion.priors.protocol import NoiseResidual
from realfusion.priors.random_weights import TINY, random_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior


@functools.cache
def half_prior() -> StableDiffusionPrior:
    return random_prior(TINY, dtype="float16")


def judge(
    prior: StableDiffusionPrior, latents: torch.Tensor, timestep: int = 500
) -> NoiseResidual:
    return prior.noise_residual(
        latents,
        prior.condition(Prompt(subject="a duck"), [Camera()]),
        timesteps=torch.tensor([timestep]),
        guidance_scale=100.0,
        generator=torch.Generator().manual_seed(0),
    )


@settings(max_examples=25, deadline=None)
@given(
    exponent=st.floats(-30.0, 38.0),
    timestep=st.integers(0, 999),
    seed=st.integers(0, 1000),
    infinite=st.booleans(),
)
def test_residuals_of_extreme_latents_are_finite(
    exponent: float, timestep: int, seed: int, infinite: bool
) -> None:
    prior = half_prior()
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(1, 4, 8, 8, generator=generator) * 10.0**exponent
    if infinite:
        latents[0, 0, 0, :2] = torch.tensor([float("inf"), float("-inf")])
    before, beyond = prior.num_clipped, int((latents.abs() > LATENT_LIMIT).sum())
    judged = judge(prior, latents, timestep)
    assert bool(torch.isfinite(judged.residual).all())
    assert prior.num_clipped - before == beyond


def test_latents_of_images_are_not_clipped(prior: StableDiffusionPrior) -> None:
    judge(prior, prior.encode(torch.rand(1, 3, 32, 32)))
    judge(prior, LATENT_LIMIT * torch.ones(1, 4, 8, 8))
    assert prior.num_clipped == 0


def test_what_is_not_a_number_is_not_hidden(prior: StableDiffusionPrior) -> None:
    """The training loop must see it, and name the term."""
    latents = torch.zeros(1, 4, 8, 8)
    latents[0, 0, 0, 0] = float("nan")
    assert not bool(torch.isfinite(judge(prior, latents).residual).all())


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e4])
def test_images_beyond_their_range_encode_to_finite_latents(value: float) -> None:
    images = torch.full((1, 3, 32, 32), value, requires_grad=True)
    latents = half_prior().encode(images)
    latents.sum().backward()
    assert bool(torch.isfinite(latents).all())
    assert bool(torch.isfinite(images.grad).all())
