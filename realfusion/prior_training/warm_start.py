"""Teaches the text and image encoders to predict views before any denoising."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from realfusion.prior_training.autoencoder import training_device
from realfusion.prior_training.condition_encoder import (
    ConditionEncoder,
    TokenPredictor,
    ViewPredictor,
    small_pictures,
)
from realfusion.prior_training.config import DenoiserConfig, PriorTrainingConfig
from realfusion.prior_training.dataset import ViewDataset
from realfusion.prior_training.prompt_batches import (
    PairBatch,
    PromptTokenizer,
    random_pairs,
)
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    Progress,
    TrainingState,
    finite_value,
)

_TARGETS_PER_REFERENCE = 2


class EncoderTrainer(nn.Module):
    """The encoders with the two heads that supervise them."""

    def __init__(self, config: DenoiserConfig, conditions: ConditionEncoder) -> None:
        super().__init__()
        self.conditions = conditions
        self.predictor = ViewPredictor(config.text_width)
        self.token_predictor = TokenPredictor(
            config.num_image_tokens * config.text_width
        )

    def auxiliary_loss(
        self,
        states: Float[Tensor, "targets length width"],
        tokens: Float[Tensor, "targets tokens width"],
        batch: PairBatch,
        targets: Float[Tensor, "targets 4 size size"],
    ) -> Float[Tensor, ""]:
        """Squared errors of the small pictures predicted from states and from tokens.

        Args:
            states: Text states of the prompts.
            tokens: Image tokens of the references.
            batch: The prompts; those that do not speak of the object do not count.
            targets: Premultiplied RGBA of the targets.
        """
        labels = batch.class_labels.to(states.device)
        pictures = small_pictures(targets)
        from_states = self.predictor(states, labels).float() - pictures
        from_tokens = self.token_predictor(tokens, labels).float() - pictures
        known = batch.has_identity.to(states.device)
        seen = known & batch.is_image_token.any(dim=1).to(states.device)
        total = torch.zeros((), device=states.device)
        for error, counts in ((from_states, known), (from_tokens, seen)):
            squared = error.square().mean((1, 2, 3))
            total = total + (squared * counts).sum() / counts.sum().clamp(min=1)
        return total


def target_images(
    views: ViewDataset, batch: PairBatch
) -> Float[Tensor, "targets 4 size size"]:
    """Premultiplied RGBA targets of a batch in [0, 1]."""
    objects = np.repeat(batch.object_index, batch.targets_per_reference)
    pixels = np.stack(
        [views.images[i, j] for i, j in zip(objects, batch.target_view, strict=True)]
    )
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def train_encoders(
    views: ViewDataset,
    model: EncoderTrainer,
    tokenize: PromptTokenizer,
    config: PriorTrainingConfig,
    folder: Path,
    progress: Progress,
) -> None:
    """Trains both encoders in place (or goes on) to predict small views.

    Args:
        views: Training views.
        model: The encoders and the head.
        tokenize: Prompts to ids.
        config: The whole configuration.
        folder: Where the checkpoints of this stage lie.
        progress: Receives the loss.
    """
    device = training_device(config)
    settings = config.denoiser
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, betas=(0.9, 0.98), weight_decay=1e-3
    )
    state = TrainingState(model, optimizer)
    state.load(folder)
    rng = np.random.default_rng([config.seed, 5, state.step])
    report = CheckpointedProgress(
        state,
        folder,
        checkpoint_seconds=config.checkpoint_seconds,
        progress=progress,
    )
    while state.step < settings.warmup_steps:
        share = state.step / settings.warmup_steps
        rate = 1e-3 * min(1, (state.step + 1) / 100) * min(1, 2 * (1 - share) + 0.05)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = random_pairs(
            views,
            tokenize,
            settings,
            rng,
            num_references=settings.warmup_batch_size,
            targets_per_reference=_TARGETS_PER_REFERENCE,
            condition_dropout=0.02,
        )
        targets = target_images(views, batch).to(device)
        with torch.autocast(device.type, torch.bfloat16, config.mixed_precision):
            states, tokens = model.conditions(
                batch.references.to(device),
                batch.input_ids.to(device),
                batch.is_image_token.to(device),
            )
            loss = model.auxiliary_loss(states, tokens, batch, targets)
        value = finite_value(loss, "the encoders", state.step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        report("encoders", settings.warmup_steps, {"loss": value})
    state.save(folder)
