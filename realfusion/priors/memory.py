"""What a prior does to need less memory. Importing this module is light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

MemoryMode = Literal["auto", "low", "high"]

GIB = 2**30
ROOMY_BYTES = 20 * GIB
"""Free memory from which `auto` spares nothing."""
TIGHT_BYTES = 10 * GIB
"""Free memory below which `auto` does what `low` does."""
SCARCE_BYTES = 5 * GIB
"""Free memory below which the denoiser's weights stay with the host."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Where memory is traded for time; the results differ by rounding alone.

    Attributes:
        name: What the plan is called in reports.
        is_text_released: The text encoder moves to the host once the token is learnt;
            a text that is first seen later is encoded there, once.
        is_encoding_recomputed: The autoencoder's activations are computed again in the
            backward pass, a block at a time, and views go through it one by one.
        is_guidance_sequential: The sides of guidance, and views, go through the
            denoiser one by one.
        is_attention_sliced: Attention a head at a time, where there is no fused kernel
            that never forms its matrix.
        is_denoiser_offloaded: The denoiser's weights come from the host a layer at a
            time.
    """

    name: str
    is_text_released: bool = False
    is_encoding_recomputed: bool = False
    is_guidance_sequential: bool = False
    is_attention_sliced: bool = False
    is_denoiser_offloaded: bool = False

    @property
    def max_batch(self) -> int | None:
        """Largest batch of the denoiser; None is any."""
        return 1 if self.is_guidance_sequential else None


HIGH = MemoryPlan(name="high")
BALANCED = MemoryPlan(name="auto", is_text_released=True, is_encoding_recomputed=True)
LOW = MemoryPlan(
    name="low",
    is_text_released=True,
    is_encoding_recomputed=True,
    is_guidance_sequential=True,
    is_attention_sliced=True,
)
OFFLOADED = MemoryPlan(
    name="low, weights with the host",
    is_text_released=True,
    is_encoding_recomputed=True,
    is_guidance_sequential=True,
    is_attention_sliced=True,
    is_denoiser_offloaded=True,
)


def choose_memory_plan(mode: MemoryMode, free_bytes: int | None) -> MemoryPlan:
    """The plan of `--memory`.

    Args:
        mode: What the user asked for.
        free_bytes: Free memory of the device; None where it is not scarce (a CPU).

    Returns:
        `high` spares nothing, `auto` what the free memory asks for, `low` all that
        costs little, and the denoiser's weights too where even that cannot fit.
    """
    if mode == "high" or (mode == "auto" and free_bytes is None):
        return HIGH
    if free_bytes is not None and free_bytes < SCARCE_BYTES:
        return OFFLOADED
    if mode == "low" or (free_bytes is not None and free_bytes < TIGHT_BYTES):
        return LOW
    return HIGH if free_bytes is None or free_bytes >= ROOMY_BYTES else BALANCED


def free_memory(device: torch.device) -> int | None:
    """Free bytes of a CUDA device; None for any other."""
    if device.type != "cuda":
        return None
    import torch

    return torch.cuda.mem_get_info(device)[0]


def next_remedy(mode: MemoryMode, vae: str, num_views: int, view_size: int) -> str:
    """The flag to try next after memory ran out, the least costly first."""
    if mode != "low":
        return "--memory low"
    if num_views > 1:
        return "--views-per-step 1"
    if vae == "own":
        return "--vae tiny"
    if view_size > 64:
        return "--reconstruction.prior-view-size 64"
    return "a smaller --preset, or --device cpu"
