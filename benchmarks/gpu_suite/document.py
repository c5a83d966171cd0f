"""The dated table of a run: Markdown for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_suite.goals import judge_goals
from benchmarks.gpu_suite.runner import Result
from benchmarks.table import make_table


def collect(results: Sequence[Result], kind: str) -> list[Any]:
    """The entries of one kind over all sections."""
    return [entry for result in results for entry in result.entries[kind]]


def make_markdown(
    heading: Sequence[str], results: Sequence[Result], *, is_dry: bool
) -> str:
    """The whole document.

    Args:
        heading: Title and lines on command, commit and versions.
        results: The sections, also those that failed.
        is_dry: Whether nothing ran on a GPU, so that no goal is judged.
    """
    parts = [
        "\n".join([*heading, *(f"- {line}" for line in collect(results, "machine"))]),
        _sections(results),
        _remarks("Failures", results, "failure") or "## Failures\n\nNone.",
        _remarks("Left out", results, "left_out"),
        "" if is_dry else _goals(results),
        _ceilings(results),
        _times(results),
        _checks(results),
        _remarks("Notes", results, "note"),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def make_document(
    heading: Sequence[str], results: Sequence[Result], *, is_dry: bool
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "heading": list(heading),
        "sections": [
            {
                "name": result.section.name,
                "state": result.state,
                "seconds": round(result.seconds, 2),
                "limit": result.limit,
                **result.entries,
                "log": result.log,
            }
            for result in results
        ],
        "goals": [] if is_dry else judge_goals(collect(results, "record")),
    }


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def _sections(results: Sequence[Result]) -> str:
    rows = [
        (
            result.section.name,
            result.section.title,
            result.state,
            f"{result.seconds:.1f} s",
            f"{result.limit:.0f} s",
            str(len(result.entries["failure"])),
        )
        for result in results
    ]
    total = sum(result.seconds for result in results)
    rows.append(("all", "", "", f"{total:.1f} s", "", ""))
    columns = ("section", "what", "state", "took", "limit", "failures")
    return "## Sections\n\n" + _table(columns, rows)


def _remarks(title: str, results: Sequence[Result], kind: str) -> str:
    lines = [
        f"- {result.section.name}: {text}"
        for result in results
        for text in result.entries[kind]
    ]
    return "\n".join([f"## {title}", "", *lines]) if lines else ""


def _goals(results: Sequence[Result]) -> str:
    rows = [
        (goal["goal"], goal["measured"], goal["verdict"])
        for goal in judge_goals(collect(results, "record"))
    ]
    return "## Goals\n\n" + _table(("goal", "measured", "verdict"), rows)


def _ceilings(results: Sequence[Result]) -> str:
    rows = [
        (ceiling["name"], f"{ceiling['value']:.4g} {ceiling['unit']}")
        for ceiling in collect(results, "ceiling")
    ]
    return "## Ceilings\n\n" + _table(("what", "measured"), rows) if rows else ""


def _times(results: Sequence[Result]) -> str:
    records = collect(results, "record")
    return "## Times\n\n" + make_table(records) if records else ""


def _checks(results: Sequence[Result]) -> str:
    rows = [
        (check["name"], check["result"], "passed" if check["passed"] else "FAILED")
        for check in collect(results, "check")
    ]
    return "## Checks\n\n" + _table(("check", "result", ""), rows) if rows else ""
