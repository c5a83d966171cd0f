"""The terms of the objective: pure functions, scalar out, unweighted.

RealFusion, Eq. 5: L = L_SDS + λ_image L_image + λ_mask L_mask + λ_normals L_normals,
with the orientation, entropy and sparsity terms of its implementation.
"""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SMOOTHING_KERNEL_PX = 9
"""Width of the blur of the normal regulariser (RealFusion Sec. 3.4)."""
SMALLEST_COVER = 1e-3
"""Blurred opacity below which there is nothing to average over."""
ENTROPY_MARGIN = 1e-5
SPARSITY_OFFSET = 0.01


def image_loss(
    rendered: Float[Tensor, "num_rays 3"], target: Float[Tensor, "num_rays 3"]
) -> Float[Tensor, ""]:
    """Mean squared colour difference to the photo (RealFusion, L_rec)."""
    return functional.mse_loss(rendered, target)


def mask_loss(
    opacity: Float[Tensor, num_rays], target: Float[Tensor, num_rays]
) -> Float[Tensor, ""]:
    """Mean squared difference of opacity to the photo's mask (RealFusion, L_rec)."""
    return functional.mse_loss(opacity, target)


def normal_smoothness_loss(
    normals: Float[Tensor, "height width 3"], opacity: Float[Tensor, "height width"]
) -> Float[Tensor, ""]:
    """Rendered normals against their own blur (RealFusion, Eq. 6).

    ‖N − stopgrad(α blur(N, 9) / blur(α, 9))‖², averaged over pixels. The paper has
    blur(N, 9) alone, which mixes what is beside the object, no normals, into those
    along its outline. So its term pays for every pixel of outline and asks for less
    opacity there: step by step it shrinks the object (docs/quality.md). Divided by the
    blurred opacity, the blur is the mean over the object alone.

    Args:
        normals: Normal image of a view, weighted by opacity.
        opacity: Of the same view; no gradient flows into it.

    Returns:
        The loss, differentiable in `normals`.
    """
    image, alpha = normals.permute(2, 0, 1), opacity.detach()
    down, across = (
        _blur_matrix(SMOOTHING_KERNEL_PX, size, image.dtype, image.device)
        for size in image.shape[1:]
    )
    blurred = down @ image.detach() @ across.T
    share = alpha / (down @ alpha @ across.T).clamp(min=SMALLEST_COVER)
    return functional.mse_loss(image, share * blurred)


def gaussian_kernel(
    width: int, device: torch.device | str = "cpu"
) -> Float[Tensor, width]:
    """Normalised Gaussian of `width` taps, standard deviation as OpenCV's default."""
    sigma = 0.3 * ((width - 1) * 0.5 - 1.0) + 0.8
    offsets = torch.arange(width, dtype=torch.float32, device=device) - (width - 1) / 2
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    return kernel / kernel.sum()


@functools.lru_cache(maxsize=8)
def _blur_matrix(
    width: int, size: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "size size"]:
    """The blur of a line of pixels, its ends repeated, as a matrix."""
    margin = width // 2
    taps = torch.eye(size + 2 * margin, dtype=torch.float64).unfold(1, width, 1)
    blur = taps @ gaussian_kernel(width).double()  # [padded pixel, blurred pixel]
    blur[margin] += blur[:margin].sum(0)
    blur[-margin - 1] += blur[-margin:].sum(0)
    return blur[margin:-margin].T.to(device, dtype, copy=True)


def orientation_loss(back_facing: Float[Tensor, num_rays]) -> Float[Tensor, ""]:
    """Visible normals must not face away from the camera (Ref-NeRF, Eq. 11)."""
    return back_facing.mean()


def opacity_entropy_loss(opacity: Float[Tensor, num_rays]) -> Float[Tensor, ""]:
    """Binary entropy of the rays' opacities, in bits: rays hit or miss, not half."""
    chance = opacity.clamp(ENTROPY_MARGIN, 1.0 - ENTROPY_MARGIN)
    entropy = -chance * chance.log2() - (1.0 - chance) * (1.0 - chance).log2()
    return entropy.mean()


def opacity_sparsity_loss(opacity: Float[Tensor, num_rays]) -> Float[Tensor, ""]:
    """Prefers empty space (DreamFusion, App. A): mean of √(opacity² + 0.01)."""
    return (opacity.square() + SPARSITY_OFFSET).sqrt().mean()


class _ClipGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, max_norm):
        ctx.max_norm = max_norm
        return values.view_as(values)

    @staticmethod
    def backward(ctx, grad):
        norm = torch.linalg.vector_norm(grad.float())
        scale = (norm.clamp(min=1e-12).reciprocal() * ctx.max_norm).clamp(max=1.0)
        return grad * scale.to(grad.dtype), None


def clip_gradient(values: Tensor, max_norm: float | Float[Tensor, ""]) -> Tensor:
    """The identity, whose backward pass shortens gradients longer than `max_norm`.

    Put on the input of one term it clips that term alone (the clipping of D-SDS put
    where it belongs), unlike clipping the sum of all terms at the parameters.

    Args:
        values: The input of a term.
        max_norm: Largest 2-norm of the gradient that passes.

    Returns:
        `values`.
    """
    return _ClipGradient.apply(values, max_norm)
