"""The Markdown table of benchmark records, in the form that pytest-benchmark gives."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any


def make_record(
    group: str, case: str, seconds: Sequence[float], **extra: Any
) -> dict[str, Any]:
    """A record as pytest-benchmark's, of rounds timed without it.

    Args:
        group: Cases of one group are compared with each other.
        case: What sets this one apart; `native` and `whole_step` are units of others.
        seconds: Each round's time.
        extra: `floor` and `distance` have columns, the rest becomes notes.
    """
    times = sorted(seconds)
    quartiles = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {
        "group": group,
        "name": "test",
        "params": {"method": case},
        "stats": {
            "median": statistics.median(times),
            "iqr": quartiles[2] - quartiles[0],
            "rounds": len(times),
        },
        "extra_info": extra,
    }


def format_seconds(seconds: float) -> str:
    """``1.23 ms``: three digits in a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def make_table(records: list[dict[str, Any]]) -> str:
    """One Markdown table, groups in the order of their names, and notes below it.

    Of a group with a case ``native``, the others state their time as a multiple of the
    native one. Of a group with a case ``whole_step``, the stages state their share.
    """
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        groups[record["group"] or record["name"]].append(record)
    columns = ["what", "case", "median", "IQR", "/ native", "share", "floor", "/ floor"]
    lines = [_row(columns), "|" + "---|" * len(columns)]
    notes = []
    for name, members in sorted(groups.items()):
        cases = _name_cases(members)
        medians = {case: member["stats"]["median"] for case, member in cases.items()}
        for case, member in cases.items():
            extra = dict(member["extra_info"])
            calls = extra.pop("calls a step", None)
            extra.pop("floor seconds", None)  # for programs
            cells = [
                format_seconds(medians[case]),
                format_seconds(member["stats"]["iqr"]),
                _multiple(case, "native", medians),
                _share(case, calls, medians),
                extra.pop("floor", ""),
                extra.pop("distance", ""),
            ]
            lines.append(_row([name, case, *cells]))
            if extra:
                figures = ", ".join(f"{key} {value}" for key, value in extra.items())
                notes.append(f"- {name}, {case}: {figures}")
    return "\n".join([*lines, "", *notes]).rstrip()


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _name_cases(members: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The tests of a group by what sets them apart: function, or implementation."""
    functions = {member["name"].partition("[")[0] for member in members}
    cases = {}
    for member in members:
        params = member["params"] or {}
        case = member["name"].partition("[")[0].removeprefix("test_")
        if len(functions) == 1:
            case = params.get("implementation") or params.get("method") or case
        cases[case] = member
    return cases


def _multiple(case: str, unit: str, medians: dict[str, float]) -> str:
    """``12.3×`` the time of the case `unit`, where the group has one."""
    if unit not in medians or case == unit:
        return ""
    return f"{medians[case] / medians[unit]:.3g}×"


def _share(case: str, calls: float | None, medians: dict[str, float]) -> str:
    """``12 %`` of the whole step, where the group has one."""
    whole = medians.get("whole_step")
    if whole is None or calls is None or case == "whole_step":
        return ""
    return f"{100.0 * calls * medians[case] / whole:.2g} %"
