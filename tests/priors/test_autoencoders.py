from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors.autoencoders import TINY_AUTOENCODER, load_autoencoder
from realfusion.priors.config import Prompt
from realfusion.priors.stable_diffusion import StableDiffusionPrior


def save_tiny(folder: Path, levels: int = 3, latent_channels: int = 4) -> None:
    """A tiny autoencoder with random weights."""
    from diffusers import AutoencoderTiny

    AutoencoderTiny(
        encoder_block_out_channels=(8,) * levels,
        decoder_block_out_channels=(8,) * levels,
        num_encoder_blocks=(1,) * levels,
        num_decoder_blocks=(1,) * levels,
        latent_channels=latent_channels,
    ).save_pretrained(str(folder))


def test_a_tiny_autoencoder_takes_the_place_of_the_own(
    tmp_path: Path, model_folder: Path, generator: torch.Generator
) -> None:
    save_tiny(tmp_path)
    prior = StableDiffusionPrior.from_pretrained(
        model_folder, dtype="float32", vae=str(tmp_path)
    )
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    latents = prior.encode(images)
    with torch.no_grad():
        expected = prior.vae.encode(2.0 * images - 1.0).latents
    torch.testing.assert_close(latents.detach(), expected)
    assert prior.image_size == 32
    judged = prior.noise_residual(
        latents,
        prior.condition(Prompt(subject="a duck"), [Camera()] * 2),
        timesteps=torch.tensor([100, 500]),
        guidance_scale=5.0,
        generator=generator,
    )
    (latents * judged.residual).sum().backward()
    assert float(images.grad.abs().sum()) > 0.0
    assert prior.decode(latents.detach()).shape == images.shape


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"levels": 4}, "the prior's 3 levels, got 4"),
        ({"latent_channels": 16}, "the prior's 4 latent channels, got 16"),
    ],
)
def test_latents_of_another_kind_are_refused(
    tmp_path: Path, model_folder: Path, options: dict, reason: str
) -> None:
    save_tiny(tmp_path, **options)
    with pytest.raises(InputError, match=reason):
        StableDiffusionPrior.from_pretrained(model_folder, vae=str(tmp_path))


def test_folders_that_hold_no_autoencoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: config\.json"):
        load_autoencoder(str(tmp_path), dtype=torch.float32)
    save_tiny(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be loaded"):
        load_autoencoder(str(tmp_path), dtype=torch.float32)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"_class_name": "VQModel"}))
    with pytest.raises(InputError, match="AutoencoderTiny, AutoencoderKL, got VQModel"):
        load_autoencoder(str(tmp_path), dtype=torch.float32)


@pytest.mark.parametrize(
    ("source", "reason"),
    [("tiny", TINY_AUTOENCODER), ("nonsense", "--vae must be own, tiny")],
)
def test_what_is_not_there_says_so_in_one_line(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=reason) as caught:
        load_autoencoder(source, dtype=torch.float32, offline=True)
    assert "\n" not in str(caught.value)
