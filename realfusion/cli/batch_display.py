"""What a batch shows: a line an image, and the time left for all of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from realfusion.cli.display import format_duration, write_to_standard_error
from realfusion.cli.interruption import Interruption

if TYPE_CHECKING:
    from realfusion.batch import Outcome


class BatchDisplay:
    """Bars of the runs on their way in a terminal; else only lines.

    The time left is estimated from all that was computed so far: images, and steps of
    those on their way.
    """

    def __init__(
        self,
        console: Console,
        num_runs: int,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "images",
    ) -> None:
        """Prepare.

        Args:
            console: Where it is shown.
            num_runs: Runs of the batch.
            clock: Seconds.
            unit: What the runs are counted in.
        """
        self._console = console
        self._num_runs = num_runs
        self._clock = clock
        self._started = clock()
        self._num_ended, self._num_computed = 0, 0
        self._shares: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self.progress_bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[remark]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._total = self.progress_bars.add_task(
            f"{num_runs} {unit}", total=num_runs, remark=""
        )
        self.interruption = Interruption(self._announce)

    def begin(self, name: str) -> None:
        """Show a run on its way."""
        self._shares[name] = 0.0
        self._tasks[name] = self.progress_bars.add_task(name, total=1.0, remark="")
        if not self._console.is_terminal:
            self._print(f"{name} ...")

    def progress(self, name: str, share: float) -> None:
        """Move the bar of a run, and that of all."""
        self._shares[name] = share
        self.progress_bars.update(self._tasks[name], completed=share)
        self._update_total()

    def end(self, outcome: Outcome) -> None:
        """Replace the bar of a run by what became of it."""
        self._shares.pop(outcome.name)
        self.progress_bars.remove_task(self._tasks.pop(outcome.name))
        self._num_ended += 1
        self._num_computed += outcome.state != "finished before"
        line = f"[{self._num_ended}/{self._num_runs}] {outcome.name}: {outcome}"
        left = self.seconds_left()
        if left and outcome.state != "stopped":
            line += f"; about {format_duration(left)} left"
        self._print(line)
        self._update_total()

    def should_stop(self) -> bool:
        """Whether Ctrl-C or SIGTERM came."""
        return self.interruption.requested

    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, or None when it is too early to say."""
        computed = self._num_computed + sum(self._shares.values())
        if not computed:
            return None
        left = self._num_runs - self._num_ended - sum(self._shares.values())
        return (self._clock() - self._started) * left / computed

    def _update_total(self) -> None:
        left = self.seconds_left()
        self.progress_bars.update(
            self._total,
            completed=self._num_ended + sum(self._shares.values()),
            remark="" if left is None else f"about {format_duration(left)} left",
        )

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _announce(self, message: str) -> None:
        """Called within a signal handler: what the display's own thread draws, or raw.

        Args:
            message: What to tell.
        """
        if self._console.is_terminal:
            self.progress_bars.tasks[0].description = message
        else:
            write_to_standard_error(message)


@contextlib.contextmanager
def batch_display(num_runs: int, unit: str = "images") -> Iterator[BatchDisplay]:
    """A display on standard error, with the signals in its hands.

    Args:
        num_runs: Runs of the batch.
        unit: What the runs are counted in.

    Yields:
        The display.
    """
    shown = BatchDisplay(Console(stderr=True), num_runs, unit=unit)
    with shown.progress_bars, shown.interruption:
        yield shown


def summary_table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as plain columns: name, PSNR, mask IoU, seconds, what happened."""
    rows = [("image", "PSNR dB", "mask IoU", "seconds", "")]
    for each in outcomes:
        rows.append(
            (
                each.name,
                "-" if each.psnr_db is None else f"{each.psnr_db:.1f}",
                "-" if each.mask_iou is None else f"{each.mask_iou:.3f}",
                f"{each.seconds:.0f}",
                ": ".join(filter(None, (each.state, each.reason))),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [row[column].rjust(widths[column]) for column in range(1, 4)]
            + [row[4]]
        ).rstrip()
        for row in rows
    )
