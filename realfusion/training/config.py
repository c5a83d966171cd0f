"""Settings of a reconstruction (standard library only: `--help` stays light)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from realfusion.cameras.config import CameraSamplingConfig, ReferenceCameraConfig
from realfusion.fields.config import BackgroundConfig, FieldConfig
from realfusion.priors.config import ScoreDistillationConfig
from realfusion.ranges import (
    check_at_least,
    check_finite,
    check_positive,
    check_within,
)
from realfusion.rendering.config import RendererConfig, ShadingConfig


@dataclass(frozen=True, kw_only=True)
class TermConfig:
    """Weight of one term of the objective over the run."""

    initial: float = 0.0
    """Weight at the beginning."""
    final: float | None = None
    """Weight at the end; the initial one if not given."""
    begin: float = 0.0
    """Fraction of the run at which the change from initial to final begins."""
    end: float = 1.0
    """Fraction of the run at which the final weight is reached."""
    clip: float | None = None
    """Largest norm of the gradient this term may send into its rendered input."""

    @property
    def is_used(self) -> bool:
        """Whether the weight is ever anything but 0."""
        return self.initial != 0.0 or self.final not in (None, 0.0)

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        check_finite(self, "initial")
        if self.final is not None:
            check_finite(self, "final")
        check_within(self, 0.0, 1.0, "begin")
        check_within(self, self.begin, 1.0, "end")
        if self.clip is not None:
            check_positive(self, "clip")


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Weights of the terms (RealFusion, Eq. 5 and its release)."""

    image: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=10.0)
    )
    """Colours of the reference view against the photo."""
    mask: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=5.0)
    )
    """Opacity of the reference view against the photo's mask."""
    prior: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=1.0)
    )
    """Score distillation on random views."""
    body: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=0.0)
    )
    """Random views, coarsely, against the body that the run began with, if any; the
    more, the farther they are from the photo."""
    normal_smoothness: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=0.5)
    )
    """Normal images of random views against their own blur."""
    orientation: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=0.01)
    )
    """Visible normals that face away."""
    entropy: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=0.01)
    )
    """Half-transparent rays."""
    sparsity: TermConfig = dataclasses.field(
        default_factory=lambda: TermConfig(initial=0.0)
    )
    """Opaque rays."""


@dataclass(frozen=True, kw_only=True)
class CoarseToFineConfig:
    """Levels of the hash grid in use over the run (RealFusion, Sec. 3.4)."""

    initial_fraction: float = 0.5
    """Share of the levels in use at the beginning."""
    begin: float = 0.5
    """Fraction of the run at which finer levels start to join."""
    end: float = 0.5
    """Fraction of the run at which all levels are in use; equal to `begin` they join
    at once."""

    def __post_init__(self) -> None:
        """Refuse what is no schedule."""
        check_within(self, 0.0, 1.0, "initial_fraction", "begin")
        check_within(self, self.begin, 1.0, "end")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam or AdamW, with a rate of its own for the hash grid."""

    kind: Literal["adam", "adamw"] = "adamw"
    """The update rule."""
    learning_rate: float = 1e-3
    """Rate of the networks."""
    grid_learning_rate: float = 1e-2
    """Rate of the hash grid."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Decay of the moments."""
    eps: float = 1e-15
    """Added to the denominator; tiny, since rare grid entries have tiny gradients."""
    weight_decay: float = 0.0
    """Decoupled decay of the networks' weights (adamw)."""
    final_rate_fraction: float = 1.0
    """Rates fall exponentially to this share of their start."""
    loss_scale: float = 1.0
    """Factor on the whole objective before the backward pass, divided out of the
    gradients afterwards; keeps small gradients alive in a half-precision prior."""
    loss_scaling: Literal["auto", "static", "dynamic"] = "auto"
    """`static`: the factor stays. `dynamic`: it starts at `loss_scale` (at 65536 where
    that is 1), is halved by each step whose gradient overflows, which is then left out,
    and doubled after 200 steps without. `auto`: dynamic under a prior on CUDA, where it
    computes in half precision; static elsewhere."""
    ema_decay: float = 0.95
    """Per-step decay of the averaged parameters that previews and results use."""

    def __post_init__(self) -> None:
        """Refuse what does not descend."""
        check_positive(
            self,
            "learning_rate",
            "grid_learning_rate",
            "eps",
            "final_rate_fraction",
            "loss_scale",
        )
        check_at_least(self, 0.0, "weight_decay")
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"`betas` must lie within [0, 1), got {self.betas}")
        check_within(self, 0.0, 1.0, "ema_decay")


