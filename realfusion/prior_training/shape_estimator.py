"""Trains the network that guesses an object's body from one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

from realfusion.prior_training.autoencoder import training_device
from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.prior_training.shape_dataset import (
    ShapeBatch,
    generate_shape_shard,
    random_shape_batch,
    shape_batch,
)
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    Progress,
    TrainingState,
    finite_value,
)
from realfusion.priors.shape_estimator import (
    ShapeEstimator,
    ShapeEstimatorConfig,
)
from realfusion.procedural.bodies import ObjectBodies

_VISIBLE = 0.02  # alpha from which a pixel counts
_WHOLE = 0.9  # alpha from which its centre is surely covered


def trained_shape(config: PriorTrainingConfig) -> ShapeEstimatorConfig:
    """The shape of the network that a configuration trains."""
    return ShapeEstimatorConfig(
        widths=config.shape_estimator.widths,
        num_attentions=config.shape_estimator.num_attentions,
        image_size=config.data.image_size,
    )


def train_shape_estimator(
    shards: Sequence[ObjectBodies],
    config: PriorTrainingConfig,
    folder: Path,
    progress: Progress,
    *,
    initial: ShapeEstimator | None = None,
) -> ShapeEstimator:
    """Trains (or goes on training) the estimator; returns it averaged.

    Args:
        shards: Training examples.
        config: The whole configuration.
        folder: Where its checkpoints lie.
        progress: Receives the losses.
        initial: What to start from instead of random weights, of the same shape.

    Returns:
        The estimator in evaluation mode.
    """
    device, settings = training_device(config), config.shape_estimator
    torch.manual_seed(config.seed)
    model = ShapeEstimator(trained_shape(config))
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if initial is not None:
        model.load_state_dict(initial.state_dict())
    rate = settings.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    state = TrainingState(model, optimizer)
    state.load(folder)
    generator = torch.Generator().manual_seed(config.seed * 1000 + state.step)
    report = CheckpointedProgress(
        state, folder, checkpoint_seconds=config.checkpoint_seconds, progress=progress
    )
    while state.step < settings.steps:
        for group in optimizer.param_groups:
            group["lr"] = rate * _rate_factor(state.step, settings.steps)
        batch = random_shape_batch(list(shards), settings.batch_size, generator)
        batch = augment(batch, generator).to(device)
        losses = shape_losses(model, batch, mixed_precision=config.mixed_precision)
        total = losses.occupancy + settings.colour_weight * losses.colour
        finite_value(total, "the shape estimator", state.step)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        state.update_average(settings.ema_decay)
        measured = {
            "occupancy": losses.occupancy.item(),
            "colour": losses.colour.item(),
        }
        report("shape estimator", settings.steps, measured)
    state.save(folder)
    state.swap_average()
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class ShapeLosses:
    """What the estimator is trained on."""

    occupancy: Float[Tensor, ""]
    """Cross-entropy of the planes behind the object's pixels."""
    colour: Float[Tensor, ""]
    """Mean absolute error of the colour seen from behind."""


def shape_losses(
    model: ShapeEstimator, batch: ShapeBatch, *, mixed_precision: bool
) -> ShapeLosses:
    """The losses where a batch shows an object.

    Only the cells of 2 x 2 pixels that show something pass through the network's head.

    Args:
        model: The estimator.
        batch: Examples.
        mixed_precision: Forward pass in bfloat16.
    """
    device = batch.images.device.type
    alpha = _cells(batch.images[:, 3:].permute(0, 2, 3, 1))[..., 0]
    chosen = (alpha > _VISIBLE).any(dim=-1)
    with torch.autocast(device, torch.bfloat16, mixed_precision):
        images = batch.images.contiguous(memory_format=torch.channels_last)
        features = model.features(images, batch.elevation_deg)
        read = features.permute(0, 2, 3, 1)[chosen]
        columns = functional.linear(
            read, model.head.weight[:, :, 0, 0], model.head.bias
        )
    columns = columns.float().unflatten(1, (-1, 4)).transpose(1, 2)
    alpha = alpha[chosen]
    occupancy = _cells(batch.occupancy)[chosen].float()
    back = _cells(batch.back_colours.permute(0, 2, 3, 1))[chosen]
    # An open surface shows a colour and encloses nothing: it teaches no shape.
    is_open = (alpha > _WHOLE) & (occupancy.amax(dim=-1) == 0)
    error = functional.binary_cross_entropy_with_logits(
        columns[..., :-3], occupancy, reduction="none"
    ).mean(dim=-1)
    difference = (columns[..., -3:].sigmoid() - back).abs().mean(dim=-1)
    return ShapeLosses(
        occupancy=_mean_where(error, (alpha > _VISIBLE) & ~is_open),
        colour=_mean_where(difference, alpha > _WHOLE),
    )


