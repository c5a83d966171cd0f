"""Iterations under a prior of Stable Diffusion 1.5's shape with random weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.gpu_suite import goals
from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.setting import Setting
from benchmarks.gpu_suite.steps import whole_view_config
from benchmarks.gpu_suite.timing import peak_memory, time_with_host
from benchmarks.training_step import Bench, make_bench
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.training.presets import SMOKE

if TYPE_CHECKING:
    from realfusion.priors.random_weights import ModelShape

NEEDED = ("diffusers", "importlib_metadata", "transformers", "tokenizers")


def run(report: Report, setting: Setting) -> None:
    """Time the denoiser with guidance, the encoder, and whole steps."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        report.left_out(f"needs wheels on PYTHONPATH: {', '.join(missing)}")
        return
    device = torch.device(setting.device)
    prior = make_prior(setting)
    report.note(
        f"prior of {sum(p.numel() for p in prior.unet.parameters()) / 1e6:.1f} million "
        f"parameters in its denoiser, {prior.dtype}, its autoencoder in "
        f"{prior.vae.dtype}, images of {prior.image_size}²"
    )
    bench = make_bench(SMOKE if setting.is_dry else whole_view_config(), prior, device)
    rounds = 2 if setting.is_dry else 15
    parts = {**time_parts(prior), "stage_prior": bench.judge()}
    for name, part in parts.items():
        with report.part(name):
            record_part(report, name, part, device, rounds)
    record_steps(report, bench, device, rounds)
    del bench, prior, parts
    record_variants(report, setting, rounds)


def record_variants(report: Report, setting: Setting, rounds: int) -> None:
    """Judgements and inversion steps by precision, views, autoencoder and graphs."""
    from benchmarks import prior_speed

    device, shape = torch.device(setting.device), shape_of(setting)
    cases = (
        prior_speed.Case(),
        prior_speed.Case("bfloat16"),
        prior_speed.Case(num_views=4),
        prior_speed.Case(has_tiny_vae=True),
        prior_speed.Case(is_graphed=True),
        *([] if setting.is_dry else [prior_speed.Case(is_compiled=True)]),
    )
    for case in cases:
        with report.part(case.name):
            prior = prior_speed.make_prior(case, shape, setting.device)
            views, batch = case.num_views, 4
            groups = {
                f"judgement of views, {case.name}": (
                    prior_speed.judgement(prior, views),
                    prior_speed.bare_networks(prior, views),
                )
            }
            # Graphs repeat what has no gradient in the token: nothing of an inversion.
            if not (case.has_tiny_vae or case.is_graphed) and views == 1:
                groups[f"textual inversion, {case.name}, batch of {batch}"] = (
                    prior_speed.inversion_steps(prior, batch),
                    prior_speed.bare_denoiser(prior, batch),
                )
            for group, (ours, floor) in groups.items():
                for name, run in (("ours", ours), ("bare networks", floor)):
                    seconds = time_with_host(run, device, rounds)
                    rate = 1.0 / sorted(seconds)[len(seconds) // 2]
                    extra = {"iterations per second": f"{rate:.4g}"}
                    extra |= peak_memory(run, device)
                    report.record(group, name, seconds, **extra)


def shape_of(setting: Setting) -> ModelShape:
    """Full size on a GPU, tiny in a dry run."""
    from realfusion.priors.random_weights import STABLE_DIFFUSION_1_5, TINY

    return TINY if setting.is_dry else STABLE_DIFFUSION_1_5


def make_prior(setting: Setting) -> StableDiffusionPrior:
    """Full size on a GPU, made there; tiny in a dry run."""
    from realfusion.priors.random_weights import random_prior

    # The weights are drawn where they are used: a CPU takes long for 860 million.
    with torch.device(setting.device):
        return random_prior(shape_of(setting), device=setting.device)


def time_parts(prior: StableDiffusionPrior) -> dict[str, Callable[[], Any]]:
    """The networks by themselves, at the prior's own resolution."""
    size = prior.image_size
    images = torch.rand(1, 3, size, size, device=prior.device)
    trained = images.clone().requires_grad_()
    latents = prior.encode(images).detach()
    context = torch.zeros(
        2, 77, prior.unet.config.cross_attention_dim, device=prior.device
    ).to(prior.dtype)
    timesteps = torch.full((2,), 500, device=prior.device)

    @torch.no_grad()
    def denoise() -> None:
        noisy = latents.repeat(2, 1, 1, 1).to(prior.dtype)
        prior.unet(noisy, timesteps, encoder_hidden_states=context)

    @torch.no_grad()
    def encode() -> None:
        prior.encode(images)

    def encode_and_differentiate() -> None:
        torch.autograd.grad(prior.encode(trained).sum(), trained)

    return {
        "denoiser, both guidance branches": denoise,
        f"encoder, forward at {size}²": encode,
        f"encoder, forward + backward at {size}²": encode_and_differentiate,
    }


def record_part(
    report: Report,
    name: str,
    part: Callable[[], Any],
    device: torch.device,
    rounds: int,
) -> None:
    seconds = time_with_host(part, device, rounds)
    extra: dict[str, Any] = {"calls a step": 1.0}
    report.record(goals.PRIOR_STEP, name, seconds, **extra, **peak_memory(part, device))


def record_steps(
    report: Report, bench: Bench, device: torch.device, rounds: int
) -> None:
    seconds = time_with_host(bench.whole_step, device, rounds)
    rate = 1.0 / sorted(seconds)[len(seconds) // 2]
    report.record(
        goals.PRIOR_STEP,
        "whole_step",
        seconds,
        rays=bench.rays,
        **{"iterations per second": f"{rate:.4g}"},
        **peak_memory(bench.whole_step, device),
    )
