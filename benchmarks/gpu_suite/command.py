"""The command line of ``benchmarks/gpu.py``."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_suite.document import collect, make_document, make_markdown
from benchmarks.gpu_suite.runner import ROOT, Result, run_all
from benchmarks.gpu_suite.sections import (
    QUICK_TOTAL_SECONDS,
    SECTIONS,
    TOTAL_SECONDS,
    Section,
)
from benchmarks.gpu_suite.setting import Setting
from benchmarks.machine import describe_commit

PEER_NAMES = ("torch-ngp",)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(
        prog="python benchmarks/gpu.py",
        description="Proves the CUDA kernels on a GPU, and measures them.",
    )
    parser.add_argument("--quick", action="store_true", help="two minutes")
    parser.add_argument("--dry-run", action="store_true", help="tiny cases on the CPU")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="SECTION", help=", ".join(names)
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="benchmarks/results if not given; build/benchmarks of a dry run",
    )
    parser.add_argument("--name", help="of the files; DATE-gpu if not given")
    parser.add_argument("--seconds", type=float, help="limit of the whole run")
    parser.add_argument("--commit", help="to name where there is no git")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=_parse_peer,
        metavar="NAME=PATH",
        help="a checkout to compare with: torch-ngp=PATH; nerfacc and tiny-cuda-nn are "
        "taken where they import",
    )
    return parser.parse_args(arguments)


def _parse_peer(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if name not in PEER_NAMES or not separator:
        raise argparse.ArgumentTypeError(f"must be torch-ngp=PATH, got {text!r}")
    if not Path(path).is_dir():
        raise argparse.ArgumentTypeError(f"{path!r} is no folder")
    return name, str(Path(path).resolve())


def choose_sections(arguments: argparse.Namespace) -> list[Section]:
    """Those asked for, or all that the mode has room for."""
    if arguments.only:
        return [section for section in SECTIONS if section.name in arguments.only]
    return [section for section in SECTIONS if section.limit(arguments.quick) > 0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, write both files and print the table; 1 if anything failed."""
    parsed = parse_arguments(arguments)
    begin = time.monotonic()
    total = QUICK_TOTAL_SECONDS if parsed.quick else TOTAL_SECONDS
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Once, before the results are files that differ from the commit's.
    parsed.commit = parsed.commit or describe_commit()

    def write(results: list[Result]) -> Path:
        heading = make_heading(parsed, given, time.monotonic() - begin)
        return write_results(parsed, heading, results)

    with tempfile.TemporaryDirectory(prefix="realfusion-gpu-") as work:
        setting = Setting(
            device="cpu" if parsed.dry_run else "cuda",
            # A section asked for by name gets its full time.
            is_quick=parsed.quick and not parsed.only,
            work=work,
            peers=dict(parsed.peer),
        )
        results = run_all(
            choose_sections(parsed),
            setting,
            total_seconds=parsed.seconds or total,
            say=lambda line: print(line, flush=True),
            # A machine may be taken away, or a process of the driver's never end.
            keep=write,
        )
    path = write(results)
    print(path.read_text(encoding="utf-8"))
    print(f"written to {path} and {path.with_suffix('.json').name}")
    return 1 if collect(results, "failure") else 0


def make_heading(
    parsed: argparse.Namespace, given: Sequence[str], seconds: float
) -> list[str]:
    """Title, command, commit, versions and duration."""
    device = "dry run on the CPU: no figure counts" if parsed.dry_run else "GPU"
    command = shlex.join(["python", "benchmarks/gpu.py", *given])
    return [
        f"# {datetime.date.today().isoformat()}, {device}",
        "",
        f"- Command: `{command}`, {seconds:.0f} s",
        f"- Commit: {parsed.commit}",
        f"- Python {platform.python_version()} on {platform.machine()}",
    ]


def write_results(
    parsed: argparse.Namespace, heading: list[str], results: list[Result]
) -> Path:
    """Write NAME.md and NAME.json into the folder; the path of the former."""
    kind = "dry-run" if parsed.dry_run else "gpu"
    name = parsed.name or f"{datetime.date.today().isoformat()}-{kind}"
    default = "build/benchmarks" if parsed.dry_run else "benchmarks/results"
    folder = parsed.out or ROOT / default
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(
        make_markdown(heading, results, is_dry=parsed.dry_run), encoding="utf-8"
    )
    document = json.dumps(
        make_document(heading, results, is_dry=parsed.dry_run), indent=1
    )
    path.with_suffix(".json").write_text(document + "\n", encoding="utf-8")
    return path
