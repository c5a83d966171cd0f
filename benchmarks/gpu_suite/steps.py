"""A training step without a prior: whole, by stage, and in CUDA graphs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpu_suite import goals
from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.setting import Setting
from benchmarks.gpu_suite.timing import peak_memory, synchronize, time_with_host
from benchmarks.training_step import Bench, make_bench
from realfusion.training.config import CoarseToFineConfig, ReconstructionConfig
from realfusion.training.fit import fit
from realfusion.training.presets import DEFAULT, FAST, SMOKE

ENDLESS = 10**6
"""Iterations of a run whose progress stands still while it is timed."""


def whole_view_config() -> ReconstructionConfig:
    """`default` with views of 96 × 96 rays and every level of the grid in use."""
    return replace(
        DEFAULT,
        iterations=ENDLESS,
        prior_view_size=96,
        coarse_to_fine=CoarseToFineConfig(initial_fraction=1.0),
    )


def run(report: Report, setting: Setting) -> None:
    """Time the goal's step, and that of the preset `fast`."""
    if setting.is_dry:
        configs = {goals.STEP: replace(SMOKE, iterations=ENDLESS)}
    else:
        fast = "training step, preset fast, no prior"
        configs = {
            goals.STEP: whole_view_config(),
            fast: replace(FAST, iterations=ENDLESS),
        }
    device = torch.device(setting.device)
    for group, config in configs.items():
        with report.part(group):
            bench = make_bench(config, None, device)
            time_whole(report, setting, group, bench)
            time_stages(report, setting, group, bench)


def time_whole(report: Report, setting: Setting, group: str, bench: Bench) -> None:
    """Steps as `fit` does them, occupancy updates included, with and without graphs."""
    device = torch.device(setting.device)
    has_graphs = "cuda_graphs" in inspect.signature(fit).parameters
    variants: dict[str, dict[str, Any]] = {
        "whole_step": {"cuda_graphs": False} if has_graphs else {}
    }
    if not has_graphs:
        report.left_out("steps in CUDA graphs: `fit` has no `cuda_graphs` here")
    elif not setting.is_dry:
        variants[goals.GRAPHED_STEP] = {"cuda_graphs": True}
    for case, options in variants.items():
        with report.part(f"{group}, {case}"):
            steps = fit(bench.state, bench.task, bench.config, **options)
            times = time_blocks(
                lambda steps=steps: next(steps),
                device,
                blocks=2 if setting.is_dry else 8,
                block=bench.config.renderer.occupancy_interval,
            )
            middle = sorted(times)[len(times) // 2]
            report.record(
                group,
                case,
                times,
                rays=bench.rays,
                **{"iterations per second": f"{1.0 / middle:.4g}"},
                **peak_memory(lambda steps=steps: next(steps), device),
            )


def time_blocks(
    step: Callable[[], Any], device: torch.device, *, blocks: int, block: int
) -> list[float]:
    """Seconds a step, a figure for each block of steps; three blocks are warm-up."""

    def run() -> None:
        for _ in range(block):
            step()

    times = time_with_host(run, device, blocks, warmup=1 if device.type == "cpu" else 3)
    return [seconds / block for seconds in times]


def time_stages(report: Report, setting: Setting, group: str, bench: Bench) -> None:
    """The parts of a step, host included, without graphs."""
    device = torch.device(setting.device)
    rounds = max(2, setting.rounds // 2)
    interval = bench.config.renderer.occupancy_interval

    def time(part: Callable[..., Any], setup: Callable[[], Any] | None = None) -> Any:
        return time_with_host(part, device, rounds, setup=setup)

    def make_loss() -> torch.Tensor:
        loss = bench.make_loss()
        synchronize(device)
        return loss

    stages: dict[str, Callable[[], list[float]]] = {
        "stage_render_photo": lambda: time(bench.render_photo),
        "stage_render_view": lambda: time(bench.render_view),
        "stage_backward": lambda: time(torch.Tensor.backward, make_loss),
        "stage_optimizer": lambda: time(bench.update),
        # Last: it changes how many samples the others take.
        "stage_occupancy": lambda: time(bench.update_occupancy),
    }
    for name, stage in stages.items():
        with report.part(f"{group}, {name}"):
            if name == "stage_optimizer":
                bench.make_gradients()
            calls = 1.0 / interval if name == "stage_occupancy" else 1.0
            report.record(group, name, stage(), **{"calls a step": calls})
