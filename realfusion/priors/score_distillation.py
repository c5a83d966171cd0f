"""Score distillation sampling (DreamFusion, Eq. 3): a diffusion model as a prior.

The diffusion model gives the noise residual; here are the choices around it: which
noise levels, and how much weight. The loss itself is a scalar surrogate, so that the
prior goes through the same backward pass and the same gradient scaling as every other
term.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from realfusion.priors.config import Prompt, ScoreDistillationConfig
from realfusion.priors.protocol import DiffusionPrior, JudgedViews


@dataclass(frozen=True)
class ScoreDistillation:
    """A diffusion model that judges by what it would denoise a noisy view to.

    Attributes:
        diffusion: The model.
        prompt: What it is asked for; words for the view are added per camera.
        config: Noise levels, guidance and weights.
    """

    diffusion: DiffusionPrior
    prompt: Prompt
    config: ScoreDistillationConfig

    @property
    def name(self) -> str:
        """The model's name."""
        return self.diffusion.name

    def judge(
        self, views: JudgedViews, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """DreamFusion, Eq. 3, as a scalar loss; see `Prior.judge`."""
        model, config = self.diffusion, self.config
        latents = model.encode(views.images)
        timesteps = sample_timesteps(
            config, views.progress, len(views), model.num_train_timesteps, generator
        )
        judged = model.noise_residual(
            latents.detach(),
            model.condition(self.prompt, views.cameras),
            timesteps=timesteps,
            guidance_scale=config.guidance_scale,
            guidance_rescale=config.guidance_rescale,
            generator=generator,
            mode=config.mode,
        )
        gradient = weighted_residual(config, judged.residual, judged.alphas_cumprod)
        return score_distillation_loss(latents, gradient)

    def figures(self) -> Mapping[str, float]:
        """How many latent values were clipped so far."""
        return {"clipped_latents": self.diffusion.num_clipped}


def timestep_range_at(
    config: ScoreDistillationConfig, progress: float
) -> tuple[float, float]:
    """The range of noise levels at `progress` (0 to 1) of the run, as fractions."""
    start, end = config.timestep_range, config.timestep_range_end
    if config.annealing == "none" or end is None:
        return start
    share = min(max(progress / config.annealing_fraction, 0.0), 1.0)
    if config.annealing == "sqrt":
        share = math.sqrt(share)
    return (
        start[0] + (end[0] - start[0]) * share,
        start[1] + (end[1] - start[1]) * share,
    )


def sample_timesteps(
    config: ScoreDistillationConfig,
    progress: float,
    batch: int,
    num_train_timesteps: int,
    generator: torch.Generator,
) -> Int[Tensor, " batch"]:
    """Draw noise levels uniformly from the range of this moment.

    Args:
        config: Ranges and annealing.
        progress: Share of the run that is done, 0 to 1.
        batch: How many to draw.
        num_train_timesteps: Number of the prior's noise levels.
        generator: Its device is where the timesteps are made.

    Returns:
        Timesteps, int64.
    """
    low, high = timestep_range_at(config, progress)
    first = min(round(low * num_train_timesteps), num_train_timesteps - 1)
    last = min(max(round(high * num_train_timesteps), first), num_train_timesteps - 1)
    return torch.randint(
        first, last + 1, (batch,), generator=generator, device=generator.device
    )


def score_distillation_weight(
    config: ScoreDistillationConfig, alphas_cumprod: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """w(t) of each view from its ᾱ_t."""
    noise_share = 1.0 - alphas_cumprod
    if config.weighting == "one_minus_alpha_cumprod":
        return noise_share
    if config.weighting == "uniform":
        return torch.ones_like(alphas_cumprod)
    if config.weighting == "data_space":
        return (noise_share / alphas_cumprod).sqrt()
    return alphas_cumprod.sqrt() * noise_share


def weighted_residual(
    config: ScoreDistillationConfig,
    residual: Float[Tensor, "batch channels height width"],
    alphas_cumprod: Float[Tensor, " batch"],
) -> Float[Tensor, "batch channels height width"]:
    """w(t) (ε̂ - ε), the gradient of score distillation in the latents, clipped.

    With mode `csd` the residual is the classifier score instead, weighted likewise.

    Clipping rescales a view whose root mean square exceeds `config.gradient_clip`;
    directions are kept. Why: Hong et al. (2023, D-SDS) trace canonical views (a face, a
    front) on every side to the scores' bias, and cut large scores off, each value by
    itself; scaling the view keeps its direction. Besides, w(t) of `data_space` grows
    without bound towards pure noise, and one such view would set Adam's second moments
    for many steps.

    Args:
        config: Weighting, and the largest root mean square.
        residual: From the prior.
        alphas_cumprod: ᾱ_t of each view.

    Returns:
        The gradient; no gradient flows through it.
    """
    weight = score_distillation_weight(config, alphas_cumprod)
    gradient = weight[:, None, None, None] * residual
    if config.gradient_clip is None:
        return gradient
    root_mean_square = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return gradient / (root_mean_square / config.gradient_clip).clamp(min=1.0)


def score_distillation_loss(
    latents: Float[Tensor, "batch channels height width"],
    weighted_residual: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, ""]:
    """A scalar whose gradient is score distillation's (DreamFusion, Eq. 3).

    0.5 ‖z − stopgrad(z − w (ε̂ − ε))‖², so that its gradient in z is w (ε̂ − ε) over
    the number of elements. The mean over elements, not the sum, keeps one weight
    meaningful for priors of any latent size. Being an ordinary loss it shares one
    backward pass, and any gradient scaling, with all other terms (the original release
    left it out of the scaling, which made the prior 65536 times too weak).

    Args:
        latents: The encoded views, with gradient.
        weighted_residual: w(t) (ε̂ − ε); no gradient flows into it.

    Returns:
        The surrogate; its value is half the mean squared weighted residual.
    """
    target = (latents - weighted_residual).detach()
    return 0.5 * functional.mse_loss(latents, target)
