"""The reconstruction of a run: a field fitted to the photo, under the prior.

RealFusion, Sec. 3.3 and 3.4. What one step does stands in `realfusion.training.step`.
Here is what a run does with the steps: it poses the task, begins or goes on where its
checkpoint stands, tells the listener, and keeps checkpoints and previews.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from realfusion.config import RunOptions
from realfusion.listener import RunInterruptedError, RunListener, stop_if_asked
from realfusion.outputs import write_preview
from realfusion.prior_stage import PreparedPrior, memory_remedy
from realfusion.priors.protocol import Prior
from realfusion.priors.view_guide import Body
from realfusion.run_folder import OpenRun
from realfusion.run_metrics import update_metrics
from realfusion.run_state import load_state, new_state
from realfusion.training.body_anchor import BodyAnchor
from realfusion.training.checkpoint import read_index, save_checkpoint
from realfusion.training.config import ReconstructionConfig, TermConfig
from realfusion.training.fit import StepResult, fit
from realfusion.training.history import History
from realfusion.training.initial_shape import fit_initial_shape, initial_body
from realfusion.training.out_of_memory import saved_before_explained
from realfusion.training.photo import prepare_photo, reference_camera
from realfusion.training.schedules import active_levels
from realfusion.training.state import TrainState
from realfusion.training.step import Task


def reconstruct(
    opened: OpenRun,
    options: RunOptions,
    rgba: Float[np.ndarray, "size size 4"] | None,
    prepared: PreparedPrior,
    device: torch.device,
    listener: RunListener,
) -> tuple[TrainState, History]:
    """Fit the field to the photo under the prior (RealFusion, Sec. 3.3 and 3.4).

    Args:
        opened: The run; its checkpoint is continued.
        options: Intervals of checkpoints and previews.
        rgba: The framed picture; None where only the prior knows the object.
        prepared: The prior.
        device: Where to compute.
        listener: Told every step; may ask to stop.

    Returns:
        The final state and the curves.

    Raises:
        RunInterruptedError: The listener asked to stop; the state is saved.
        NonFiniteError: The optimisation diverged again and again.
    """
    config = opened.config.reconstruction
    task, body = _pose_task(config, rgba, prepared.prior, device)
    start = _find_start(opened, body, device, listener)
    listener.stage("reconstruction", config.iterations)
    listener.advance(start.state.step, {})
    progress = _Progress(opened, options, prepared.prior, listener, start)
    steps = fit(start.state, task, config, cuda_graphs=options.cuda_graphs)
    remedy = memory_remedy(opened.config, options)
    for result in saved_before_explained(steps, progress.save, remedy):
        progress.follow(result)
        stopping = listener.should_stop()
        if stopping or _is_due(result.step, options.checkpoint_interval):
            progress.save()
        if stopping and start.state.step < config.iterations:
            raise RunInterruptedError(
                f"stopped at step {start.state.step} of {config.iterations}; the same "
                f"command continues from there"
            )
    progress.finish()
    return start.state, start.history


def _pose_task(
    config: ReconstructionConfig,
    rgba: Float[np.ndarray, "size size 4"] | None,
    prior: Prior | None,
    device: torch.device,
) -> tuple[Task, Body | None]:
    """What the reconstruction is given, and the body to begin with, if any."""
    camera = reference_camera(config.reference_camera)
    photo, body, anchor = None, None, None
    if rgba is not None:
        picture, size = torch.from_numpy(rgba), config.reference_size
        photo = prepare_photo(picture, size=size, camera=camera, device=device)
        has_prior = prior is not None
        body = initial_body(photo, config.initial_shape, has_prior=has_prior)
    if body is not None and config.objective.body != TermConfig(initial=0.0):
        anchor = BodyAnchor(body, camera, device)
    return Task(photo, prior, anchor), body


@dataclass(frozen=True)
class _Start:
    """Where a reconstruction begins, or goes on.

    Attributes:
        state: Changed by the steps.
        history: The curves, likewise.
        saved_step: Step of the checkpoint it goes on from; None without one.
        seconds: Spent on the steps up to there.
    """

    state: TrainState
    history: History
    saved_step: int | None = None
    seconds: float = 0.0


def _find_start(
    opened: OpenRun, body: Body | None, device: torch.device, listener: RunListener
) -> _Start:
    """The checkpoint's state, or a new one whose field is fitted to the body."""
    config = opened.config.reconstruction
    index = read_index(opened.folder.checkpoint)
    if index is not None:
        state, history = load_state(opened, device)
        if 0 < state.step < config.iterations:
            listener.note(f"continuing at step {state.step} of {config.iterations}")
        return _Start(state, history, index.step, index.seconds)
    state = new_state(opened, device)
    if body is not None:
        stop_if_asked(listener, "before the reconstruction")
        levels = active_levels(config.coarse_to_fine, config.field.num_levels, 0.0)
        fit_initial_shape(
            state.scene.field,
            body,
            config.initial_shape,
            num_active_levels=levels,
            generator=state.generator,
        )
        state.optimizer.reset_average()
    return _Start(state, History())


@dataclass(frozen=True)
class _Progress:
    """What is told and kept of a reconstruction while it goes on.

    Attributes:
        opened: Where it is kept.
        options: How often.
        prior: Has figures to keep, too.
        listener: Told.
        start: What changes with every step, and since when.
        started: Of the clock, when the first step was about to begin.
    """

    opened: OpenRun
    options: RunOptions
    prior: Prior | None
    listener: RunListener
    start: _Start
    started: float = field(default_factory=time.perf_counter)

    def follow(self, result: StepResult) -> None:
        """Put a step into the curves, tell it, and show it where a preview is due."""
        self.start.history.append(result.step, result.terms, result.message)
        if result.message:
            self.listener.note(result.message)
        self.listener.advance(result.step, result.terms)
        if _is_due(result.step, self.options.preview_interval):
            self._preview()

    def save(self) -> None:
        """Write the checkpoint and the figures so far."""
        state, folder = self.start.state, self.opened.folder
        seconds = self.start.seconds + time.perf_counter() - self.started
        save_checkpoint(
            folder.checkpoint,
            state,
            fingerprint=self.opened.fingerprint,
            seconds=seconds,
            history=self.start.history,
        )
        update_metrics(
            folder,
            iterations=state.step,
            iterations_per_second=state.step / seconds,
            seconds={"reconstruction": seconds},
            recoveries=state.recoveries,
            **state.loss_scale.figures(),
        )
        if self.prior is not None:
            update_metrics(folder, **self.prior.figures())

    def finish(self) -> None:
        """Say what was clipped or left out; save and show the end, if it is new."""
        state, interval = self.start.state, self.options.preview_interval
        figures = {} if self.prior is None else self.prior.figures()
        if clipped := figures.get("clipped_latents"):
            self.listener.note(
                f"{clipped} latent values were clipped before the prior saw them"
            )
        if skipped := state.loss_scale.figures().get("skipped_steps"):
            self.listener.note(
                f"steps left out because a gradient overflowed: {skipped}"
            )
        if self.start.saved_step is None or self.start.saved_step < state.step:
            self.save()
            if interval and not _is_due(state.step, interval):
                self._preview()

    def _preview(self) -> None:
        config = self.opened.config.reconstruction
        camera = reference_camera(config.reference_camera)
        write_preview(self.opened.folder, self.start.state, camera)


def _is_due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
