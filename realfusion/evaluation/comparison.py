"""Comparing variants that reconstructed the same objects with the same seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A figure of a run, and how it is shown.

    Attributes:
        key: Its name among a run's figures.
        title: In tables.
        digits: After the decimal point.
        better: Which values are; None where neither is.
    """

    key: str
    title: str
    digits: int
    better: Literal["higher", "lower"] | None


FIGURES = (
    Figure("novel_view_mask_iou", "IoU", 3, "higher"),
    Figure("novel_view_psnr_db", "PSNR dB", 2, "higher"),
    Figure("novel_view_ssim", "SSIM", 3, "higher"),
    Figure("clip_similarity", "CLIP", 3, "higher"),
    Figure("lpips", "LPIPS", 3, "lower"),
    Figure("volume_iou", "volume IoU", 3, "higher"),
    Figure("chamfer_distance", "Chamfer", 4, "lower"),
    Figure("f_score_at_0.05", "F@0.05", 3, "higher"),
    Figure("watertight_body_fraction", "one body", 3, "higher"),
    Figure("depth_to_width", "depth/width", 3, None),
    Figure("depth_to_width_error", "depth error", 3, "lower"),
    Figure("opacity_entropy_bits", "entropy bit", 3, "lower"),
    Figure("janus_score", "Janus", 3, "lower"),
    Figure("front_psnr_db", "front dB", 2, "higher"),
    Figure("front_mask_iou", "front IoU", 3, "higher"),
    Figure("seconds", "seconds", 1, "lower"),
)
PERCEPTUAL = {"clip_similarity": "CLIP similarity", "lpips": "LPIPS"}
"""Figures that need weights which are not part of the package."""

Key = tuple[str, int]
Runs = Mapping[str, Mapping[Key, Mapping[str, float]]]
"""Figures by variant, then by object and seed."""


@dataclass(frozen=True)
class PairedDifference:
    """A variant minus the first one.

    Attributes:
        mean: Over the objects, of each object's mean over its seeds.
        low: Lower end of the 95 % confidence interval; None for a single object.
        high: Upper end.
        num_objects: Objects that both variants have.
        num_better: Of these, where the variant is better; None where no value is.
    """

    mean: float
    low: float | None
    high: float | None
    num_objects: int
    num_better: int | None


def object_means(runs: Mapping[Key, Mapping[str, float]], key: str) -> dict[str, float]:
    """Mean of a figure over the seeds, for the objects that have it."""
    values: dict[str, list[float]] = {}
    for (name, _), figures in runs.items():
        if key in figures:
            values.setdefault(name, []).append(figures[key])
    return {name: float(np.mean(each)) for name, each in values.items()}


def paired_difference(
    first: Mapping[Key, Mapping[str, float]],
    second: Mapping[Key, Mapping[str, float]],
    figure: Figure,
    *,
    confidence: float = 0.95,
) -> PairedDifference | None:
    """Mean difference with Student's interval; the objects are the sample.

    Seeds of one object are averaged first: they are not independent, and counting each
    would promise more certainty about other objects than there is.

    Args:
        first: Figures of the runs of the variant to compare with.
        second: Figures of the runs of the other one.
        figure: Which figure.
        confidence: Of the interval.

    Returns:
        The difference, or None where no run of both variants has the figure.
    """
    key = figure.key
    common = [run for run in first if key in first[run] and key in second.get(run, {})]
    gains = {run: {key: second[run][key] - first[run][key]} for run in common}
    sample = np.array(list(object_means(gains, key).values()))
    if sample.size == 0:
        return None
    sign = {"higher": 1, "lower": -1, None: 0}[figure.better]
    low = high = None
    if sample.size > 1:
        from scipy.stats import t

        error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
        half = float(t.ppf((1 + confidence) / 2, sample.size - 1)) * error
        low, high = float(sample.mean()) - half, float(sample.mean()) + half
    return PairedDifference(
        mean=float(sample.mean()),
        low=low,
        high=high,
        num_objects=int(sample.size),
        num_better=int((sign * sample > 0).sum()) if sign else None,
    )


