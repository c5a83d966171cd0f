"""Runs the benchmarks and writes a dated table into ``benchmarks/results``.

python -m benchmarks [PATH ...] [-k EXPRESSION] [--device cpu|cuda] [--threads N]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""glibc keeps what is freed, for ours and for the twins: else each large result is
paged in anew, which on a virtual machine may take longer than computing it."""


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run pytest-benchmark in a process of its own; its records."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "benchmarks.json")
        command = [sys.executable, "-m", "pytest", *arguments.paths, "-q"]
        command += ["--benchmark-only", f"--benchmark-json={path}"]
        command += ["--benchmark-warmup=on", f"--device={arguments.device}"]
        if arguments.threads:
            command.append(f"--threads={arguments.threads}")
        if arguments.select:
            command += ["-k", arguments.select]
        environment = os.environ | KEPT_MEMORY
        subprocess.run(command, check=True, cwd=FOLDER.parent, env=environment)
        return json.loads(path.read_text())["benchmarks"]


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


def describe_machine(device: str, threads: int | None) -> list[str]:
    """What the figures depend on, a line each."""
    import torch

    from realfusion import _extension

    info = _extension.load().build_info()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"- CPU: {model}, {os.cpu_count()} cores, SIMD {info['simd_level']}, "
        f"{memory:.0f} GiB, {threads or torch.get_num_threads()} threads, load average "
        f"{os.getloadavg()[0]:.1f} at the start",
        f"- Python {platform.python_version()}, torch {torch.__version__}, kernels by "
        f"{info['compiler']}",
    ]
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        lines.append(
            f"- GPU: {properties.name}, CUDA {info['cuda_toolkit']}, kernels for "
            f"{info['cuda_architectures']}"
        )
    return lines


def _commit() -> str:
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=FOLDER, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return result.stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("paths", nargs="*", default=["benchmarks"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("-k", dest="select", metavar="EXPRESSION", help="pytest's own")
    parser.add_argument("--name", help="of the table's file; DATE-DEVICE if not given")
    arguments = parser.parse_args()

    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    today = datetime.date.today().isoformat()
    heading = [
        f"# {today}, {arguments.device}",
        "",
        f"- Command: `{command}`",
        f"- Commit: {_commit()}",
        *describe_machine(arguments.device, arguments.threads),
        "",
    ]
    table = make_table(measure(arguments))
    text = "\n".join([*heading, table]) + "\n"
    path = FOLDER / "results" / f"{arguments.name or f'{today}-{arguments.device}'}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    print(text)
    print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
