from __future__ import annotations

import pytest
import torch

from realfusion.errors import InputError
from realfusion.priors.guidance import (
    GuidanceSides,
    add_noise,
    check_prediction_type,
    denoised_from_noise,
    guided,
    noise_from_prediction,
    perpendicular_direction,
    perpendicularly_guided,
    rescaled_guidance,
)

ALPHAS = torch.tensor([0.95, 0.2])


@pytest.fixture
def clean_and_noise() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, 4, 3, 3, generator=generator),
        torch.randn(2, 4, 3, 3, generator=generator),
    )


def test_perfect_v_and_epsilon_predictions_agree(clean_and_noise) -> None:
    clean, noise = clean_and_noise
    noisy = add_noise(clean, noise, ALPHAS)
    alpha = ALPHAS[:, None, None, None]
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    from_v = noise_from_prediction(velocity, noisy, ALPHAS, "v_prediction")
    from_epsilon = noise_from_prediction(noise, noisy, ALPHAS, "epsilon")
    torch.testing.assert_close(from_v, from_epsilon, rtol=1e-5, atol=1e-5)


def test_denoising_undoes_the_noise(clean_and_noise) -> None:
    clean, noise = clean_and_noise
    noisy = add_noise(clean, noise, ALPHAS)
    torch.testing.assert_close(
        denoised_from_noise(noise, noisy, ALPHAS), clean, rtol=1e-4, atol=1e-5
    )


def test_noise_follows_the_schedulers_formula(clean_and_noise) -> None:
    from diffusers import DDPMScheduler

    clean, noise = clean_and_noise
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    steps = torch.tensor([10, 700])
    expected = scheduler.add_noise(clean, noise, steps)
    got = add_noise(clean, noise, scheduler.alphas_cumprod[steps])
    torch.testing.assert_close(got, expected)


def test_guidance_extrapolates_from_the_negative() -> None:
    negative, positive = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    assert float(guided(negative, positive, 7.5).mean()) == 7.5
    assert float(guided(negative, positive, 1.0).mean()) == 1.0
    assert float(guided(negative, positive, 0.0).mean()) == 0.0


def test_perpendicular_guidance_keeps_what_both_prompts_share() -> None:
    unconditional = torch.zeros(1, 4, 1, 1)
    positive = torch.tensor([2.0, 0.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
    negative = torch.tensor([5.0, 3.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
    got = perpendicularly_guided(unconditional, negative, positive, 10.0, 0.5)
    assert got.flatten().tolist() == [20.0, -15.0, 0.0, 0.0]
    same = perpendicularly_guided(unconditional, 3.0 * positive, positive, 10.0, 1.0)
    torch.testing.assert_close(same, guided(unconditional, positive, 10.0))


def test_each_view_may_have_its_own_perpendicular_weight() -> None:
    generator = torch.Generator().manual_seed(1)
    sides = torch.randn(3, 2, 4, 3, 3, generator=generator)
    weights = torch.tensor([0.25, 1.5])
    both = perpendicularly_guided(*sides, 3.0, weights)
    for row, weight in enumerate((0.25, 1.5)):
        alone = perpendicularly_guided(*sides[:, row : row + 1], 3.0, weight)
        torch.testing.assert_close(both[row : row + 1], alone)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_classifier_score_is_what_guidance_adds(weight: float) -> None:
    """CSD: s (positive - negative); with Perp-Neg s (towards - w perpendicular)."""
    generator = torch.Generator().manual_seed(2)
    neutral, negative, positive = torch.randn(3, 2, 4, 3, 3, generator=generator)
    plain = GuidanceSides(positive, negative)
    torch.testing.assert_close(plain.classifier_score(7.5), 7.5 * (positive - negative))
    torch.testing.assert_close(
        negative + plain.classifier_score(7.5), plain.estimate(7.5)
    )
    perpendicular = GuidanceSides(positive, negative, neutral, weight)
    direction = perpendicular_direction(neutral, negative, positive, weight)
    torch.testing.assert_close(perpendicular.classifier_score(7.5), 7.5 * direction)
    torch.testing.assert_close(
        neutral + perpendicular.classifier_score(7.5), perpendicular.estimate(7.5)
    )


def test_full_rescale_restores_the_unguided_spread(clean_and_noise) -> None:
    noisy, positive = clean_and_noise
    strong = 20.0 * positive
    rescaled = rescaled_guidance(strong, positive, noisy, ALPHAS, 1.0)
    spread = denoised_from_noise(rescaled, noisy, ALPHAS).std(dim=(1, 2, 3))
    wanted = denoised_from_noise(positive, noisy, ALPHAS).std(dim=(1, 2, 3))
    torch.testing.assert_close(spread, wanted, rtol=1e-4, atol=1e-4)
    assert rescaled_guidance(strong, positive, noisy, ALPHAS, 0.0) is strong


def test_unknown_prediction_type_is_refused() -> None:
    with pytest.raises(InputError, match="epsilon, v_prediction, got 'sample'"):
        check_prediction_type("sample")
