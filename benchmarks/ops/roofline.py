"""The floor under a kernel's time: bytes it must move, operations it must do.

Both ceilings are measured in the same process, by a copy and by a matrix product, so
that threads and other load count for both sides.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.ops.cases import Work


def _fastest(run: Callable[[], Any], device: torch.device, rounds: int = 15) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def bytes_per_second(device: torch.device, num_bytes: float) -> float:
    """Bytes a copy moves in a second, read and written.

    Args:
        device: Where to copy.
        num_bytes: What a kernel moves. The copy moves as much, down to half of it (and
            at most 128 MB), so that it meets the same caches.
    """
    size = 2 ** math.floor(math.log2(max(num_bytes / 8.0, 2.0**10)))
    return _copied_bytes_per_second(device, min(size, 2**24))


@functools.cache
def _copied_bytes_per_second(device: torch.device, size: int) -> float:
    source = torch.ones(size, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    seconds = _fastest(lambda: target.copy_(source), device)
    return 2 * source.numel() * source.element_size() / seconds


@functools.cache
def operations_per_second(device: torch.device) -> float:
    """Floating-point operations that a float32 matrix product does in a second."""
    matrix = torch.rand(1024, 1024, device=device)
    matrix @ matrix
    return 2 * 1024**3 / _fastest(lambda: matrix @ matrix, device)


def record_floor(benchmark: Any, device: torch.device, work: Work) -> None:
    """Add the floor and the distance from it to a finished benchmark's record.

    Args:
        benchmark: The fixture, after the timed run.
        device: Where it ran.
        work: What any implementation must do.
    """
    num_bytes, num_operations = work.num_bytes, work.num_operations
    memory = num_bytes / bytes_per_second(device, num_bytes)
    arithmetic = num_operations / operations_per_second(device)
    floor = max(memory, arithmetic)
    bound = "memory" if memory >= arithmetic else "arithmetic"
    benchmark.extra_info["floor"] = (
        f"{1e3 * floor:.3g} ms ({bound}: {num_bytes / 1e6:.3g} MB, "
        f"{num_operations / 1e6:.3g} MFLOP)"
    )
    distance = benchmark.stats.stats.median / floor
    benchmark.extra_info["distance"] = f"{distance:.3g}×"
