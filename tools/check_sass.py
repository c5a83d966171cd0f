"""Compiles the CUDA sources for sm_90 and checks the machine code of their kernels.

What ptxas reports (``tools/check_cuda.py``) does not tell whether a sum is one vector
reduction or two scalar ones, or whether a product runs on the tensor cores. RULES below
says which instructions a kernel must have or must not have. Needs nvdisasm, of the
toolkit or of ``pip install nvidia-cuda-nvdisasm``; without it nothing is checked: it
says SKIPPED and ends with exit code 77.

    python tools/check_sass.py
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from check_cuda import ROOT, demangle, find_include_dirs, nvcc_command
from cuda_toolkit import CudaToolkit, find_cuda_toolkit

ARCHITECTURE = "90"
SKIPPED = 77

KERNEL = re.compile(r"^\.text\.(\S+):$")
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)")


@dataclass(frozen=True)
class Rule:
    """How often instructions stand in kernels.

    Attributes:
        kernels: Pattern of whole kernel names, template arguments included; it must
            match one at least.
        instructions: Pattern of the beginning of an opcode.
        why: For the message.
        least: Instructions that each of the kernels must have.
        most: Instructions that it may have; None for any number.
    """

    kernels: str
    instructions: str
    why: str
    least: int = 0
    most: int | None = None


GRID_SCATTERS_OF_TWO = r".*\bhash_grid_backward_table_kernel<2, [^,]+, .*\bFloatTable>"
GRID_SCATTERS_OF_MORE = (
    r".*\bhash_grid_backward_table_kernel<[48], [^,]+, .*\bFloatTable>"
)
# One kernel for every number of features: the eight corners of a level of one feature
# take a single reduction each.
FIELD_SCATTERS = r".*\bfield_backward_kernel<.*\bFloatTable>"
RULES = (
    Rule(
        f"{GRID_SCATTERS_OF_TWO}|{FIELD_SCATTERS}",
        r"REDG\.E\.ADD\.F32x2\b",
        "the two features of an entry are added by one vector reduction",
        least=8,
    ),
    Rule(
        f"{GRID_SCATTERS_OF_MORE}|{FIELD_SCATTERS}",
        r"REDG\.E\.ADD\.F32x4\b",
        "four features of an entry are added by one vector reduction",
        least=8,
    ),
    Rule(
        f"{GRID_SCATTERS_OF_TWO}|{GRID_SCATTERS_OF_MORE}",
        r"(REDG|ATOMG)\.E\.ADD\.F32\b",
        "no feature is added to the table alone",
        most=0,
    ),
    Rule(
        FIELD_SCATTERS,
        r"(REDG|ATOMG)\.E\.ADD\.F32\b",
        "only the feature of a level that has one is added to the table alone",
        most=8,
    ),
    Rule(
        r".*\bfield_(forward|backward)_kernel<\(.*FieldPrecision\)[12], .*>",
        r"HMMA\.",
        "the network runs on the tensor cores in TF32 and in bfloat16",
        least=1,
    ),
    Rule(
        r".*\bfield_(forward|backward)_kernel<\(.*FieldPrecision\)0, .*>",
        r"HMMA\.",
        "float32 is not rounded for the tensor cores",
        most=0,
    ),
    Rule(r".*", r"(LDL|STL)\b", "no kernel keeps values in local memory", most=0),
)


def find_nvdisasm(toolkit: CudaToolkit) -> Path | None:
    """The disassembler of the toolkit, on the PATH, or of a wheel."""
    wheels = Path(sysconfig.get_path("purelib"))
    candidates = [
        toolkit.home / "bin" / "nvdisasm",
        Path(shutil.which("nvdisasm") or ""),
        *wheels.glob("nvidia/cu*/bin/nvdisasm"),
        wheels / "triton" / "backends" / "nvidia" / "bin" / "nvdisasm",
    ]
    found = (path for path in candidates if path.is_file() and os.access(path, os.X_OK))
    return next(found, None)


def parse_sass(text: str) -> dict[str, list[str]]:
    """The opcodes of each kernel, by its mangled name, as ``nvdisasm -c`` prints them.

    An opcode has its modifiers (``REDG.E.ADD.F32x2.FTZ.RN.STRONG.GPU``) and neither its
    predicate nor its operands.
    """
    kernels: dict[str, list[str]] = {}
    opcodes: list[str] = []
    for line in text.splitlines():
        if kernel := KERNEL.match(line):
            opcodes = kernels.setdefault(kernel[1], [])
        elif instruction := INSTRUCTION.match(line):
            opcodes.append(instruction[1])
    return kernels


def disassemble(
    source: Path, toolkit: CudaToolkit, nvdisasm: Path, include_dirs: list[str]
) -> dict[str, list[str]]:
    """Opcodes of the kernels of one file; raises RuntimeError where a tool fails."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / f"{source.stem}.cubin"
        compiling = nvcc_command(source, toolkit, include_dirs)
        compiling += [f"-arch=sm_{ARCHITECTURE}", "-cubin", "-o", str(cubin)]
        for command in (compiling, [str(nvdisasm), "-c", str(cubin)]):
            result = subprocess.run(
                command, capture_output=True, text=True, check=False
            )
            if result.returncode != 0:
                raise RuntimeError(f"{source.name}: {command[0]}:\n{result.stderr}")
    return parse_sass(result.stdout)


