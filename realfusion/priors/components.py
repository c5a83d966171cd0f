"""Load the parts of a Stable-Diffusion-shaped model in the right precision."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from realfusion.errors import InputError
from realfusion.priors.guidance import check_prediction_type
from realfusion.priors.metadata import PriorMetadata, read_metadata
from realfusion.priors.model_files import (
    SUPPORTED_MODELS,
    choose_weight_file,
    files_in,
)
from realfusion.priors.prompts import ELEVATION_BINS
from realfusion.priors.quiet import quiet_model_libraries
from realfusion.priors.shape_estimator import (
    SHAPE_ESTIMATOR_FOLDER,
    ShapeEstimator,
    load_shape_estimator,
)
from realfusion.priors.view_guide import NUM_OPACITY_CHANNELS

PrecisionName = Literal["auto", "float32", "float16", "bfloat16"]

NUM_VIEW_CLASSES = 8 * ELEVATION_BINS
"""View classes of a class-conditional prior; one more class says "no view"."""


@dataclass(frozen=True)
class Precision:
    """Which part computes in which precision; the text encoder is always float32."""

    denoiser: torch.dtype
    vae: torch.dtype


@dataclass(frozen=True)
class Components:
    """The parts of a latent diffusion model, frozen and on one device.

    Attributes:
        unet: `UNet2DConditionModel`.
        vae: `AutoencoderKL`.
        text_encoder: `CLIPTextModel`, float32.
        tokenizer: `CLIPTokenizer`.
        scheduler: `DDPMScheduler`, for its noise levels and prediction type.
        image_encoder: From an RGBA image to token vectors, or None.
        shape_estimator: From an RGBA image to the body behind it, or None; a guided
            denoiser needs it.
        metadata: How the prior wants to be prompted.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    image_encoder: nn.Module | None
    metadata: PriorMetadata
    shape_estimator: ShapeEstimator | None = None

    @property
    def is_guided(self) -> bool:
        """Whether the denoiser reads a picture of the body, see `view_guide`."""
        channels = self.vae.config.latent_channels
        return bool(
            self.shape_estimator is not None
            and self.unet.config.in_channels == 2 * channels + NUM_OPACITY_CHANNELS
        )


def choose_precision(device: torch.device, dtype: PrecisionName) -> Precision:
    """Precision of the denoiser and of the VAE.

    Stable Diffusion's VAE overflows in float16, so it never computes in it: bfloat16
    where the device has it in hardware and the denoiser is not in float32, else
    float32.

    Args:
        device: Where the prior runs.
        dtype: The denoiser's precision; "auto" is float16 on CUDA, and elsewhere
            bfloat16 where the processor has it in hardware, or float32.
    """
    if dtype == "auto":
        if device.type == "cuda":
            dtype = "float16"
        else:
            dtype = "bfloat16" if _has_bfloat16(device) else "float32"
    denoiser = {
        "float32": torch.float32,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }.get(dtype)
    if denoiser is None:
        raise InputError(
            f"the prior's precision must be auto, float32, float16 or bfloat16, got "
            f"{dtype!r}"
        )
    if denoiser is not torch.float32 and _has_bfloat16(device):
        return Precision(denoiser, torch.bfloat16)
    return Precision(denoiser, torch.float32)


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware (emulation is slow)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    names = ("avx512_bf16", "amx_bf16", "bf16")
    return any(bool(capabilities.get(name)) for name in names)


