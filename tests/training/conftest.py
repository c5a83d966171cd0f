"""A scene small enough to train in a test, and a prior in a few lines."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt, ScoreDistillationConfig
from realfusion.priors.protocol import Conditioning, NoiseResidual
from realfusion.priors.score_distillation import ScoreDistillation
from realfusion.training.config import (
    InitialShapeConfig,
    ObjectiveConfig,
    OptimizerConfig,
    ReconstructionConfig,
)
from realfusion.training.photo import Photo, prepare_photo
from realfusion.training.presets import SMOKE
from realfusion.training.step import Task


class GreyPrior:
    """Believes that every view is grey: ε̂ − ε points from grey to the view."""

    name = "grey"
    image_size = 16
    num_train_timesteps = 1000
    device = torch.device("cpu")
    dtype = torch.float32
    num_clipped = 0

    def __init__(self) -> None:
        self.seen: list[tuple[Camera, ...]] = []
        self.fail_at: int | None = None

    def task(self, photo: Photo | None) -> Task:
        """What a reconstruction under this prior is given."""
        judge = ScoreDistillation(self, Prompt(), ScoreDistillationConfig())
        return Task(photo, judge)

    def encode(self, images):
        return torch.nn.functional.interpolate(images, (16, 16), mode="area")

    def condition(self, prompt, cameras):
        self.seen.append(tuple(cameras))
        context = torch.zeros(len(cameras), 1, 1)
        return Conditioning(context=context, negative_context=context)

    def noise_residual(
        self,
        latents,
        conditioning,
        *,
        timesteps,
        guidance_scale,
        generator,
        guidance_rescale=0.0,
        mode="sds",
    ):
        assert not latents.requires_grad
        residual = latents - 0.5
        if self.fail_at is not None and len(self.seen) == self.fail_at:
            residual = residual * torch.nan
        return NoiseResidual(
            residual=residual,
            alphas_cumprod=torch.full((len(latents),), 0.5),
            timesteps=timesteps,
        )


@pytest.fixture
def grey_prior() -> GreyPrior:
    return GreyPrior()


@pytest.fixture
def config() -> ReconstructionConfig:
    """Twenty steps of a tiny scene that starts from the blob."""
    return dataclasses.replace(
        SMOKE,
        iterations=20,
        reference_size=24,
        reference_rays=256,
        prior_view_size=16,
        field=dataclasses.replace(SMOKE.field, blob_density=5.0),
        renderer=dataclasses.replace(
            SMOKE.renderer, steps_across=32, occupancy_resolution=16
        ),
        initial_shape=InitialShapeConfig(kind="blob"),
        # The classes' own defaults: tuning a preset must not move these tests.
        objective=ObjectiveConfig(),
        optimizer=OptimizerConfig(),
        score_distillation=ScoreDistillationConfig(),
    )


@pytest.fixture
def photo() -> Photo:
    """A red disc, as a ball of radius 0.4 at the origin looks."""
    size = 48
    axis = torch.linspace(-1, 1, size)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    rgba = torch.zeros(size, size, 4)
    rgba[..., 0] = 0.8
    rgba[..., 1:3] = 0.2
    rgba[..., 3] = ((rows.square() + columns.square()).sqrt() < 0.6).float()
    return prepare_photo(rgba, size=24, camera=Camera())
