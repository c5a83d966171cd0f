"""Ctrl-C and SIGTERM: the first asks the run to save and stop, the second ends it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

EXIT_CODE = 130


class Interruption:
    """While entered, turns signals into a request that a run can ask about."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            announce: Tells the user, in one line, that the request was heard. It is
                called within the signal handler, so it must not use a buffered
                stream: the signal may have interrupted a print to that very stream,
                which may not be entered again.
        """
        self._announce = announce
        self._previous: dict[int, Any] = {}
        self.requested = False

    def __enter__(self) -> Interruption:
        """Install the handlers."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the previous handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            # At once: a kernel may be running in other threads. Every file is written
            # by an atomic rename, so that nothing is left half written.
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # the live display hides the cursor
            os.write(2, b"\nstopped at once\n")
            os._exit(EXIT_CODE)
        self.requested = True
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self._announce(
            f"{name}: finishing the step and saving; once more stops at once"
        )
