"""How a prior's networks lie on the device: layout, memory savings, compilation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.components import Components
from realfusion.priors.config import Prompt, ScoreDistillationConfig
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


def compile_networks(
    prior: StableDiffusionPrior, backend: str = "inductor", mode: str | None = None
) -> None:
    """Put denoiser and encoder through `torch.compile`; the first calls then take long.

    Args:
        prior: Changed in place.
        backend: Of `torch.compile`.
        mode: Of its backend, "reduce-overhead" for CUDA graphs; None is the usual one.
    """
    options = {"backend": backend} | ({} if mode is None else {"mode": mode})
    prior.unet.compile(**options)
    prior.vae.encoder.compile(**options)
    prior.compile_mode = mode


def warm_up(
    prior: StableDiffusionPrior,
    prompt: Prompt,
    num_views: int,
    settings: ScoreDistillationConfig,
) -> None:
    """Encode and judge `num_views` grey views once, with a backward pass.

    Waits for the device.

    Args:
        prior: Its compilation and its graphs, if any, are made in the first call.
        prompt: What the run will ask.
        num_views: Views a step.
        settings: Of the run: they decide how many sides of guidance there are.
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
        guidance_scale=settings.guidance_scale,
        mode=settings.mode,
        generator=torch.Generator(),
    )
    latents.sum().backward()
    if prior.device.type == "cuda":
        torch.cuda.synchronize(prior.device)
