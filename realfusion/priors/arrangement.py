"""How a prior's networks lie on the device: layout, memory savings, compilation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.components import Components
from realfusion.priors.config import Prompt
from realfusion.priors.memory import MemoryPlan
from realfusion.priors.memory_estimate import enable_recomputation

if TYPE_CHECKING:
    from realfusion.priors.stable_diffusion import StableDiffusionPrior


def arrange(components: Components, plan: MemoryPlan, device: torch.device) -> None:
    """Lay the networks out for speed, and spare what the plan says.

    Convolutions on CUDA take channels last; on a CPU that gains nothing. A denoiser
    whose weights stay with the host is handled by accelerate.

    Args:
        components: Changed in place; on `device`.
        plan: What to spare.
        device: Where the prior computes.
    """
    if device.type == "cuda":
        for module in (components.unet, components.vae):
            module.to(memory_format=torch.channels_last)
    if plan.is_encoding_recomputed:
        enable_recomputation(components.vae)
    # Fused attention on CUDA never forms the matrix that slices would make smaller.
    if plan.is_attention_sliced and device.type != "cuda":
        components.unet.set_attention_slice("max")
    if plan.is_denoiser_offloaded:
        from accelerate import cpu_offload

        components.unet.to("cpu")
        cpu_offload(components.unet, execution_device=device)


def compile_networks(prior: StableDiffusionPrior, backend: str = "inductor") -> None:
    """Put denoiser and encoder through `torch.compile`; the first calls then take long.

    Args:
        prior: Changed in place.
        backend: Of `torch.compile`.
    """
    prior.unet.compile(backend=backend)
    prior.vae.encoder.compile(backend=backend)


def warm_up(prior: StableDiffusionPrior, prompt: Prompt, num_views: int) -> None:
    """Encode and judge `num_views` grey views once, with a backward pass.

    Args:
        prior: Its compilation, if any, is done afterwards.
        prompt: What the run will ask.
        num_views: Views a step.
    """
    size = prior.image_size
    images = torch.full(
        (num_views, 3, size, size), 0.5, device=prior.device, requires_grad=True
    )
    latents = prior.encode(images)
    prior.noise_residual(
        latents,
        prior.condition(prompt, [Camera()] * num_views),
        timesteps=torch.full((num_views,), prior.num_train_timesteps // 2),
        guidance_scale=2.0,
        generator=torch.Generator(),
    )
    latents.sum().backward()
