"""Models of Stable Diffusion's shape with random weights, of any size.

They measure speed and memory where no weights are at hand, and drive tests. What they
say about images is noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from realfusion.priors.components import (
    Components,
    PrecisionName,
    check_components,
    choose_precision,
)
from realfusion.priors.memory import HIGH, MemoryPlan
from realfusion.priors.metadata import METADATA_FILE, PriorMetadata
from realfusion.priors.model_files import MODEL_COMPONENTS
from realfusion.priors.quiet import quiet_model_libraries
from realfusion.priors.shape_estimator import ShapeEstimator, ShapeEstimatorConfig
from realfusion.priors.stable_diffusion import StableDiffusionPrior


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a latent diffusion model; the defaults are Stable Diffusion 1.5's."""

    latent_size: int = 64
    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    unet_layers: int = 2
    attention_heads: int = 8
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_length: int = 77
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    vae_layers: int = 2
    norm_groups: int = 32
    num_class_embeds: int | None = None
    is_guided: bool = False
    prediction_type: str = "epsilon"
    scaling_factor: float = 0.18215


STABLE_DIFFUSION_1_5 = ModelShape()
"""859.5 million parameters in the denoiser, 512 px."""

TINY = ModelShape(
    latent_size=8,
    unet_channels=(8, 16),
    unet_layers=1,
    attention_heads=2,
    text_width=16,
    text_layers=1,
    text_heads=2,
    vae_channels=(4, 4, 8),
    vae_layers=1,
    norm_groups=4,
)
"""A few ten thousand parameters, 32 px."""


def random_prior(
    shape: ModelShape = STABLE_DIFFUSION_1_5,
    *,
    device: str | torch.device = "cpu",
    dtype: PrecisionName = "auto",
    seed: int = 0,
    metadata: PriorMetadata | None = None,
    max_batch: int | None = None,
    memory: MemoryPlan = HIGH,
) -> StableDiffusionPrior:
    """A prior with random weights, in the precision that loading would choose."""
    device = torch.device(device)
    precision = choose_precision(device, dtype)
    components = random_components(shape, seed=seed, metadata=metadata)
    with quiet_model_libraries():
        components.unet.to(device, precision.denoiser)
        components.vae.to(device, precision.vae)
        components.text_encoder.to(device)
        if components.shape_estimator is not None:
            components.shape_estimator.to(device)
    return StableDiffusionPrior(
        components, name="random", max_batch=max_batch, memory=memory
    )


def random_components(
    shape: ModelShape, *, seed: int = 0, metadata: PriorMetadata | None = None
) -> Components:
    """The parts of such a model, float32 on the current default device."""
    from diffusers import DDPMScheduler

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder = _text_encoder(shape)
        components = Components(
            unet=_unet(shape),
            vae=_vae(shape),
            text_encoder=text_encoder,
            tokenizer=_tokenizer(shape),
            scheduler=DDPMScheduler(
                num_train_timesteps=1000,
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                clip_sample=False,
                prediction_type=shape.prediction_type,
            ),
            image_encoder=None,
            metadata=metadata or PriorMetadata(),
            shape_estimator=_shape_estimator() if shape.is_guided else None,
        )
    for module in (components.unet, components.vae, components.text_encoder):
        module.eval().requires_grad_(False)
    check_components(components)
    return components


def save_random_model(
    folder: Path,
    shape: ModelShape,
    *,
    seed: int = 0,
    metadata: PriorMetadata | None = None,
    variant: str | None = None,
) -> None:
    """Write such a model in diffusers' layout.

    Args:
        folder: Made if need be.
        shape: Its sizes.
        seed: Seed of the weights.
        metadata: Written as `realfusion_prior.json` if given.
        variant: "fp16" writes half precision files under that name.
    """
    components = random_components(shape, seed=seed, metadata=metadata)
    folder.mkdir(parents=True, exist_ok=True)
    with quiet_model_libraries():
        for part in MODEL_COMPONENTS:
            module = getattr(components, part)
            if variant == "fp16":
                module.half()
            module.save_pretrained(str(folder / part), variant=variant)
        components.tokenizer.save_pretrained(str(folder / "tokenizer"))
        components.scheduler.save_pretrained(str(folder / "scheduler"))
    if metadata is not None:
        text = json.dumps(metadata.to_json(), indent=2)
        (folder / METADATA_FILE).write_text(text + "\n", encoding="utf-8")


def save_random_clip(folder: Path, *, image_size: int = 32, seed: int = 0) -> None:
    """Write a CLIP of a few thousand random weights in transformers' layout.

    Args:
        folder: Made if need be.
        image_size: Side of the images it looks at, a multiple of 8.
        seed: Seed of the weights.
    """
    from transformers import CLIPConfig, CLIPModel

    text = _text_config(TINY).to_dict()
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": image_size,
        "patch_size": 8,
    }
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    with torch.random.fork_rng(devices=[]), quiet_model_libraries():
        torch.manual_seed(seed)
        CLIPModel(config).save_pretrained(str(folder))
        _tokenizer(TINY).save_pretrained(str(folder))


def _unet(shape: ModelShape) -> Any:
    from diffusers import UNet2DConditionModel

    levels = len(shape.unet_channels)
    return UNet2DConditionModel(
        sample_size=shape.latent_size,
        in_channels=9 if shape.is_guided else 4,
        out_channels=4,
        block_out_channels=shape.unet_channels,
        layers_per_block=shape.unet_layers,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        cross_attention_dim=shape.text_width,
        attention_head_dim=shape.attention_heads,
        norm_num_groups=shape.norm_groups,
        num_class_embeds=shape.num_class_embeds,
    )


def _shape_estimator() -> ShapeEstimator:
    estimator = ShapeEstimator(ShapeEstimatorConfig(widths=(8, 8, 8)))
    return estimator.eval().requires_grad_(False)


def _vae(shape: ModelShape) -> Any:
    from diffusers import AutoencoderKL

    levels = len(shape.vae_channels)
    return AutoencoderKL(
        block_out_channels=shape.vae_channels,
        layers_per_block=shape.vae_layers,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=4,
        norm_num_groups=shape.norm_groups,
        scaling_factor=shape.scaling_factor,
        sample_size=shape.latent_size * 2 ** (levels - 1),
    )


def _text_encoder(shape: ModelShape) -> Any:
    from transformers import CLIPTextModel

    return CLIPTextModel(_text_config(shape))


def _text_config(shape: ModelShape) -> Any:
    from transformers import CLIPTextConfig

    vocabulary = _vocabulary()
    return CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=shape.text_width,
        intermediate_size=4 * shape.text_width,
        num_hidden_layers=shape.text_layers,
        num_attention_heads=shape.text_heads,
        max_position_embeddings=shape.text_length,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
        pad_token_id=vocabulary["<|endoftext|>"],
    )


def _tokenizer(shape: ModelShape) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer(
        vocab=_vocabulary(), merges=[], model_max_length=shape.text_length
    )


def _vocabulary() -> dict[str, int]:
    """CLIP's layout without merges: each byte, each byte ending a word, two marks."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable]
    letters += [chr(256 + index) for index in range(len(others))]
    words = [*letters, *(letter + "</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return {word: index for index, word in enumerate(words)}
