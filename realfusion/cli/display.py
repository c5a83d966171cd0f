"""What a run shows while it works: a live display, or plain lines where none fits."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from realfusion.cli.interruption import Interruption
from realfusion.listener import RunListener

PLAIN_INTERVAL_S = 10.0
RATE_WINDOW_S = 20.0


class Pace:
    """Iterations per second over the last seconds, and the time left."""

    def __init__(self, total: int | None, clock: Callable[[], float]) -> None:
        """Start counting.

        Args:
            total: Units of work, if known.
            clock: Seconds.
        """
        self.total = total
        self.done = 0
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, done: int) -> None:
        """`done` units are finished now."""
        now = self._clock()
        self.done = done
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > RATE_WINDOW_S:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Units per second, or None when it is too early to say."""
        if len(self._samples) < 2:
            return None
        (first, begun), (last, done) = self._samples[0], self._samples[-1]
        return (done - begun) / (last - first) if last > first else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end of the stage, or None when it is too early to say."""
        if self.total is None or not self.rate:
            return None
        return (self.total - self.done) / self.rate

    def __str__(self) -> str:
        """`120/500 · 3.1 it/s · 2:03 left`, as far as it is known."""
        parts = [f"{self.done}/{self.total}" if self.total else f"{self.done}"]
        if self.rate:
            parts.append(
                f"{self.rate:.2f} it/s" if self.rate < 10 else f"{self.rate:.0f} it/s"
            )
        if self.seconds_left is not None:
            parts.append(f"{format_duration(self.seconds_left)} left")
        return " · ".join(parts)


def format_duration(seconds: float) -> str:
    """`2:03`, or `1:02:03` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_values(values: Mapping[str, float]) -> str:
    """`image 0.0123  mask 0.2`: the figures of a step in one line."""
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())


class PlainDisplay:
    """One line at the beginning and end of a stage, and every few seconds between."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
        interval: float = PLAIN_INTERVAL_S,
    ) -> None:
        """Prepare.

        Args:
            stream: Where the lines go.
            clock: Seconds.
            interval: Seconds between two lines of the same stage.
        """
        self._stream = stream
        self._clock = clock
        self._interval = interval
        self._stage = ""
        self._pace = Pace(None, clock)
        self._last = clock()
        self.interruption = Interruption(write_to_standard_error)

    def stage(self, name: str, total: int | None = None) -> None:
        """Say that a stage begins."""
        self._stage = name
        self._pace = Pace(total, self._clock)
        self._last = self._clock()
        self._write(f"[{name}]" + (f" {total} steps" if total else ""))

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """Say where the stage is, if it is time to."""
        self._pace.update(done)
        now = self._clock()
        if now - self._last < self._interval and done != self._pace.total:
            return
        self._last = now
        figures = format_values(values)
        self._write(f"[{self._stage}] {self._pace}" + (f" | {figures}" * bool(figures)))

    def note(self, message: str) -> None:
        """Pass on a message."""
        self._write(message)

    def should_stop(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self.interruption.requested

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class LiveDisplay:
    """Stage, bar, pace, the terms of the loss and where to look, kept in place."""

    def __init__(
        self,
        console: Console,
        hint: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            console: The terminal.
            hint: Last line of the display.
            clock: Seconds.
        """
        self._console = console
        self._clock = clock
        self._pace = Pace(None, clock)
        self._task: TaskID | None = None
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),  # counts on while a stage says nothing
            TextColumn("{task.fields[pace]}"),
            console=console,
            get_time=clock,
        )
        self._figures = Text(style="cyan", no_wrap=True, overflow="ellipsis")
        self._hint = Text(hint, style="dim", no_wrap=True, overflow="ellipsis")
        self.live = Live(
            Group(self._progress, self._figures, self._hint),
            console=console,
            refresh_per_second=8,
        )
        self.interruption = Interruption(self._show_hint)

    def stage(self, name: str, total: int | None = None) -> None:
        """Finish the bar of the stage before and begin another."""
        self.finish_stage()
        self._pace = Pace(total, self._clock)
        self._task = self._progress.add_task(name, total=total, pace="")

    def finish_stage(self) -> None:
        """Mark the present stage as done."""
        if self._task is not None:
            total = self._pace.total or 1
            self._progress.update(self._task, total=total, completed=total)
        self._figures.plain = ""

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """Move the bar and renew the figures."""
        self._pace.update(done)
        if self._task is not None:
            self._progress.update(self._task, completed=done, pace=str(self._pace))
        self._figures.plain = format_values(values)

    def note(self, message: str) -> None:
        """Print a message above the display."""
        self._console.print(message, markup=False, highlight=False)

    def should_stop(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self.interruption.requested

    def _show_hint(self, message: str) -> None:
        """Replace the last line; the display's own thread draws it."""
        self._hint.plain = message


def write_to_standard_error(message: str) -> None:
    """Unbuffered, so that a signal handler may call it."""
    os.write(2, f"{message}\n".encode())


@contextlib.contextmanager
def _warnings_as_notes(listener: RunListener) -> Iterator[None]:
    """Show warnings in one line each, without the place in the code."""

    def show(message: Warning | str, *_where: object, **_more: object) -> None:
        listener.note(" ".join(f"warning: {message}".split()))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def display(previews: Path | None = None) -> Iterator[LiveDisplay | PlainDisplay]:
    """A listener on standard error that fits it, with the signals in its hands.

    Args:
        previews: Folder that is shown as the place to look.

    Yields:
        The listener.
    """
    console = Console(stderr=True)
    hint = f"previews in {previews}" if previews else ""
    if not console.is_terminal:
        plain = PlainDisplay(sys.stderr)
        if hint:
            plain.note(hint)
        with plain.interruption, _warnings_as_notes(plain):
            yield plain
        return
    shown = LiveDisplay(console, hint)
    with shown.live, shown.interruption, _warnings_as_notes(shown):
        yield shown
        shown.finish_stage()
