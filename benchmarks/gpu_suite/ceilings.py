"""Compiles and runs ``benchmarks/ceilings/ceilings.cu``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.runner import ROOT
from benchmarks.gpu_suite.setting import Setting

SOURCE = ROOT / "benchmarks" / "ceilings" / "ceilings.cu"
UNITS = {
    "copy": "B/s read and written",
    "gather": "pairs of floats/s",
    "reduction_1": "floats/s",
    "reduction_2": "pairs of floats/s",
    "fma": "FLOP/s",
    "mma_tf32": "FLOP/s",
    "mma_bf16": "FLOP/s",
    "graph_kernel": "s a kernel",
}


def run(report: Report, setting: Setting) -> None:
    """Measure, report, and leave the figures for the floors."""
    binary = Path(setting.work, "ceilings")
    if setting.is_dry:
        if _compile(binary, "90") is None:
            report.left_out("no CUDA toolkit is found, so that it was not compiled")
        else:
            report.note("compiled for sm_90, not run")
        return
    major, minor = torch.cuda.get_device_capability()
    if _compile(binary, f"{major}{minor}") is None:
        raise RuntimeError("no CUDA toolkit is found: set CUDA_HOME")
    command = [str(binary), *(["--quick"] if setting.is_quick else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"ceilings exits with {result.returncode}: {result.stderr}")
    report_measurements(report, json.loads(result.stdout))
    setting.ceilings_path.write_text(result.stdout)


def _compile(binary: Path, architecture: str) -> Path | None:
    sys.path.insert(0, str(ROOT / "tools"))
    from cuda_toolkit import find_cuda_toolkit

    toolkit = find_cuda_toolkit()
    if toolkit is None:
        return None
    target = f"arch=compute_{architecture},code=sm_{architecture}"
    command = [str(toolkit.nvcc), "-O3", "-std=c++17", "-gencode", target]
    command += [str(SOURCE), "-o", str(binary)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"ceilings.cu does not compile: {result.stderr}")
    return binary


def report_measurements(report: Report, document: dict) -> None:
    """A row of the table for each measurement."""
    for each in document["measurements"]:
        size = f", {each['num_bytes'] / 2**20:.4g} MiB" if each["num_bytes"] else ""
        report.ceiling(f"{each['name']}{size}", each["value"], UNITS[each["name"]])