def known_figures(runs: Runs) -> list[Figure]:
    """The figures that at least one run has."""
    found = {key for each in runs.values() for row in each.values() for key in row}
    return [figure for figure in FIGURES if figure.key in found]


def not_measured(runs: Runs) -> str:
    """What no run has for want of weights, in a sentence; empty if all is there."""
    known = {figure.key for figure in known_figures(runs)}
    absent = [title for key, title in PERCEPTUAL.items() if key not in known]
    if not absent:
        return ""
    were, need = ("were", "they need") if len(absent) > 1 else ("was", "it needs")
    return (
        f"{' and '.join(absent)} {were} not measured: {need} weights that are not part "
        f"of this package."
    )


def to_json(runs: Runs) -> dict[str, Any]:
    """Everything: runs, means by object and by variant, differences.

    Args:
        runs: Of all variants; the first is the one to compare with.

    Returns:
        JSON values.
    """
    first, *others = runs
    figures = known_figures(runs)
    by_object = {
        variant: {
            figure.key: means
            for figure in figures
            if (means := object_means(runs[variant], figure.key))
        }
        for variant in runs
    }
    differences = {
        variant: {
            figure.key: asdict(difference)
            for figure in figures
            if (difference := paired_difference(runs[first], runs[variant], figure))
        }
        for variant in others
    }
    return {
        "means": {
            variant: {key: float(np.mean(list(m.values()))) for key, m in rows.items()}
            for variant, rows in by_object.items()
        },
        "object_means": by_object,
        "compared_with": first,
        "differences": differences,
        "runs": [
            {"variant": variant, "object": name, "seed": seed, "figures": dict(row)}
            for variant, rows in runs.items()
            for (name, seed), row in rows.items()
        ],
        "not_measured": not_measured(runs),
    }


def markdown(runs: Runs) -> str:
    """Means by variant, paired differences and means by object, as Markdown tables.

    Args:
        runs: Of all variants; the first is the one to compare with.

    Returns:
        The text, with a final line break.
    """
    first, *others = runs
    figures = known_figures(runs)
    titles = ["figure", "better", *runs]
    parts = ["## Means over the objects", "", *_table(titles, _mean_rows(runs))]
    for variant in others:
        heading = f"## {variant} minus {first}, paired, 95 % confidence"
        rows = [
            [figure.title, *_difference_cells(difference, figure.digits)]
            for figure in figures
            if (difference := paired_difference(runs[first], runs[variant], figure))
        ]
        titles = ["figure", "mean", "low", "high", "better on"]
        parts += ["", heading, "", *_table(titles, rows)]
    titles = ["object", "variant", *(figure.title for figure in figures)]
    parts += ["", "## Means by object", "", *_table(titles, _object_rows(runs))]
    note = not_measured(runs)
    return "\n".join([*parts, "", *([note, ""] if note else [])])


def _mean_rows(runs: Runs) -> list[list[str]]:
    rows = []
    for figure in known_figures(runs):
        means = [
            list(object_means(each, figure.key).values()) for each in runs.values()
        ]
        cells = [f"{np.mean(m):.{figure.digits}f}" if m else "–" for m in means]
        rows.append([figure.title, figure.better or "–", *cells])
    return rows


def _difference_cells(difference: PairedDifference, digits: int) -> list[str]:
    ends = (difference.low, difference.high)
    better, total = difference.num_better, difference.num_objects
    return [
        f"{difference.mean:+.{digits}f}",
        *("–" if end is None else f"{end:+.{digits}f}" for end in ends),
        "–" if better is None else f"{better} of {total}",
    ]


def _object_rows(runs: Runs) -> list[list[str]]:
    figures = known_figures(runs)
    names = dict.fromkeys(name for each in runs.values() for name, _ in each)
    rows = []
    for name in names:
        for variant, each in runs.items():
            means = [object_means(each, figure.key).get(name) for figure in figures]
            cells = [
                "–" if mean is None else f"{mean:.{figure.digits}f}"
                for mean, figure in zip(means, figures, strict=True)
            ]
            rows.append([name, variant, *cells])
    return rows


def _table(titles: Iterable[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table whose columns also line up as plain text."""
    cells = [list(titles), *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [lines[0], rule, *lines[1:]]
