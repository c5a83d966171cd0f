"""The goals for one H200, judged by a run's records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.table import format_seconds

STEP = "training step, 96 × 96 view, no prior"
GRAPHED_STEP = "whole_step_in_graphs"
PRIOR_STEP = "training step, 96 × 96 view, prior of Stable Diffusion 1.5's shape"
VIEW = "view of 96 × 96 rays with normals, forward + backward"
GRID = "hash_grid forward + backward to the table, random points"
MARCH = "march_rays"
COMPOSITE = "composite forward_backward, 3 channels"
FIELD = "radiance_field {direction}, H = 64"
PEER = "torch-ngp"
AS_CALLED = "native, as called"
RELEASE = "torch-ngp, 13 field evaluations, float16"

Medians = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Goal:
    """A goal, and how to judge it.

    Attributes:
        text: For the table.
        measure: The figure from the medians and floors; KeyError where it is missing.
        is_met: Whether the figure will do.
        format: How the figure is written.
    """

    text: str
    measure: Callable[[Medians, Medians], float]
    is_met: Callable[[float], bool]
    format: Callable[[float], str]


def _step(medians: Medians) -> float:
    graphed = medians.get((STEP, GRAPHED_STEP))
    return medians[STEP, "whole_step"] if graphed is None else graphed


def _factor_of_peer(group: str) -> Goal:
    return Goal(
        f"{group}: faster than {PEER}'s",
        # Theirs cannot be captured into a graph, so ours is timed without one too.
        lambda medians, _: medians[group, PEER] / medians[group, AS_CALLED],
        lambda factor: factor > 1.0,
        lambda factor: f"{factor:.3g}×",
    )


def _field_distance(direction: str) -> Goal:
    group = FIELD.format(direction=direction)
    return Goal(
        f"{group}: within 2.5× of its floor",
        lambda medians, floors: medians[group, "native"] / floors[group, "native"],
        lambda distance: distance <= 2.5,
        lambda distance: f"{distance:.3g}×",
    )


GOALS = (
    Goal(
        "3-D part of a step at 96 × 96 rays with normals: at most 3 ms (H200)",
        lambda medians, _: _step(medians),
        lambda seconds: seconds <= 3e-3,
        format_seconds,
    ),
    Goal(
        f"{VIEW}: 10× {PEER}'s kernels as the RealFusion release uses them",
        lambda medians, _: medians[VIEW, RELEASE] / medians[VIEW, "native"],
        lambda factor: factor >= 10.0,
        lambda factor: f"{factor:.3g}×",
    ),
    _factor_of_peer(GRID),
    _factor_of_peer(MARCH),
    _factor_of_peer(COMPOSITE),
    _field_distance("forward"),
    _field_distance("forward_backward"),
    Goal(
        "3-D part: at most 10 % of the full iteration under the prior",
        lambda medians, _: _step(medians) / medians[PRIOR_STEP, "whole_step"],
        lambda share: share <= 0.1,
        lambda share: f"{100.0 * share:.3g} %",
    ),
)


def judge_goals(records: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Every goal with its figure and verdict; `not measured` where a case is missing.

    Args:
        records: All records of a run; a floor is in seconds in `floor seconds`.
    """
    medians: Medians = {}
    floors: Medians = {}
    for record in records:
        key = (record["group"], record["params"]["method"])
        medians[key] = record["stats"]["median"]
        if "floor seconds" in record["extra_info"]:
            floors[key] = record["extra_info"]["floor seconds"]
    judged = []
    for goal in GOALS:
        try:
            figure = goal.measure(medians, floors)
        except KeyError:
            judged.append(
                {"goal": goal.text, "measured": "", "verdict": "not measured"}
            )
            continue
        verdict = "met" if goal.is_met(figure) else "missed"
        judged.append(
            {"goal": goal.text, "measured": goal.format(figure), "verdict": verdict}
        )
    return judged
