"""A prior's networks as CUDA graphs: `--prior-cuda-graphs`.

The denoiser is replayed without gradients, all sides of guidance in one batch; the
autoencoder's encoder with its backward pass. What leads to them (resizing, noise) and
what follows (guidance, the loss) runs as ever.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realfusion.priors.graph_replay import (
    CudaRecorder,
    Recorder,
    ReplayedCall,
    ReplayedGradient,
)
from realfusion.priors.network_calls import call_denoiser, call_encoder

if TYPE_CHECKING:
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

GRAPHING_MODES = ("reduce-overhead", "max-autotune")
"""Modes of `torch.compile` that make CUDA graphs themselves."""


@dataclass(frozen=True)
class GraphedNetworks:
    """Networks that are replayed.

    Attributes:
        denoise: `call_denoiser` of a denoiser.
        encode: `call_encoder` of an autoencoder; None where it runs eagerly.
    """

    denoise: ReplayedCall
    encode: ReplayedGradient | None


def use_graphs(
    prior: StableDiffusionPrior, recorder: Recorder | None = None
) -> list[str]:
    """Let graphs repeat the networks from now on; each is captured at its first call.

    To be called when the prior has learnt all it will: what precedes comes in other
    shapes. Graphs keep the memory of their activations.

    Args:
        prior: Its `graphs` are set; its networks must not be replaced afterwards.
        recorder: What records; by default CUDA graphs, where there is a CUDA device.

    Returns:
        What runs without graphs, and why: a line each.
    """
    if prior.compile_mode in GRAPHING_MODES:
        return ["the prior's CUDA graphs are torch.compile's own"]
    obstacle = _obstacle(prior, has_recorder=recorder is not None)
    if obstacle is not None:
        return [f"the prior runs without CUDA graphs: {obstacle}"]
    recorder = recorder or CudaRecorder(prior.device)
    # Of the networks, not of the prior: it would keep itself in memory.
    denoise = functools.partial(call_denoiser, prior.unet)
    denoiser = ReplayedCall("prior's denoiser", denoise, recorder)
    if prior.memory.is_encoding_recomputed:
        prior.graphs = GraphedNetworks(denoiser, None)
        return [
            "the prior's autoencoder runs without CUDA graphs: --memory has its "
            "activations recomputed"
        ]
    encode = functools.partial(call_encoder, prior.vae)
    encoder = ReplayedGradient("prior's autoencoder", encode, recorder)
    prior.graphs = GraphedNetworks(denoiser, encoder)
    return []


def graphing_mode(prior: StableDiffusionPrior) -> str | None:
    """The mode in which `torch.compile` makes graphs of its own.

    None where a network runs several times a step: its results would be overwritten.
    """
    is_cut = prior.memory.is_encoding_recomputed or prior.max_batch is not None
    if is_cut or _obstacle(prior, has_recorder=False) is not None:
        return None
    return GRAPHING_MODES[0]


def _obstacle(prior: StableDiffusionPrior, *, has_recorder: bool) -> str | None:
    """Why no network can be replayed."""
    plan = prior.memory
    if not has_recorder and prior.device.type != "cuda":
        return f"they need a CUDA device, and it is on the {prior.device.type}"
    if plan.is_denoiser_offloaded:
        return "--memory keeps its weights with the host"
    if plan.is_guidance_sequential:
        return "--memory has it judge one view and one side of guidance at a time"
    return None
