"""One training step: terms, weighted sum, one backward, update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from realfusion.priors.config import Prompt
from realfusion.priors.protocol import DiffusionPrior
from realfusion.rendering.scene import Scene
from realfusion.training.config import ReconstructionConfig
from realfusion.training.objective import (
    Terms,
    prior_terms,
    reconstruction_terms,
    weighted_sum,
)
from realfusion.training.photo import Photo
from realfusion.training.schedules import active_levels, rate_factor
from realfusion.training.state import TrainState


class NonFiniteTermError(ArithmeticError):
    """A loss term, or the gradient it caused, is NaN or infinite."""

    def __init__(self, term: str, kind: str, step: int) -> None:
        """Name the culprit.

        Args:
            term: Name of the term.
            kind: `value` or `gradient`.
            step: The step it happened in.
        """
        super().__init__(
            f"the {kind} of the term '{term}' at step {step} is not finite"
        )
        self.term, self.kind, self.step = term, kind, step


@dataclass(frozen=True)
class Task:
    """What a reconstruction is given: the photo, and a prior with its prompt."""

    photo: Photo
    prior: DiffusionPrior | None = None
    prompt: Prompt | None = None


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
    progress = state.step / config.iterations
    scene = state.scene
    scene.num_active_levels = active_levels(
        config.coarse_to_fine, config.field.num_levels, progress
    )
    if state.step % config.renderer.occupancy_interval == 0:
        warm = state.step < config.renderer.occupancy_warmup
        scene.update_occupancy(every_cell=warm, generator=state.generator)

    before = state.generator.get_state()
    terms = compute_terms(state, task, config, progress)
    for name, value in terms.items():
        if not math.isfinite(value.item()):
            raise NonFiniteTermError(name, "value", state.step)
    loss = weighted_sum(terms, config.objective, progress)
    state.optimizer.zero_grad(set_to_none=True)
    (loss * config.optimizer.loss_scale).backward()
    if not _gradients_are_finite(scene):
        culprit = _find_culprit(state, task, config, progress, before)
        raise NonFiniteTermError(culprit, "gradient", state.step)

    _unscale_gradients(scene, config.optimizer.loss_scale)
    factor = state.rate_scale * rate_factor(config.optimizer, progress)
    for group in state.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    state.optimizer.step()
    state.step += 1
    state.update_average(config.optimizer.ema_decay)
    return {name: value.item() for name, value in terms.items()} | {"loss": loss.item()}


def compute_terms(
    state: TrainState, task: Task, config: ReconstructionConfig, progress: float
) -> Terms:
    """All terms of the objective at this step (RealFusion, Eq. 5)."""
    scene, generator = state.scene, state.generator
    terms = reconstruction_terms(scene, task.photo, config, generator)
    return terms | prior_terms(
        scene, task.prior, task.prompt, task.photo, config, progress, generator
    )


@contextmanager
def averaged_parameters(state: TrainState) -> Iterator[Scene]:
    """The scene with its averaged parameters, for previews and results."""
    parameters = dict(state.scene.named_parameters())
    current = {name: value.detach().clone() for name, value in parameters.items()}
    _assign(parameters, state.averaged)
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


def _unscale_gradients(scene: Scene, loss_scale: float) -> None:
    if loss_scale != 1.0:
        gradients = [p.grad for p in scene.parameters() if p.grad is not None]
        torch._foreach_div_(gradients, loss_scale)


def _gradients_are_finite(scene: Scene) -> bool:
    gradients = [p.grad for p in scene.parameters() if p.grad is not None]
    # One sum a tensor: it is finite only if all of them are, or overflows, which the
    # second look then clears.
    if torch.stack([g.sum() for g in gradients]).isfinite().all():
        return True
    return all(bool(gradient.isfinite().all()) for gradient in gradients)


def _find_culprit(
    state: TrainState,
    task: Task,
    config: ReconstructionConfig,
    progress: float,
    generator_state: Tensor,
) -> str:
    """Replay the step a term at a time: which one has the non-finite gradient?"""
    after = state.generator.get_state()
    recompute: Callable[[], Terms] = lambda: compute_terms(  # noqa: E731
        state, task, config, progress
    )
    state.generator.set_state(generator_state)
    names = list(recompute())
    culprit = "sum of all"
    for name in names:
        state.generator.set_state(generator_state)
        state.optimizer.zero_grad(set_to_none=True)
        only = {name: recompute()[name]}
        weighted_sum(only, config.objective, progress).backward()
        if not _gradients_are_finite(state.scene):
            culprit = name
            break
    state.optimizer.zero_grad(set_to_none=True)
    state.generator.set_state(after)
    return culprit
