"""What the reconstruction needs of a diffusion prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.config import DistillationMode, Prompt


@dataclass(frozen=True)
class Conditioning:
    """What a batch of views is conditioned on, with the negative side of guidance.

    Attributes:
        context: Text states of the views.
        negative_context: Text states to steer away from.
        class_labels: View classes, for priors that take them.
        negative_class_labels: View classes to steer away from, likewise.
        unconditional_context: Neutral text states: with them the negative side acts
            perpendicularly (Perp-Neg), without them it is the neutral side itself.
        unconditional_class_labels: Neutral view classes.
        perpendicular_weight: Strength of the perpendicular push, for all or each view.
    """

    context: Float[Tensor, "batch tokens channels"]
    negative_context: Float[Tensor, "batch tokens channels"]
    class_labels: Int[Tensor, " batch"] | None = None
    negative_class_labels: Int[Tensor, " batch"] | None = None
    unconditional_context: Float[Tensor, "batch tokens channels"] | None = None
    unconditional_class_labels: Int[Tensor, " batch"] | None = None
    perpendicular_weight: float | Float[Tensor, " batch"] = 1.0

    def __len__(self) -> int:
        return self.context.shape[0]


@dataclass(frozen=True)
class NoiseResidual:
    """Which way a batch of latents should go; carries no gradient.

    Attributes:
        residual: Predicted minus added noise, or the classifier score (`noise_residual`
            says which).
        alphas_cumprod: ᾱ_t, for the weighting.
        timesteps: Noise levels.
    """

    residual: Float[Tensor, "batch channels height width"]
    alphas_cumprod: Float[Tensor, " batch"]
    timesteps: Int[Tensor, " batch"]


@runtime_checkable
class DiffusionPrior(Protocol):
    """A latent diffusion model that judges views of one object."""

    @property
    def name(self) -> str:
        """What the prior is called in reports."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square images it was trained on, in pixels."""
        ...

    @property
    def num_train_timesteps(self) -> int:
        """Number of its noise levels."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The precision of its denoiser."""
        ...

    def encode(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels latent_height latent_width"]:
        """Latents (float32, finite) of images in [0, 1]; differentiable."""
        ...

    def condition(self, prompt: Prompt, cameras: Sequence[Camera]) -> Conditioning:
        """The conditioning of one view a camera."""
        ...

    def noise_residual(
        self,
        latents: Float[Tensor, "batch channels height width"],
        conditioning: Conditioning,
        *,
        timesteps: Int[Tensor, " batch"],
        guidance_scale: float,
        generator: torch.Generator,
        guidance_rescale: float = 0.0,
        mode: DistillationMode = "sds",
    ) -> NoiseResidual:
        """Noise the latents and judge them, no gradient.

        `sds` gives predicted minus added noise (DreamFusion, Eq. 3), `csd` what
        guidance adds to the prediction (Classifier Score Distillation).
        """
        ...
