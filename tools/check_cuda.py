"""Compiles every CUDA source for every architecture and checks what ptxas reports.

Fails when a kernel spills registers to memory, or uses more registers than
``tools/cuda_budget.json`` allows. A slower kernel that nobody noticed thus shows up
on a machine without a GPU. The budget may admit spilled bytes of a rarely used variant
(``spill_bytes``, written by hand); the kernels of the presets must have none.

    python tools/check_cuda.py            # check
    python tools/check_cuda.py --update   # accept the present figures as the budget
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cuda_toolkit import CudaToolkit, find_cuda_toolkit

ROOT = Path(__file__).resolve().parents[1]
BUDGET = ROOT / "tools" / "cuda_budget.json"
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")

Budget = dict[str, dict[str, int]]
"""Kernel -> architecture -> figure."""

ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\S+)' for 'sm_(?P<arch>\d+)a?'(?P<body>.*?)"
    r"Used (?P<registers>\d+) registers",
    re.DOTALL,
)
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
STACK = re.compile(r"(\d+) bytes stack frame")


@dataclass(frozen=True)
class KernelReport:
    """What ptxas says of one kernel on one architecture."""

    source: str
    mangled: str
    architecture: str
    registers: int
    stack_bytes: int
    spill_bytes: int


def parse_ptxas(source: str, text: str) -> list[KernelReport]:
    """The kernels in the output of ``nvcc -Xptxas -v``."""
    reports = []
    for entry in ENTRY.finditer(text):
        spills = SPILLS.search(entry["body"])
        stack = STACK.search(entry["body"])
        reports.append(
            KernelReport(
                source=source,
                mangled=entry["name"],
                architecture=entry["arch"],
                registers=int(entry["registers"]),
                stack_bytes=int(stack[1]) if stack else 0,
                spill_bytes=int(spills[1]) + int(spills[2]) if spills else 0,
            )
        )
    return reports


def demangle(names: set[str]) -> dict[str, str]:
    """Readable kernel names without their parameter lists, template arguments kept."""
    ordered = sorted(names)
    result = subprocess.run(
        ["c++filt", "-p", "--", *ordered], capture_output=True, text=True, check=True
    )
    # A return type precedes the name of a template's instance.
    readable = [
        line.replace("(anonymous namespace)::", "").removeprefix("void ")
        for line in result.stdout.splitlines()
    ]
    return dict(zip(ordered, readable, strict=True))


def find_include_dirs(toolkit: CudaToolkit) -> list[str]:
    """Folders of the headers that are not ours: torch's and the toolkit's."""
    from torch.utils import cpp_extension

    return [cpp_extension.include_paths()[0], str(toolkit.home / "include")]


def nvcc_command(
    source: Path, toolkit: CudaToolkit, include_dirs: list[str]
) -> list[str]:
    """The compilation of one file, as the extension's, less architecture and output."""
    command = [str(toolkit.nvcc), "-O3", "-std=c++20", "-DUSE_CUDA"]
    command += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
    command += ["--expt-relaxed-constexpr", "-I", str(ROOT / "csrc")]
    for folder in include_dirs:
        command += ["-isystem", folder]
    return [*command, str(source)]


def compile_source(
    source: Path,
    toolkit: CudaToolkit,
    include_dirs: list[str],
    arch: str,
) -> list[KernelReport]:
    """Compile one file for one architecture; raises RuntimeError on an error."""
    command = nvcc_command(source, toolkit, include_dirs)
    command += ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    command += ["-Xptxas", "-v", "-c", "-o", os.devnull]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{source.name} does not compile:\n{result.stderr}")
    return parse_ptxas(source.name, result.stderr)


def judge(
    reports: list[KernelReport],
    names: dict[str, str],
    budget: Budget,
    admitted_spills: Budget,
) -> list[str]:
    """One line for every kernel that spills or exceeds its budget."""
    failures = []
    for report in reports:
        name = names[report.mangled]
        where = f"{name} on sm_{report.architecture}"
        admitted = admitted_spills.get(name, {}).get(report.architecture, 0)
        if report.spill_bytes > admitted:
            failures.append(f"{where} spills {report.spill_bytes} bytes")
        allowed = budget.get(name, {}).get(report.architecture)
        if allowed is None:
            failures.append(f"{where} has no budget: run with --update and commit it")
        elif report.registers > allowed:
            failures.append(
                f"{where} uses {report.registers} registers, the budget is {allowed}"
            )
    return failures


def print_table(reports: list[KernelReport], names: dict[str, str]) -> None:
    by_kernel: dict[str, dict[str, KernelReport]] = {}
    for report in reports:
        by_kernel.setdefault(names[report.mangled], {})[report.architecture] = report
    architectures = sorted({report.architecture for report in reports}, key=int)
    columns = " ".join(f"{'sm_' + arch:>7}" for arch in architectures)
    print(f"registers (+ spilled bytes)  {columns}")
    for name, per_arch in sorted(by_kernel.items()):
        cells = []
        for arch in architectures:
            found = per_arch.get(arch)
            spilled = f"+{found.spill_bytes}" if found and found.spill_bytes else ""
            cells.append(f"{found.registers if found else '-'}{spilled}")
        print(" " * 29 + " ".join(f"{cell:>7}" for cell in cells) + f"  {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", type=Path, help="default: csrc/cuda/*.cu")
    parser.add_argument("--update", action="store_true", help="write the budget")
    parser.add_argument("--arch", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    toolkit = find_cuda_toolkit()
    if toolkit is None:
        print("error: no CUDA toolkit is found: set CUDA_HOME", file=sys.stderr)
        return 2
    include_dirs = find_include_dirs(toolkit)
    sources = arguments.sources or sorted(ROOT.glob("csrc/cuda/*.cu"))
    start = time.monotonic()
    # The dearest source first, an architecture a job: no core waits for one long file.
    sources = sorted(sources, key=lambda path: "field" not in path.name)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = pool.map(
            lambda job: compile_source(job[0], toolkit, include_dirs, job[1]),
            itertools.product(sources, arguments.arch),
        )
        try:
            reports = [report for result in results for report in result]
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    names = demangle({report.mangled for report in reports}) if reports else {}
    print_table(reports, names)
    print(
        f"{len(sources)} sources, {len(names)} kernels, CUDA {toolkit.version}, "
        f"{time.monotonic() - start:.0f} s"
    )

    document = json.loads(BUDGET.read_text()) if BUDGET.is_file() else {}
    budget: Budget = document.get("registers", {})
    admitted_spills: Budget = document.get("spill_bytes", {})
    if arguments.update:
        for report in reports:
            measured = budget.setdefault(names[report.mangled], {})
            measured[report.architecture] = report.registers
        if not arguments.sources:  # all were compiled: forget kernels that are gone
            budget = {name: budget[name] for name in budget if name in names.values()}
        document = {
            "toolkit": toolkit.version,
            "registers": budget,
            "spill_bytes": admitted_spills,
        }
        BUDGET.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    failures = judge(reports, names, budget, admitted_spills)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
