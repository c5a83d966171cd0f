"""The optimisation as a generator: it yields its steps and never prints or saves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from torch import Tensor

from realfusion.errors import NonFiniteError
from realfusion.training.config import ReconstructionConfig
from realfusion.training.graphs import GraphedUpdate
from realfusion.training.launched import (
    LaunchedStep,
    NonFiniteTermError,
    SampleOverflowError,
)
from realfusion.training.out_of_memory import is_out_of_memory
from realfusion.training.state import TrainState
from realfusion.training.step import (
    Task,
    Update,
    finish_step,
    launch_step,
    update_scene,
)

MAX_LAUNCHED = 2
"""Steps that a host which runs ahead leaves unread: enough never to wait. Always so
many, not those that happen to be unfinished, so that a run does not depend on time."""


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes:
        step: Steps done so far.
        terms: Unweighted terms and their weighted sum `loss`; empty after a recovery.
        message: What the user should know, or an empty string.
    """

    step: int
    terms: dict[str, float]
    message: str = ""


@dataclass(frozen=True)
class _Snapshot:
    tensors: dict[str, Tensor]
    numbers: dict[str, float]


def fit(
    state: TrainState,
    task: Task,
    config: ReconstructionConfig,
    *,
    cuda_graphs: bool = True,
) -> Iterator[StepResult]:
    """Optimise the scene from where `state` stands to the last iteration.

    A non-finite term or gradient stops its step before it changes anything; the state
    returns to the last snapshot with lower learning rates and other random numbers.

    A CUDA device is not waited for: a result is yielded when `state` is `MAX_LAUNCHED`
    steps further. At snapshots and at the end, and always on the CPU, the last result
    yielded is that of the state.

    Args:
        state: Changed in place; may be saved between two steps.
        task: Photo and prior.
        config: Settings of the reconstruction.
        cuda_graphs: Use CUDA graphs where the scene is on CUDA and there is no prior.

    Yields:
        The result of each step, and of each recovery.

    Raises:
        NonFiniteError: After too many recoveries.
        OutOfMemoryError: torch's; `state` is that after the last whole step.
    """
    is_graphed = cuda_graphs and state.refused.is_cuda and task.prior is None
    update: Update = GraphedUpdate() if is_graphed else update_scene
    max_launched = MAX_LAUNCHED if state.runs_ahead else 0
    launched: deque[LaunchedStep] = deque()
    snapshot = _take_snapshot(state)
    while state.step < config.iterations or launched:
        if state.step < config.iterations:
            random_before = state.generator.get_state()
            try:
                launched.append(launch_step(state, task, config, update))
            except RuntimeError as error:
                if is_out_of_memory(error):
                    _abandon(state, task, config, launched, random_before)
                raise
        at_snapshot = state.step % config.recovery.snapshot_interval == 0
        must_settle = at_snapshot or state.step == config.iterations
        while launched and (must_settle or len(launched) > max_launched):
            step = launched.popleft()
            try:
                terms = finish_step(state, task, config, step)
            except (NonFiniteTermError, SampleOverflowError) as error:
                launched.clear()
                message = str(error)
                if isinstance(error, NonFiniteTermError):
                    message = _recover(state, snapshot, config, error)
                yield StepResult(state.step, {}, message)
                continue
            if at_snapshot and not launched:
                snapshot = _take_snapshot(state)
            yield StepResult(step.step + 1, terms)


def _take_snapshot(state: TrainState) -> _Snapshot:
    tensors = {name: value.detach().clone() for name, value in state.tensors().items()}
    return _Snapshot(tensors, state.numbers())


def _abandon(
    state: TrainState,
    task: Task,
    config: ReconstructionConfig,
    launched: deque[LaunchedStep],
    random_before: Tensor,
) -> None:
    """Leave a step that memory did not suffice for, and settle those before it."""
    state.optimizer.zero_grad()
    state.generator.set_state(random_before)
    # A step that is not sound has called off itself and all behind it.
    with suppress(NonFiniteTermError, SampleOverflowError):
        while launched:
            finish_step(state, task, config, launched.popleft())


def _recover(
    state: TrainState,
    snapshot: _Snapshot,
    config: ReconstructionConfig,
    error: NonFiniteTermError,
) -> str:
    recovery = config.recovery
    if state.recoveries >= recovery.max_recoveries:
        raise NonFiniteError(
            f"{error}, after {state.recoveries} recoveries; lower the learning rates "
            f"or the weight of '{error.term}'"
        ) from error
    generator, recoveries = state.generator.get_state(), state.recoveries
    scale = {name: each.clone() for name, each in state.loss_scale.tensors().items()}
    rate_scale = state.rate_scale * recovery.rate_factor
    state.load(snapshot.tensors, snapshot.numbers)
    # The stream of random numbers goes on: the same draws would fail the same way.
    state.generator.set_state(generator)
    state.rate_scale, state.recoveries = rate_scale, recoveries + 1
    state.loss_scale.load(scale)  # it fell for a reason
    return (
        f"{error}; back to step {state.step} with learning rates times {rate_scale:g}"
    )
