"""Other implementations on the same inputs: rays, grid sizes, numbers of samples.

Nothing of theirs is here: torch-ngp is taken from a checkout that `--peer` names,
nerfacc and tiny-cuda-nn where they import. What does not load costs one line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import torch

from benchmarks.gpu_suite.kernels import Case
from benchmarks.gpu_suite.report import Report, describe_error
from benchmarks.gpu_suite.setting import Setting
from benchmarks.gpu_suite.timing import time_on_device

ADAPTERS = {
    "torch-ngp": "benchmarks.gpu_suite.peer_torch_ngp",
    "nerfacc": "benchmarks.gpu_suite.peer_nerfacc",
    "tiny-cuda-nn": "benchmarks.gpu_suite.peer_tiny_cuda_nn",
    "ours": "benchmarks.gpu_suite.own_calls",
}
"""The last is our own side: most peers cannot be timed in a CUDA graph, so that our
kernels are timed as they are called too."""


def run(report: Report, setting: Setting) -> None:
    """Let each adapter load its library and time what it offers."""
    for name, module in ADAPTERS.items():
        adapter = import_module(module)
        try:
            make = adapter.load(setting)
        except Exception as error:  # a foreign library may raise anything
            report.left_out(f"{name}: {describe_error(error)}")
            continue
        with report.part(name):
            time_cases(report, setting, name, make)


def time_cases(
    report: Report,
    setting: Setting,
    name: str,
    make: Callable[[torch.device], Iterator[Case]],
) -> None:
    """Record every case; a peer's failure is a line, and no failure of ours."""
    device = torch.device(setting.device)
    rounds = max(2, setting.rounds // 2)
    cases = make(device)
    while True:
        try:
            case = next(cases, None)
            if case is None:
                return
            seconds, method = time_on_device(
                case.run, device, rounds, is_captured=case.is_captured
            )
        except Exception as error:
            if name == "ours":
                raise
            report.left_out(f"{name}: {describe_error(error)}")
            if device.type == "cuda":
                torch.cuda.synchronize()
            continue
        extra = {} if method == "graph replay" else {"timed by": method}
        report.record(case.group, case.name, seconds, **extra, **case.facts)