def judge(kernels: dict[str, list[str]], rule: Rule) -> list[str]:
    """One line for every kernel (by its readable name) that breaks the rule."""
    pattern = re.compile(rule.instructions)
    matching = [name for name in kernels if re.fullmatch(rule.kernels, name)]
    if not matching:
        return [f"no kernel is called {rule.kernels}, of which a rule says: {rule.why}"]
    failures = []
    for name in sorted(matching):
        count = sum(1 for opcode in kernels[name] if pattern.match(opcode))
        wanted = f"at least {rule.least}" if count < rule.least else None
        if rule.most is not None and count > rule.most:
            wanted = f"at most {rule.most}"
        if wanted:
            failures.append(
                f"{name} has {count} of {rule.instructions}, {wanted} expected: "
                f"{rule.why}"
            )
    return failures


def report(kernels: dict[str, list[str]]) -> int:
    """Print what each rule says of the kernels; the number of failures."""
    num_failures = 0
    for rule in RULES:
        failures = judge(kernels, rule)
        num_failures += len(failures)
        for failure in failures:
            print(f"error: {failure}", file=sys.stderr)
        print(f"{'broken' if failures else 'holds':>8}: {rule.why}")
    return num_failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    toolkit = find_cuda_toolkit()
    if toolkit is None:
        print("error: no CUDA toolkit is found: set CUDA_HOME", file=sys.stderr)
        return 2
    nvdisasm = find_nvdisasm(toolkit)
    if nvdisasm is None:
        print(
            "SKIPPED: no nvdisasm is found, so no machine code was checked "
            "(pip install nvidia-cuda-nvdisasm)"
        )
        return SKIPPED
    start = time.monotonic()
    include_dirs = find_include_dirs(toolkit)
    sources = sorted(ROOT.glob("csrc/cuda/*.cu"))
    mangled: dict[str, list[str]] = {}
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = pool.map(
            lambda path: disassemble(path, toolkit, nvdisasm, include_dirs), sources
        )
        try:
            for result in results:
                mangled.update(result)
        except RuntimeError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    names = demangle(set(mangled))
    num_failures = report({names[name]: opcodes for name, opcodes in mangled.items()})
    print(
        f"{len(sources)} sources, {len(mangled)} kernels of sm_{ARCHITECTURE}, "
        f"{time.monotonic() - start:.0f} s"
    )
    return 1 if num_failures else 0


if __name__ == "__main__":
    sys.exit(main())
