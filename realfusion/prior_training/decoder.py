"""Trains the autoencoder's decoder alone, on latents that do not change any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from realfusion.prior_training.autoencoder import (
    composite_premultiplied,
    training_device,
)
from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.prior_training.dataset import ViewDataset
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    Progress,
    TrainingState,
    finite_value,
)

_SMALLEST_ERROR = 1e-4
"""Squared error, of colours in [-1, 1], below which an image is not pressed further."""
_DB_PER_NEPER = 10 / np.log(10)


def decoding_loss(
    decoded: Float[Tensor, "batch 3 height width"],
    images: Float[Tensor, "batch 3 height width"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Half the mean logarithm of the squared errors, plus half the error of gradients.

    The logarithm is what PSNR measures: an image that is decoded well already counts
    as much as a difficult one.

    Returns:
        The loss, and the mean PSNR in dB.
    """
    error = decoded - images
    squared = error.square().mean((1, 2, 3))
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    loss = 0.5 * (squared + _SMALLEST_ERROR).log().mean() + 0.5 * (across + down)
    return loss, -_DB_PER_NEPER * (squared.detach() / 4).log().mean()


def train_decoder(
    autoencoder: AutoencoderKL,
    views: ViewDataset,
    latents: NDArray[np.float16],
    config: PriorTrainingConfig,
    folder: Path,
    progress: Progress,
) -> None:
    """Trains (or goes on training) the decoder in place; ends with its average.

    The encoder stays as it is, and so do all latents: a denoiser that was trained on
    them need not learn anything anew.

    Args:
        autoencoder: Finished, its latents whitened.
        views: Training views.
        latents: Theirs, ``[num_objects, num_views, 4, height, width]``.
        config: The whole configuration.
        folder: Where the checkpoints of this stage lie.
        progress: Receives the loss and PSNR.
    """
    device, settings = training_device(config), config.autoencoder
    decoder = torch.nn.ModuleList([autoencoder.post_quant_conv, autoencoder.decoder])
    decoder.to(device).requires_grad_(True).train()
    optimizer = torch.optim.AdamW(
        decoder.parameters(),
        settings.decoder_learning_rate,
        betas=(0.9, 0.98),
        weight_decay=1e-4,
    )
    state = TrainingState(decoder, optimizer)
    state.load(folder)
    generator = torch.Generator().manual_seed(config.seed * 1000 + 500 + state.step)
    report = CheckpointedProgress(
        state,
        folder,
        checkpoint_seconds=config.checkpoint_seconds,
        progress=progress,
    )
    images = views.images.reshape(-1, *views.images.shape[2:])
    codes = latents.reshape(-1, *latents.shape[2:])
    batch = settings.full_batch_size
    while state.step < settings.decoder_steps:
        share = state.step / settings.decoder_steps
        rate = settings.decoder_learning_rate * min(1, (state.step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - share) + 1e-5
        chosen = torch.randint(0, len(images), (batch,), generator=generator).numpy()
        pixels = torch.from_numpy(images[chosen])
        code = torch.from_numpy(codes[chosen]).float().to(device)
        with torch.autocast(device.type, torch.bfloat16, config.mixed_precision):
            decoded = autoencoder.decode(code).sample.float()
        loss, psnr_db = decoding_loss(
            decoded, composite_premultiplied(pixels.to(device))
        )
        value = finite_value(loss, "the decoder", state.step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        state.update_average(0.998)
        measured = {"loss": value, "psnr_db": psnr_db.item()}
        report("decoder", settings.decoder_steps, measured)
    state.save(folder)
    state.swap_average()
    autoencoder.eval().requires_grad_(False)
