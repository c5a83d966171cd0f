"""Everything a prior may be loaded from: folders, single files, the Hub, bundled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from realfusion.priors.autoencoders import check_autoencoder, load_autoencoder
from realfusion.priors.components import (
    Components,
    PrecisionName,
    choose_precision,
    load_components,
)
from realfusion.priors.model_files import locate_model
from realfusion.priors.single_file import load_single_file


def load_source(
    source: str | Path,
    *,
    device: torch.device,
    dtype: PrecisionName,
    revision: str | None,
    offline: bool,
    vae: str,
) -> Components:
    """Load the components of a prior; see `StableDiffusionPrior.from_pretrained`.

    Args:
        source: A folder, a single file, "bundled", a Hub id or an alias.
        device: Where they go.
        dtype: The denoiser's precision.
        revision: Branch, tag or commit on the Hub.
        offline: Never touch the network.
        vae: "own", or where another autoencoder comes from.

    Returns:
        The components, frozen.

    Raises:
        InputError: If the model is missing or of another kind, with the remedy.
    """
    precision = choose_precision(device, dtype)
    path = Path(source).expanduser()
    if path.is_file():
        components = load_single_file(
            path, device=device, precision=precision, offline=offline
        )
    else:
        folder = locate_model(
            source,
            revision=revision,
            offline=offline,
            prefer_half=device.type == "cuda",
        )
        components = load_components(folder, device=device, precision=precision)
    if vae != "own":
        other = load_autoencoder(vae, dtype=precision.vae, offline=offline)
        check_autoencoder(other, components.vae, vae)
        components = replace(components, vae=other.to(device))
    return components
