"""The denoiser's guides: the body guessed from each object's reference view, all round.

See :mod:`realfusion.priors.view_guide`. Computed once and kept beside the shard.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.prior_training.dataset import ViewDataset, load_shards
from realfusion.priors.estimated_body import EstimatedBody
from realfusion.priors.shape_estimator import ShapeEstimator
from realfusion.priors.view_guide import GUIDE_PIXELS, BodyPictures, guide_latents
from realfusion.procedural.views import REFERENCE_VIEW

GUIDES_FILE = "guides.npy"
_ENCODED_AT_ONCE = 64


def body_pictures(
    views: ViewDataset,
    index: int,
    estimator: ShapeEstimator,
) -> Float[Tensor, "num_views 4 height width"]:
    """The body guessed from an object's reference view, seen from all its cameras.

    The elevations are the true ones. A photo's is known less well, but an error of it
    tilts the guess and all that is painted from it alike.

    Args:
        views: The objects.
        index: Which object.
        estimator: Guesses the body.
    """
    device = next(estimator.parameters()).device
    cameras = views.cameras[index]
    ahead_deg = float(cameras[REFERENCE_VIEW, 0])
    placed = [_camera(values, ahead_deg=ahead_deg) for values in cameras]
    photo = torch.from_numpy(np.array(views.images[index, REFERENCE_VIEW]))
    photo = photo.permute(2, 0, 1).to(device).float() / 255
    body = EstimatedBody(photo, placed[REFERENCE_VIEW], estimator)
    pictures = BodyPictures(body, device)
    return torch.stack([pictures.seen_from(each, GUIDE_PIXELS) for each in placed])


@torch.no_grad()
def guide_views(
    autoencoder: AutoencoderKL,
    estimator: ShapeEstimator,
    views: ViewDataset,
    *,
    mixed_precision: bool,
) -> NDArray[np.float16]:
    """Guides of all views.

    Args:
        autoencoder: The trained autoencoder.
        estimator: The trained shape estimator.
        views: The objects; their reference views are what the bodies are guessed from.
        mixed_precision: Encode in bfloat16.

    Returns:
        ``[num_objects, num_views, 5, size / 4, size / 4]``.
    """
    device = next(autoencoder.parameters()).device
    size = views.images.shape[2]

    def encode(images: Tensor) -> Tensor:
        pixels = (2.0 * images - 1.0).to(device)
        with torch.autocast(device.type, torch.bfloat16, mixed_precision):
            parts = pixels.split(_ENCODED_AT_ONCE)
            means = [autoencoder.encode(part).latent_dist.mean for part in parts]
        return torch.cat(means).float()

    guides = []
    for index in range(views.num_objects):
        pictures = body_pictures(views, index, estimator)
        guides.append(guide_latents(pictures, encode, size).half().cpu().numpy())
    return np.stack(guides)


def write_guides(
    autoencoder: AutoencoderKL,
    estimator: ShapeEstimator,
    shard: Path,
    *,
    mixed_precision: bool,
) -> None:
    """Writes a shard's guides unless they are there."""
    target = shard / GUIDES_FILE
    if target.is_file():
        return
    guides = guide_views(
        autoencoder,
        estimator,
        load_shards([shard]),
        mixed_precision=mixed_precision,
    )
    scratch = shard / "guides.partial.npy"
    np.save(scratch, guides)
    scratch.rename(target)


def load_guides(shards: list[Path]) -> NDArray[np.float16]:
    """Guides of several shards, in order."""
    return np.concatenate([np.load(shard / GUIDES_FILE) for shard in shards])


def _camera(values: NDArray[np.float32], *, ahead_deg: float) -> Camera:
    """A camera of the data, azimuths counted from `ahead_deg` on."""
    azimuth, elevation, radius, fov = (float(value) for value in values)
    return Camera(
        azimuth_deg=azimuth - ahead_deg,
        elevation_deg=elevation,
        radius=radius,
        fov_y_deg=fov,
    )
