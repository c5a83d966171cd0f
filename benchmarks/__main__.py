"""Runs the benchmarks and writes a dated table into ``benchmarks/results``.

python -m benchmarks [PATH ...] [--device cpu|cuda] [--threads N] [--name NAME]
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


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run pytest-benchmark in a process of its own; its records."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "benchmarks.json")
        command = [sys.executable, "-m", "pytest", *arguments.paths, "-q"]
        command += ["--benchmark-only", f"--benchmark-json={path}"]
        command += ["--benchmark-warmup=on", f"--device={arguments.device}"]
        if arguments.threads:
            command.append(f"--threads={arguments.threads}")
        subprocess.run(command, check=True, cwd=FOLDER.parent)
        return json.loads(path.read_text())["benchmarks"]


def format_seconds(seconds: float) -> str:
    """``1.23 ms``: three digits in a fitting unit."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def make_table(records: list[dict[str, Any]]) -> str:
    """One Markdown table: groups in the order of their names."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        groups[record["group"] or record["name"]].append(record)
    lines = ["| what | case | median | IQR | reference / native |"]
    lines.append("|---|---|---|---|---|")
    for name, members in sorted(groups.items()):
        medians = {_case(record): record["stats"]["median"] for record in members}
        for record in members:
            case, stats = _case(record), record["stats"]
            twin = medians.get(case.replace("native", "reference"))
            factor = ""
            if twin is not None and "native" in case:
                factor = f"{twin / stats['median']:.1f}×"
            lines.append(
                f"| {name} | {case} | {format_seconds(stats['median'])} | "
                f"{format_seconds(stats['iqr'])} | {factor} |"
            )
    extra = [_extra(record) for record in records if record["extra_info"]]
    return "\n".join([*lines, "", *extra]).rstrip()


def _case(record: dict[str, Any]) -> str:
    """The parameters of a test, or its name where it has none."""
    return record.get("param") or record["name"].removeprefix("test_")


def _extra(record: dict[str, Any]) -> str:
    figures = ", ".join(f"{key} {value}" for key, value in record["extra_info"].items())
    return f"- {record['name']}: {figures}"


def describe_machine(device: str) -> list[str]:
    """What the figures depend on, a line each."""
    import torch

    from realfusion import _extension

    info = _extension.load().build_info()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)
        model = names[0] if names else model
    lines = [
        f"- CPU: {model}, {os.cpu_count()} cores, SIMD {info['simd_level']}, load "
        f"average {os.getloadavg()[0]:.1f} at the start",
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
    parser.add_argument("--name", help="of the table's file; DATE-DEVICE if not given")
    arguments = parser.parse_args()

    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    today = datetime.date.today().isoformat()
    heading = [
        f"# {today}, {arguments.device}",
        "",
        f"- Command: `{command}`",
        f"- Commit: {_commit()}",
        *describe_machine(arguments.device),
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
