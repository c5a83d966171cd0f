"""Schedules depend on the progress of the run, all of them (defect 5)."""

import pytest

from realfusion.training.config import (
    CoarseToFineConfig,
    OptimizerConfig,
    TermConfig,
)
from realfusion.training.schedules import (
    active_levels,
    ramp,
    rate_factor,
    term_weight,
)


def test_ramp_is_linear_between_its_ends():
    values = [ramp(p, 0.2, 0.6) for p in (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)]
    assert values == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert ramp(0.5, 0.5, 0.5) == 1.0, "a step is taken at its place"


def test_term_weight_moves_with_the_progress():
    term = TermConfig(initial=2.0, final=4.0, begin=0.5, end=1.0)
    assert term_weight(term, 0.0) == 2.0
    assert term_weight(term, 0.75) == pytest.approx(3.0)
    assert term_weight(term, 1.0) == 4.0
    assert term_weight(TermConfig(initial=2.0), 0.9) == 2.0


def test_active_levels_grow_from_coarse_to_fine():
    config = CoarseToFineConfig(initial_fraction=0.5, begin=0.6, end=0.6)
    assert [active_levels(config, 16, p) for p in (0, 0.59, 0.6, 1)] == [8, 8, 16, 16]
    gradual = CoarseToFineConfig(initial_fraction=0.25, begin=0.0, end=1.0)
    levels = [active_levels(gradual, 8, step / 100) for step in range(101)]
    assert levels[0] == 2
    assert levels[-1] == 8
    assert levels == sorted(levels)
    assert active_levels(CoarseToFineConfig(initial_fraction=0.0), 8, 0.0) == 1


def test_rates_fall_exponentially():
    config = OptimizerConfig(final_rate_fraction=0.01)
    assert rate_factor(config, 0.0) == 1.0
    assert rate_factor(config, 0.5) == pytest.approx(0.1)
    assert rate_factor(config, 1.0) == pytest.approx(0.01)
