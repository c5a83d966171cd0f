"""Losses, schedules and shapes of the denoiser's training."""

from __future__ import annotations

import pytest
import torch

from realfusion.prior_training.config import SMOKE, DenoiserConfig
from realfusion.prior_training.denoiser import (
    build_scheduler,
    build_unet,
    denoising_loss,
    learning_rate,
    random_timesteps,
)
from realfusion.priors.guidance import add_noise, noise_from_prediction


def test_the_view_embedding_starts_without_effect() -> None:
    torch.manual_seed(0)
    unet = build_unet(SMOKE.denoiser, 64).eval()
    latents, context = torch.randn(2, 9, 16, 16), torch.randn(2, 5, 32)
    with torch.no_grad():
        outputs = [
            unet(latents, 500, context, class_labels=torch.tensor(labels)).sample
            for labels in ([0, 1], [24, 7])
        ]
    torch.testing.assert_close(outputs[0], outputs[1])


def test_the_schedule_is_stable_diffusions() -> None:
    alphas = build_scheduler().alphas_cumprod
    assert len(alphas) == 1000
    assert alphas[0].item() == pytest.approx(1 - 0.00085, rel=1e-6)
    assert alphas[-1].item() == pytest.approx(0.00466, rel=1e-2)


@pytest.mark.parametrize(
    ("alpha_cumprod", "weight"), [(0.01, 1 / 0.99), (0.5, 2.0), (0.99, 2.5)]
)
def test_an_error_of_the_clean_latents_counts_one_plus_snr_at_most_the_clip(
    alpha_cumprod: float, weight: float
) -> None:
    clean, noise = torch.randn(2, 1, 4, 2, 2).unbind()
    signal, spread = alpha_cumprod**0.5, (1 - alpha_cumprod) ** 0.5
    noisy = signal * clean + spread * noise
    wrong = clean + 0.3
    predicted = (signal * noisy - wrong) / spread
    velocity = signal * noise - spread * clean
    loss = denoising_loss(
        predicted,
        velocity,
        torch.tensor([alpha_cumprod]),
        snr_clip=2.5,
        large_error=0.4,
    )
    assert loss.item() == pytest.approx(weight * (0.5 - 0.4), rel=1e-3)


@pytest.mark.parametrize(("large_error", "best"), [(1e-3, 1.0), (10.0, 0.6)])
def test_large_errors_draw_the_likelier_picture_and_small_ones_the_mean(
    large_error: float, best: float
) -> None:
    """Six of ten pictures have 1 where the others have 0."""
    pictures = torch.tensor([1.0] * 6 + [0.0] * 4)[:, None, None, None]
    velocity = pictures.expand(-1, 4, 2, 2)
    alphas_cumprod = torch.zeros(10)
    guesses = torch.linspace(0, 1, 11)
    losses = [
        denoising_loss(
            torch.full_like(velocity, guess.item()),
            velocity,
            alphas_cumprod,
            snr_clip=2.5,
            large_error=large_error,
        )
        for guess in guesses
    ]
    assert guesses[torch.stack(losses).argmin()].item() == pytest.approx(best)


def test_the_prior_reads_velocities_as_the_training_means_them() -> None:
    alphas_cumprod = torch.tensor([0.3])
    clean, noise = torch.randn(2, 1, 4, 2, 2).unbind()
    noisy = add_noise(clean, noise, alphas_cumprod)
    velocity = 0.3**0.5 * noise - 0.7**0.5 * clean
    kind = build_scheduler().config.prediction_type
    read = noise_from_prediction(velocity, noisy, alphas_cumprod, kind)
    torch.testing.assert_close(read, noise)


def test_timesteps_cover_the_range_with_a_share_of_noisy_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    everywhere = random_timesteps(4000, 0.0, generator)
    assert everywhere.min() < 20
    assert everywhere.max() > 980
    assert random_timesteps(1000, 1.0, generator).min() >= 450
    half = (random_timesteps(4000, 0.5, generator) >= 450).float().mean()
    assert half.item() == pytest.approx(0.775, abs=0.03)


def test_the_rate_warms_up_holds_and_decays() -> None:
    config = DenoiserConfig(steps=1000, learning_rate=1.0)
    rates = [learning_rate(config, step) for step in (0, 99, 400, 750, 999)]
    assert rates == pytest.approx([0.01, 1.0, 1.0, 0.515, 0.03], abs=0.01)
