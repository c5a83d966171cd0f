"""The page of a quality benchmark: every figure as a dot an object and variant."""

import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from realfusion.io.atomic import write_text

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _RADIUS = 320, 104, 12, 8, 17, 4
_COLOURS = ("#8a8f96", "#2f7dc4", "#d0652f", "#3d9a5b", "#9a5fb5", "#c2a11f")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One figure.

    Attributes:
        title: Its name.
        digits: After the decimal point.
        values: By variant, then by object.
        caption: Paired differences, a line a variant.
    """

    title: str
    digits: int
    values: Mapping[str, Mapping[str, float]]
    caption: Sequence[str]


def write_quality_page(
    path: str | os.PathLike[str],
    *,
    title: str,
    variants: Sequence[str],
    charts: Sequence[Chart],
    note: str,
) -> None:
    """Writes the page, which needs no other file.

    Args:
        path: The file to write.
        title: Heading.
        variants: In the order of their colours, which begin anew after six.
        charts: In the order to show them.
        note: Below the charts.

    Raises:
        OSError: The file cannot be written.
    """
    colours = {
        name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(variants)
    }
    legend = " &nbsp; ".join(
        f'<span style="color:{colour}">●</span> {html.escape(name)}'
        for name, colour in colours.items()
    )
    folder = resources.files("realfusion.io.report_page")
    page = Template(folder.joinpath("quality.html").read_text(encoding="utf-8"))
    write_text(
        path,
        page.substitute(
            title=html.escape(title),
            style=folder.joinpath("style.css").read_text(encoding="utf-8"),
            lede=legend,
            charts="\n".join(chart_card(chart, colours) for chart in charts),
            note=html.escape(note),
        ),
    )


def chart_card(chart: Chart, colours: Mapping[str, str]) -> str:
    """A chart with its title and caption, as HTML; names and values in tooltips.

    Args:
        chart: What to draw, of at least one value.
        colours: Of the variants.

    Returns:
        An `<article>`.
    """
    objects = list(dict.fromkeys(name for row in chart.values.values() for name in row))
    known = [value for row in chart.values.values() for value in row.values()]
    low, high = min(known), max(known)

    def x_of(value: float) -> float:
        share = (value - low) / max(high - low, 1e-9)
        return _LEFT + _RADIUS + share * (_WIDTH - _LEFT - _RIGHT - 2 * _RADIUS)

    parts = []
    for row, name in enumerate(objects):
        y = _TOP + _ROW * (row + 0.5)
        parts += _row_lines(name, y)
        for variant, values in chart.values.items():
            if name in values:
                label = f"{name}, {variant}: {values[name]:.{chart.digits}f}"
                parts.append(
                    f'<circle cx="{x_of(values[name]):.1f}" cy="{y}" r="{_RADIUS}" '
                    f'fill="{colours[variant]}" fill-opacity="0.85">'
                    f"<title>{html.escape(label)}</title></circle>"
                )
    bottom = _TOP + _ROW * len(objects)
    for x, anchor, value in ((_LEFT, "start", low), (_WIDTH - _RIGHT, "end", high)):
        parts.append(
            f'<text x="{x}" y="{bottom + 12}" text-anchor="{anchor}">'
            f"{value:.{chart.digits}f}</text>"
        )
    title = html.escape(chart.title)
    caption = "<br>".join(html.escape(line) for line in chart.caption)
    return (
        f'<article class="card"><h3>{title}</h3>'
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 18}" role="img" aria-label="{title}">'
        f'{"".join(parts)}</svg><p class="note">{caption}</p></article>'
    )


def _row_lines(name: str, y: float) -> list[str]:
    return [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>',
        f'<text x="{_LEFT - 8}" y="{y + 3}" text-anchor="end">'
        f"{html.escape(_shortened(name))}</text>",
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
