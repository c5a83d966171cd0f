"""Images to latents and back, as a prior does it."""

from __future__ import annotations

import pytest
import torch

from realfusion.priors.random_weights import TINY, random_prior
from realfusion.priors.score_distillation import score_distillation_loss
from realfusion.priors.stable_diffusion import StableDiffusionPrior


def test_images_are_scaled_to_minus_one_one_for_the_vae(
    prior: StableDiffusionPrior,
) -> None:
    images = torch.rand(2, 3, 32, 32)
    expected = prior.vae.encode(2.0 * images - 1.0).latent_dist.mean * 0.18215
    torch.testing.assert_close(prior.encode(images), expected)


def test_encoding_resizes_and_is_differentiable(prior: StableDiffusionPrior) -> None:
    for side in (20, 64):
        images = torch.rand(1, 3, side, side, requires_grad=True)
        latents = prior.encode(images)
        assert latents.shape == (1, 4, 8, 8)
        latents.square().sum().backward()
        assert float(images.grad.abs().sum()) > 0.0


def test_decoding_stays_in_the_unit_range(
    prior: StableDiffusionPrior, generator: torch.Generator
) -> None:
    latents = torch.randn(3, 4, 8, 8, generator=generator)
    images = prior.decode(100.0 * latents)
    assert images.shape == (3, 3, 32, 32)
    assert float(images.min()) >= 0.0
    assert float(images.max()) <= 1.0


def test_half_precision_keeps_the_vae_finite() -> None:
    """Activations beyond 65504 overflow in float16; the latents must not."""
    prior = random_prior(TINY, dtype="float16")
    assert prior.dtype is torch.float16
    prior.vae.encoder.conv_in.weight.mul_(1e7)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    latents = prior.encode(images)
    latents.sum().backward()
    assert latents.dtype is torch.float32
    assert bool(torch.isfinite(latents).all())
    assert bool(torch.isfinite(images.grad).all())
    prior.vae.half()
    assert not bool(torch.isfinite(prior.encode(images)).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_leave_a_low_precision_vae_in_full_precision(
    dtype: torch.dtype,
) -> None:
    """The field's backward, and its loss scale, are float32."""
    prior = random_prior(TINY, dtype="float32")
    prior.vae.to(dtype)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    latents = prior.encode(images)
    loss = score_distillation_loss(latents, torch.ones_like(latents))
    (1024.0 * loss).backward()
    assert loss.dtype is torch.float32
    assert images.grad is not None
    assert images.grad.dtype is torch.float32
    assert bool(images.grad.isfinite().all())
    assert float(images.grad.abs().max()) > 0.0
