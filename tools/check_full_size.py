"""A prior of Stable Diffusion's full size against diffusers' pipeline, by hand.

Random weights, float32 on the CPU: about 8 GB of memory and some minutes.

    python tools/check_full_size.py [--shape sd15|sd21] [--size PIXELS]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from typing import Any

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.random_weights import STABLE_DIFFUSION_1_5, random_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior

SHAPES = {
    "sd15": STABLE_DIFFUSION_1_5,
    "sd21": dataclasses.replace(
        STABLE_DIFFUSION_1_5,
        text_width=1024,
        text_layers=23,
        text_heads=16,
        prediction_type="v_prediction",
    ),
}
TOLERANCE = 1e-4


def pipeline_of(prior: StableDiffusionPrior) -> Any:
    """The pipeline of diffusers around the very same networks."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=prior.vae,
        text_encoder=prior.text.text_encoder,
        tokenizer=prior.text.tokenizer,
        unet=prior.unet,
        scheduler=DDIMScheduler.from_config(
            dict(prior.scheduler.config), clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@torch.no_grad()
def compare(prior: StableDiffusionPrior, size: int) -> dict[str, float]:
    """Largest relative differences: text states, guided noise, latents."""
    pipe, scale = pipeline_of(prior), 7.5
    latent_size = size // prior.latent_factor
    noisy = torch.randn(1, 4, latent_size, latent_size)
    steps = torch.tensor([400])
    positive, negative = pipe.encode_prompt("a duck", "cpu", 1, True, "a cat")
    halves = pipe.unet(
        torch.cat([noisy] * 2),
        steps,
        encoder_hidden_states=torch.cat([negative, positive]),
    ).sample
    without, with_text = halves.chunk(2)
    noise = without + scale * (with_text - without)
    if prior.scheduler.config.prediction_type == "v_prediction":
        alpha = prior.alphas_cumprod[400]
        noise = alpha.sqrt() * noise + (1 - alpha).sqrt() * noisy
    prompt = Prompt(subject="a duck", negative="a cat", view_words=False)
    conditioning = prior.condition(prompt, [Camera()])
    ours = prior.guided_noise(noisy, steps, conditioning, guidance_scale=scale)
    images = torch.rand(1, 3, prior.image_size, prior.image_size)
    latents = pipe.vae.encode(2.0 * images - 1.0).latent_dist.mode()
    latents = latents * pipe.vae.config.scaling_factor
    prior.set_token(LearnedToken("<e>", 0.1 * torch.randn(4, prior.text.width)))
    prior.text.encode(["an image of a <e>"])
    return {
        "text states": difference(conditioning.context, positive),
        "guided noise": difference(ours, noise),
        "latents": difference(prior.encode(images), latents),
    }


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="sd15")
    parser.add_argument("--size", type=int, default=256, help="pixels of the denoising")
    arguments = parser.parse_args()
    started = time.perf_counter()
    prior = random_prior(SHAPES[arguments.shape], dtype="float32")
    found = compare(prior, arguments.size)
    millions = sum(each.numel() for each in prior.unet.parameters()) / 1e6
    print(f"{arguments.shape}: {millions:.1f} million parameters in the denoiser")
    for name, value in found.items():
        print(f"{name}: differs by {value:.2g} at most (of {TOLERANCE:g})")
    print(f"{time.perf_counter() - started:.0f} s")
    return 0 if max(found.values()) < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
