"""Runs sections one after another, each in a process of its own with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_suite.report import read_entries
from benchmarks.gpu_suite.sections import Section
from benchmarks.gpu_suite.setting import Setting

ROOT = Path(__file__).resolve().parents[2]
SHORTEST_SECONDS = 5.0
"""A section that has less left is not begun."""


@dataclass(frozen=True)
class Result:
    """What became of a section.

    Attributes:
        section: Which one.
        state: `done`, `failed`, `out of time` or `not begun`.
        seconds: How long it took.
        limit: How long it might have taken.
        entries: What it reported, by kind.
    """

    section: Section
    state: str
    seconds: float
    limit: float
    entries: dict[str, list[Any]]


def run_all(
    sections: Sequence[Section],
    setting: Setting,
    *,
    total_seconds: float,
    say: Callable[[str], None] = print,
) -> list[Result]:
    """Run the sections while time is left.

    Args:
        sections: In their order.
        setting: Handed to each with its own limit.
        total_seconds: Limit of all together.
        say: Receives a line of progress.
    """
    begin = time.monotonic()
    results = []
    for section in sections:
        left = total_seconds - (time.monotonic() - begin)
        limit = min(section.limit(setting.is_quick), left)
        if limit < SHORTEST_SECONDS:
            result = Result(
                section, "not begun", 0.0, max(limit, 0.0), read_entries(Path())
            )
            result.entries["left_out"].append(
                f"no time was left of the {total_seconds:.0f} s of the whole run"
            )
        else:
            say(f"{section.name}: {section.title} (at most {limit:.0f} s)")
            result = run_one(section, replace(setting, seconds=limit))
            for failure in result.entries["failure"]:
                say(f"  failure: {failure}")
        say(f"{section.name}: {result.state}, {result.seconds:.1f} s")
        results.append(result)
    return results


def run_one(section: Section, setting: Setting) -> Result:
    """Run a section in a process group of its own, which is killed at the limit."""
    path = Path(setting.work, f"{section.name}.jsonl")
    log = Path(setting.work, f"{section.name}.log")
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu_suite.child", section.module]
    command += [setting.to_json(), str(path)]
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=setting.seconds)
        except BaseException as error:
            # Its children too: a compiler or a sanitizer would go on for minutes.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            code = None
    seconds = time.monotonic() - begin
    entries = read_entries(path)
    if code is None:
        entries["failure"].append(f"out of time after {setting.seconds:.0f} s")
    elif code != 0 and not entries["failure"]:
        entries["failure"].append(f"exit status {code}: {_last_line(log)}")
    state = "out of time" if code is None else "done"
    if code is not None and entries["failure"]:
        state = "failed"
    return Result(section, state, seconds, setting.seconds, entries)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "no output"
