"""Configuration of the embedded prior's training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The procedural views to train on."""

    num_objects: int = 24_000
    """Objects to generate."""
    objects_per_shard: int = 1_000
    """Objects in one file of the data folder."""
    num_views: int = 6
    """Views of each object; the first serves as the reference image."""
    image_size: int = 64
    """Pixels a side."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The KL autoencoder (4 latent channels at a quarter of the image size)."""

    block_channels: tuple[int, int, int] = (32, 32, 64)
    """Channels at full, half and quarter resolution."""
    steps: int = 6_000
    """Optimiser steps."""
    batch_size: int = 64
    """Images a step in the first part, which sees crops of half the size."""
    full_batch_size: int = 16
    """Images a step in the last part, which sees whole images."""
    crop_share: float = 0.6
    """Share of the steps that see crops."""
    learning_rate: float = 2e-3
    """AdamW learning rate, decayed linearly."""
    kl_weight: float = 2e-4
    """Weight of the mean KL divergence to a standard normal."""
    colored_background_share: float = 0.3
    """Share of images on a random colour instead of white."""
    decoder_steps: int = 8_000
    """Further steps of the decoder alone, on whole images, once the latents stand."""
    decoder_learning_rate: float = 1.5e-3
    """AdamW learning rate of those, decayed linearly."""


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The U-Net, the text encoder and the image encoder."""

    block_channels: tuple[int, int, int] = (64, 128, 192)
    """U-Net channels at 16, 8 and 4 latent pixels."""
    attend_at_full_resolution: bool = False
    """Cross-attention also at 16 latent pixels."""
    text_width: int = 128
    """Width of the text encoder and of the image tokens."""
    text_layers: int = 2
    """Layers of the text encoder."""
    num_image_tokens: int = 16
    """Vectors that stand for the object in the prompt."""
    max_text_length: int = 40
    """Tokens in a prompt, start and end included."""
    warmup_steps: int = 4_000
    """Steps that teach the encoders alone to predict small views of the object."""
    warmup_batch_size: int = 32
    """Reference images a step of that warm start; each with two target views."""
    steps: int = 12_000
    """Optimiser steps of the denoiser."""
    batch_size: int = 64
    """Noisy target views a step; half as many reference images."""
    learning_rate: float = 8e-4
    """AdamW learning rate: constant, then linear to 3 % in the second half."""
    view_rate_factor: float = 8.0
    """Factor on the rate of the view class embedding, which starts at zero."""
    auxiliary_weight: float = 5.0
    """Weight of predicting the target's small image from the text states alone."""
    condition_dropout: float = 0.1
    """Share of samples without any condition."""
    guide_alone_share: float = 0.08
    """Share of the others that see the picture of the guessed body, and no prompt."""
    guide_dropout: float = 0.1
    """Share of the samples with image tokens that see no picture of the body."""
    caption_share: float = 0.12
    """Share of samples described by words instead of image tokens."""
    high_noise_share: float = 0.75
    """Share of samples whose timestep is drawn from 450 to 999 alone."""
    snr_clip: float = 2.5
    """Clip of the loss weight, 1 + signal-to-noise ratio, on the clean latents."""
    large_error: float = 0.1
    """Error of a clean latent pixel beyond which it counts by its size, not squared."""
    ema_decay: float = 0.998
    """Decay of the exported average of the weights, a step."""


@dataclass(frozen=True, kw_only=True)
class ShapeEstimatorTrainingConfig:
    """The network that guesses the body to start from."""

    num_objects: int = 50_000
    """Objects to generate, with two views of each."""
    widths: tuple[int, int, int] = (64, 80, 192)
    """Channels at half, quarter and eighth of the resolution."""
    num_attentions: int = 2
    """Self-attention layers at an eighth of the resolution."""
    steps: int = 7_000
    """Optimiser steps."""
    batch_size: int = 48
    """Views a step."""
    learning_rate: float = 1.2e-3
    """AdamW learning rate, decayed along a cosine to 3 %."""
    colour_weight: float = 0.3
    """Weight of the colours seen from behind."""
    ema_decay: float = 0.999
    """Decay of the exported average of the weights, a step."""


@dataclass(frozen=True, kw_only=True)
class PriorTrainingConfig:
    """Everything that determines the embedded prior."""

    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    shape_estimator: ShapeEstimatorTrainingConfig = field(
        default_factory=ShapeEstimatorTrainingConfig
    )
    part: Literal["all", "diffusion", "decoder", "shape-estimator"] = "all"
    """What to train. The other parts are taken over from `initial_prior`, if it has
    them. `decoder` is the autoencoder's, whose latents stay what they are."""
    initial_prior: str | None = None
    """A prior's folder (or "bundled") to start from instead of random weights; its
    autoencoder is kept as it is, unless the part is `decoder`."""
    seed: int = 0
    """Of all random numbers of the training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    mixed_precision: bool = True
    """Forward passes in bfloat16."""
    checkpoint_seconds: float = 240.0
    """Seconds between checkpoints."""
    num_scored_objects: int = 48
    """Held-out objects of each split that the final scores are measured on."""
    num_scored_steps: int = 12
    """DDIM steps of the samples that are scored."""


SMOKE = PriorTrainingConfig(
    data=DataConfig(num_objects=4, objects_per_shard=2),
    autoencoder=AutoencoderConfig(
        block_channels=(8, 8, 16),
        steps=4,
        batch_size=4,
        full_batch_size=2,
        decoder_steps=2,
    ),
    denoiser=DenoiserConfig(
        block_channels=(16, 16, 16),
        text_width=32,
        text_layers=1,
        num_image_tokens=4,
        warmup_steps=2,
        warmup_batch_size=2,
        steps=2,
        batch_size=4,
    ),
    shape_estimator=ShapeEstimatorTrainingConfig(
        num_objects=4, widths=(8, 8, 8), steps=2, batch_size=4
    ),
    num_scored_objects=1,
    num_scored_steps=2,
)
"""Every stage in seconds; learns nothing."""
