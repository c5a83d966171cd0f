"""Starts a training from the weights of a prior that exists already."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from realfusion.errors import InputError
from realfusion.prior_training.denoiser import PriorModel, build_scheduler
from realfusion.priors.image_encoder import load_image_encoder
from realfusion.priors.metadata import METADATA_FILE
from realfusion.priors.model_files import BUNDLED_FOLDER
from realfusion.priors.shape_estimator import (
    SHAPE_ESTIMATOR_FOLDER,
    ShapeEstimator,
    load_shape_estimator,
)

_TOKEN_TABLE = "embeddings.token_embedding.weight"


def initial_prior_folder(source: str) -> Path:
    """The folder of the prior to start from.

    Args:
        source: "bundled", or a folder that a training exported.

    Raises:
        InputError: If there is no such prior.
    """
    folder = BUNDLED_FOLDER if source == "bundled" else Path(source)
    if not (folder / METADATA_FILE).is_file():
        raise InputError(
            f"`initial_prior` must be a prior that `realfusion train-prior` exported "
            f"(with {METADATA_FILE}), got {source}"
        )
    return folder


def initial_shape_estimator(folder: Path) -> ShapeEstimator:
    """The prior's shape estimator.

    Raises:
        InputError: If it has none.
    """
    if not (folder / SHAPE_ESTIMATOR_FOLDER).is_dir():
        raise InputError(
            f"`initial_prior` must have a shape estimator, which guides the denoiser, "
            f"got {folder}; train part `all`"
        )
    return load_shape_estimator(folder / SHAPE_ESTIMATOR_FOLDER)


def initial_autoencoder(folder: Path) -> AutoencoderKL:
    """The prior's autoencoder, in float32."""
    model = AutoencoderKL.from_pretrained(folder, subfolder="vae", dtype=torch.float32)
    return model.eval().requires_grad_(False)


def initialise_model(model: PriorModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Takes U-Net and encoders over from a prior, in place.

    Token embeddings go by their words, so that the vocabularies may differ in order.
    Where the prior predicts something else than this training does, the U-Net's last
    layer starts from zero.

    Args:
        model: Changed in place; the heads, which no prior ships, stay as they are.
        tokenizer: The training's tokenizer.
        folder: The prior.

    Raises:
        InputError: If the prior has another shape than the configuration.
    """
    conditions = model.encoders.conditions
    text_encoder = CLIPTextModel.from_pretrained(
        folder, subfolder="text_encoder", dtype=torch.float32
    )
    text_state = text_encoder.state_dict()
    (table_name,) = [name for name in text_state if name.endswith(_TOKEN_TABLE)]
    text_state[table_name] = _rearranged(
        text_state[table_name],
        CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer").get_vocab(),
        tokenizer.get_vocab(),
        conditions.text_encoder.state_dict()[table_name],
    )
    unet = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", dtype=torch.float32
    )
    unet_state = unet.state_dict()
    unet_state["conv_in.weight"] = _widened(
        unet_state["conv_in.weight"], model.unet.conv_in.in_channels
    )
    scheduler = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
    if scheduler.config.prediction_type != build_scheduler().config.prediction_type:
        for name in ("conv_out.weight", "conv_out.bias"):
            unet_state[name] = torch.zeros_like(unet_state[name])
    encoder_state = load_image_encoder(folder / "image_encoder").state_dict()
    parts: list[tuple[str, nn.Module, dict[str, Tensor]]] = [
        ("text encoder", conditions.text_encoder, text_state),
        ("image encoder", conditions.image_encoder, encoder_state),
        ("U-Net", model.unet, unet_state),
    ]
    for name, part, state in parts:
        try:
            part.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(
                f"the {name} of `initial_prior` ({folder}) must have the "
                f"configuration's shape, got: {str(error).splitlines()[1].strip()}"
            ) from error


def _widened(weight: Tensor, num_channels: int) -> Tensor:
    """A convolution that takes no notice of the channels that are new to it."""
    missing = max(num_channels - weight.shape[1], 0)
    return functional.pad(weight, (0, 0, 0, 0, 0, missing))


def _rearranged(
    rows: Tensor, old: dict[str, int], new: dict[str, int], fresh: Tensor
) -> Tensor:
    """The old rows in the order of the new vocabulary; fresh ones for new words."""
    if rows.shape[1] != fresh.shape[1]:
        return rows  # refused with the shapes' names when it is loaded
    table = fresh.clone()
    for word, index in new.items():
        if word in old:
            table[index] = rows[old[word]]
    return table
