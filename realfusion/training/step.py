"""One training step: terms, weighted sum, one backward, update.

A step is launched and finished. Launching draws all random numbers on the host and
hands everything else to the device; finishing reads what came of it. In between the
host is free to launch the next step. A step that is not sound (a number is not finite,
or samples did not fit) calls off its own update and those of the steps behind it, on
the device; finishing it then finds the parameters as they were before it. One whose
gradient overflowed in half precision counts as done, though it changed nothing but the
loss scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from realfusion.priors.protocol import Prior
from realfusion.rendering.renderer import Rendered
from realfusion.rendering.scene import Scene
from realfusion.training.body_anchor import BodyAnchor
from realfusion.training.config import ReconstructionConfig
from realfusion.training.draws import StepDraw, draw_step
from realfusion.training.launched import (
    LaunchedStep,
    NonFiniteTermError,
    Outcome,
    SampleOverflowError,
    send_home,
)
from realfusion.training.objective import (
    Terms,
    body_terms,
    prior_terms,
    reconstruction_terms,
    render_photo,
    render_views,
    surface_terms,
    weighted_sum,
)
from realfusion.training.photo import Photo
from realfusion.training.schedules import active_levels, rate_factor
from realfusion.training.state import TrainState


@dataclass(frozen=True)
class Task:
    """What a reconstruction is given.

    Attributes:
        photo: What one side of the object looks like; None where only the prior knows.
        prior: Judges all other sides; None leaves them to the regularisers.
        anchor: The body that the run began with, if views are held to it.
    """

    photo: Photo | None
    prior: Prior | None = None
    anchor: BodyAnchor | None = None

    def __post_init__(self) -> None:
        """Refuse a task that asks for nothing."""
        if self.photo is None and self.prior is None:
            raise ValueError("a task needs a photo or a prior, got neither")


Update = Callable[[TrainState, Task, ReconstructionConfig, StepDraw], Outcome]


def train_step(
    state: TrainState, task: Task, config: ReconstructionConfig
) -> dict[str, float]:
    """Do one step of the optimisation.

    Args:
        state: Changed in place.
        task: Photo and prior.
        config: Settings of the reconstruction.

    Returns:
        The unweighted terms, and their weighted sum as `loss`.

    Raises:
        NonFiniteTermError: A term or a gradient is not finite; the parameters are as
            before the step.
    """
    while True:
        launched = launch_step(state, task, config)
        try:
            return finish_step(state, task, config, launched)
        except SampleOverflowError:
            continue


def update_scene(
    state: TrainState, task: Task, config: ReconstructionConfig, draw: StepDraw
) -> Outcome:
    """Render, judge, sum, one backward pass, one update (RealFusion, Eq. 5).

    All of this is the device's work, whose results the host does not look at.

    Args:
        state: Parameters, moments and averages change, if the step is sound.
        task: Photo and prior.
        config: Settings of the reconstruction.
        draw: Everything random or scheduled.

    Returns:
        What came of it.
    """
    draw = draw.to(state.refused.device)
    with state.optimizer.gathering():
        terms, rendered = compute_terms(state, task, config, draw)
    loss = weighted_sum(terms, draw.weights)
    (loss * state.loss_scale.value).backward()

    gradient_sum = state.optimizer.gradient_sum()
    numbers = torch.stack([*terms.values(), loss, gradient_sum]).detach()
    overflowed = torch.stack([each.overflowed for each in rendered]).any()
    is_finite = numbers.isfinite()
    is_skipped = state.loss_scale.overflows(is_finite[-1])
    is_sound = is_finite[:-1].all() & (is_finite[-1] | is_skipped) & ~overflowed
    torch.maximum(state.refused, 1.0 - is_sound.float(), out=state.refused)
    torch.maximum(state.refused, is_skipped.float(), out=state.withheld)
    state.optimizer.step(draw.average_share)
    state.loss_scale.update(is_skipped.float(), state.refused)
    wanted = [each.num_wanted for each in rendered]
    photo_samples = torch.zeros_like(wanted[0]) if task.photo is None else wanted.pop(0)
    flags = torch.stack([is_skipped, overflowed])
    samples = [photo_samples, torch.stack(wanted).amax(0)]
    numbers = torch.cat([numbers, *(each.double() for each in (flags, *samples))])
    return Outcome(tuple(terms), numbers)


def compute_terms(
    state: TrainState, task: Task, config: ReconstructionConfig, draw: StepDraw
) -> tuple[Terms, list[Rendered]]:
    """All terms of the objective at this step, and the renderings, the photo's first.

    Without a photo there is neither its terms nor its rendering: DreamFusion.

    Args:
        state: The scene, and the generator of the prior's noise.
        task: Photo and prior.
        config: Settings of the reconstruction.
        draw: Everything else that is random, on the scene's device.
    """
    scene, photo_room, view_room = state.scene, None, None
    scale = state.loss_scale.value
    if state.runs_ahead:
        photo_room, view_room = state.photo_capacity.room, state.view_capacity.room
    terms: Terms = {}
    rendered: list[Rendered] = []
    if task.photo is not None:
        pixels = task.photo.select(draw.pixels)
        seen = render_photo(scene, pixels, config, draw, photo_room)
        terms |= reconstruction_terms(seen, pixels, config, scale)
        rendered.append(seen.rendered)
    views = render_views(scene, config, draw, view_room)
    terms |= prior_terms(views, task.prior, config, draw, scale, state.generator)
    terms |= body_terms(views, task.anchor, config, draw, scale)
    terms |= surface_terms(views, config, scale)
    return terms, [*rendered, *(view.rendered for view in views)]


def launch_step(
    state: TrainState,
    task: Task,
    config: ReconstructionConfig,
    update: Update = update_scene,
) -> LaunchedStep:
    """Give one step to the device, without waiting for it.

    Args:
        state: Changed in place.
        task: Photo and prior.
        config: Settings of the reconstruction.
        update: The device's work: `update_scene`, or its repetition by CUDA graphs.

    Returns:
        The step. Steps must be finished in the order of their launch.
    """
    step = state.step
    _set_active_levels(state, config)
    if step % config.renderer.occupancy_interval == 0:
        warm = step < config.renderer.occupancy_warmup
        state.scene.update_occupancy(every_cell=warm, generator=state.generator)
    draw = draw_step(task.photo, config, step, state.generator)
    random_before = state.generator.get_state()
    factor = rate_factor(config.optimizer, draw.progress)
    state.optimizer.set_rates(state.rate_scale * factor)
    outcome = update(state, task, config, draw)
    state.step += 1
    random_after = state.generator.get_state()
    numbers, arrival = send_home(outcome.numbers)
    return LaunchedStep(
        step, draw, outcome.names, numbers, arrival, random_before, random_after
    )


def finish_step(
    state: TrainState, task: Task, config: ReconstructionConfig, launched: LaunchedStep
) -> dict[str, float]:
    """Read what came of a step, and check it.

    Args:
        state: As `launch_step` left it, perhaps with more steps launched since.
        task: Photo and prior.
        config: Settings of the reconstruction.
        launched: The step.

    Returns:
        The unweighted terms, and their weighted sum as `loss`.

    Raises:
        NonFiniteTermError: A term or a gradient is not finite.
        SampleOverflowError: The samples did not fit. In both cases the state is as
            before the step, but for the random numbers, which went on; steps launched
            behind it did nothing and must be dropped.
    """
    answer = launched.read()
    if state.runs_ahead:
        if task.photo is not None:
            state.photo_capacity.observe(answer.photo_samples)
        state.view_capacity.observe(answer.view_samples)
    if answer.has_overflowed:
        _step_back(state, config, launched)
        raise SampleOverflowError(
            f"the samples of step {launched.step} did not fit; again with room for "
            f"{state.photo_capacity.room} in the photo and {state.view_capacity.room} "
            f"in a view"
        )
    for name, value in answer.terms.items():
        if not math.isfinite(value):
            _step_back(state, config, launched)
            raise NonFiniteTermError(name, "value", launched.step)
    if not (math.isfinite(answer.gradient) or answer.is_skipped):
        _step_back(state, config, launched)
        culprit = _find_culprit(state, task, config, launched)
        raise NonFiniteTermError(culprit, "gradient", launched.step)
    return answer.terms


@contextmanager
def averaged_parameters(state: TrainState) -> Iterator[Scene]:
    """The scene with its averaged parameters, for previews and results."""
    parameters = dict(state.scene.named_parameters())
    current = {name: value.detach().clone() for name, value in parameters.items()}
    _assign(parameters, state.optimizer.averaged)
    try:
        yield state.scene
    finally:
        _assign(parameters, current)


@torch.no_grad()
def _assign(
    parameters: dict[str, torch.nn.Parameter], values: dict[str, Tensor]
) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])


def _set_active_levels(state: TrainState, config: ReconstructionConfig) -> None:
    state.scene.num_active_levels = active_levels(
        config.coarse_to_fine, config.field.num_levels, state.step / config.iterations
    )


def _step_back(
    state: TrainState, config: ReconstructionConfig, launched: LaunchedStep
) -> None:
    """Undo the launch of a refused step and of all behind it."""
    state.step = launched.step
    state.generator.set_state(launched.random_after)
    state.refused.zero_()
    _set_active_levels(state, config)


def _find_culprit(
    state: TrainState, task: Task, config: ReconstructionConfig, launched: LaunchedStep
) -> str:
    """Replay the step a term at a time: which one has the non-finite gradient?"""
    draw = launched.draw.to(state.refused.device)
    culprit = "sum of all"
    for name in launched.names:
        state.generator.set_state(launched.random_before)
        with state.optimizer.gathering():
            terms, _ = compute_terms(state, task, config, draw)
        loss = weighted_sum({name: terms[name]}, draw.weights)
        (loss * state.loss_scale.value).backward()
        if not state.optimizer.gradient_sum().isfinite():
            culprit = name
            break
    state.optimizer.zero_grad()
    state.generator.set_state(launched.random_after)
    return culprit
