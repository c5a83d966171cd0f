"""A training step and its parts: rendering, prior, backward, optimiser, occupancy.

Shared by the pytest suite beside this file and by ``benchmarks/gpu.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.protocol import DiffusionPrior
from realfusion.priors.score_distillation import ScoreDistillation
from realfusion.training.config import ReconstructionConfig
from realfusion.training.draws import StepDraw, draw_step
from realfusion.training.initial_shape import fit_initial_shape, initial_body
from realfusion.training.objective import render_photo, render_views, weighted_sum
from realfusion.training.photo import Photo, prepare_photo, reference_camera
from realfusion.training.schedules import active_levels
from realfusion.training.state import TrainState
from realfusion.training.step import Task, compute_terms, train_step

PROGRESS = 0.5
WARM_UP_STEPS = 60


@dataclass(frozen=True)
class Bench:
    """A reconstruction in the middle of its run.

    Attributes:
        state: What a step changes.
        task: Photo, and the prior if there is one.
        config: Settings of the reconstruction.
        average_share: How far the averaged parameters move to the current ones.
    """

    state: TrainState
    task: Task
    config: ReconstructionConfig
    average_share: torch.Tensor

    @property
    def rays(self) -> str:
        """The rays of a step, for the table's notes."""
        config = self.config
        return (
            f"{config.reference_rays} + {config.prior_views} × "
            f"{config.prior_view_size}²"
        )

    def whole_step(self) -> None:
        """One step; the count stands still, so that no occupancy sweep falls due."""
        train_step(self.state, self.task, self.config)
        self.state.step -= 1

    def draw(self) -> StepDraw:
        """The random numbers of a step in the middle of the run, on its device."""
        step = int(PROGRESS * self.config.iterations)
        drawn = draw_step(self.task.photo, self.config, step, self.state.generator)
        return drawn.to(self.state.refused.device)

    def render_photo(self) -> None:
        draw, room = self.draw(), self.state.photo_capacity.room
        pixels = self.task.photo.select(draw.pixels)
        render_photo(self.state.scene, pixels, self.config, draw, room)

    def render_view(self) -> None:
        """The random views, without the prior's judgement."""
        room = self.state.view_capacity.room
        render_views(self.state.scene, self.config, self.draw(), room)

    def judge(self) -> Callable[[], None] | None:
        """Encoding views and judging the latents, both guidance branches."""
        judge_of_task = self.task.prior
        if not isinstance(judge_of_task, ScoreDistillation):
            return None
        prior, prompt = judge_of_task.diffusion, judge_of_task.prompt
        config, generator = self.config, self.state.generator
        size, count = config.prior_view_size, config.prior_views
        images = torch.rand(
            count, 3, size, size, device=prior.device, requires_grad=True
        )
        condition = prior.condition(prompt, [Camera(azimuth_deg=90.0)] * count)
        timesteps = torch.full((count,), 500, device=prior.device)

        def judge() -> None:
            prior.noise_residual(
                prior.encode(images).detach(),
                condition,
                timesteps=timesteps,
                guidance_scale=config.score_distillation.guidance_scale,
                generator=generator,
            )

        return judge

    def make_loss(self) -> torch.Tensor:
        """A step's objective, ready for the backward pass."""
        draw = self.draw()
        with self.state.optimizer.gathering():
            terms, _ = compute_terms(self.state, self.task, self.config, draw)
        return weighted_sum(terms, draw.weights)

    def make_gradients(self) -> None:
        """Gradients for `update`: their values do not matter, the prior is spared."""
        replace(self, task=Task(self.task.photo)).make_loss().backward()

    def update(self) -> None:
        self.state.optimizer.step(self.average_share)

    def update_occupancy(self) -> None:
        """It changes how many samples the other stages take: time it last."""
        self.state.scene.update_occupancy(
            every_cell=False, generator=self.state.generator
        )


def make_disc_photo(config: ReconstructionConfig, device: torch.device) -> Photo:
    """A disc, as a photo of a ball looks."""
    axis = torch.linspace(-1.0, 1.0, 128)
    inside = (axis[:, None] ** 2 + axis**2 < 0.5).float()
    rgba = torch.stack([0.8 * inside, 0.3 * inside, 0.2 * inside, inside], dim=-1)
    camera = reference_camera(config.reference_camera)
    size = config.reference_size
    return prepare_photo(rgba, size=size, camera=camera, device=device)


def make_bench(
    config: ReconstructionConfig, prior: DiffusionPrior | None, device: torch.device
) -> Bench:
    """A reconstruction of a ball after some steps, in the middle of its run.

    It starts from a body if the configuration says so, as every run does: an object,
    most of whose samples are hidden behind others, and not fog.
    """
    photo = make_disc_photo(config, device)
    has_prior = prior is not None
    state = TrainState(config, seed=0, device=device, has_prior=has_prior)
    judge = None
    if prior is not None:
        prompt = Prompt(subject="an object")
        judge = ScoreDistillation(prior, prompt, config.score_distillation)
    task = Task(photo, judge)
    body = initial_body(photo, config.initial_shape, has_prior=has_prior)
    if body is not None:
        fit_initial_shape(
            state.scene.field,
            body,
            config.initial_shape,
            num_active_levels=active_levels(
                config.coarse_to_fine, config.field.num_levels, PROGRESS
            ),
            generator=state.generator,
        )
    for _ in range(WARM_UP_STEPS):
        train_step(state, Task(photo), config)
    state.step = int(PROGRESS * config.iterations) + 1  # no occupancy sweep is due
    share = torch.tensor(1.0 - config.optimizer.ema_decay, device=device)
    return Bench(state, task, config, share)
