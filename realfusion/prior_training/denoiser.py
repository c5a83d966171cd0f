"""Trains the denoiser of the embedded prior together with its encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from realfusion.prior_training.autoencoder import training_device
from realfusion.prior_training.condition_encoder import ConditionEncoder
from realfusion.prior_training.config import DenoiserConfig, PriorTrainingConfig
from realfusion.prior_training.dataset import ViewDataset
from realfusion.prior_training.prompt_batches import (
    PairBatch,
    PromptTokenizer,
    random_pairs,
)
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    Progress,
    TrainingState,
    finite_value,
)
from realfusion.prior_training.vocabulary import NUM_CLASSES
from realfusion.prior_training.warm_start import EncoderTrainer, target_images
from realfusion.priors.view_guide import NUM_OPACITY_CHANNELS

_LATENT_CHANNELS = 4
_TARGETS_PER_REFERENCE = 2
_AVERAGE_EVERY = 4
_HIGH_NOISE_FROM = 450


def build_unet(config: DenoiserConfig, image_size: int) -> UNet2DConditionModel:
    """The U-Net with random weights and a view class embedding of zeros."""
    plain, attending = "DownBlock2D", "CrossAttnDownBlock2D"
    plain_up, attending_up = "UpBlock2D", "CrossAttnUpBlock2D"
    full = config.attend_at_full_resolution
    unet = UNet2DConditionModel(
        sample_size=image_size // 4,
        in_channels=2 * _LATENT_CHANNELS + NUM_OPACITY_CHANNELS,
        out_channels=_LATENT_CHANNELS,
        block_out_channels=config.block_channels,
        layers_per_block=1,
        down_block_types=(attending if full else plain, attending, plain),
        up_block_types=(plain_up, attending_up, attending_up if full else plain_up),
        cross_attention_dim=config.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
        num_class_embeds=NUM_CLASSES,
    )
    nn.init.zeros_(unet.class_embedding.weight)
    return unet


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


class PriorModel(nn.Module):
    """Everything that the denoiser's training changes.

    Args:
        config: The whole configuration.
        tokenizer: The prior's tokenizer.
    """

    def __init__(self, config: PriorTrainingConfig, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        size = config.data.image_size
        self.encoders = EncoderTrainer(
            config.denoiser, ConditionEncoder(config.denoiser, tokenizer, size)
        )
        self.unet = build_unet(config.denoiser, size)
        # On a CPU the plain attention trains 45 % faster than the fused one.
        self.unet.set_attn_processor(AttnProcessor())

    def parameter_groups(self, config: DenoiserConfig) -> list[dict[str, object]]:
        """Groups for AdamW with the factor of their learning rate."""
        views = list(self.unet.class_embedding.parameters())
        chosen = {id(parameter) for parameter in views}
        others = [p for p in self.parameters() if id(p) not in chosen]
        return [
            {"params": others, "rate_factor": 1.0},
            {
                "params": views,
                "rate_factor": config.view_rate_factor,
                "weight_decay": 0.0,
            },
        ]


def denoising_loss(
    predicted: Float[Tensor, "batch channels height width"],
    velocity: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
    *,
    snr_clip: float,
    large_error: float,
) -> Float[Tensor, ""]:
    """How far the clean latents are missed: a Charbonnier loss with a clipped weight.

    The mean of squares is least at the mean of what may be: fog where an outline may
    or may not reach. The mean of distances is least at a median, one or the other
    (Charbonnier et al. 1994, "Two deterministic half-quadratic regularization
    algorithms"). So each latent pixel counts by the distance beyond `large_error`, and
    quadratically below it.

    The weight is that of v as a target (Salimans & Ho 2022), 1 + SNR, clipped as in
    min-SNR: where there is nothing but noise the clean latents count fully. With ε as
    the target they would count SNR, next to nothing, just where identity and view are
    decided.

    Args:
        predicted: The velocity that the denoiser predicts.
        velocity: The true one.
        alphas_cumprod: ᾱ of the noise levels.
        snr_clip: The largest weight.
        large_error: Root mean square over the channels.
    """
    noise_share = 1 - alphas_cumprod
    # An error of v is one of x̂_0 divided by sqrt(1 - ᾱ).
    squared = (predicted - velocity).square().mean(1) * noise_share[:, None, None]
    distance = (squared + large_error**2).sqrt() - large_error
    weight = (1 / noise_share).clamp(max=snr_clip)
    return (weight * distance.mean((1, 2))).mean()


def random_timesteps(
    batch: int, high_noise_share: float, generator: torch.Generator
) -> Int[Tensor, " batch"]:
    """Uniform timesteps, a share of them from the noisier half alone."""
    anywhere = torch.randint(0, 1000, (batch,), generator=generator)
    noisy = torch.randint(_HIGH_NOISE_FROM, 1000, (batch,), generator=generator)
    is_noisy = torch.rand(batch, generator=generator) < high_noise_share
    return torch.where(is_noisy, noisy, anywhere)


def learning_rate(config: DenoiserConfig, step: int) -> float:
    """Warm-up, then constant, then linear to 3 % in the second half."""
    decay = min(1.0, 2 * (1 - step / config.steps))
    return config.learning_rate * min(1, (step + 1) / 100) * (0.03 + 0.97 * decay)


def train_denoiser(
    model: PriorModel,
    views: ViewDataset,
    latents: NDArray[np.float16],
    guides: NDArray[np.float16],
    tokenize: PromptTokenizer,
    config: PriorTrainingConfig,
    folder: Path,
    progress: Progress,
) -> TrainingState:
    """Trains (or goes on training) the denoiser and the encoders in place.

    Args:
        model: U-Net, encoders and predictor.
        views: Training views.
        latents: Their latents, ``[num_objects, num_views, 4, height, width]``.
        guides: Of the same views, ``[num_objects, num_views, 5, height, width]``.
        tokenize: Prompts to ids.
        config: The whole configuration.
        folder: Where the checkpoints of this stage lie.
        progress: Receives losses and samples per second.

    Returns:
        The state, whose average is what to export.
    """
    device, settings = training_device(config), config.denoiser
    model.to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameter_groups(settings),
        settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=1e-3,
        fused=True,
    )
    state = TrainingState(model, optimizer)
    state.load(folder)
    rng = np.random.default_rng([config.seed, 7, state.step])
    generator = torch.Generator().manual_seed(config.seed * 7919 + state.step)
    alphas_cumprod = build_scheduler().alphas_cumprod
    report = CheckpointedProgress(
        state,
        folder,
        checkpoint_seconds=config.checkpoint_seconds,
        progress=progress,
    )
    while state.step < settings.steps:
        for group in optimizer.param_groups:
            rate = learning_rate(settings, state.step)
            group["lr"] = rate * group["rate_factor"]
        batch = random_pairs(
            views,
            tokenize,
            settings,
            rng,
            num_references=settings.batch_size // _TARGETS_PER_REFERENCE,
            targets_per_reference=_TARGETS_PER_REFERENCE,
            condition_dropout=settings.condition_dropout,
        )
        objects = np.repeat(batch.object_index, batch.targets_per_reference)
        clean = torch.from_numpy(latents[objects, batch.target_view]).float()
        guide = torch.from_numpy(guides[objects, batch.target_view]).float()
        guide = guide * batch.has_guide[:, None, None, None]
        timesteps = random_timesteps(len(clean), settings.high_noise_share, generator)
        noise = torch.randn(clean.shape, generator=generator)
        losses = _losses(
            model,
            batch,
            clean.to(device),
            guide.to(device),
            target_images(views, batch).to(device),
            timesteps.to(device),
            noise.to(device),
            alphas_cumprod[timesteps].to(device),
            config,
        )
        total = losses[0] + settings.auxiliary_weight * losses[1]
        finite_value(total, "the denoiser", state.step)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state.step += 1
        if state.step % _AVERAGE_EVERY == 0:
            state.update_average(settings.ema_decay, every=_AVERAGE_EVERY)
        loss, auxiliary = losses[0].item(), losses[1].item()
        report("denoiser", settings.steps, {"loss": loss, "auxiliary": auxiliary})
    state.save(folder)
    return state


def _losses(
    model: PriorModel,
    batch: PairBatch,
    clean: Float[Tensor, "batch channels height width"],
    guide: Float[Tensor, "batch guide_channels height width"],
    targets: Float[Tensor, "batch 4 size size"],
    timesteps: Int[Tensor, " batch"],
    noise: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
    config: PriorTrainingConfig,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The denoising loss and the auxiliary one."""
    device = clean.device
    alpha = alphas_cumprod[:, None, None, None]
    noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
    labels = batch.class_labels.to(device)
    with torch.autocast(device.type, torch.bfloat16, config.mixed_precision):
        states, tokens = model.encoders.conditions(
            batch.references.to(device),
            batch.input_ids.to(device),
            batch.is_image_token.to(device),
        )
        inputs = torch.cat([noisy, guide], dim=1)
        predicted = model.unet(inputs, timesteps, states, class_labels=labels).sample
        auxiliary = model.encoders.auxiliary_loss(states, tokens, batch, targets)
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    loss = denoising_loss(
        predicted.float(),
        velocity,
        alphas_cumprod,
        snr_clip=config.denoiser.snr_clip,
        large_error=config.denoiser.large_error,
    )
    return loss, auxiliary
