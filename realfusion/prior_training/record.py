"""What a prior's record says: how its parts were trained, and what they score."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
from pathlib import Path

import torch

from realfusion.prior_training.autoencoder import (
    composite_premultiplied,
    reconstruction_psnr_db,
    training_device,
)
from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.prior_training.dataset import ViewDataset, generate_dataset
from realfusion.prior_training.export import update_record
from realfusion.prior_training.initialisation import initial_autoencoder
from realfusion.prior_training.scoring import (
    DISTILLED_TIMESTEP,
    NOISIEST_TIMESTEP,
    Conditions,
    as_record,
    score_prior,
)
from realfusion.prior_training.shape_estimator import shape_iou
from realfusion.prior_training.training_state import Progress
from realfusion.priors.shape_estimator import ShapeEstimator

_SPLITS = ("held_out_instances", "held_out_families")
_SCORED: tuple[tuple[str, Conditions, int | None], ...] = (
    (_SPLITS[0], "all", None),
    (_SPLITS[1], "all", None),
    (_SPLITS[0], "without guide", None),
    (_SPLITS[0], "nothing", None),
    (_SPLITS[0], "all", NOISIEST_TIMESTEP),
    (_SPLITS[1], "all", NOISIEST_TIMESTEP),
    (_SPLITS[0], "without guide", NOISIEST_TIMESTEP),
    (_SPLITS[0], "nothing", NOISIEST_TIMESTEP),
    (_SPLITS[0], "all", DISTILLED_TIMESTEP),
    (_SPLITS[1], "all", DISTILLED_TIMESTEP),
)
"""What is scored: objects, conditions, and the noise level of estimates; None for
samples."""


def training_record(
    config: PriorTrainingConfig, views: ViewDataset
) -> dict[str, object]:
    """What the model card must know about a training."""
    return {
        "date": _today(),
        "objects": views.num_objects,
        "views": int(views.images.shape[0] * views.images.shape[1]),
        "steps": config.denoiser.steps,
        "samples": config.denoiser.steps * config.denoiser.batch_size,
        "hardware": _hardware(training_device(config)),
        "torch": torch.__version__,
        "configuration": json.loads(json.dumps(dataclasses.asdict(config))),
    }


def decoder_record(
    config: PriorTrainingConfig, views: ViewDataset
) -> dict[str, object]:
    """What the model card must know about a decoder that was trained alone."""
    settings = config.autoencoder
    return {
        "date": _today(),
        "objects": views.num_objects,
        "steps": settings.decoder_steps,
        "samples": settings.decoder_steps * settings.full_batch_size,
        "learning_rate": settings.decoder_learning_rate,
        "hardware": _hardware(training_device(config)),
    }


def shape_record(
    config: PriorTrainingConfig, estimator: ShapeEstimator
) -> dict[str, object]:
    """What the model card must know about the shape estimator."""
    settings = config.shape_estimator
    scores = {
        f"iou_{split}": round(
            shape_iou(estimator, split=split, num_objects=config.num_scored_objects), 3
        )
        for split in _SPLITS
    }
    record = {
        "date": _today(),
        "objects": settings.num_objects,
        "views": 2 * settings.num_objects,
        "samples": settings.steps * settings.batch_size,
        "hardware": _hardware(training_device(config)),
        **scores,
        **dataclasses.asdict(settings),
    }
    document: dict[str, object] = json.loads(json.dumps(record))
    return document


def score_diffusion(
    prior: Path,
    config: PriorTrainingConfig,
    grid_path: Path,
    report: Progress,
) -> None:
    """Scores an exported prior; the scores go into its record."""
    held_out = generate_dataset(0, config.num_scored_objects, split=_SPLITS[0])
    images = torch.from_numpy(held_out.images.reshape(-1, *held_out.images.shape[2:]))
    autoencoder = initial_autoencoder(prior)
    on_white = composite_premultiplied(images)
    psnr = reconstruction_psnr_db(autoencoder, on_white)
    scores: dict[str, object] = {"autoencoder_psnr_db": round(psnr, 2)}
    for index, (split, conditions, timestep) in enumerate(_SCORED):
        scored = score_prior(
            prior,
            split=split,
            num_objects=config.num_scored_objects,
            num_steps=config.num_scored_steps,
            conditions=conditions,
            timestep=timestep,
            grid_path=grid_path if index == 0 else None,
        )
        controls = [] if conditions == "all" else conditions.split()
        level = [] if timestep is None else [f"at_{timestep}"]
        scores["_".join([split, *controls, *level])] = as_record(scored)
        report("scores", index + 1, len(_SCORED), {"view_top1": scored.view_top1})
    update_record(prior, {"scores": scores})


def _today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' if threads > 1 else ''}"
