"""The least time a kernel can take on this device, by what was measured on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.ops.cases import Work
from benchmarks.ops.roofline import bytes_per_second, operations_per_second
from realfusion.ops import HashGridLayout


@dataclass(frozen=True)
class Scattered:
    """Accesses to random entries of a table."""

    count: float
    table_bytes: float


@dataclass(frozen=True)
class Demand:
    """What a kernel must do, by the unit of the hardware that does it.

    Attributes:
        work: Bytes through memory and operations.
        arithmetic: Which unit does the operations: `fma` or `mma_tf32`.
        gathers: Pairs of floats loaded from random entries.
        reductions: Pairs of floats added to random entries.
    """

    work: Work
    arithmetic: str = "fma"
    gathers: Sequence[Scattered] = field(default=())
    reductions: Sequence[Scattered] = field(default=())


class Ceilings:
    """Rates measured by ``ceilings.cu``; without them, of a copy and a product."""

    def __init__(
        self, measurements: list[dict[str, Any]], device: torch.device
    ) -> None:
        self.device = device
        self._rates: dict[str, list[tuple[int, float]]] = {}
        for each in measurements:
            rates = self._rates.setdefault(each["name"], [])
            rates.append((each["num_bytes"], each["value"]))

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Ceilings:
        """Those that the section `ceilings` left; none if it did not."""
        measurements = []
        if path.is_file():
            measurements = json.loads(path.read_text())["measurements"]
        return cls(measurements, device)

    def times(self, demand: Demand) -> dict[str, float]:
        """Seconds that each unit takes for its share, were it all there is."""
        num_bytes, operations = demand.work.num_bytes, demand.work.num_operations
        copied = self._rate("copy", num_bytes / 2.0)
        if copied is None:
            copied = bytes_per_second(self.device, num_bytes)
        arithmetic = self._rate(demand.arithmetic, 0) or self._rate("fma", 0)
        if arithmetic is None:
            arithmetic = operations_per_second(self.device)
        times = {"memory": num_bytes / copied, "arithmetic": operations / arithmetic}
        if demand.gathers and (seconds := self._scattered("gather", demand.gathers)):
            times["gathers"] = seconds
        if demand.reductions and (seconds := self._reductions(demand.reductions)):
            times["reductions"] = seconds
        if (launch := self._rate("graph_kernel", 0)) is not None:
            times["launch"] = launch
        return times

    def floor(self, demand: Demand) -> tuple[float, str]:
        """The longest of these times, for all of them may overlap, and its unit."""
        times = self.times(demand)
        unit = max(times, key=times.__getitem__)
        return times[unit], unit

    def _rate(self, name: str, num_bytes: float) -> float | None:
        """The rate at the smallest measured size that holds so many bytes."""
        rates = sorted(self._rates.get(name, []))
        if not rates:
            return None
        fitting = [rate for size, rate in rates if size >= num_bytes]
        return fitting[0] if fitting else rates[-1][1]

    def _scattered(self, name: str, accesses: Sequence[Scattered]) -> float | None:
        total = 0.0
        for each in accesses:
            rate = self._rate(name, each.table_bytes)
            if rate is None:
                return None
            total += each.count / rate
        return total

    def _reductions(self, accesses: Sequence[Scattered]) -> float | None:
        pairs = self._scattered("reduction_2", accesses)
        if pairs is not None:
            return pairs
        # Below sm_90 a pair takes two reductions.
        singles = self._scattered("reduction_1", accesses)
        return None if singles is None else 2.0 * singles


def grid_accesses(layout: HashGridLayout, num_points: int) -> list[Scattered]:
    """Eight corners a level, of tables as large as the levels are."""
    sizes = [
        end - begin
        for begin, end in zip(layout.offsets, layout.offsets[1:], strict=False)
    ]
    entry_bytes = 4 * layout.num_features
    return [Scattered(8.0 * num_points, entry_bytes * size) for size in sizes]
