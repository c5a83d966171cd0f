"""A step on its way: what the device was given, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.rendering.capacity import SampleCounts
from realfusion.training.draws import StepDraw


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


class SampleOverflowError(RuntimeError):
    """The samples of a step did not fit; the next attempt has room for them."""


@dataclass(frozen=True)
class Outcome:
    """What came of a step, still on the device.

    Attributes:
        names: The terms, in order.
        numbers: Float64: the terms, `loss`, the sum of the scaled gradient, whether
            the step is left out for its loss scale's sake, whether samples overflowed,
            and how many (marched, visible) the photo's rays and the hungriest of the
            views wanted.
    """

    names: tuple[str, ...]
    numbers: Float[Tensor, " num_terms_plus_8"]


@dataclass(frozen=True)
class Answer:
    """An `Outcome` as the host reads it.

    Attributes:
        terms: The unweighted terms, and their weighted sum as `loss`.
        gradient: Sum of the scaled gradient; finite if every part of it is.
        is_skipped: Whether the gradient overflowed and a smaller loss scale will do.
        has_overflowed: Whether samples did not fit.
        photo_samples: Samples that the photo's rays wanted.
        view_samples: The most samples that a random view wanted.
    """

    terms: dict[str, float]
    gradient: float
    is_skipped: bool
    has_overflowed: bool
    photo_samples: SampleCounts
    view_samples: SampleCounts


@dataclass(frozen=True)
class LaunchedStep:
    """A step that the device has been given.

    Attributes:
        step: Steps done before it.
        draw: Its random numbers, on the CPU.
        names: Its terms.
        numbers: As of `Outcome`, in host memory once they have arrived.
        arrival: The event of their arrival; None where there is nothing to wait for.
        random_before: State of the generator after the draw, before the prior's noise.
        random_after: State of the generator after the step.
    """

    step: int
    draw: StepDraw
    names: tuple[str, ...]
    numbers: Tensor
    arrival: torch.cuda.Event | None
    random_before: Tensor
    random_after: Tensor

    def read(self) -> Answer:
        """What came of the step, after waiting for it if need be."""
        if self.arrival is not None:
            self.arrival.synchronize()
        *values, gradient, skipped, overflowed = self.numbers[:-4].tolist()
        marched, visible, *views = (int(count) for count in self.numbers[-4:])
        return Answer(
            terms=dict(zip((*self.names, "loss"), values, strict=True)),
            gradient=gradient,
            is_skipped=skipped > 0.0,
            has_overflowed=overflowed > 0.0,
            photo_samples=SampleCounts(marched, visible),
            view_samples=SampleCounts(*views),
        )


def send_home(numbers: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Numbers on their way to the host, and the event of their arrival."""
    if not numbers.is_cuda:
        return numbers, None
    # To page-locked memory, which torch allocates for copies that are not waited for.
    arriving = numbers.to("cpu", non_blocking=True)
    arrival = torch.cuda.Event()
    arrival.record()
    return arriving, arrival
