"""What a prior is loaded from, in which precision, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors import components
from realfusion.priors.components import choose_precision
from realfusion.priors.config import Prompt
from realfusion.priors.random_weights import TINY, random_prior, save_random_model
from realfusion.priors.stable_diffusion import StableDiffusionPrior

WORDS = Prompt(subject="a duck")
CAMERAS = [Camera(), Camera(azimuth_deg=90.0), Camera(azimuth_deg=180.0)]


def test_loaded_model_equals_the_saved_one(
    model_folder: Path, prior: StableDiffusionPrior
) -> None:
    loaded = StableDiffusionPrior.from_pretrained(model_folder, dtype="float32")
    assert loaded.image_size == 32
    for left, right in zip(
        loaded.unet.parameters(), prior.unet.parameters(), strict=True
    ):
        assert torch.equal(left, right)
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(loaded.encode(images), prior.encode(images))
    torch.testing.assert_close(
        loaded.condition(WORDS, CAMERAS).context,
        prior.condition(WORDS, CAMERAS).context,
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_half_precision_files_serve_every_precision(tmp_path: Path, dtype: str) -> None:
    save_random_model(tmp_path, TINY, variant="fp16")
    assert (tmp_path / "unet/diffusion_pytorch_model.fp16.safetensors").is_file()
    prior = StableDiffusionPrior.from_pretrained(tmp_path, dtype=dtype)
    assert str(prior.dtype) == f"torch.{dtype}"


def test_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    save_random_model(tmp_path, TINY)
    path = tmp_path / "scheduler/scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"prediction_type": "sample"}))
    with pytest.raises(InputError, match="must predict one of epsilon, v_prediction"):
        StableDiffusionPrior.from_pretrained(tmp_path)


def test_other_class_counts_are_refused() -> None:
    with pytest.raises(InputError, match="must have 25 view classes or none, got 10"):
        random_prior(dataclasses.replace(TINY, num_class_embeds=10))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    save_random_model(tmp_path, TINY)
    weights = tmp_path / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        StableDiffusionPrior.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("unet/diffusion_pytorch_model", "conv_in.weight"),
        ("vae/diffusion_pytorch_model", "quant_conv.weight"),
        ("text_encoder/model", "encoder.layers.0.mlp.fc1.weight"),
    ],
)
def test_weights_that_lack_a_parameter_are_refused(
    tmp_path: Path, path: str, name: str
) -> None:
    """Left to themselves, the libraries put random numbers in its place."""
    save_random_model(tmp_path, TINY)
    file = tmp_path / f"{path}.safetensors"
    weights = load_file(file)
    del weights[name]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"must hold all weights .* lacks .* again"):
        StableDiffusionPrior.from_pretrained(tmp_path)


def test_files_of_stable_diffusion_1_5s_time_are_understood(
    tmp_path: Path, prior: StableDiffusionPrior
) -> None:
    """Text encoder names under `text_model.`, and the scheduler of PNDM."""
    save_random_model(tmp_path, TINY)
    file = tmp_path / "text_encoder/model.safetensors"
    weights = {f"text_model.{name}": w for name, w in load_file(file).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, file, metadata={"format": "pt"})
    (tmp_path / "scheduler/scheduler_config.json").write_text(
        json.dumps(
            {
                "_class_name": "PNDMScheduler",
                "beta_end": 0.012,
                "beta_schedule": "scaled_linear",
                "beta_start": 0.00085,
                "num_train_timesteps": 1000,
                "set_alpha_to_one": False,
                "skip_prk_steps": True,
                "steps_offset": 1,
                "trained_betas": None,
                "clip_sample": False,
            }
        )
    )
    loaded = StableDiffusionPrior.from_pretrained(tmp_path, dtype="float32")
    assert torch.equal(loaded.alphas_cumprod, prior.alphas_cumprod)
    torch.testing.assert_close(
        loaded.condition(WORDS, CAMERAS).context,
        prior.condition(WORDS, CAMERAS).context,
    )


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_precision_never_puts_the_vae_into_float16(
    has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "_has_bfloat16", lambda _device: has_bfloat16)
    low = torch.bfloat16 if has_bfloat16 else torch.float32
    for device, name, denoiser, vae in (
        ("cpu", "auto", low, low),
        ("cpu", "float32", torch.float32, torch.float32),
        ("cuda", "auto", torch.float16, low),
        ("cuda", "float32", torch.float32, torch.float32),
        ("cuda", "bfloat16", torch.bfloat16, low),
    ):
        precision = choose_precision(torch.device(device), name)
        assert (precision.denoiser, precision.vae) == (denoiser, vae)


def test_unknown_precision_is_refused() -> None:
    with pytest.raises((InputError, TypeError), match="auto"):
        choose_precision(torch.device("cpu"), "int8")
