"""The weights that ship with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import realfusion.priors
from realfusion.prior_training import scoring
from realfusion.prior_training.export import folder_size_mb
from realfusion.prior_training.scoring import (
    held_out_views,
    orbit_cameras,
    score_prior,
)
from realfusion.priors.config import Prompt
from realfusion.priors.stable_diffusion import StableDiffusionPrior

FOLDER = Path(realfusion.priors.__file__).parent / "bundled"


@pytest.fixture(scope="module")
def prior() -> StableDiffusionPrior:
    return StableDiffusionPrior.from_pretrained("bundled")


def test_the_shipped_prior_is_small() -> None:
    assert folder_size_mb(FOLDER) <= 25


def test_no_path_of_the_training_machine_is_shipped() -> None:
    for path in FOLDER.rglob("*.json"):
        assert "_name_or_path" not in path.read_text()


def test_latents_are_white_and_decode_to_the_image(
    prior: StableDiffusionPrior,
) -> None:
    images = held_out_views("held_out_instances", 6).truth.flatten(0, 1)
    with torch.no_grad():
        latents = prior.encode(images)
    assert latents.mean().abs() < 0.2
    assert 0.8 < latents.std() < 1.25
    error = (prior.decode(latents) - images).square().mean((1, 2, 3))
    assert (-10 * error.log10()).mean() > 31


def test_the_image_token_explains_an_unseen_object_better_than_anothers(
    prior: StableDiffusionPrior,
) -> None:
    views = held_out_views("held_out_families", 6, first_seed=100)
    tokens = [
        prior.encode_image_token(image.permute(1, 2, 0)) for image in views.references
    ]
    generator = torch.Generator().manual_seed(0)
    timesteps = torch.arange(480, 960, 60)
    alpha = prior.alphas_cumprod[timesteps][:, None, None, None]
    own, others = [], []
    for index, truth in enumerate(views.truth):
        with torch.no_grad():
            clean = prior.encode(truth)
        noise = torch.randn(clean.shape, generator=generator)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        for offset, errors in ((0, own), (1, others)):
            prior.set_token(tokens[(index + offset) % len(tokens)])
            conditioning = prior.condition(
                Prompt(subject=prior.metadata.subject), orbit_cameras()
            )
            predicted = prior.predict_noise(
                noisy, timesteps, conditioning.context, conditioning.class_labels
            )
            errors.append((predicted - noise).square().mean().item())
    assert sum(own) < 0.97 * sum(others)


def test_the_guide_makes_estimates_follow_the_view() -> None:
    scores = {
        conditions: score_prior(
            FOLDER,
            split="held_out_instances",
            num_objects=12,
            conditions=conditions,
            timestep=scoring.NOISIEST_TIMESTEP,
        )
        for conditions in ("all", "without guide")
    }
    guided, unguided = scores["all"], scores["without guide"]
    assert guided.view_top1 > 0.4 > 0.3 > unguided.view_top1
    assert guided.psnr_db > unguided.psnr_db + 0.5
    assert guided.mask_iou > guided.copy_mask_iou


def test_what_the_guide_shows_under_the_noise_keeps_objects_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def estimates(timestep: int = scoring.NOISIEST_TIMESTEP) -> scoring.PriorScores:
        return score_prior(
            FOLDER, split="held_out_families", num_objects=12, timestep=timestep
        )

    shown = estimates()
    assert shown.mask_iou > shown.copy_mask_iou
    at_less_noise = estimates(scoring.DISTILLED_TIMESTEP)
    assert at_less_noise.mask_iou > at_less_noise.copy_mask_iou
    assert shown.psnr_db > at_less_noise.psnr_db, "nearer to the mean of what may be"
    monkeypatch.setattr(scoring, "first_latents", lambda _, noise, __: noise)
    from_noise_alone = estimates()
    assert shown.identity_top1 > from_noise_alone.identity_top1
    assert shown.psnr_db > from_noise_alone.psnr_db
