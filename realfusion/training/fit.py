"""The optimisation as a generator: it yields its steps and never prints or saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from realfusion.errors import NonFiniteError
from realfusion.training.config import ReconstructionConfig
from realfusion.training.state import TrainState
from realfusion.training.step import NonFiniteTermError, Task, train_step


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
    state: TrainState, task: Task, config: ReconstructionConfig
) -> Iterator[StepResult]:
    """Optimise the scene from where `state` stands to the last iteration.

    A non-finite term or gradient stops its step before it changes anything; the state
    returns to the last snapshot with lower learning rates and other random numbers.

    Args:
        state: Changed in place; may be saved between two steps.
        task: Photo and prior.
        config: Settings of the reconstruction.

    Yields:
        The result of each step, and of each recovery.

    Raises:
        NonFiniteError: After too many recoveries.
    """
    snapshot = _take_snapshot(state)
    while state.step < config.iterations:
        try:
            terms = train_step(state, task, config)
        except NonFiniteTermError as error:
            message = _recover(state, snapshot, config, error)
            yield StepResult(state.step, {}, message)
            continue
        if state.step % config.recovery.snapshot_interval == 0:
            snapshot = _take_snapshot(state)
        yield StepResult(state.step, terms)


def _take_snapshot(state: TrainState) -> _Snapshot:
    tensors = {name: value.detach().clone() for name, value in state.tensors().items()}
    return _Snapshot(tensors, state.numbers())


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
    rate_scale = state.rate_scale * recovery.rate_factor
    state.load(snapshot.tensors, snapshot.numbers)
    # The stream of random numbers goes on: the same draws would fail the same way.
    state.generator.set_state(generator)
    state.rate_scale, state.recoveries = rate_scale, recoveries + 1
    return (
        f"{error}; back to step {state.step} with learning rates times {rate_scale:g}"
    )
