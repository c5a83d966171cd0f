from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.sampling import sample_views
from realfusion.priors.stable_diffusion import StableDiffusionPrior

WORDS = Prompt(subject="a duck")
CAMERAS = [Camera(), Camera(azimuth_deg=180.0)]


def sample(prior: StableDiffusionPrior, seed: int = 0, **options) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return sample_views(prior, WORDS, CAMERAS, generator=generator, **options)


def record_decoded(
    prior: StableDiffusionPrior, monkeypatch: pytest.MonkeyPatch
) -> list[torch.Tensor]:
    """The latents that the prior is given to decode."""
    decoded = []
    decode = prior.decode

    def record(latents: torch.Tensor) -> torch.Tensor:
        decoded.append(latents)
        return decode(latents)

    monkeypatch.setattr(prior, "decode", record)
    return decoded


def test_one_image_a_view_in_the_unit_range(
    class_prior: StableDiffusionPrior,
) -> None:
    images = sample(class_prior, num_steps=3)
    assert images.shape == (2, 3, 32, 32)
    assert float(images.min()) >= 0.0
    assert float(images.max()) <= 1.0
    assert not torch.equal(images[0], images[1])


def test_same_seed_same_images(prior: StableDiffusionPrior) -> None:
    assert torch.equal(sample(prior, num_steps=2), sample(prior, num_steps=2))
    assert not torch.equal(sample(prior, num_steps=2), sample(prior, 1, num_steps=2))


def test_sampler_finds_the_image_a_perfect_denoiser_believes_in(
    prior: StableDiffusionPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denoiser that always sees the same clean latents leads DDIM to them."""
    target = torch.randn(1, 4, 8, 8)

    def certain(noisy, timesteps, conditioning, **_options):
        alpha = prior.alphas_cumprod[timesteps][:, None, None, None]
        return (noisy - alpha.sqrt() * target) / (1 - alpha).sqrt()

    monkeypatch.setattr(prior, "guided_noise", certain)
    decoded = record_decoded(prior, monkeypatch)
    sample(prior, num_steps=10)
    torch.testing.assert_close(
        decoded[0], target.expand(2, -1, -1, -1), rtol=1e-3, atol=1e-3
    )


def test_sampler_follows_diffusers_ddim(
    prior: StableDiffusionPrior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """27 steps: the stride from 999 to 0 is 37 throughout, as diffusers has it."""
    from diffusers import DDIMScheduler

    decoded = record_decoded(prior, monkeypatch)
    sample(prior, num_steps=27, guidance_scale=1.0)
    scheduler = DDIMScheduler.from_config(
        dict(prior.scheduler.config), set_alpha_to_one=False, clip_sample=False
    )
    scheduler.set_timesteps(27)
    context = prior.condition(WORDS, CAMERAS).context
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    latents = noise.expand(2, -1, -1, -1)
    for now in range(999, 0, -37):
        with torch.no_grad():
            estimate = prior.predict_noise(latents, torch.tensor([now, now]), context)
        step = scheduler.step(estimate, now, latents)
        latents = step.prev_sample
    torch.testing.assert_close(
        decoded[0], step.pred_original_sample, rtol=1e-3, atol=1e-3
    )


def test_steps_out_of_range_are_refused(prior: StableDiffusionPrior) -> None:
    with pytest.raises(ValueError, match="`num_steps` must lie within"):
        sample(prior, num_steps=0)


def test_own_noise_a_view(prior: StableDiffusionPrior) -> None:
    silent = dataclasses.replace(WORDS, view_words=False)
    shared, own = (
        sample_views(
            prior,
            silent,
            CAMERAS,
            generator=torch.Generator().manual_seed(0),
            num_steps=1,
            is_noise_shared=is_shared,
        )
        for is_shared in (True, False)
    )
    torch.testing.assert_close(shared[0], shared[1])
    assert not torch.equal(own[0], own[1])
