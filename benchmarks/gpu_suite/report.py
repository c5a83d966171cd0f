"""What a section finds, written line by line so that nothing is lost when it dies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.table import make_record

KINDS = ("machine", "record", "check", "ceiling", "note", "left_out", "failure")


class Report:
    """Appends entries to a file; each is a JSON object with its `kind`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _write(self, kind: str, value: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "value": value}) + "\n")

    def machine(self, text: str) -> None:
        """Something that the figures depend on."""
        self._write("machine", text)

    def record(
        self, group: str, case: str, seconds: Sequence[float], **extra: Any
    ) -> None:
        """Times of one case; see `make_record`."""
        self._write("record", make_record(group, case, seconds, **extra))

    def check(self, name: str, result: str, *, passed: bool) -> None:
        """A test of correctness; one that does not pass is a failure too."""
        self._write("check", {"name": name, "result": result, "passed": passed})
        if not passed:
            self.failure(f"{name}: {result}")

    def ceiling(self, name: str, value: float, unit: str) -> None:
        """What the hardware does at best, measured."""
        self._write("ceiling", {"name": name, "value": value, "unit": unit})

    def note(self, text: str) -> None:
        """Something a reader of the table should know."""
        self._write("note", text)

    def left_out(self, text: str) -> None:
        """Something that could not be done here, and what it needs; no failure."""
        self._write("left_out", text)

    def failure(self, text: str) -> None:
        """Something that is wrong."""
        self._write("failure", text)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part that may fail without the rest of the section."""
        try:
            yield
        except Exception as error:  # its message goes into the table
            self.failure(f"{name}: {describe_error(error)}")


def describe_error(error: BaseException) -> str:
    """Type and first line of an exception."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:400]


def read_entries(path: Path | None) -> dict[str, list[Any]]:
    """All entries of a section's file by kind; a torn last line is dropped."""
    entries: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    if path is None or not path.is_file():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        entries[entry["kind"]].append(entry["value"])
    return entries