@dataclass(frozen=True, kw_only=True)
class InitialShapeConfig:
    """What the density looks like before the first step."""

    kind: Literal["auto", "estimated", "silhouette", "blob"] = "blob"
    """`estimated`: the body that a small network, shipped with the embedded prior,
    guesses from the photo. `silhouette`: the photo's silhouette inflated into a body.
    `blob`: a Gaussian blob alone. `auto`: estimated under a prior; without one, where
    nothing learned is to enter, the silhouette."""
    steps: int = 100
    """Steps of fitting the density to the body, if there is one."""
    points: int = 8192
    """Points a step."""
    log_density: float = 4.0
    """Log-density inside the body, and minus that outside."""
    depth_scale: float = 1.0
    """With `silhouette`: depth of the body in units of its inflated half-width."""
    colour_blur: float = 0.08
    """With `silhouette`: the body takes the photo's colours, seen through and through,
    blurred by this share of the frame."""

    def __post_init__(self) -> None:
        """Refuse what makes no body."""
        check_at_least(self, 0, "steps", "colour_blur")
        check_at_least(self, 1, "points")
        check_positive(self, "depth_scale", "log_density")


@dataclass(frozen=True, kw_only=True)
class RecoveryConfig:
    """What happens when a loss or a gradient is not finite."""

    snapshot_interval: int = 50
    """Steps between two states that can be returned to."""
    rate_factor: float = 0.5
    """Factor on all learning rates after each recovery."""
    max_recoveries: int = 3
    """Recoveries before the run gives up."""

    def __post_init__(self) -> None:
        """Refuse what does not recover."""
        check_at_least(self, 1, "snapshot_interval")
        check_within(self, 0.0, 1.0, "rate_factor")
        check_at_least(self, 0, "max_recoveries")


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig:
    """Everything that decides a reconstruction, but for the image and the prior."""

    iterations: int = 1000
    """Optimisation steps."""
    reference_size: int = 128
    """Pixels along an edge of the photo as it is fitted."""
    reference_rays: int = 4096
    """Pixels of the photo that one step looks at."""
    prior_view_size: int = 64
    """Pixels along an edge of the random views."""
    prior_views: int = 1
    """Random views a step."""
    reference_camera: ReferenceCameraConfig = dataclasses.field(
        default_factory=ReferenceCameraConfig
    )
    cameras: CameraSamplingConfig = dataclasses.field(
        default_factory=CameraSamplingConfig
    )
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    background: BackgroundConfig = dataclasses.field(default_factory=BackgroundConfig)
    renderer: RendererConfig = dataclasses.field(default_factory=RendererConfig)
    shading: ShadingConfig = dataclasses.field(default_factory=ShadingConfig)
    coarse_to_fine: CoarseToFineConfig = dataclasses.field(
        default_factory=CoarseToFineConfig
    )
    initial_shape: InitialShapeConfig = dataclasses.field(
        default_factory=InitialShapeConfig
    )
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    score_distillation: ScoreDistillationConfig = dataclasses.field(
        default_factory=ScoreDistillationConfig
    )
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    recovery: RecoveryConfig = dataclasses.field(default_factory=RecoveryConfig)

    def __post_init__(self) -> None:
        """Refuse sizes that hold nothing."""
        check_at_least(
            self,
            1,
            "iterations",
            "reference_size",
            "reference_rays",
            "prior_view_size",
            "prior_views",
        )
