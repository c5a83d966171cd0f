"""Runs the benchmarks and writes a dated table into ``benchmarks/results``.

python -m benchmarks [PATH ...] [-k EXPRESSION] [--device cpu|cuda] [--threads N]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_commit, describe_machine
from benchmarks.table import make_table

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
        f"- Commit: {describe_commit()}",
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
