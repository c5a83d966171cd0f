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


def test_the_view_embedding_starts_without_effect() -> None:
    torch.manual_seed(0)
    unet = build_unet(SMOKE.denoiser, 64).eval()
    latents, context = torch.randn(2, 4, 16, 16), torch.randn(2, 5, 32)
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


def test_min_snr_weights_clear_timesteps_less() -> None:
    noise = torch.zeros(1, 4, 2, 2)
    predicted = torch.ones(1, 4, 2, 2)
    noisy = denoising_loss(predicted, noise, torch.tensor([0.5]), 5.0)
    clear = denoising_loss(predicted, noise, torch.tensor([0.99]), 5.0)
    assert noisy.item() == pytest.approx(1.0)
    assert clear.item() == pytest.approx(5 / 99, rel=1e-3)


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