def load_components(
    folder: Path, *, device: torch.device, precision: Precision
) -> Components:
    """Load a complete model folder (see `model_files.locate_model`).

    Raises:
        InputError: If a part cannot be read, or the model is of another kind.
    """
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    load = functools.partial(_load, folder=folder, device=device)
    try:
        with quiet_model_libraries():
            components = Components(
                unet=load(UNet2DConditionModel, "unet", precision.denoiser),
                vae=load(AutoencoderKL, "vae", precision.vae),
                text_encoder=load(CLIPTextModel, "text_encoder", torch.float32),
                tokenizer=CLIPTokenizer.from_pretrained(str(folder / "tokenizer")),
                scheduler=DDPMScheduler.from_pretrained(
                    str(folder), subfolder="scheduler"
                ),
                image_encoder=_load_image_encoder(folder),
                metadata=read_metadata(folder),
                shape_estimator=_load_shape_estimator(folder),
            )
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise InputError(
            f"the prior in {folder} cannot be loaded ({type(error).__name__}: "
            f"{reason}): the files are damaged or of another kind of model; fetch them "
            f"again"
        ) from error
    for module in _modules(components):
        module.to(device).eval().requires_grad_(False)
    check_components(components)
    return components


def check_components(components: Components) -> None:
    """Raise an InputError unless the parts form a model that the prior can drive."""
    unet, vae = components.unet.config, components.vae.config
    latent_channels = vae.latent_channels
    takes_latents = unet.in_channels == latent_channels or components.is_guided
    if not takes_latents or unet.out_channels != latent_channels:
        raise InputError(
            f"the prior's UNet must take and give the VAE's {latent_channels} latent "
            f"channels, got {unet.in_channels} and {unet.out_channels}: inpainting, "
            f"depth and upscaling models do not serve"
        )
    if getattr(unet, "addition_embed_type", None) is not None:
        raise InputError(
            f"the prior is of the shape of Stable Diffusion XL (additional "
            f"embeddings); {SUPPORTED_MODELS}"
        )
    text_width = components.text_encoder.config.hidden_size
    if unet.cross_attention_dim != text_width:
        raise InputError(
            f"the prior's UNet must attend to its text encoder's {text_width} "
            f"channels, got {unet.cross_attention_dim}; {SUPPORTED_MODELS}"
        )
    classes = unet.num_class_embeds
    if classes is not None and classes != NUM_VIEW_CLASSES + 1:
        raise InputError(
            f"the prior's UNet must have {NUM_VIEW_CLASSES + 1} view classes or none, "
            f"got {classes}"
        )
    check_prediction_type(components.scheduler.config.prediction_type)


def _load(
    model_class: Any,
    part: str,
    dtype: torch.dtype,
    *,
    folder: Path,
    device: torch.device,
) -> Any:
    prefer_half = dtype is not torch.float32
    weights = choose_weight_file(files_in(folder), part, prefer_half=prefer_half)
    if weights is None:
        raise InputError(f"the prior in {folder} lacks the weights of its {part}")
    incomplete = (
        f"the prior's {weights.path} in {folder} must hold all weights of its {part}, "
        f"but lacks"
    )
    try:
        model, loaded = model_class.from_pretrained(
            str(folder),
            subfolder=part,
            variant=weights.variant,
            use_safetensors=weights.use_safetensors,
            dtype=dtype,
            device_map={"": str(device)},  # straight there, without a copy on the host
            local_files_only=True,
            output_loading_info=True,
        )
    except NotImplementedError as error:  # of a parameter that was given no value
        raise InputError(f"{incomplete} some: fetch it again") from error
    # The libraries give parameters that a file lacks random values, and only log it.
    if missing := sorted(loaded["missing_keys"]):
        raise InputError(
            f"{incomplete} {len(missing)} ({missing[0]}, ...): fetch it again"
        )
    # Older versions do not know `dtype` and load float32.
    return model if model.dtype is dtype else model.to(dtype)


def _load_image_encoder(folder: Path) -> nn.Module | None:
    path = folder / "image_encoder"
    if not path.is_dir():
        return None
    from realfusion.priors.image_encoder import load_image_encoder

    return load_image_encoder(path)


def _load_shape_estimator(folder: Path) -> ShapeEstimator | None:
    path = folder / SHAPE_ESTIMATOR_FOLDER
    return load_shape_estimator(path) if path.is_dir() else None


def _modules(components: Components) -> list[nn.Module]:
    modules = [components.unet, components.vae, components.text_encoder]
    optional = (components.image_encoder, components.shape_estimator)
    return modules + [each for each in optional if each is not None]