def augment(batch: ShapeBatch, generator: torch.Generator) -> ShapeBatch:
    """Makes photos of renderings, more or less, and varies the elevation.

    Exposure, contrast and saturation are the camera's: both sides of the object have
    the same. Uneven light, blur, noise and a mask that is cut too close are the image's
    alone.
    """
    count, _, size, _ = batch.images.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    gain = (0.06 * normal(3, 1, 1) + 0.12 * normal(1, 1, 1)).exp()
    contrast = (0.15 * normal(1, 1, 1)).exp()
    saturation = (0.15 * normal(1, 1, 1)).exp()

    def exposed(colours: Tensor) -> Tensor:
        toned = colours.clamp(1e-4, 1) ** contrast * gain
        return toned.mean(dim=1, keepdim=True).lerp(toned, saturation).clamp(0, 1)

    colours, alpha = batch.images[:, :3], batch.images[:, 3:]
    straight = exposed(colours / alpha.clamp(min=1e-3))
    across = torch.linspace(-1.0, 1.0, size)
    falloff = normal(1, 1, 1) * across + normal(1, 1, 1) * across[:, None]
    straight = straight * (0.1 * falloff).exp()
    blurred = functional.avg_pool2d(straight * alpha, 3, 1, 1) / functional.avg_pool2d(
        alpha, 3, 1, 1
    ).clamp(min=1e-3)
    is_blurred = (uniform(1, 1, 1) < 0.4).float()
    straight = straight.lerp(blurred, is_blurred * uniform(1, 1, 1))
    straight = straight + 0.03 * uniform(1, 1, 1) * normal(*straight.shape[1:])
    cut = 0.5 * uniform(1, 1, 1) * (uniform(1, 1, 1) < 0.3).float()
    alpha = ((alpha - cut) / (1 - cut)).clamp(0, 1)
    seen_behind = (batch.back_colours > 0).any(dim=1, keepdim=True)
    return ShapeBatch(
        images=torch.cat([straight.clamp(0, 1) * alpha, alpha], dim=1),
        back_colours=exposed(batch.back_colours) * seen_behind,
        occupancy=batch.occupancy,
        elevation_deg=batch.elevation_deg + 4.0 * normal(),
    )


@torch.no_grad()
def shape_iou(
    model: ShapeEstimator, *, split: str, num_objects: int, batch_size: int = 32
) -> float:
    """Mean intersection over union of guessed and true columns on held-out objects.

    Args:
        model: The estimator.
        split: As :func:`realfusion.procedural.objects.generate_object` takes it.
        num_objects: Objects, two views each.
        batch_size: Views at once.

    Returns:
        The mean over the views, each over all planes behind its object's pixels.
    """
    bodies = generate_shape_shard(
        0, num_objects, split=split, size=model.config.image_size
    )
    device = next(model.parameters()).device
    scores = []
    for start in range(0, len(bodies.elevation_deg), batch_size):
        batch = shape_batch(bodies, slice(start, start + batch_size)).to(device)
        guess = model(batch.images, batch.elevation_deg).logits.permute(0, 2, 3, 1) > 0
        truth = batch.occupancy > 0
        visible = batch.images[:, 3, ..., None] > _VISIBLE
        both = (guess & truth & visible).sum(dim=(1, 2, 3))
        either = ((guess | truth) & visible).sum(dim=(1, 2, 3))
        scores.append(both / either.clamp(min=1))
    return float(torch.cat(scores).mean())


def _rate_factor(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to 3 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / 200) * (0.97 * cosine + 0.03)


def _cells(
    values: Shaped[Tensor, "batch size size channels"],
) -> Shaped[Tensor, "batch half half 4 channels"]:
    """Squares of 2 x 2 pixels, row by row, as the network's head writes them."""
    batch, size, _, channels = values.shape
    split = values.reshape(batch, size // 2, 2, size // 2, 2, channels)
    return split.transpose(2, 3).reshape(batch, size // 2, size // 2, 4, channels)


def _mean_where(
    values: Float[Tensor, "cells 4"], chosen: Bool[Tensor, "cells 4"]
) -> Float[Tensor, ""]:
    weights = chosen.float()
    return (values * weights).sum() / weights.sum().clamp(min=1)
