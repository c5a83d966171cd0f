"""Values that change over the run, as plain functions of its progress in [0, 1]."""

from __future__ import annotations

from dataclasses import fields

from realfusion.training.config import (
    CoarseToFineConfig,
    ObjectiveConfig,
    OptimizerConfig,
    TermConfig,
)


def ramp(progress: float, begin: float, end: float) -> float:
    """0 up to `begin`, 1 from `end` on, linear in between."""
    if progress >= end:
        return 1.0
    if progress <= begin:
        return 0.0
    return (progress - begin) / (end - begin)


def term_weight(config: TermConfig, progress: float) -> float:
    """Weight of a term."""
    if config.final is None:
        return config.initial
    share = ramp(progress, config.begin, config.end)
    return config.initial + (config.final - config.initial) * share


def term_weights(config: ObjectiveConfig, progress: float) -> dict[str, float]:
    """Weights of all terms, in the order of the objective."""
    return {
        item.name: term_weight(getattr(config, item.name), progress)
        for item in fields(config)
    }


def active_levels(config: CoarseToFineConfig, num_levels: int, progress: float) -> int:
    """Levels of the hash grid in use, from coarse to fine, at least one."""
    initial = max(1, round(config.initial_fraction * num_levels))
    share = ramp(progress, config.begin, config.end)
    return initial + round(share * (num_levels - initial))


def rate_factor(config: OptimizerConfig, progress: float) -> float:
    """Factor on the learning rates."""
    return config.final_rate_fraction**progress


def average_share(config: OptimizerConfig, step: int) -> float:
    """How far step number `step` (from 1) moves the averaged parameters.

    The decay ramps up with the step, so that the random start is forgotten.
    """
    return 1.0 - min(config.ema_decay, (1.0 + step) / (10.0 + step))
