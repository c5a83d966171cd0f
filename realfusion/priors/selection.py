"""Which prior to take, and why. Importing this module is light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realfusion.errors import InputError
from realfusion.priors.memory import HIGH, MemoryPlan
from realfusion.priors.model_files import (
    BUNDLED_FOLDER,
    HUB_ALIASES,
    cached_model,
    cached_models,
    files_in,
    locate_model,
    missing_parts,
    resolve_alias,
)

if TYPE_CHECKING:
    import torch

    from realfusion.priors.components import PrecisionName
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

STABLE_DIFFUSION = HUB_ALIASES["sd"]
"""What `auto` takes on a CUDA machine."""


@dataclass(frozen=True)
class ResolvedPrior:
    """A diffusion prior, and why it was taken in one line."""

    prior: StableDiffusionPrior
    reason: str


@dataclass(frozen=True)
class AvailablePrior:
    """A prior that can be used on this machine without a download."""

    name: str
    folder: Path
    megabytes: float


def resolve_prior(
    spec: str | Path,
    *,
    device: str | torch.device,
    dtype: PrecisionName = "auto",
    revision: str | None = None,
    offline: bool = False,
    max_batch: int | None = None,
    memory: MemoryPlan = HIGH,
    vae: str = "own",
) -> ResolvedPrior:
    """Load the diffusion prior that the user asked for.

    `auto` takes Stable Diffusion on a CUDA device when it is cached or can be
    downloaded, and the bundled prior otherwise.

    Args:
        spec: "auto", "bundled", a folder in diffusers' layout, a Hub id, or
            an alias.
        device: Where it computes.
        dtype: Its precision, see `choose_precision`.
        revision: Branch, tag or commit on the Hub.
        offline: Never touch the network.
        max_batch: Largest batch its denoiser gets at once.
        memory: What is spared.
        vae: Its autoencoder: "own", "tiny", a folder or a Hub id.

    Returns:
        The prior and the reason.

    Raises:
        InputError: If it is unknown, missing or of another kind.
    """
    name, reason = str(spec), f"prior {resolve_alias(str(spec))}: asked for"
    if name == "auto":
        name, reason = _choose(device, revision=revision, offline=offline)
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

    prior = StableDiffusionPrior.from_pretrained(
        name,
        device=device,
        dtype=dtype,
        revision=None if name == "bundled" else revision,
        offline=offline,
        max_batch=max_batch,
        memory=memory,
        vae=vae,
    )
    return ResolvedPrior(prior, reason)


def available_priors() -> list[AvailablePrior]:
    """The bundled prior and the Hub's cached ones, as far as they are complete."""
    found = []
    if BUNDLED_FOLDER.is_dir() and not missing_parts(files_in(BUNDLED_FOLDER)):
        found.append(_available("bundled", BUNDLED_FOLDER))
    for name in cached_models():
        folder = cached_model(name)
        if folder is not None:
            found.append(_available(name, folder))
    return found


def _choose(
    device: str | torch.device, *, revision: str | None, offline: bool
) -> tuple[str, str]:
    if not str(device).startswith("cuda"):
        return "bundled", (
            f"prior bundled: computing on {device}, where Stable Diffusion is very slow"
        )
    if cached_model(STABLE_DIFFUSION, revision) is not None:
        return STABLE_DIFFUSION, (
            f"prior {STABLE_DIFFUSION}: CUDA device, and it is in the cache"
        )
    try:
        locate_model(
            STABLE_DIFFUSION, revision=revision, offline=offline, prefer_half=True
        )
    except InputError as error:
        return "bundled", f"prior bundled: {error}"
    return STABLE_DIFFUSION, f"prior {STABLE_DIFFUSION}: CUDA device; downloaded"


def _available(name: str, folder: Path) -> AvailablePrior:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return AvailablePrior(name, folder, size / 1e6)
