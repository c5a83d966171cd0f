"""Writes the trained prior in diffusers' layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.prior_training.denoiser import PriorModel, build_scheduler
from realfusion.prior_training.vocabulary import (
    AZIMUTH_WORDS,
    ELEVATION_SUFFIXES,
    SUBJECT_TEMPLATES,
    UNCONDITIONAL_CLASS,
)
from realfusion.priors.config import PLACEHOLDER
from realfusion.priors.metadata import METADATA_FILE, PriorMetadata
from realfusion.priors.prompts import ViewVocabulary
from realfusion.priors.shape_estimator import SHAPE_ESTIMATOR_FOLDER


def export_prior(
    folder: Path,
    model: PriorModel,
    autoencoder: AutoencoderKL,
    tokenizer: Path,
    config: PriorTrainingConfig,
    record: dict[str, object],
) -> None:
    """Writes a folder that the package loads like Stable Diffusion.

    Diffusers' parts are in float16, the image encoder's weights a byte each.

    Args:
        folder: Replaced if it exists.
        model: U-Net and encoders holding the weights to export.
        autoencoder: The whitened autoencoder.
        tokenizer: Folder of the tokenizer that the model was trained with.
        config: The training's configuration.
        record: Training record (data, steps, hardware, scores) for the JSON file.
    """
    scratch = folder.with_name(folder.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    conditions = model.encoders.conditions
    parts = {
        "unet": model.unet,
        "text_encoder": conditions.text_encoder,
    }
    for name, part in parts.items():
        dtype = next(part.parameters()).dtype
        part.to(torch.float16).save_pretrained(scratch / name, safe_serialization=True)
        part.to(dtype)
        _forget_origin(scratch / name / "config.json")
    export_autoencoder(scratch, autoencoder)
    conditions.image_encoder.save_pretrained(scratch / "image_encoder")
    shutil.copytree(tokenizer, scratch / "tokenizer")
    build_scheduler().save_pretrained(scratch / "scheduler")
    _write_metadata(scratch, config, record)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def export_autoencoder(prior: Path, autoencoder: AutoencoderKL) -> None:
    """Puts an autoencoder in the place of an exported prior's, in float16."""
    folder, dtype = prior / "vae", next(autoencoder.parameters()).dtype
    autoencoder.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    autoencoder.to(dtype)
    _forget_origin(folder / "config.json")


def copy_prior(source: Path, folder: Path) -> None:
    """Copies an exported prior; ``folder`` is replaced if it exists."""
    scratch = folder.with_name(folder.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def take_shape_estimator(source: Path, folder: Path) -> None:
    """Gives a prior the shape estimator of another one, if that has any."""
    if not (source / SHAPE_ESTIMATOR_FOLDER).is_dir():
        return
    shutil.copytree(
        source / SHAPE_ESTIMATOR_FOLDER,
        folder / SHAPE_ESTIMATOR_FOLDER,
        dirs_exist_ok=True,
    )
    training = json.loads((source / METADATA_FILE).read_text())["training"]
    if "shape_estimator" in training:
        update_record(folder, {"shape_estimator": training["shape_estimator"]})


def folder_size_mb(folder: Path) -> float:
    """Size of all files of a folder in megabytes (10^6 bytes)."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def update_record(folder: Path, entries: dict[str, object]) -> None:
    """Adds entries to the training record of an exported prior."""
    path = folder / METADATA_FILE
    document = json.loads(path.read_text())
    document["training"] = {**document.get("training", {}), **entries}
    path.write_text(json.dumps(document, indent=2) + "\n")


def _forget_origin(path: Path) -> None:
    """Removes the folder that a part was loaded from out of its configuration."""
    document = json.loads(path.read_text())
    document.pop("_name_or_path", None)
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def _write_metadata(
    folder: Path, config: PriorTrainingConfig, record: dict[str, object]
) -> None:
    metadata = PriorMetadata(
        subject=SUBJECT_TEMPLATES[0].format(PLACEHOLDER),
        view_vocabulary=ViewVocabulary(
            azimuth_words=AZIMUTH_WORDS, elevation_suffixes=ELEVATION_SUFFIXES
        ),
        unconditional_class=UNCONDITIONAL_CLASS,
        num_identity_vectors=config.denoiser.num_image_tokens,
    )
    document = {
        **metadata.to_json(),
        "image_size": config.data.image_size,
        "class_label": "azimuth bin * 3 + elevation bin",
        "training": record,
    }
    (folder / METADATA_FILE).write_text(json.dumps(document, indent=2) + "\n")
