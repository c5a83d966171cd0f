"""Settings that could not run are refused where the configuration is made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from realfusion.cameras.config import CameraSamplingConfig, ReferenceCameraConfig
from realfusion.config import ExportConfig, InputConfig, RunConfig, RunOptions
from realfusion.fields.config import BackgroundConfig, FieldConfig
from realfusion.priors.config import ScoreDistillationConfig
from realfusion.rendering.config import RendererConfig, ShadingConfig
from realfusion.training.config import (
    CoarseToFineConfig,
    InitialShapeConfig,
    OptimizerConfig,
    ReconstructionConfig,
    RecoveryConfig,
    TermConfig,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("config", "name", "values"),
    [
        (ReferenceCameraConfig(), "elevation_deg", (-91.0, 95.0, NAN)),
        (ReferenceCameraConfig(), "radius", (-1.0, 0.0, float("inf"))),
        (ReferenceCameraConfig(), "fov_y_deg", (0.0, 180.0)),
        (CameraSamplingConfig(), "radius_range", ((2.0, 1.0), (0.0, 1.0))),
        (CameraSamplingConfig(), "elevation_range_deg", ((0.0, 120.0),)),
        (CameraSamplingConfig(), "overhead_probability", (-0.1, 1.1)),
        (FieldConfig(), "num_levels", (0, 33)),
        (FieldConfig(), "num_features", (0, 3)),
        (FieldConfig(), "finest_resolution", (8,)),
        (FieldConfig(), "log2_table_size", (2, 40)),
        (FieldConfig(), "bound", (0.0, -1.0, NAN)),
        (BackgroundConfig(), "random_probability", (1.5,)),
        (BackgroundConfig(), "hidden_width", (0,)),
        (RendererConfig(), "steps_across", (0,)),
        (RendererConfig(), "picture_steps_across", (0,)),
        (RendererConfig(), "occupancy_interval", (0,)),
        (RendererConfig(), "occupancy_resolution", (0, 2, 48, 2048)),
        (ShadingConfig(), "ambient", (-0.1, 2.0)),
        (TermConfig(), "initial", (NAN,)),
        (TermConfig(), "clip", (0.0,)),
        (TermConfig(begin=0.5), "end", (0.4,)),
        (CoarseToFineConfig(), "end", (0.4, 1.1)),
        (OptimizerConfig(), "learning_rate", (0.0, -1.0, NAN)),
        (OptimizerConfig(), "loss_scale", (0.0,)),
        (OptimizerConfig(), "betas", ((1.0, 0.9),)),
        (InitialShapeConfig(), "steps", (-1,)),
        (InitialShapeConfig(), "points", (0,)),
        (RecoveryConfig(), "snapshot_interval", (0,)),
        (ScoreDistillationConfig(), "perpendicular_weight", (-1.0, NAN)),
        (ReconstructionConfig(), "iterations", (0, -3)),
        (ReconstructionConfig(), "reference_rays", (0,)),
        (ReconstructionConfig(), "prior_views", (0,)),
        (InputConfig(), "size", (-5, 0, 100_000)),
        (InputConfig(), "object_fraction", (0.0, 1.5)),
        (ExportConfig(), "turntable_views", (0,)),
        (ExportConfig(), "turntable_size", (0,)),
        (ExportConfig(), "turntable_fps", (0,)),
        (ExportConfig(), "mesh_resolution", (1,)),
        (ExportConfig(), "mesh_faces", (0,)),
        (ExportConfig(), "mesh_threshold", (-1.0, 0.0)),
        (RunConfig(image=Path("a.png")), "seed", (-1, 2**70)),
        (RunOptions(out=Path("run")), "checkpoint_interval", (-1,)),
        (RunOptions(out=Path("run")), "preview_interval", (-1,)),
    ],
)  # fmt: skip
def test_value_out_of_range_names_the_field(config, name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"`{name}` must"):
            dataclasses.replace(config, **{name: value})
