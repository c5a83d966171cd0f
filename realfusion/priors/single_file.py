"""Checkpoints in a single .safetensors file, as the first releases and most of the
fine-tuned models have it.

Such a file holds the weights alone. Settings and tokenizer come from a folder of the
same name beside it, or from the Hub's repository of the same architecture: a few files
of together some megabytes, cached like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from realfusion.errors import InputError
from realfusion.priors.components import (
    Components,
    Precision,
    check_components,
)
from realfusion.priors.hub import fetch_snapshot
from realfusion.priors.metadata import read_metadata
from realfusion.priors.model_files import (
    HUB_ALIASES,
    SUPPORTED_MODELS,
    missing_settings,
)
from realfusion.priors.quiet import quiet_model_libraries

_UNET = "model.diffusion_model."
_CROSS_ATTENTION = "1.transformer_blocks.0.attn2.to_k.weight"
_TEXT_1 = "cond_stage_model.transformer."
_TEXT_2 = "cond_stage_model.model."
_SETTINGS = ("*.json", "*/*.json", "tokenizer/*.txt")


@dataclass(frozen=True)
class Checkpoint:
    """What the header of a single file tells.

    Attributes:
        path: The file.
        text_width: Channels that the denoiser attends to.
        prediction_type: What it predicts.
    """

    path: Path
    text_width: int
    prediction_type: str

    @property
    def repository(self) -> str:
        """The Hub's repository of the same architecture."""
        return HUB_ALIASES["sd-1.5" if self.text_width == 768 else "sd-2.1"]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the header of a single-file checkpoint.

    What a model of version 2 predicts cannot be seen from its weights: the header says
    so (`modelspec.prediction_type`), or a .yaml beside the file; epsilon if neither
    does.

    Raises:
        InputError: If it is no checkpoint of Stable Diffusion 1.x or 2.x.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise InputError(
            f"a single-file prior must be .safetensors, got {path.name}: a .ckpt can "
            f"run code when it is read; convert it first"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names, header = set(file.keys()), file.metadata() or {}
            cross = sorted(
                name
                for name in names
                if name.startswith(_UNET) and name.endswith(_CROSS_ATTENTION)
            )
            width = file.get_slice(cross[0]).get_shape()[1] if cross else 0
    except (OSError, SafetensorError) as error:
        raise InputError(f"the prior {path} cannot be read ({error})") from error
    if any(name.startswith("conditioner.") for name in names):
        raise InputError(
            f"the prior {path} is of the shape of Stable Diffusion XL; "
            f"{SUPPORTED_MODELS}"
        )
    if not width or not any(name.startswith((_TEXT_1, _TEXT_2)) for name in names):
        raise InputError(
            f"the prior {path} must hold denoiser, autoencoder and text encoder under "
            f"the names of the first releases; {SUPPORTED_MODELS}"
        )
    return Checkpoint(path, width, _prediction_type(path, header))


def _prediction_type(path: Path, header: dict[str, str]) -> str:
    said = header.get("modelspec.prediction_type", "")
    settings = path.with_suffix(".yaml")
    if not said and settings.is_file():
        text = settings.read_text("utf-8", errors="replace").replace("'", '"')
        said = "v" if 'parameterization: "v"' in text else ""
    return "v_prediction" if said.startswith("v") else "epsilon"


def load_single_file(
    path: Path, *, device: torch.device, precision: Precision, offline: bool = False
) -> Components:
    """Load a prior from one file.

    Args:
        path: The file.
        device: Where it computes.
        precision: Of denoiser and autoencoder.
        offline: Never touch the network.

    Returns:
        The parts, frozen.

    Raises:
        InputError: If it is of another kind, or lacks weights, or settings are missing.
    """
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from safetensors.torch import load_file
    from transformers import CLIPTextModel, CLIPTokenizer

    checkpoint = read_checkpoint(path)
    folder = _settings_folder(checkpoint, offline=offline)
    weights = load_file(path)
    try:
        with quiet_model_libraries():
            components = Components(
                unet=_convert(
                    UNet2DConditionModel, weights, folder, "unet", precision.denoiser
                ),
                vae=_convert(AutoencoderKL, weights, folder, "vae", precision.vae),
                text_encoder=_convert_text(CLIPTextModel, weights, folder),
                tokenizer=CLIPTokenizer.from_pretrained(str(folder / "tokenizer")),
                scheduler=DDPMScheduler.from_pretrained(
                    str(folder),
                    subfolder="scheduler",
                    prediction_type=checkpoint.prediction_type,
                ),
                image_encoder=None,
                metadata=read_metadata(folder),
            )
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"the prior {path} cannot be loaded with the settings in {folder} "
            f"({type(error).__name__}: {reason})"
        ) from error
    networks = {
        part: getattr(components, part).to(device).eval().requires_grad_(False)
        for part in ("unet", "vae", "text_encoder")
    }
    components = replace(components, **networks)
    check_components(components)
    return components


def _settings_folder(checkpoint: Checkpoint, *, offline: bool) -> Path:
    beside = checkpoint.path.with_suffix("")
    if beside.is_dir():
        folder = beside
    else:
        folder = fetch_snapshot(
            checkpoint.repository,
            _SETTINGS,
            revision=None,
            offline=offline,
            where=(
                f"the tokenizer for {checkpoint.path.name} (from "
                f"{checkpoint.repository}, or in a folder {beside.name} beside it)"
            ),
        )
    if missing := missing_settings(folder):
        raise InputError(
            f"the settings of {checkpoint.path.name} in {folder} are not complete; "
            f"missing: {', '.join(missing)}"
        )
    return folder


def _convert(
    model_class: Any, weights: dict[str, Any], folder: Path, part: str, dtype: Any
) -> Any:
    try:
        model = model_class.from_single_file(
            dict(weights),
            config=str(folder),
            subfolder=part,
            local_files_only=True,
            torch_dtype=dtype,
        )
    except NotImplementedError as error:  # of a parameter that was given no value
        raise InputError(
            f"the prior's file must hold all weights of its {part}, but lacks some"
        ) from error
    return _checked(model, part)


def _convert_text(model_class: Any, weights: dict[str, Any], folder: Path) -> Any:
    from diffusers.loaders.single_file_utils import create_diffusers_clip_model_from_ldm

    model = create_diffusers_clip_model_from_ldm(
        model_class,
        dict(weights),
        subfolder="text_encoder",
        config=str(folder),
        torch_dtype=torch.float32,
        local_files_only=True,
    )
    return _checked(model, "text encoder")


def _checked(model: nn.Module, part: str) -> nn.Module:
    """Raise an InputError where the file lacked weights: the libraries leave holes."""
    lacking = [name for name, each in model.named_parameters() if each.is_meta]
    if lacking:
        raise InputError(
            f"the prior's file must hold all weights of its {part}, but lacks "
            f"{len(lacking)} ({lacking[0]}, ...)"
        )
    return model
