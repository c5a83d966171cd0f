"""Peak memory of a prior, estimated from shapes: no weights, no device.

The networks are built on torch's meta device and run there; every tensor that lives is
counted by its size. It is an estimate: the allocator's rounding, workspaces of
convolutions and what else is on the device are not in it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from realfusion.priors.memory import MemoryPlan
from realfusion.priors.quiet import quiet_model_libraries

if TYPE_CHECKING:
    from realfusion.priors.stable_diffusion import StableDiffusionPrior


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of one judgement of views, by what takes them.

    Attributes:
        weights: Of all networks that stay on the device.
        encoding: Peak of the autoencoder's forward and backward pass.
        denoising: Peak of the denoiser's forward pass.
    """

    weights: int
    encoding: int
    denoising: int

    @property
    def peak(self) -> int:
        """The most at any moment: the autoencoder's activations wait for its backward
        pass while the denoiser runs, so that all three add up."""
        return self.weights + self.encoding + self.denoising


def estimate_memory(
    prior: StableDiffusionPrior,
    *,
    num_views: int = 1,
    num_sides: int = 2,
    plan: MemoryPlan | None = None,
) -> MemoryEstimate:
    """Estimate the peak of judging `num_views` views.

    Args:
        prior: Tells the shapes and precisions; it is not touched.
        num_views: Views a step.
        num_sides: Prompts of guidance: two, or three with Perp-Neg.
        plan: What is spared; the prior's own plan if not given.

    Returns:
        The estimate.
    """
    plan = plan or prior.memory
    with quiet_model_libraries():
        unet = _on_meta(prior.unet, prior.dtype)
        vae = _on_meta(prior.vae, prior.vae.dtype)
    if plan.is_encoding_recomputed:
        enable_recomputation(vae)
    views = 1 if plan.is_encoding_recomputed else num_views
    batch = plan.max_batch or num_sides * num_views
    encoding = _peak(lambda: _encode(vae, views, prior.image_size))
    denoising = _peak(lambda: _denoise(unet, batch))
    weights = _size_of(vae)
    weights += 0 if plan.is_denoiser_offloaded else _size_of(unet)
    weights += 0 if plan.is_text_released else _size_of(prior.text.text_encoder)
    return MemoryEstimate(weights, encoding, denoising)


def describe_memory(
    prior: StableDiffusionPrior, num_views: int, *, num_sides: int = 2
) -> str:
    """One line for the user: what the prior will take, and how that is known."""
    estimate = estimate_memory(prior, num_views=num_views, num_sides=num_sides)
    peak = estimate.peak / 1e9
    return (
        f"the prior will take about {peak:.1f} GB (--memory {prior.memory.name}; "
        f"estimated from shapes, not measured)"
    )


def enable_recomputation(vae: nn.Module) -> None:
    """Recompute an autoencoder's activations in the backward pass, where it can."""
    if getattr(vae, "_supports_gradient_checkpointing", False):
        vae.enable_gradient_checkpointing()  # type: ignore[operator]


def _on_meta(module: Any, dtype: torch.dtype) -> Any:
    with torch.device("meta"):
        shadow = type(module).from_config(dict(module.config))
    return shadow.to(dtype).eval().requires_grad_(False)


def _size_of(module: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in module.parameters())


@torch.no_grad()
def _denoise(unet: Any, batch: int) -> None:
    size = int(unet.config.sample_size)
    width, channels = unet.config.cross_attention_dim, unet.config.in_channels
    options: dict[str, Any] = {"device": "meta", "dtype": unet.dtype}
    labels = None
    if unet.config.num_class_embeds is not None:
        labels = torch.zeros(batch, device="meta", dtype=torch.long)
    unet(
        torch.empty(batch, channels, size, size, **options),
        torch.empty(batch, device="meta", dtype=torch.long),
        encoder_hidden_states=torch.empty(batch, 77, width, **options),
        class_labels=labels,
    )


def _encode(vae: Any, batch: int, size: int) -> None:
    images = torch.empty(
        batch, 3, size, size, device="meta", dtype=vae.dtype, requires_grad=True
    )
    encoded = vae.encode(images)
    latents = encoded.latents if "latents" in encoded else encoded.latent_dist.mean
    latents.sum().backward()


def _peak(run: Callable[[], None]) -> int:
    with _fused_attention(), _LiveBytes() as counted:
        run()
    return counted.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in torch.utils._pytree.tree_leaves(result):
            if isinstance(each, Tensor):
                self._add(each.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.live += storage.nbytes()
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._remove, key, storage.nbytes())

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


@contextmanager
def _fused_attention() -> Iterator[None]:
    """Attention as the fused kernels do it: the matrix is never formed.

    A torch function mode would not reach what the backward pass recomputes.
    """
    original = functional.scaled_dot_product_attention

    def attend(query: Tensor, key: Tensor, value: Tensor, **_options: Any) -> Tensor:
        return _AttentionShapes.apply(query, key, value)

    functional.scaled_dot_product_attention = attend  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = original


class _AttentionShapes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
