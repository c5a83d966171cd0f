"""Values and gradients of every operator on the device against the CPU's.

Needs no pytest. In a dry run the CPU's kernels stand for the device, and their
pure-torch twins for the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_suite.parity_cases import make_cases
from benchmarks.gpu_suite.parity_operators import (
    NATIVE,
    REFERENCE,
    ParityCase,
    Results,
)
from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.setting import Setting


def run(report: Report, setting: Setting) -> None:
    """Compare all cases, repeat each, and name operators that none has called."""
    device = torch.device(setting.device)
    called: set[str] = set()
    for case in make_cases():
        with report.part(case.name):
            if setting.is_dry and not case.has_twin:
                report.left_out(f"{case.name}: has no twin to compare with")
                continue
            baseline = REFERENCE if setting.is_dry else NATIVE
            expected = case.run(baseline, torch.device("cpu"))
            with recorded_operators(called):
                found = case.run(NATIVE, device)
            compare(report, case, found, expected)
            check_repetition(report, case, found, case.run(NATIVE, device))
            if case.varying:
                check_determinism(report, case, device)
    for name in sorted(registered_operators() - called):
        report.left_out(f"{name} has no case of parity here (tests/ops has)")


def relative_error(found: Tensor, expected: Tensor) -> float:
    """‖found − expected‖ / ‖expected‖; infinite for another shape or a NaN."""
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    scale = float(expected.norm())
    error = float((found - expected).norm()) / (scale if scale > 0.0 else 1.0)
    return error if error == error else float("inf")


def compare(
    report: Report, case: ParityCase, found: Results, expected: Results
) -> None:
    """One check a case: exact results by their bits, others by the worst error."""
    unequal = [
        name
        for name in found
        if name.endswith("_exact")
        and not torch.equal(found[name].cpu(), expected[name])
    ]
    errors = {
        name: relative_error(found[name], expected[name])
        for name in found
        if not name.endswith("_exact")
    }
    worst = max(errors, key=errors.__getitem__)
    text = f"error {errors[worst]:.2g} ({worst}), limit {case.limit:.2g}"
    if unequal:
        text += f"; unequal: {', '.join(unequal)}"
    passed = errors[worst] <= case.limit and not unequal
    report.check(f"parity, {case.name}", text, passed=passed)


def check_repetition(
    report: Report, case: ParityCase, first: Results, second: Results
) -> None:
    """The same bits again, but for sums in no fixed order."""
    differing = [
        name
        for name in first
        if name not in case.varying and not torch.equal(first[name], second[name])
    ]
    text = f"differ: {', '.join(differing)}" if differing else "the same bits"
    report.check(f"repeated, {case.name}", text, passed=not differing)


def check_determinism(report: Report, case: ParityCase, device: torch.device) -> None:
    """On demand all bits are the same."""
    was_enabled = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        first, second = case.run(NATIVE, device), case.run(NATIVE, device)
    finally:
        torch.use_deterministic_algorithms(was_enabled)
    differing = [n for n in first if not torch.equal(first[n], second[n])]
    text = f"differ: {', '.join(differing)}" if differing else "the same bits"
    report.check(f"deterministic, {case.name}", text, passed=not differing)


class _Recorder(TorchDispatchMode):
    """Notes the names of our operators as they are dispatched."""

    def __init__(self, called: set[str]) -> None:
        super().__init__()
        self.called = called

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func._schema.name
        if name.startswith("realfusion::"):
            self.called.add(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def recorded_operators(called: set[str]) -> Iterator[None]:
    with _Recorder(called):
        yield


def registered_operators() -> set[str]:
    """All operators of the extension, their backward passes included."""
    names = torch._C._dispatch_get_all_op_names()
    return {name.partition(".")[0] for name in names if name.startswith("realfusion::")}
