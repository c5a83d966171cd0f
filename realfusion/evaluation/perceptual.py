"""How alike pictures are to networks that have seen many: CLIP similarity and LPIPS.

Both need weights that are not part of the package. They are measured where these lie on
the machine already, and nothing is downloaded for them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.errors import InputError
from realfusion.io.images import composite_on
from realfusion.priors.clip import CLIP_ALIASES, ClipEncoder, cached_clip, load_clip

_BATCH = 8
_SMALLEST = 64
"""Pixels of a side below which AlexNet's last layers see next to nothing."""

Similarity = Callable[[Tensor, Tensor], Tensor]
"""Two batches of pictures in [0, 1] to one number a pair."""


@dataclass(frozen=True)
class PerceptualMetrics:
    """One number a view, of pictures on white; None for what cannot be measured here.

    Attributes:
        clip_similarity: Cosine of CLIP's features of the rendered and the true view.
        lpips: Distance of AlexNet's features (Zhang et al. 2018).
        clip_model: Which CLIP.
        left_out: What is None, why, and what to do about it, a line each.
    """

    clip_similarity: tuple[float, ...] | None = None
    lpips: tuple[float, ...] | None = None
    clip_model: str | None = None
    left_out: tuple[str, ...] = ()

    def summary(self) -> dict[str, float]:
        """Means over the views of what was measured."""
        known = {"clip_similarity": self.clip_similarity, "lpips": self.lpips}
        return {
            name: float(np.mean(values))
            for name, values in known.items()
            if values is not None
        }


def measure_perceptual(
    rendered: Float[np.ndarray, "num_views height width 4"],
    truth: Float[np.ndarray, "num_views height width 4"],
    *,
    device: str | torch.device = "cpu",
) -> PerceptualMetrics:
    """Compare rendered views with true ones by the networks that are at hand.

    Args:
        rendered: Straight-alpha RGBA in [0, 1], from the truth's cameras.
        truth: The same views of the true object.
        device: Where to compute.

    Returns:
        What could be measured, and why the rest could not.
    """
    left_out: list[str] = []
    pictures = [_batch_of(views, device) for views in (rendered, truth)]
    encoder = _or_note(lambda: _cached_encoder(device), left_out)
    similarity = None
    if encoder is not None:
        similarity = _in_batches(_clip_cosine(encoder), *pictures)
    distance = _or_note(lambda: _lpips(truth.shape[1], device), left_out)
    return PerceptualMetrics(
        clip_similarity=similarity,
        lpips=None if distance is None else _in_batches(distance, *pictures),
        clip_model=None if encoder is None else encoder.name,
        left_out=tuple(left_out),
    )


def _batch_of(views: np.ndarray, device: str | torch.device) -> Tensor:
    pictures = composite_on(views).astype(np.float32).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device)


@torch.no_grad()
def _in_batches(
    compare: Similarity, rendered: Tensor, truth: Tensor
) -> tuple[float, ...]:
    pairs = zip(rendered.split(_BATCH), truth.split(_BATCH), strict=True)
    return tuple(torch.cat([compare(a, b) for a, b in pairs]).tolist())


def _or_note(load: Callable[[], Any], left_out: list[str]) -> Any:
    """What `load` returns, or None and its error among the notes."""
    try:
        return load()
    except InputError as error:
        left_out.append(str(error))
        return None


def _cached_encoder(device: str | torch.device) -> ClipEncoder:
    source = cached_clip()
    if source is None:
        repository = next(iter(CLIP_ALIASES.values()))
        raise InputError(
            f"CLIP similarity is left out: no CLIP is in the local cache (`hf download "
            f"{repository}`)"
        )
    try:
        return load_clip(source, device=device, offline=True)
    except InputError as error:
        raise InputError(f"CLIP similarity is left out: {error}") from error


def _clip_cosine(encoder: ClipEncoder) -> Similarity:
    def compare(rendered: Tensor, truth: Tensor) -> Tensor:
        features = encoder.image_features(rendered), encoder.image_features(truth)
        return (features[0] * features[1]).sum(dim=1)

    return compare


def _lpips(size: int, device: str | torch.device) -> Similarity:
    """The network of the `lpips` package with the weights in torch's own cache."""
    if size < _SMALLEST:
        raise InputError(
            f"LPIPS is left out: the views are smaller than {_SMALLEST} pixels"
        )
    if importlib.util.find_spec("lpips") is None:
        raise InputError("LPIPS is left out: `pip install lpips` to have it")
    checkpoints = Path(torch.hub.get_dir()) / "checkpoints"
    # torchvision would download them, and nobody asked for that.
    if not any(checkpoints.glob("alexnet-owt-*.pth")):
        raise InputError(
            "LPIPS is left out: torchvision has not fetched AlexNet's weights yet "
            "(`python -c \"import lpips; lpips.LPIPS(net='alex')\"`)"
        )
    try:
        # It prints, and torchvision warns of arguments that lpips still uses.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            import lpips

            network = lpips.LPIPS(net="alex").to(device)
    except Exception as error:
        # Two packages and their binaries: nearly anything can go wrong.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"LPIPS is left out: lpips cannot be loaded ({type(error).__name__}: "
            f"{reason})"
        ) from error
    return lambda rendered, truth: network(rendered, truth, normalize=True).flatten()
