"""Latents of rendered views, computed once and kept beside their shard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from realfusion.prior_training.autoencoder import composite_premultiplied

LATENTS_FILE = "latents.npy"


@torch.no_grad()
def encode_views(
    autoencoder: AutoencoderKL,
    images: NDArray[np.uint8],
    *,
    mixed_precision: bool,
    batch_size: int = 64,
) -> NDArray[np.float16]:
    """Posterior means of views on white.

    Args:
        autoencoder: The trained autoencoder.
        images: ``[num_objects, num_views, size, size, 4]``, premultiplied.
        mixed_precision: Encode in bfloat16.
        batch_size: Images at a time.

    Returns:
        ``[num_objects, num_views, 4, size / 4, size / 4]``.
    """
    device = next(autoencoder.parameters()).device
    flat = images.reshape(-1, *images.shape[2:])
    parts = []
    for start in range(0, len(flat), batch_size):
        pixels = torch.from_numpy(np.array(flat[start : start + batch_size]))
        with torch.autocast(device.type, torch.bfloat16, mixed_precision):
            posterior = autoencoder.encode(
                composite_premultiplied(pixels.to(device))
            ).latent_dist
        parts.append(posterior.mean.half().cpu().numpy())
    latents = np.concatenate(parts)
    return latents.reshape(*images.shape[:2], *latents.shape[1:])


def encode_shard(
    autoencoder: AutoencoderKL, shard: Path, *, mixed_precision: bool
) -> None:
    """Writes a shard's latents unless they are there."""
    target = shard / LATENTS_FILE
    if target.is_file():
        return
    images = np.load(shard / "images.npy", mmap_mode="r")
    latents = encode_views(autoencoder, images, mixed_precision=mixed_precision)
    scratch = shard / "latents.partial.npy"
    np.save(scratch, latents)
    scratch.rename(target)


def load_latents(shards: list[Path]) -> NDArray[np.float16]:
    """Latents of several shards, in order."""
    return np.concatenate([np.load(shard / LATENTS_FILE) for shard in shards])
