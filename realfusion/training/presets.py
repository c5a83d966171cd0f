"""Named configurations. Every field can still be set on the command line."""

from __future__ import annotations

from dataclasses import replace

from realfusion.cameras.config import CameraSamplingConfig, ReferenceCameraConfig
from realfusion.fields.config import BackgroundConfig, FieldConfig
from realfusion.priors.config import ScoreDistillationConfig
from realfusion.rendering.config import RendererConfig, ShadingConfig
from realfusion.training.config import (
    CoarseToFineConfig,
    InitialShapeConfig,
    ObjectiveConfig,
    OptimizerConfig,
    ReconstructionConfig,
    TermConfig,
)

PAPER = ReconstructionConfig(
    iterations=5000,
    reference_size=128,
    reference_rays=4096,
    prior_view_size=96,
    reference_camera=ReferenceCameraConfig(fov_y_deg=55.0),
    cameras=CameraSamplingConfig(
        elevation_range_deg=(-30.0, 90.0),
        overhead_probability=0.0,
        uniform_sphere_probability=0.5,
        radius_range=(1.0, 1.5),
        fov_y_range_deg=(40.0, 70.0),
    ),
    field=FieldConfig(log2_table_size=16, interpolation="linear", normals="central"),
    background=BackgroundConfig(prior_views="learned", reference_view="learned"),
    renderer=RendererConfig(steps_across=1024),
    shading=ShadingConfig(
        albedo_until=0.2, albedo_probability=0.2, textureless_probability=0.5
    ),
    coarse_to_fine=CoarseToFineConfig(initial_fraction=0.5, begin=0.6, end=0.6),
    objective=ObjectiveConfig(
        image=TermConfig(initial=5.0),
        mask=TermConfig(initial=0.5),
        prior=TermConfig(initial=1.0),
        normal_smoothness=TermConfig(initial=0.5),
        orientation=TermConfig(initial=1e-2),
        entropy=TermConfig(initial=1e-4),
    ),
    score_distillation=ScoreDistillationConfig(
        guidance_scale=100.0, timestep_range=(0.02, 0.98)
    ),
    optimizer=OptimizerConfig(kind="adam"),
)
"""The figures of the paper and its release (METHOD: one scalar loss, one backward; so
its weights, unlike the release's, really stand in the stated proportion)."""

TEXT_SPARSITY = 1e-3
"""Weight of empty space, where no mask tells how full the picture is."""
TEXT_ENTROPY = 1e-2
"""At most: an outline that no photo tells is not to be decided early."""

_DISTILLATION = ScoreDistillationConfig(
    guidance_scale=3.0,
    guidance_rescale=0.5,
    timestep_range=(0.6, 0.85),
    timestep_range_end=(0.4, 0.6),
    annealing="linear",
    annealing_fraction=0.7,
    weighting="data_space",
    gradient_clip=1.0,
)
"""As measured with the embedded prior (docs/calibration.md)."""

_OBJECTIVE = ObjectiveConfig(
    image=TermConfig(initial=10.0),
    mask=TermConfig(initial=10.0),
    prior=TermConfig(initial=0.25),
    body=TermConfig(initial=20.0),
    normal_smoothness=TermConfig(initial=2.0),
    orientation=TermConfig(initial=0.1),
    entropy=TermConfig(initial=0.1, final=0.5, begin=0.3, end=0.7),
)
"""Where nobody knows how far an outline reaches, the mean of squares is least with fog.
The entropy decides, once the shape stands (docs/quality.md)."""

_EPS = 1e-5
"""Adam's: near the gradients of the sides that nobody sees. With one far below, noise
alone moves them by the whole rate at every step, and they mottle (docs/quality.md)."""

DEFAULT = ReconstructionConfig(
    iterations=1000,
    prior_view_size=64,
    field=FieldConfig(
        num_levels=10, finest_resolution=384, log2_table_size=18, blob_density=0.0
    ),
    renderer=RendererConfig(
        steps_across=128,
        picture_steps_across=256,
        occupancy_resolution=64,
        occupancy_warmup=128,
    ),
    coarse_to_fine=CoarseToFineConfig(initial_fraction=0.5, begin=0.3, end=0.7),
    initial_shape=InitialShapeConfig(kind="auto", steps=300),
    objective=_OBJECTIVE,
    optimizer=OptimizerConfig(
        grid_learning_rate=4e-3, final_rate_fraction=0.1, eps=_EPS
    ),
    score_distillation=_DISTILLATION,
)
"""For some minutes on a CPU: finer than `fast`, and calmer towards the end."""

FAST = ReconstructionConfig(
    iterations=500,
    reference_rays=2048,
    prior_view_size=64,
    field=FieldConfig(
        num_levels=8,
        finest_resolution=256,
        log2_table_size=18,
        hidden_width=32,
        blob_density=0.0,
    ),
    renderer=RendererConfig(
        steps_across=128,
        picture_steps_across=256,
        occupancy_resolution=64,
        occupancy_warmup=128,
    ),
    coarse_to_fine=CoarseToFineConfig(initial_fraction=0.5, begin=0.3, end=0.7),
    initial_shape=InitialShapeConfig(kind="auto", steps=300),
    objective=_OBJECTIVE,
    optimizer=OptimizerConfig(grid_learning_rate=4e-3, eps=_EPS),
    score_distillation=_DISTILLATION,
)
"""For two CPU cores and a few minutes."""

SMOKE = ReconstructionConfig(
    iterations=12,
    reference_size=32,
    reference_rays=512,
    prior_view_size=32,
    field=FieldConfig(
        num_levels=4,
        finest_resolution=64,
        log2_table_size=12,
        hidden_width=16,
        blob_density=0.0,
    ),
    renderer=RendererConfig(
        steps_across=64, occupancy_resolution=32, occupancy_interval=4
    ),
    initial_shape=InitialShapeConfig(kind="auto", steps=40, points=2048),
    objective=_OBJECTIVE,
    optimizer=OptimizerConfig(grid_learning_rate=4e-3),
    score_distillation=_DISTILLATION,
)
"""Seconds: proves that everything works together, not what it can do."""


def for_text(config: ReconstructionConfig) -> ReconstructionConfig:
    """A preset for an object that is only described (DreamFusion, Sec. 3.2 and 3.3).

    Without a photo there is no body to start from but the blob, and no side whose
    colours are known: a background that changes keeps the object from fading into what
    is behind it, and empty space is a little preferred. Light is the preset's: `paper`
    has DreamFusion's; the embedded prior roughens what it sees lit. Every side is one
    that the prior alone knows, so that none is to be calmed by Adam's epsilon.
    """
    objective = config.objective
    return replace(
        config,
        initial_shape=replace(config.initial_shape, kind="blob"),
        field=replace(config.field, blob_density=FieldConfig().blob_density),
        background=replace(config.background, prior_views="random"),
        optimizer=replace(config.optimizer, eps=OptimizerConfig().eps),
        objective=replace(
            objective,
            prior=replace(objective.prior, initial=max(1.0, objective.prior.initial)),
            entropy=TermConfig(initial=min(TEXT_ENTROPY, objective.entropy.initial)),
            sparsity=TermConfig(initial=TEXT_SPARSITY),
        ),
    )
