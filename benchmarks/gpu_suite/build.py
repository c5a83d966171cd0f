"""Builds the extension in place for the device's own architecture."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys

import torch

from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.runner import ROOT
from benchmarks.gpu_suite.setting import Setting
from benchmarks.machine import describe_machine

NEEDED_TO_BUILD = ("setuptools", "pybind11", "ninja")
MODULES = {
    "jaxtyping": "everything: realfusion's signatures carry its shapes",
    "pytest": "the section device_tests",
    "beartype": "the section device_tests",
    "hypothesis": "the section device_tests",
    "diffusers": "the section prior",
    "importlib_metadata": "the section prior (diffusers imports it)",
    "transformers": "the section prior",
    "tokenizers": "the section prior",
    "safetensors": "the section prior",
}
"""What is imported beside torch, and what for."""


def run(report: Report, setting: Setting) -> None:
    """Name the hardware, build, and check that the kernels meet torch's stream."""
    _name_missing(report)
    if setting.is_dry:
        report.note("not built in a dry run: the extension that is here was taken")
    else:
        _describe_device(report)
        _build(report)
    for line in describe_machine(setting.device, None):
        report.machine(line.removeprefix("- "))
    from realfusion import _extension

    info = _extension.load().build_info()
    if not setting.is_dry:
        for key in ("has_cuda", "cuda_has_torch_stream"):
            report.check(f"build_info: {key}", str(info[key]), passed=bool(info[key]))


def _name_missing(report: Report) -> None:
    for name, purpose in MODULES.items():
        if importlib.util.find_spec(name) is None:
            report.left_out(
                f"no module {name}, which is for {purpose}: carry its wheel on "
                "PYTHONPATH"
            )


def _describe_device(report: Report) -> None:
    if not torch.cuda.is_available():
        raise RuntimeError("torch finds no CUDA device")
    properties = torch.cuda.get_device_properties(0)
    report.machine(
        f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, sm_"
        f"{properties.major}{properties.minor}, {properties.multi_processor_count} "
        f"multiprocessors; CUDA of torch {torch.version.cuda}, driver {_driver()}"
    )


def _driver() -> str:
    try:
        result = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.split()[0]


def _build(report: Report) -> None:
    missing = [n for n in NEEDED_TO_BUILD if importlib.util.find_spec(n) is None]
    if missing:
        raise RuntimeError(
            f"the build needs {', '.join(missing)}: carry the wheels on PYTHONPATH"
        )
    major, minor = torch.cuda.get_device_capability()
    environment = os.environ | {
        "REALFUSION_CUDA": "1",
        "TORCH_CUDA_ARCH_LIST": f"{major}.{minor}",
        "MAX_JOBS": str(os.cpu_count() or 1),
        # The field's kernels are one source, which takes one core minutes.
        "NVCC_APPEND_FLAGS": " ".join(
            [os.environ.get("NVCC_APPEND_FLAGS", ""), "--split-compile=0"]
        ).strip(),
    }
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    result = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if result.returncode != 0:
        raise RuntimeError(
            "`setup.py build_ext --inplace` fails; the JSON keeps the end of its output"
        )
    suffix = f"cp{sys.version_info.major}{sys.version_info.minor}"
    report.note(f"built for sm_{major}{minor}, {suffix}, {platform.system()}")
