"""Regenerates the embedded prior from nothing: one resumable function."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPTokenizer

from realfusion.errors import InputError
from realfusion.prior_training.autoencoder import train_autoencoder, training_device
from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.prior_training.dataset import (
    ViewDataset,
    load_shards,
    write_shards,
)
from realfusion.prior_training.decoder import train_decoder
from realfusion.prior_training.denoiser import PriorModel, train_denoiser
from realfusion.prior_training.export import (
    copy_prior,
    export_autoencoder,
    export_prior,
    folder_size_mb,
    take_shape_estimator,
    update_record,
)
from realfusion.prior_training.guides import load_guides, write_guides
from realfusion.prior_training.initialisation import (
    initial_autoencoder,
    initial_prior_folder,
    initial_shape_estimator,
    initialise_model,
)
from realfusion.prior_training.latents import encode_shard, load_latents
from realfusion.prior_training.model_card import write_model_card
from realfusion.prior_training.prompt_batches import PromptTokenizer
from realfusion.prior_training.record import (
    decoder_record,
    score_diffusion,
    shape_record,
    training_record,
)
from realfusion.prior_training.shape_dataset import (
    load_shape_shard,
    write_shape_shards,
)
from realfusion.prior_training.shape_estimator import (
    train_shape_estimator,
    trained_shape,
)
from realfusion.prior_training.training_state import Progress, TrainingState
from realfusion.prior_training.vocabulary import build_tokenizer
from realfusion.prior_training.warm_start import train_encoders
from realfusion.priors.shape_estimator import (
    SHAPE_ESTIMATOR_FOLDER,
    ShapeEstimator,
)


def train_prior(
    config: PriorTrainingConfig, out: Path, *, progress: Progress | None = None
) -> Path:
    """Generates the data, trains every part, exports and scores the prior.

    Every stage leaves its result or its last checkpoint in ``out``; the same call
    continues a stopped run. More data or steps in the configuration extend it.

    Args:
        config: What to train.
        out: Working folder: ``data``, ``checkpoints``, ``prior`` (the result) and
            ``samples.png``.
        progress: Called with stage, step, total steps and measurements.

    Returns:
        The folder of the exported prior.

    Raises:
        InputError: If the number of objects is not a multiple of the shard size.
    """
    report = progress or _ignore
    prior = out / "prior"
    # Refused before anything is made.
    for settings in (config.data, config.shape_estimator):
        num_shards(settings.num_objects, config.data.objects_per_shard)
    initial = initial_prior_folder(config.initial_prior or "bundled")
    if config.part == "diffusion":
        _train_diffusion(config, initial_shape_estimator(initial), prior, out, report)
        take_shape_estimator(initial, prior)
    elif config.part == "decoder":
        config = dataclasses.replace(config, initial_prior=str(initial))
        _train_decoder_alone(config, initial, prior, out, report)
    else:
        estimator = _trained_shape_estimator(config, out, report)
        if config.part == "all":
            _train_diffusion(config, estimator, prior, out, report)
        else:
            copy_prior(initial, prior)
        estimator.save_pretrained(prior / SHAPE_ESTIMATOR_FOLDER)
        update_record(prior, {"shape_estimator": shape_record(config, estimator)})
    if config.part != "shape-estimator":
        score_diffusion(prior, config, out / "samples.png", report)
    update_record(prior, {"size_mb": round(folder_size_mb(prior), 1)})
    write_model_card(prior)
    return prior


def _train_diffusion(
    config: PriorTrainingConfig,
    estimator: ShapeEstimator,
    prior: Path,
    out: Path,
    report: Progress,
) -> None:
    """The latent diffusion model and its encoders: trained and exported."""
    checkpoints = out / "checkpoints"
    with _fast_attention(config):
        shards, views, autoencoder = _encoded_views(config, out, report)
        if config.initial_prior is None:
            _train_decoder(config, autoencoder, views, shards, checkpoints, report)
        estimator.to(training_device(config))
        for index, shard in enumerate(shards):
            write_guides(
                autoencoder,
                estimator,
                shard,
                mixed_precision=config.mixed_precision,
            )
            report("guides", index + 1, len(shards), {})
        tokenizer = build_tokenizer(out / "tokenizer", config.denoiser.max_text_length)
        model = _trained_model(config, views, shards, tokenizer, checkpoints, report)
    record = training_record(config, views)
    export_prior(prior, model, autoencoder, out / "tokenizer", config, record)


def _train_decoder_alone(
    config: PriorTrainingConfig,
    initial: Path,
    prior: Path,
    out: Path,
    report: Progress,
) -> None:
    """The decoder of a finished prior: trained further and exported in its place."""
    with _fast_attention(config):
        shards, views, autoencoder = _encoded_views(config, out, report)
        checkpoints = out / "checkpoints"
        _train_decoder(config, autoencoder, views, shards, checkpoints, report)
    copy_prior(initial, prior)
    export_autoencoder(prior, autoencoder)
    update_record(prior, {"decoder": decoder_record(config, views)})


def _encoded_views(
    config: PriorTrainingConfig, out: Path, report: Progress
) -> tuple[list[Path], ViewDataset, AutoencoderKL]:
    """Shards of views with their latents, all the views, and the autoencoder."""
    shards = list(_generate_data(config, out, report))
    views = load_shards(shards)
    autoencoder = _trained_autoencoder(config, views, out, report)
    for index, shard in enumerate(shards):
        encode_shard(autoencoder, shard, mixed_precision=config.mixed_precision)
        report("latents", index + 1, len(shards), {})
    return shards, views, autoencoder


def _train_decoder(
    config: PriorTrainingConfig,
    autoencoder: AutoencoderKL,
    views: ViewDataset,
    shards: list[Path],
    checkpoints: Path,
    report: Progress,
) -> None:
    folder = checkpoints / "decoder"
    train_decoder(autoencoder, views, load_latents(shards), config, folder, report)


def _trained_shape_estimator(
    config: PriorTrainingConfig, out: Path, report: Progress
) -> ShapeEstimator:
    """The network that guesses a body."""
    initial = _initial_shape_estimator(config)
    settings, per_shard = config.shape_estimator, config.data.objects_per_shard
    count = num_shards(settings.num_objects, per_shard)
    shards = []
    paths = write_shape_shards(
        out / "bodies",
        count,
        objects_per_shard=per_shard,
        size=config.data.image_size,
    )
    for index, path in enumerate(paths):
        shards.append(load_shape_shard(path))
        report("bodies", index + 1, count, {})
    checkpoint = out / "checkpoints" / "shape_estimator"
    return train_shape_estimator(shards, config, checkpoint, report, initial=initial)


def _initial_shape_estimator(config: PriorTrainingConfig) -> ShapeEstimator | None:
    """What to start the estimator from instead of random weights."""
    if config.initial_prior is None:
        return None
    initial = initial_shape_estimator(initial_prior_folder(config.initial_prior))
    found, wanted = (
        dataclasses.asdict(shape) for shape in (initial.config, trained_shape(config))
    )
    differing = [
        f"{name} {found[name]} for {wanted[name]}"
        for name in wanted
        if found[name] != wanted[name]
    ]
    if differing:
        raise InputError(
            f"the shape estimator of `initial_prior` must have the configuration's "
            f"shape, got {', '.join(differing)}: set the fields of `shape_estimator` "
            f"to match"
        )
    return initial


def _generate_data(
    config: PriorTrainingConfig, out: Path, report: Progress
) -> Iterator[Path]:
    data = config.data
    count = num_shards(data.num_objects, data.objects_per_shard)
    shards = write_shards(
        out / "data",
        range(count),
        objects_per_shard=data.objects_per_shard,
        num_views=data.num_views,
        size=data.image_size,
    )
    for index, shard in enumerate(shards):
        report("data", index + 1, count, {})
        yield shard


def _trained_autoencoder(
    config: PriorTrainingConfig, views: ViewDataset, out: Path, report: Progress
) -> AutoencoderKL:
    """The finished autoencoder, loaded if it was trained before.

    It must not change once latents exist.
    """
    folder = out / "vae"
    if not (folder / "config.json").is_file():
        if config.initial_prior is not None:
            trained = initial_autoencoder(initial_prior_folder(config.initial_prior))
        else:
            checkpoints = out / "checkpoints" / "autoencoder"
            trained = train_autoencoder(views, config, checkpoints, report)
        trained.save_pretrained(folder)
    autoencoder = AutoencoderKL.from_pretrained(folder).to(training_device(config))
    return autoencoder.eval().requires_grad_(False)


def _trained_model(
    config: PriorTrainingConfig,
    views: ViewDataset,
    shards: list[Path],
    tokenizer: CLIPTokenizer,
    checkpoints: Path,
    report: Progress,
) -> PriorModel:
    """Encoders first, then everything; the result holds the averaged weights."""
    torch.manual_seed(config.seed)
    settings = config.denoiser
    model = PriorModel(config, tokenizer)
    tokenize = PromptTokenizer(
        tokenizer, settings.num_image_tokens, settings.max_text_length
    )
    if TrainingState.is_saved(checkpoints / "denoiser"):
        pass
    elif config.initial_prior is not None:
        initialise_model(model, tokenizer, initial_prior_folder(config.initial_prior))
    else:
        train_encoders(
            views,
            model.encoders,
            tokenize,
            config,
            checkpoints / "encoders",
            report,
        )
    state = train_denoiser(
        model,
        views,
        load_latents(shards),
        load_guides(shards),
        tokenize,
        config,
        checkpoints / "denoiser",
        report,
    )
    state.swap_average()
    return model.eval()


@contextlib.contextmanager
def _fast_attention(config: PriorTrainingConfig) -> Iterator[None]:
    """Plain attention on a CPU, where the backward pass of the fused one is slow."""
    if training_device(config).type != "cpu":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


def num_shards(num_objects: int, objects_per_shard: int) -> int:
    """How many shards hold the objects.

    Raises:
        InputError: If they do not fill them.
    """
    count, rest = divmod(num_objects, objects_per_shard)
    if rest or count < 1:
        raise InputError(
            f"`num_objects` must be a positive multiple of `objects_per_shard` "
            f"({objects_per_shard}), got {num_objects}"
        )
    return count


def _ignore(stage: str, step: int, total: int, measured: dict[str, float]) -> None:
    """The progress callback of those who want none."""
