from __future__ import annotations

import pytest
import torch

from realfusion.priors.config import ScoreDistillationConfig
from realfusion.priors.score_distillation import (
    sample_timesteps,
    score_distillation_loss,
    score_distillation_weight,
    timestep_range_at,
    weighted_residual,
)


def test_timesteps_fill_their_range(generator: torch.Generator) -> None:
    config = ScoreDistillationConfig(timestep_range=(0.02, 0.98))
    steps = sample_timesteps(config, 0.5, 20_000, 1000, generator)
    assert (int(steps.min()), int(steps.max())) == (20, 980)
    assert abs(float(steps.double().mean()) - 500.0) < 10.0


def test_timesteps_never_exceed_the_schedule(generator: torch.Generator) -> None:
    config = ScoreDistillationConfig(timestep_range=(1.0, 1.0))
    assert sample_timesteps(config, 0.0, 8, 1000, generator).tolist() == [999] * 8


@pytest.mark.parametrize(
    ("annealing", "expected"), [("none", 0.98), ("linear", 0.86), ("sqrt", 0.74)]
)
def test_range_anneals(annealing: str, expected: float) -> None:
    config = ScoreDistillationConfig(
        timestep_range=(0.02, 0.98),
        timestep_range_end=(0.02, 0.50),
        annealing=annealing,
    )
    assert timestep_range_at(config, 0.25) == pytest.approx((0.02, expected))


def test_annealing_is_complete_after_its_fraction() -> None:
    config = ScoreDistillationConfig(
        timestep_range_end=(0.02, 0.5), annealing="linear", annealing_fraction=0.5
    )
    assert timestep_range_at(config, 0.5) == pytest.approx((0.02, 0.5))
    assert timestep_range_at(config, 1.0) == pytest.approx((0.02, 0.5))


def test_weightings_follow_their_formulas() -> None:
    alphas = torch.tensor([0.9, 0.5, 0.1])
    expected = {
        "one_minus_alpha_cumprod": [0.1, 0.5, 0.9],
        "uniform": [1.0, 1.0, 1.0],
        "sqrt_alpha_cumprod_one_minus_alpha_cumprod": [0.094868, 0.353553, 0.284605],
        "data_space": [1 / 3, 1.0, 3.0],
    }
    for name, values in expected.items():
        weight = score_distillation_weight(
            ScoreDistillationConfig(weighting=name), alphas
        )
        torch.testing.assert_close(weight, torch.tensor(values), rtol=1e-4, atol=1e-6)


def test_data_space_weight_measures_the_clean_latents() -> None:
    """√((1-ᾱ)/ᾱ) (ε̂ - ε) is x_0 - x̂_0."""
    alpha = torch.tensor([0.3])
    clean, noise, estimate = torch.randn(3, 1, 4, 2, 2)
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    denoised = (noisy - (1 - alpha).sqrt() * estimate) / alpha.sqrt()
    config = ScoreDistillationConfig(weighting="data_space")
    got = weighted_residual(config, estimate - noise, alpha)
    torch.testing.assert_close(got, clean - denoised, rtol=1e-4, atol=1e-5)


def test_clipping_bounds_each_view_and_keeps_directions() -> None:
    config = ScoreDistillationConfig(weighting="uniform", gradient_clip=0.5)
    residual = torch.stack([torch.full((4, 2, 2), 3.0), torch.full((4, 2, 2), 0.1)])
    clipped = weighted_residual(config, residual, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(clipped[0], torch.full((4, 2, 2), 0.5))
    torch.testing.assert_close(clipped[1], residual[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestep_range": (0.9, 0.1)}, "`timestep_range` must be ordered"),
        ({"annealing": "linear"}, "`timestep_range_end` must be given"),
        ({"gradient_clip": 0.0}, "`gradient_clip` must be positive or None"),
        ({"guidance_rescale": 2.0}, "`guidance_rescale` must lie within"),
        ({"mode": "csd", "guidance_rescale": 0.5}, "must be 0 with mode 'csd'"),
        ({"annealing_fraction": 0.0}, "`annealing_fraction` must lie within"),
        (
            {"view_words": False, "negative_guidance": "perpendicular"},
            "`view_words` must be on with negative_guidance 'perpendicular'",
        ),
        (
            {"view_words": False, "negative_view_words": True},
            "`view_words` must be on with negative_view_words",
        ),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreDistillationConfig(**options)


def test_score_distillation_gradient_is_the_weighted_residual() -> None:
    """DreamFusion Eq. 3: the gradient reaches the latents as w (ε̂ − ε), scaled."""
    latents = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    loss = score_distillation_loss(latents, residual)
    loss.backward()
    torch.testing.assert_close(latents.grad, residual.detach() / latents.numel())
    assert residual.grad is None, "the prior's answer carries no gradient"
    assert loss.item() == pytest.approx(0.5 * residual.square().mean().item())


def test_score_distillation_shares_loss_scaling() -> None:
    """Defect 1 of the original release: the prior escaped the gradient scaling."""
    residual = torch.randn(1, 4, 3, 3)
    gradients = []
    for scale in (1.0, 65536.0):
        latents = torch.zeros(1, 4, 3, 3, requires_grad=True)
        (scale * score_distillation_loss(latents, residual)).backward()
        gradients.append(latents.grad / scale)
    torch.testing.assert_close(*gradients)
