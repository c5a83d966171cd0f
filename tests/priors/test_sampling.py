from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import add_noise
from realfusion.priors.sampling import _schedule, first_latents, sample_views
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


@pytest.mark.parametrize("num_steps", [1, 3, 25, 27, 1000])
def test_noise_levels_are_those_of_diffusers(num_steps: int) -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(num_steps)
    pairs = _schedule(1000, num_steps)
    assert [now for now, _ in pairs] == scheduler.timesteps.tolist()
    assert [after for _, after in pairs] == [now for now, _ in pairs[1:]] + [-1]


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


def test_a_guide_shines_through_the_first_noise(prior: StableDiffusionPrior) -> None:
    conditioning = prior.condition(WORDS, CAMERAS)
    generator = torch.Generator().manual_seed(0)
    noise, shown = torch.randn(2, 2, 4, 8, 8, generator=generator).unbind()
    alphas_cumprod = torch.tensor([0.005, 0.02])
    assert torch.equal(first_latents(conditioning, noise, alphas_cumprod), noise)
    opacity = torch.ones(2, 1, 8, 8)
    guided = dataclasses.replace(conditioning, guide=torch.cat([opacity, shown], dim=1))
    torch.testing.assert_close(
        first_latents(guided, noise, alphas_cumprod),
        add_noise(shown, noise, alphas_cumprod),
    )
