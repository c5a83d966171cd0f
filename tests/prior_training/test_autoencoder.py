"""The autoencoder's loss, whitening and images."""

from __future__ import annotations

import torch

from realfusion.prior_training.autoencoder import (
    build_autoencoder,
    composite_premultiplied,
    reconstruction_loss,
    reconstruction_psnr_db,
    whiten_latents,
)
from realfusion.prior_training.config import SMOKE


def test_whitening_centres_the_latents_and_changes_no_reconstruction() -> None:
    torch.manual_seed(0)
    model = build_autoencoder(SMOKE.autoencoder, 32).eval()
    images = torch.rand(64, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = model.decode(model.encode(images).latent_dist.mean).sample
        spread = model.encode(images).latent_dist.std
        scale = model.encode(images).latent_dist.mean.std((0, 2, 3))
        whiten_latents(model, images)
        posterior = model.encode(images).latent_dist
        after = model.decode(posterior.mean).sample
    torch.testing.assert_close(after, before, atol=2e-4, rtol=1e-3)
    mean, deviation = posterior.mean.mean((0, 2, 3)), posterior.mean.std((0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(4), atol=1e-3, rtol=0)
    expected = spread / scale[:, None, None]
    torch.testing.assert_close(posterior.std, expected, atol=1e-3, rtol=1e-2)


def test_compositing_puts_premultiplied_colour_on_the_background() -> None:
    half_red = torch.tensor([[[[128, 0, 0, 128]]]], dtype=torch.uint8)
    on_white = composite_premultiplied(half_red)
    expected = torch.tensor([1.0, -0.004, -0.004])
    torch.testing.assert_close(on_white[0, :, 0, 0], expected, atol=1e-2, rtol=0)
    on_black = composite_premultiplied(half_red, torch.zeros(1, 3))
    expected = torch.tensor([0.004, -1.0, -1.0])
    torch.testing.assert_close(on_black[0, :, 0, 0], expected, atol=1e-2, rtol=0)


def test_loss_is_zero_for_equal_images_and_grows_with_the_error() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert reconstruction_loss(images, images) == 0
    small = reconstruction_loss(images + 0.1, images)
    torch.testing.assert_close(small, torch.tensor(0.12), atol=1e-4, rtol=0)
    assert reconstruction_loss(images + 0.2, images) > small


def test_psnr_is_that_of_the_decoded_images() -> None:
    torch.manual_seed(0)
    model = build_autoencoder(SMOKE.autoencoder, 32).eval().requires_grad_(False)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    decoded = model.decode(model.encode(images).latent_dist.mean).sample
    halved = (decoded.clamp(-1, 1) - images) / 2
    expected = (-10 * halved.square().mean((1, 2, 3)).log10()).mean().item()
    assert abs(reconstruction_psnr_db(model, images) - expected) < 1e-3
