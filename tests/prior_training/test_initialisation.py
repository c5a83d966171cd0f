"""Training that starts from a prior that exists already."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from realfusion.errors import InputError
from realfusion.prior_training.config import SMOKE, PriorTrainingConfig
from realfusion.prior_training.denoiser import PriorModel, build_scheduler
from realfusion.prior_training.initialisation import (
    initial_autoencoder,
    initial_prior_folder,
    initialise_model,
)
from realfusion.prior_training.vocabulary import build_tokenizer
from realfusion.priors.model_files import BUNDLED_FOLDER
from realfusion.priors.stable_diffusion import StableDiffusionPrior


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    return build_tokenizer(folder, PriorTrainingConfig().denoiser.max_text_length)


@pytest.fixture(scope="module")
def initialised(tokenizer: CLIPTokenizer) -> PriorModel:
    model = PriorModel(PriorTrainingConfig(), tokenizer).eval()
    initialise_model(model, tokenizer, BUNDLED_FOLDER)
    return model


def test_bundled_is_a_name_and_anything_else_a_folder(tmp_path: Path) -> None:
    assert initial_prior_folder("bundled") == BUNDLED_FOLDER
    assert initial_prior_folder(str(BUNDLED_FOLDER)) == BUNDLED_FOLDER
    with pytest.raises(InputError, match="`initial_prior` must be a prior that"):
        initial_prior_folder(str(tmp_path))


def test_words_keep_their_embeddings_in_any_order_of_the_vocabulary(
    initialised: PriorModel, tokenizer: CLIPTokenizer
) -> None:
    shipped = CLIPTextModel.from_pretrained(BUNDLED_FOLDER, subfolder="text_encoder")
    names = CLIPTokenizer.from_pretrained(BUNDLED_FOLDER, subfolder="tokenizer")
    old = shipped.get_input_embeddings().weight.float()
    table = initialised.encoders.conditions.text_encoder.get_input_embeddings().weight
    for word in ("red</w>", "car</w>", "view</w>", "<|endoftext|>"):
        expected = old[names.get_vocab()[word]]
        assert torch.equal(table[tokenizer.get_vocab()[word]], expected)


def test_the_tokens_of_an_image_are_the_priors(initialised: PriorModel) -> None:
    image = torch.rand(1, 4, 64, 64)
    expected = StableDiffusionPrior.from_pretrained("bundled").encode_image_token(
        image[0].permute(1, 2, 0)
    )
    assert expected is not None
    with torch.no_grad():
        tokens = initialised.encoders.conditions.image_encoder(image)
    torch.testing.assert_close(tokens[0], expected.vectors)


def test_another_parameterisation_starts_from_a_silent_output(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    for path in BUNDLED_FOLDER.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(BUNDLED_FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    settings = tmp_path / "scheduler" / "scheduler_config.json"
    other = json.loads(settings.read_text()) | {"prediction_type": "epsilon"}
    assert build_scheduler().config.prediction_type != "epsilon"
    settings.write_text(json.dumps(other))
    model = PriorModel(PriorTrainingConfig(), tokenizer)
    initialise_model(model, tokenizer, tmp_path)
    assert model.unet.conv_out.weight.abs().max() == 0
    assert model.unet.conv_in.weight.abs().max() > 0


def test_the_autoencoder_is_taken_over() -> None:
    autoencoder = initial_autoencoder(BUNDLED_FOLDER)
    assert autoencoder.dtype is torch.float32
    image = torch.rand(1, 3, 64, 64)
    prior = StableDiffusionPrior.from_pretrained("bundled", dtype="float32")
    expected = prior.encode(image)
    latents = autoencoder.encode(image * 2 - 1).latent_dist.mean
    torch.testing.assert_close(latents, expected, atol=1e-4, rtol=1e-4)


def test_another_shape_is_refused_by_the_parts_name(tmp_path: Path) -> None:
    small = dataclasses.replace(SMOKE, device="cpu")
    tokenizer = build_tokenizer(tmp_path, small.denoiser.max_text_length)
    model = PriorModel(small, tokenizer)
    with pytest.raises(InputError, match="the text encoder of `initial_prior`"):
        initialise_model(model, tokenizer, BUNDLED_FOLDER)
