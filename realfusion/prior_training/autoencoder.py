"""Trains the KL autoencoder of the embedded prior and whitens its latents."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from jaxtyping import Float, UInt8
from torch import Tensor

from realfusion.prior_training.config import AutoencoderConfig, PriorTrainingConfig
from realfusion.prior_training.dataset import ViewDataset
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    Progress,
    TrainingState,
    finite_value,
)


def build_autoencoder(config: AutoencoderConfig, image_size: int) -> AutoencoderKL:
    """A KL autoencoder of the usual Stable Diffusion form, with random weights."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        block_out_channels=config.block_channels,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=image_size,
        scaling_factor=1.0,
    )


def composite_premultiplied(
    images: UInt8[Tensor, "batch height width 4"],
    background: Float[Tensor, "batch 3"] | float = 1.0,
) -> Float[Tensor, "batch 3 height width"]:
    """Premultiplied byte images over a colour, scaled to [-1, 1]."""
    rgba = images.permute(0, 3, 1, 2).float() / 255
    if isinstance(background, Tensor):
        background = background[:, :, None, None]
    return (rgba[:, :3] + (1 - rgba[:, 3:]) * background) * 2 - 1


def reconstruction_loss(
    reconstructed: Float[Tensor, "batch 3 height width"],
    images: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, ""]:
    """Absolute, squared and gradient error."""
    error = reconstructed - images
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * (across + down)


def train_autoencoder(
    views: ViewDataset,
    config: PriorTrainingConfig,
    folder: Path,
    progress: Progress,
) -> AutoencoderKL:
    """Trains (or goes on training) the autoencoder; returns it averaged and whitened.

    Args:
        views: Training images.
        config: The whole configuration.
        folder: Where its checkpoints lie.
        progress: Receives the loss and PSNR.

    Returns:
        The autoencoder in evaluation mode, latents of zero mean and unit variance.
    """
    device = training_device(config)
    settings = config.autoencoder
    torch.manual_seed(config.seed)
    model = build_autoencoder(settings, config.data.image_size).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4
    )
    state = TrainingState(model, optimizer)
    state.load(folder)
    generator = torch.Generator().manual_seed(config.seed * 1000 + state.step)
    report = CheckpointedProgress(
        state,
        folder,
        checkpoint_seconds=config.checkpoint_seconds,
        progress=progress,
    )
    while state.step < settings.steps:
        share = state.step / settings.steps
        rate = settings.learning_rate * min(1, (state.step + 1) / 50) * (1 - share)
        for group in optimizer.param_groups:
            group["lr"] = rate + 1e-5
        images = _random_batch(views, settings, share, generator).to(device)
        with torch.autocast(device.type, torch.bfloat16, config.mixed_precision):
            posterior = model.encode(images).latent_dist
            mean, log_variance = posterior.mean.float(), posterior.logvar.float()
            noise = torch.randn_like(mean) * (0.5 * log_variance).exp()
            reconstructed = model.decode(mean + noise).sample.float()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        loss = reconstruction_loss(reconstructed, images)
        total = loss + settings.kl_weight * divergence
        finite_value(total, "the autoencoder", state.step)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        state.update_average(0.995)
        squared = (reconstructed - images).square().mean().item()
        measured = {"loss": loss.item(), "psnr_db": 10 * math.log10(4 / squared)}
        report("autoencoder", settings.steps, measured)
    state.save(folder)
    state.swap_average()
    model.eval().requires_grad_(False)
    whiten_latents(model, _sample_images(views, 512, generator).to(device))
    return model


def training_device(config: PriorTrainingConfig) -> torch.device:
    """The device that a configuration asks for."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def _sample_images(
    views: ViewDataset, count: int, generator: torch.Generator
) -> Float[Tensor, "count 3 height width"]:
    """Random views on white."""
    flat = views.images.reshape(-1, *views.images.shape[2:])
    chosen = torch.randint(0, len(flat), (count,), generator=generator).sort().values
    return composite_premultiplied(torch.from_numpy(flat[chosen.numpy()]))


def _random_batch(
    views: ViewDataset,
    settings: AutoencoderConfig,
    share: float,
    generator: torch.Generator,
) -> Float[Tensor, "batch 3 height width"]:
    """A training batch at progress ``share``: crops first, whole images last."""
    is_cropped = share < settings.crop_share
    batch = settings.batch_size if is_cropped else settings.full_batch_size
    flat = views.images.reshape(-1, *views.images.shape[2:])
    chosen = torch.randint(0, len(flat), (batch,), generator=generator).sort().values
    pixels = torch.from_numpy(flat[chosen.numpy()])
    background = torch.ones(batch, 3)
    is_colored = torch.rand(batch, generator=generator)
    is_colored = is_colored < settings.colored_background_share
    random_colors = torch.rand(batch, 3, generator=generator)
    background[is_colored] = random_colors[is_colored]
    images = composite_premultiplied(pixels, background)
    if is_cropped:
        size = images.shape[-1] // 2
        top, left = torch.randint(
            size // 8, size - size // 8 + 1, (2,), generator=generator
        ).tolist()
        images = images[..., top : top + size, left : left + size]
    if torch.rand((), generator=generator) < 0.5:
        images = images.flip(-1)
    return images


@torch.no_grad()
def whiten_latents(
    model: AutoencoderKL, images: Float[Tensor, "batch 3 height width"]
) -> None:
    """Makes each latent channel of zero mean and unit variance over ``images``.

    The affine change is folded exactly into the two 1x1 convolutions around the latent
    space, so that reconstructions do not change and the scaling factor is 1.
    """
    batches = images.split(64)
    latents = torch.cat([model.encode(part).latent_dist.mean for part in batches])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, out = model.quant_conv, model.post_quant_conv
    into.weight[:4] /= deviation[:, None, None, None]
    into.bias[:4] = (into.bias[:4] - mean) / deviation
    into.bias[4:] -= 2 * deviation.log()
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation[None, :, None, None]


@torch.no_grad()
def reconstruction_psnr_db(
    model: AutoencoderKL, images: Float[Tensor, "batch 3 height width"]
) -> float:
    """Mean PSNR of encoding and decoding images in [-1, 1]."""
    scores = []
    for part in images.split(64):
        decoded = model.decode(model.encode(part).latent_dist.mean).sample.clamp(-1, 1)
        error = (decoded.float() - part).square().mean((1, 2, 3)) / 4
        scores.append(-10 * error.log10())
    return float(torch.cat(scores).mean())
