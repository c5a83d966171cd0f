"""Who watches a run: the interface between the pipeline and a display."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


class RunInterruptedError(Exception):
    """The run was asked to stop and has saved its state."""


@runtime_checkable
class RunListener(Protocol):
    """Told what happens; asked whether to go on."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A stage begins, with `total` units of work if that is known."""
        ...

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """`done` units of the stage are finished; `values` are its figures."""
        ...

    def note(self, message: str) -> None:
        """Something the user should know, in one line."""
        ...

    def should_stop(self) -> bool:
        """Whether the run should save and stop as soon as it can."""
        ...


def stop_if_asked(listener: RunListener, when: str) -> None:
    """Raise a RunInterruptedError if the listener wants the run to stop.

    Args:
        listener: Asked.
        when: Where the run is, in words that follow "stopped".
    """
    if listener.should_stop():
        raise RunInterruptedError(f"stopped {when}; the same command continues")


class SilentListener:
    """Watches without a word; never stops a run."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore the beginning of a stage."""

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """Ignore progress."""

    def note(self, message: str) -> None:
        """Ignore a message."""

    def should_stop(self) -> bool:
        """Go on."""
        return False
