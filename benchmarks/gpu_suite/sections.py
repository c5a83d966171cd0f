"""The sections in their order, with their time limits (standard library only)."""

from __future__ import annotations

from dataclasses import dataclass

TOTAL_SECONDS = 525.0
QUICK_TOTAL_SECONDS = 118.0


@dataclass(frozen=True)
class Section:
    """A part of the run.

    Attributes:
        name: What `--only` calls it.
        title: What it does, for the table.
        module: Module whose `run(report, setting)` does it.
        seconds: Time limit.
        quick_seconds: Time limit with `--quick`; 0 leaves it out.
    """

    name: str
    title: str
    module: str
    seconds: float
    quick_seconds: float

    def limit(self, is_quick: bool) -> float:
        return self.quick_seconds if is_quick else self.seconds


def _section(name: str, title: str, seconds: float, quick_seconds: float) -> Section:
    module = f"benchmarks.gpu_suite.{name}"
    return Section(name, title, module, seconds, quick_seconds)


# What later ones rest on comes first; what takes longest and fails alone, last.
SECTIONS = (
    _section("build", "extension built in place", 180, 100),
    _section("parity", "CPU-CUDA parity, determinism", 60, 30),
    _section("ceilings", "ceilings of the hardware", 45, 30),
    _section("kernels", "kernels beside their floors", 60, 25),
    _section("steps", "training step by stage", 60, 25),
    _section("prior", "iterations under a prior", 90, 0),
    _section("peers", "other implementations", 180, 0),
    _section("sanitizer", "compute-sanitizer", 140, 0),
    _section("device_tests", "pytest on the device", 120, 0),
)
