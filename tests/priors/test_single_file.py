"""One .safetensors file with the names of the first releases, settings beside it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors.config import Prompt
from realfusion.priors.random_weights import TINY, random_components
from realfusion.priors.selection import resolve_prior
from realfusion.priors.single_file import read_checkpoint
from realfusion.priors.stable_diffusion import StableDiffusionPrior

_spec = importlib.util.spec_from_file_location(
    "first_release_names", Path(__file__).with_name("first_release_names.py")
)
first_release_names = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(first_release_names)
save_first_release = first_release_names.save_first_release


@pytest.fixture
def checkpoint(tmp_path: Path, model_folder: Path) -> Path:
    """The tiny model in one file; its settings and tokenizer in a folder beside it."""
    path = tmp_path / "model.safetensors"
    save_first_release(path, random_components(TINY), TINY)
    shutil.copytree(
        model_folder,
        tmp_path / "model",
        ignore=shutil.ignore_patterns("*.safetensors"),
    )
    return path


def test_it_is_the_same_prior_as_the_folder(
    checkpoint: Path, prior: StableDiffusionPrior, generator: torch.Generator
) -> None:
    loaded = resolve_prior(checkpoint, device="cpu", dtype="float32", offline=True)
    ours = loaded.prior
    for part in ("unet", "vae"):
        theirs = getattr(prior, part).state_dict()
        for name, tensor in getattr(ours, part).state_dict().items():
            assert torch.equal(tensor, theirs[name]), name
    words = Prompt(subject="a duck")
    torch.testing.assert_close(
        ours.condition(words, [Camera()]).context,
        prior.condition(words, [Camera()]).context,
    )
    assert ours.scheduler.config.prediction_type == "epsilon"
    assert str(checkpoint) in loaded.reason


def test_the_text_encoder_of_version_2_is_understood(
    checkpoint: Path, prior: StableDiffusionPrior
) -> None:
    save_first_release(checkpoint, random_components(TINY), TINY, is_open_clip=True)
    loaded = StableDiffusionPrior.from_pretrained(checkpoint, dtype="float32")
    texts = ["a duck", ""]
    torch.testing.assert_close(loaded.text.encode(texts), prior.text.encode(texts))


def test_half_precision_is_loaded_as_asked(checkpoint: Path) -> None:
    prior = StableDiffusionPrior.from_pretrained(checkpoint, dtype="float16")
    assert prior.dtype is torch.float16
    assert prior.text.text_encoder.dtype is torch.float32


@pytest.mark.parametrize("how", ["header", "yaml"])
def test_velocity_models_say_so_in_the_header_or_beside(
    checkpoint: Path, how: str
) -> None:
    if how == "header":
        save_first_release(
            checkpoint,
            random_components(TINY),
            TINY,
            {"modelspec.prediction_type": "v"},
        )
    else:
        text = 'model:\n  params:\n    parameterization: "v"\n'
        checkpoint.with_suffix(".yaml").write_text(text)
    prior = StableDiffusionPrior.from_pretrained(checkpoint)
    assert prior.scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.diffusion_model.out.2.weight", "unet"),
        ("first_stage_model.quant_conv.bias", "vae"),
        (
            "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
            "text encoder",
        ),
    ],
)
def test_missing_weights_are_refused(checkpoint: Path, name: str, part: str) -> None:
    weights = load_file(checkpoint)
    del weights[name]
    save_file(weights, checkpoint)
    with pytest.raises(InputError, match=f"hold all weights of its {part}, but lacks"):
        StableDiffusionPrior.from_pretrained(checkpoint)


def test_models_of_other_kinds_are_refused_by_name(
    checkpoint: Path, tmp_path: Path
) -> None:
    weights = load_file(checkpoint)
    weights["conditioner.embedders.1.model.ln_final.weight"] = torch.zeros(1)
    save_file(weights, checkpoint)
    with pytest.raises(InputError, match=r"Stable Diffusion XL; only models of the sh"):
        read_checkpoint(checkpoint)
    save_file({"lora.up.weight": torch.zeros(1)}, checkpoint)
    with pytest.raises(InputError, match="must hold denoiser, autoencoder and text"):
        read_checkpoint(checkpoint)
    checkpoint.write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(checkpoint)
    (tmp_path / "model.ckpt").touch()
    with pytest.raises(InputError, match=r"must be \.safetensors, got model\.ckpt"):
        resolve_prior(tmp_path / "model.ckpt", device="cpu")


def test_settings_that_are_not_there_are_asked_for_in_one_line(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model/tokenizer/tokenizer_config.json").unlink()
    with pytest.raises(InputError, match=r"missing: tokenizer/tokenizer_config\.json"):
        StableDiffusionPrior.from_pretrained(checkpoint)
    shutil.rmtree(tmp_path / "model")
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache")
    )
    with pytest.raises(
        InputError, match=r"tokenizer for model\.safet.*beside"
    ) as caught:
        StableDiffusionPrior.from_pretrained(checkpoint, offline=True)
    assert "\n" not in str(caught.value)
