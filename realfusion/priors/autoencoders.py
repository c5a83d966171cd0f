"""Another autoencoder than the prior's own: `--vae`, a tiny one above all.

A tiny autoencoder (TAESD) speaks the same latents as Stable Diffusion's and takes a
small part of the time and memory of its backward pass.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from realfusion.errors import InputError
from realfusion.priors.hub import fetch_snapshot
from realfusion.priors.model_files import is_hub_id
from realfusion.priors.quiet import quiet_model_libraries

TINY_AUTOENCODER = "madebyollin/taesd"
"""What `--vae tiny` stands for: TAESD for the latents of Stable Diffusion 1 and 2."""
_CLASSES = ("AutoencoderTiny", "AutoencoderKL")
_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


def load_autoencoder(source: str, *, dtype: torch.dtype, offline: bool = False) -> Any:
    """Load an autoencoder by itself.

    Args:
        source: "tiny", a folder with `config.json` and the weights, or a Hub id.
        dtype: Its precision.
        offline: Never touch the network.

    Returns:
        An `AutoencoderTiny` or `AutoencoderKL` on the CPU, frozen.

    Raises:
        InputError: If it is missing, damaged or of another kind.
    """
    import diffusers

    folder = _locate(source, offline=offline)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"--vae {source} must be an autoencoder in diffusers' layout; missing: "
            f"{', '.join(missing)}"
        )
    try:
        kind = json.loads((folder / _FILES[0]).read_text("utf-8")).get("_class_name")
        if kind not in _CLASSES:
            raise InputError(
                f"--vae {source} must be one of {', '.join(_CLASSES)}, got {kind}"
            )
        with quiet_model_libraries():
            model, loaded = getattr(diffusers, kind).from_pretrained(
                str(folder),
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"--vae {source} cannot be loaded ({type(error).__name__}: {reason})"
        ) from error
    if loaded["missing_keys"]:
        raise InputError(f"--vae {source} lacks weights: fetch it again")
    return model.to(dtype).eval().requires_grad_(False)


def check_autoencoder(vae: Any, own: Any, source: str) -> None:
    """Raise an InputError unless `vae` speaks the latents of the prior's own."""
    for what, theirs, ours in (
        ("latent channels", vae.config.latent_channels, own.config.latent_channels),
        ("levels", _num_levels(vae), _num_levels(own)),
    ):
        if theirs != ours:
            raise InputError(
                f"--vae {source} must have the prior's {ours} {what}, got {theirs}"
            )


def _num_levels(vae: Any) -> int:
    return len(vae.config.block_out_channels)


def _locate(source: str, *, offline: bool) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    repository = TINY_AUTOENCODER if source == "tiny" else source
    if not is_hub_id(repository):
        raise InputError(
            f"--vae must be own, tiny, a folder in diffusers' layout or a Hub id, got "
            f"{source!r}"
        )
    return fetch_snapshot(
        repository,
        _FILES,
        revision=None,
        offline=offline,
        where=f"the autoencoder {repository}",
    )
