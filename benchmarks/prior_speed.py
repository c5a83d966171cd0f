"""Score distillation and textual inversion, each beside the bare networks.

A judgement is what a prior adds to a training step: encoding the views, one guided
denoising, the backward pass through the autoencoder. Its floor is the networks' own
calls on tensors that lie ready. An inversion step's floor is a forward and a backward
pass of the denoiser on a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.arrangement import compile_networks
from realfusion.priors.components import PrecisionName
from realfusion.priors.config import FAST_INVERSION, Prompt
from realfusion.priors.graphs import use_graphs
from realfusion.priors.network_calls import call_encoder
from realfusion.priors.random_weights import ModelShape, random_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.textual_inversion import invert

ENDLESS = 10**6
VIEW_SIZE = 96


@dataclass(frozen=True)
class Case:
    """One way to run a prior.

    Attributes:
        dtype: Of the denoiser.
        num_views: Views a step.
        is_compiled: By `torch.compile`.
        has_tiny_vae: TAESD's shape in the place of the autoencoder.
        is_graphed: By CUDA graphs, where there is a CUDA device.
    """

    dtype: PrecisionName = "auto"
    num_views: int = 1
    is_compiled: bool = False
    has_tiny_vae: bool = False
    is_graphed: bool = False

    @property
    def name(self) -> str:
        parts = [self.dtype, f"{self.num_views} view{'s' * (self.num_views > 1)}"]
        parts += ["compiled"] * self.is_compiled + ["tiny VAE"] * self.has_tiny_vae
        parts += ["CUDA graphs"] * self.is_graphed
        return ", ".join(parts)


def make_prior(case: Case, shape: ModelShape, device: str) -> StableDiffusionPrior:
    """Random weights, drawn on the device."""
    with torch.device(device):
        prior = random_prior(shape, device=device, dtype=case.dtype)
        if case.has_tiny_vae:
            prior.vae = _tiny_vae(prior)
    if case.is_compiled:
        compile_networks(prior)
    if case.is_graphed:
        use_graphs(prior)
    return prior


def _tiny_vae(prior: StableDiffusionPrior) -> torch.nn.Module:
    from diffusers import AutoencoderTiny

    levels = len(prior.vae.config.block_out_channels)
    blocks = (1, *(3,) * (levels - 1))
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(64,) * levels,
        decoder_block_out_channels=(64,) * levels,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks[::-1],
    )
    return tiny.to(prior.device, prior.vae.dtype).eval().requires_grad_(False)


def judgement(prior: StableDiffusionPrior, num_views: int) -> Callable[[], None]:
    """What the prior adds to a training step."""
    images = torch.rand(
        num_views, 3, VIEW_SIZE, VIEW_SIZE, device=prior.device, requires_grad=True
    )
    prompt, generator = Prompt(subject="an object"), torch.Generator()
    cameras = [Camera(azimuth_deg=90.0)] * num_views
    timesteps = torch.full((num_views,), 500)

    def judge() -> None:
        latents = prior.encode(images)
        judged = prior.noise_residual(
            latents,
            prior.condition(prompt, cameras),
            timesteps=timesteps,
            guidance_scale=100.0,
            generator=generator,
        )
        torch.autograd.grad((latents * judged.residual).mean(), images)

    return judge


def bare_networks(prior: StableDiffusionPrior, num_views: int) -> Callable[[], None]:
    """The same calls of the networks, and nothing else: the floor of a judgement."""
    side = prior.image_size
    pixels = torch.rand(
        num_views, 3, side, side, device=prior.device, dtype=prior.vae.dtype
    ).requires_grad_()
    noisy, timesteps, context = _inputs(prior, 2 * num_views)

    def call() -> None:
        latents = call_encoder(prior.vae, pixels)
        with torch.no_grad():
            prior.unet(noisy, timesteps, encoder_hidden_states=context)
        torch.autograd.grad(latents.sum(), pixels)

    return call


def inversion_steps(prior: StableDiffusionPrior, batch: int) -> Callable[[], None]:
    """A step of textual inversion; its looks and refreshed images are not in it."""
    config = dataclasses.replace(
        FAST_INVERSION,
        steps=ENDLESS,
        batch_size=batch,
        pool_size=max(batch, 8),
        evaluate_every=ENDLESS,
    )
    image = torch.rand(64, 64, 4)
    items: Iterator[object] = invert(prior, image, config, torch.Generator())
    next(items)
    return lambda: next(items) and None


def bare_denoiser(prior: StableDiffusionPrior, batch: int) -> Callable[[], None]:
    """The denoiser forward and backward: the floor of an inversion step."""
    noisy, timesteps, context = _inputs(prior, batch)
    context.requires_grad_()

    def call() -> None:
        answer = prior.unet(noisy, timesteps, encoder_hidden_states=context).sample
        torch.autograd.grad(answer.float().square().mean(), context)

    return call


def _inputs(
    prior: StableDiffusionPrior, batch: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    config, device = prior.unet.config, prior.device
    side = int(config.sample_size)
    noisy = torch.randn(batch, config.in_channels, side, side, device=device)
    context = torch.randn(batch, 77, config.cross_attention_dim, device=device)
    timesteps = torch.full((batch,), 500, device=device)
    return noisy.to(prior.dtype), timesteps, context.to(prior.dtype)
