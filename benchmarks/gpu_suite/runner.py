"""Runs sections one after another, each in a process of its own with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.gpu_suite.report import read_entries
from benchmarks.gpu_suite.sections import Section
from benchmarks.gpu_suite.setting import Setting

ROOT = Path(__file__).resolve().parents[2]
SHORTEST_SECONDS = 5.0
"""With less time left no section is begun."""
KEPT_LOG = 6000
"""Characters of a failed section's output that are kept."""


@dataclass(frozen=True)
class Result:
    """What became of a section.

    Attributes:
        section: Which one.
        state: `done`, `failed`, `out of time` or `not begun`.
        seconds: How long it took.
        limit: How long it might have taken.
        entries: What it reported, by kind.
        log: The end of its output, where it did not get done.
    """

    section: Section
    state: str
    seconds: float
    limit: float
    entries: dict[str, list[Any]]
    log: str = ""


def run_all(
    sections: Sequence[Section],
    setting: Setting,
    *,
    total_seconds: float,
    say: Callable[[str], None] = print,
    keep: Callable[[list[Result]], object] = lambda results: None,
) -> list[Result]:
    """Run the sections while time is left.

    Args:
        sections: In their order.
        setting: Handed to each with its own limit.
        total_seconds: Limit of all together.
        say: Receives a line of progress.
        keep: Receives the results so far after each section, to write them down.
    """
    begin = time.monotonic()
    results = []
    for section in sections:
        left = total_seconds - (time.monotonic() - begin)
        limit = max(min(section.limit(setting.is_quick), left), 0.0)
        if left < SHORTEST_SECONDS:
            result = Result(section, "not begun", 0.0, limit, read_entries(None))
            result.entries["left_out"].append(
                f"no time was left of the {total_seconds:.0f} s of the whole run"
            )
        else:
            say(f"{section.name}: {section.title} (at most {limit:.0f} s)")
            result = run_one(section, replace(setting, seconds=limit))
            if result.log:
                say(result.log)
            for failure in result.entries["failure"]:
                say(f"  failure: {failure}")
        say(f"{section.name}: {result.state}, {result.seconds:.1f} s")
        results.append(result)
        keep(results)
    return results


def run_one(section: Section, setting: Setting) -> Result:
    """Run a section in a process group of its own, which is killed at the limit."""
    path = Path(setting.work, f"{section.name}.jsonl")
    log = Path(setting.work, f"{section.name}.log")
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu_suite.child", section.module]
    command += [setting.to_json(), str(path)]
    # Tiny cases on many threads of a busy machine wait for one another.
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if setting.is_dry else {})
    begin = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(timeout=setting.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # Its children too: a compiler or a program under a sanitizer that ran out
            # of time would go on for minutes, beside the sections behind it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    seconds = time.monotonic() - begin
    entries = read_entries(path)
    output = log.read_text(encoding="utf-8", errors="replace").strip()
    if code is None:
        entries["failure"].append(f"out of time after {setting.seconds:.0f} s")
    elif code != 0 and not entries["failure"]:
        last = output.splitlines()[-1] if output else "no output"
        entries["failure"].append(f"exit status {code}: {last[:300]}")
    state = "out of time" if code is None else "done"
    if code is not None and entries["failure"]:
        state = "failed"
    kept = "" if state == "done" else output[-KEPT_LOG:]
    return Result(section, state, seconds, setting.seconds, entries, kept)
