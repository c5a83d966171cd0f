"""Loss curves as small inline SVG charts."""

import html
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 6, 8, 18
_MAX_POINTS = 300
_LEADING = ("loss", "image", "mask", "prior")


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a run; steps ascend."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]


def curves_of_history(history: dict[str, object]) -> list[Curve]:
    """The curves in a run's history.

    Args:
        history: `{"steps": [...], "terms": {name: [value or null, ...]}}`.

    Returns:
        A curve for each term of at least two finite values: the total, the image's
        terms and the prior first, then the others by name.
    """
    steps = history.get("steps", [])
    terms = history.get("terms", {})
    assert isinstance(steps, list)
    assert isinstance(terms, dict)
    curves = []
    leading = [name for name in _LEADING if name in terms]
    for name in leading + sorted(set(terms) - set(leading)):
        column = terms[name]
        known = [
            (step, float(value))
            for step, value in zip(steps, column, strict=True)
            if value is not None and math.isfinite(value)
        ]
        if len(known) >= 2:
            curves.append(Curve(name, *map(list, zip(*known, strict=True))))
    return curves


def curve_card(curve: Curve) -> str:
    """A chart with its title, as HTML: all values pale, their running mean strong.

    The scale is logarithmic where all values are positive and span a factor of three,
    else linear.

    Args:
        curve: What to draw.

    Returns:
        An `<article>`; curves.js makes its values readable by pointer and keyboard.
    """
    steps, values = _thin_out(curve)
    smooth = _running_mean(values)
    lowest, highest = min(values), max(values)
    is_log = lowest > 0 and highest / lowest >= 3
    ticks = _log_ticks(lowest, highest) if is_log else _linear_ticks(lowest, highest)
    low, high = min(lowest, ticks[0]), max(highest, ticks[-1])

    def x_of(step: int) -> float:
        span = max(steps[-1] - steps[0], 1)
        return _LEFT + (step - steps[0]) / span * (_WIDTH - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        if is_log:
            position = math.log(value / low) / max(math.log(high / low), 1e-9)
        else:
            position = (value - low) / max(high - low, 1e-12)
        return _TOP + (1 - position) * (_HEIGHT - _TOP - _BOTTOM)

    def path(series: Sequence[float]) -> str:
        pairs = zip(steps, series, strict=True)
        return "M" + "L".join(f"{x_of(s):.1f} {y_of(v):.1f}" for s, v in pairs)

    points = [
        [step, value, round(x_of(step), 1), round(y_of(value), 1)]
        for step, value in zip(steps, smooth, strict=True)
    ]
    title = html.escape(curve.name.replace("_", " "))
    scale = "logarithmic" if is_log else "linear"
    spoken = (
        f"{title}, from {_short(smooth[0])} at step {steps[0]} to {_short(smooth[-1])} "
        f"at step {steps[-1]}, {scale} scale"
    )
    data = html.escape(json.dumps(points, separators=(",", ":")), quote=True)
    return (
        f'<article class="card"><h3>{title}<output>{_short(smooth[-1])}</output></h3>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" tabindex="0" '
        f'aria-label="{spoken}" data-curve="{data}">'
        + _axes(ticks, y_of, curve.steps)
        + f'<path class="raw" d="{path(values)}"/>'
        f'<path class="smooth" d="{path(smooth)}"/>'
        f'<line class="cursor" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        '<circle class="dot" r="3.5"/></svg></article>'
    )


def _axes(
    ticks: Sequence[float], y_of: Callable[[float], float], steps: Sequence[int]
) -> str:
    parts = []
    for tick in ticks:
        y = y_of(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
            f"{_short(tick)}</text>"
        )
    base = _HEIGHT - 4
    parts.append(f'<text x="{_LEFT}" y="{base}">{steps[0]}</text>')
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{base}" text-anchor="end">'
        f"{steps[-1]} steps</text>"
    )
    return "".join(parts)


def _thin_out(curve: Curve) -> tuple[list[int], list[float]]:
    """At most 300 points, each the mean of its bin."""
    size = -(-len(curve.steps) // _MAX_POINTS)
    starts = range(0, len(curve.steps), size)
    bins = [curve.values[start : start + size] for start in starts]
    steps = [
        curve.steps[start + len(values) // 2]
        for start, values in zip(starts, bins, strict=True)
    ]
    return steps, [sum(values) / len(values) for values in bins]


def _running_mean(values: Sequence[float]) -> list[float]:
    """Mean over a window of 1/20 of the curve to either side."""
    reach = len(values) // 20
    result = []
    for index in range(len(values)):
        window = values[max(0, index - reach) : index + reach + 1]
        result.append(sum(window) / len(window))
    return result


def _log_ticks(lowest: float, highest: float) -> list[float]:
    first = math.floor(math.log10(lowest) + 1e-9)
    last = math.ceil(math.log10(highest) - 1e-9)
    stride = max(1, -(-(last - first) // 4))
    return [10.0**power for power in range(first, last + stride, stride)]


def _linear_ticks(lowest: float, highest: float) -> list[float]:
    span = highest - lowest or abs(highest) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 2))
    step = next(step * m for m in (1, 2, 2.5, 5, 10) if span / (step * m) <= 3.5)
    first = math.floor(lowest / step + 1e-9)
    last = math.ceil(highest / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def _short(value: float) -> str:
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
