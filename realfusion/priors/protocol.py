"""What the reconstruction needs of a prior, and of a diffusion model as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.config import DistillationMode, Prompt


@dataclass(frozen=True)
class JudgedViews:
    """Random views of the scene, with gradient, as a prior looks at them.

    Attributes:
        images: The object over its background, in [0, 1].
        colours: The object alone: colours times opacity.
        opacities: In [0, 1].
        cameras: Where the views are taken from.
        progress: Fraction of the run that is done, in [0, 1).
    """

    images: Float[Tensor, "batch 3 height width"]
    colours: Float[Tensor, "batch 3 height width"]
    opacities: Float[Tensor, "batch 1 height width"]
    cameras: tuple[Camera, ...]
    progress: float

    def __len__(self) -> int:
        return self.images.shape[0]

    def over(
        self, background: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """The object over other backgrounds."""
        return self.colours + (1.0 - self.opacities) * background


@runtime_checkable
class Prior(Protocol):
    """Knows what the object looks like from sides that the photo does not show.

    The one thing a training step asks of it is a loss. A new kind of prior is a class
    with these three members, and one line in `realfusion.priors.registry.PRIOR_KINDS`.
    """

    @property
    def name(self) -> str:
        """What the prior is called in reports."""
        ...

    def judge(
        self, views: JudgedViews, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """How wrong the views look, averaged over them.

        Args:
            views: Of the scene as it is.
            generator: CPU generator, the only source of chance: a step that failed is
                repeated from its state.

        Returns:
            A scalar on the views' device, which the host does not read; its gradient
            in `views.images` (or colours and opacities) says what to change.
        """
        ...

    def figures(self) -> Mapping[str, float]:
        """What is worth knowing about the run so far, by name; waits for the device."""
        ...


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
        guide: Pictures of the guessed body for denoisers that read them, the same on
            every side of guidance; see `view_guide`.
    """

    context: Float[Tensor, "batch tokens channels"]
    negative_context: Float[Tensor, "batch tokens channels"]
    class_labels: Int[Tensor, " batch"] | None = None
    negative_class_labels: Int[Tensor, " batch"] | None = None
    unconditional_context: Float[Tensor, "batch tokens channels"] | None = None
    unconditional_class_labels: Int[Tensor, " batch"] | None = None
    perpendicular_weight: float | Float[Tensor, " batch"] = 1.0
    guide: Float[Tensor, "batch guide_channels height width"] | None = None

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
    def num_clipped(self) -> int:
        """Latent values clipped so far, being too large; waits for the device."""
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
