"""Times of what runs on the device, alone and together with the host."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch

Run = Callable[[], Any]

HEAD_START_CYCLES = 10**7
"""Some 5 ms of the device, in which the host queues all rounds of a case."""


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_with_host(
    run: Run,
    device: torch.device,
    rounds: int,
    *,
    setup: Callable[[], Any] | None = None,
    warmup: int = 3,
) -> list[float]:
    """Seconds from the call until the device is done, a round each.

    Args:
        run: What is timed; takes the result of `setup` if there is one.
        device: Where it runs.
        rounds: Timed rounds.
        setup: Called before each round, untimed.
        warmup: Rounds before.
    """
    times = []
    for index in range(warmup + rounds):
        arguments = () if setup is None else (setup(),)
        synchronize(device)
        begin = time.perf_counter()
        run(*arguments)
        synchronize(device)
        if index >= warmup:
            times.append(time.perf_counter() - begin)
    return times


def time_on_device(
    run: Run, device: torch.device, rounds: int, *, is_captured: bool
) -> tuple[list[float], str]:
    """Seconds of the device's work alone, and how they were taken.

    Args:
        run: Enqueues the work; inputs are the same in each round.
        device: Where it runs.
        rounds: Timed rounds.
        is_captured: Capture the work into a CUDA graph and time its replays, so that
            the host's calls leave no gaps. Only for what neither waits for the device
            nor leaves the current stream.

    Returns:
        A time a round, and `graph replay`, `calls` or the reason for calls.
    """
    if device.type != "cuda":
        return time_with_host(run, device, rounds), "calls"
    if not is_captured:
        return _time_by_events(run, rounds), "calls"
    try:
        graph = capture(run)
    except Exception as error:  # torch raises what CUDA says, of many types
        torch.cuda.synchronize()
        reason = (str(error).strip().splitlines() or [""])[0][:120]
        return _time_by_events(run, rounds), f"calls: no graph ({reason})"
    try:
        times = _time_by_events(graph.replay, rounds, head_start=HEAD_START_CYCLES)
        return times, "graph replay"
    finally:
        del graph
        gc.collect()


def capture(run: Run) -> torch.cuda.CUDAGraph:
    """Warm up on a stream of its own and capture one call."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def _time_by_events(
    run: Run, rounds: int, warmup: int = 5, *, head_start: int = 0
) -> list[float]:
    """Seconds between events around each round.

    On an idle device the first event passes at once, and what follows is the time until
    the host has launched the round: more than a small kernel takes. With a head start
    the device is busy, for so many cycles, until all rounds are queued.
    """
    for _ in range(warmup):
        run()
    if head_start > 0:
        torch.cuda._sleep(head_start)
    pairs = []
    for _ in range(rounds):
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        pairs.append((begin, end))
    torch.cuda.synchronize()
    return [1e-3 * begin.elapsed_time(end) for begin, end in pairs]


def peak_memory(run: Run, device: torch.device) -> dict[str, str]:
    """A note of the most memory that tensors took during a call, beyond before it."""
    if device.type != "cuda":
        return {}
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    return {
        "peak memory": f"{peak / 2**20:.0f} MiB, {(peak - before) / 2**20:.1f} of them "
        "its own"
    }
