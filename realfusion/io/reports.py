"""`report.html`: one self-contained page that shows a run, offline and for good."""

import base64
import html
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from realfusion.io.atomic import write_text
from realfusion.io.curves import curve_card, curves_of_history
from realfusion.io.images import to_uint8

_MAX_VIDEO_BYTES = 8 * 2**20
_CAMERA = {"azimuth_deg": 0.0, "elevation_deg": 15.0, "radius": 1.8, "fov_y_deg": 40.0}


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """What the page shows; whatever is None or empty is left out."""

    title: str
    input_rgba: Float[np.ndarray, "height width 4"] | None
    views: Sequence[UInt8[np.ndarray, "view_height view_width 3"]]
    """Turntable pictures; the first is the input's own view."""
    view_labels: Sequence[str] | None = None
    """One a view; None spaces them evenly over the full circle."""
    mesh_path: Path | None = None
    """A GLB of `write_glb`."""
    video_path: Path | None = None
    history: Mapping[str, Any] = field(default_factory=dict)
    """`{"steps": [...], "terms": {name: [...]}}`."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    camera: Mapping[str, float] = field(default_factory=lambda: dict(_CAMERA))
    """The input's camera, where the 3D view starts."""


def write_report(path: str | os.PathLike[str], content: ReportContent) -> None:
    """Writes the page: one file, no network, light and dark.

    Args:
        path: The file to write.
        content: What to show. Files that do not exist are left out.

    Raises:
        ValueError: The labels are not as many as the views.
        OSError: The file cannot be written.
    """
    # A file name that is no UTF-8 reaches the page as lone surrogates.
    page = render_report(content).encode("utf-8", "replace").decode("utf-8")
    write_text(path, page)


def render_report(content: ReportContent) -> str:
    """The page as text; see `write_report`.

    Args:
        content: What to show.

    Returns:
        HTML.
    """
    model = _model_section(content)
    curves = [curve_card(curve) for curve in curves_of_history(dict(content.history))]
    scripts = _script("curves.js") if curves or content.video_path else ""
    if model:
        scripts += _script("viewer.js")
    return Template(_part("template.html")).substitute(
        title=html.escape(content.title),
        style=_part("style.css"),
        lede=html.escape(_lede(content)),
        pictures="\n".join(_pictures(content)),
        tiles="\n".join(_tile(*tile) for tile in _tiles(content.metrics)),
        views=_view_items(content),
        model=model,
        video=_video_section(content.video_path),
        curves=_curve_section(curves),
        details=_detail_sections(content),
        footer=_footer(content.metrics),
        scripts=scripts,
    )


def _part(name: str) -> str:
    folder = resources.files("realfusion.io.report_page")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    return f"<script>\n{_part(name)}</script>\n"


def _picture(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return _data_url("image/png", buffer.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _pictures(content: ReportContent) -> Iterator[str]:
    """The photo, if there is one, beside the front of the result."""
    caption = "Reconstruction"
    if content.input_rgba is not None:
        photo = _picture(to_uint8(content.input_rgba))
        text = "The input picture, cut out from its background"
        yield _figure("frame checker", f'<img src="{photo}" alt="{text}">', "Input")
        caption = "Reconstruction, same view"
    front = ""
    if content.views:
        text = "The reconstruction from the front"
        front = f'<img src="{_picture(content.views[0])}" alt="{text}">'
    yield _figure("frame", front, caption)


def _figure(kind: str, picture: str, caption: str) -> str:
    return (
        f'  <figure>\n    <div class="{kind}">{picture}</div>\n'
        f"    <figcaption>{caption}</figcaption>\n  </figure>"
    )


def _lede(content: ReportContent) -> str:
    metrics, parts = content.metrics, []
    if "iterations" in metrics:
        parts.append(f"{metrics['iterations']} iterations")
    if metrics.get("prior"):
        prior = metrics["prior"]
        parts.append("no prior" if prior == "none" else f"prior {prior}")
    if metrics.get("device"):
        parts.append(f"on {metrics['device']}")
    seconds = _total_seconds(metrics)
    if seconds:
        parts.append(f"in {_duration(seconds)}")
    source = "words alone" if content.input_rgba is None else "one picture"
    return (
        f"A 360° model from {source}"
        + (": " if parts else ". ")
        + (", ".join(parts) + "." if parts else "")
    )


def _total_seconds(metrics: Mapping[str, Any]) -> float:
    stages = metrics.get("seconds", {})
    if not isinstance(stages, Mapping):
        return float(stages)
    return float(
        sum(value for value in stages.values() if isinstance(value, int | float))
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, number and unit of each figure that is known."""
    wanted = [
        ("Front PSNR", metrics.get("front_psnr_db"), ".1f", "dB"),
        ("Front mask IoU", metrics.get("front_mask_iou"), ".3f", ""),
        ("Speed", metrics.get("iterations_per_second"), ".2g", "steps/s"),
    ]
    evaluation = metrics.get("evaluation")
    if isinstance(evaluation, Mapping):
        wanted += [
            ("Novel-view PSNR", evaluation.get("novel_view_psnr_db"), ".1f", "dB"),
            ("Novel-view IoU", evaluation.get("novel_view_mask_iou"), ".3f", ""),
            ("Chamfer distance", evaluation.get("chamfer_distance"), ".4f", ""),
        ]
    tiles = [
        (name, format(value, spec), unit)
        for name, value, spec, unit in wanted
        if isinstance(value, int | float)
    ]
    seconds = _total_seconds(metrics)
    if seconds:
        minutes, rest = divmod(round(seconds), 60)
        tiles.append(("Time", f"{minutes}:{rest:02d}", "min"))
    mesh = metrics.get("mesh")
    if isinstance(mesh, Mapping) and "num_faces" in mesh:
        closed = "closed" if mesh.get("is_watertight") else "open"
        tiles.append(("Triangles", f"{mesh['num_faces']:,}".replace(",", " "), closed))
        if isinstance(mesh.get("depth_to_width"), int | float):
            tiles.append(("Depth : width", f"{mesh['depth_to_width']:.2f}", ""))
    return tiles


def _tile(name: str, number: str, unit: str) -> str:
    suffix = f" <small>{html.escape(unit)}</small>" if unit else ""
    return f"<div><dt>{name}</dt><dd>{html.escape(number)}{suffix}</dd></div>"


def _view_items(content: ReportContent) -> str:
    count = len(content.views)
    labels = content.view_labels or [f"{360 * i / count:.0f}°" for i in range(count)]
    if len(labels) != count:
        raise ValueError(f"`view_labels` must be {count}, got {len(labels)}")
    return "\n".join(
        f'<li><img src="{_picture(view)}" alt="View at {html.escape(label)}">'
        f"{html.escape(label)}</li>"
        for view, label in zip(content.views, labels, strict=True)
    )


def _model_section(content: ReportContent) -> str:
    if content.mesh_path is None or not content.mesh_path.is_file():
        return ""
    glb = base64.b64encode(content.mesh_path.read_bytes()).decode()
    camera = html.escape(json.dumps(dict(content.camera)), quote=True)
    buttons = "".join(
        f'<button type="button" data-shading="{index}" '
        f'aria-pressed="{"true" if index == 0 else "false"}">{name}</button>'
        for index, name in enumerate(["Colour", "Shaded", "Normals", "Clay"])
    )
    return f"""<section id="model" aria-labelledby="model-title">
  <h2 id="model-title">The model</h2>
  <div class="stage">
    <canvas id="viewer" tabindex="0" role="img" data-camera="{camera}"
      aria-label="3D model: arrow keys turn it, plus and minus zoom, 0 resets">
    </canvas>
    <p id="viewer-message">Loading the model …</p>
  </div>
  <div class="tools">
    <div class="group" role="group" aria-label="Shading">{buttons}</div>
    <div class="group">
      <button type="button" id="spin" aria-pressed="false">Spin</button>
      <button type="button" id="reset">Reset</button>
    </div>
  </div>
  <p class="note">Drag to turn, pinch or scroll to zoom (click it first), or use
  <kbd>←</kbd> <kbd>→</kbd> <kbd>↑</kbd> <kbd>↓</kbd> <kbd>+</kbd> <kbd>−</kbd>
  <kbd>0</kbd>. It starts at the view of the input picture.</p>
  <script type="text/plain" id="mesh-data">{glb}</script>
</section>"""


def _video_section(path: Path | None) -> str:
    if path is None or not path.is_file():
        return ""
    if path.stat().st_size <= _MAX_VIDEO_BYTES:
        source = _data_url("video/mp4", path.read_bytes())
    else:
        source = html.escape(path.name, quote=True)
    return f"""<section aria-labelledby="video-title">
  <h2 id="video-title">Turntable</h2>
  <video src="{source}" controls loop muted autoplay playsinline
    aria-label="Turntable: colour, normals and depth side by side"></video>
  <p class="note">Colour, normals, and depth from bright (near) to dark (far).</p>
</section>"""


def _curve_section(cards: Sequence[str]) -> str:
    if not cards:
        return ""
    return f"""<section aria-labelledby="curves-title">
  <h2 id="curves-title">Losses</h2>
  <div class="charts">{"".join(cards)}</div>
  <p class="note">Each term before its weight, and their weighted sum as loss, on a
  logarithmic scale where it is positive; the strong line is the running mean. Hover,
  or focus a chart and use <kbd>←</kbd> <kbd>→</kbd>, for values.</p>
</section>"""


def _detail_sections(content: ReportContent) -> str:
    groups: dict[str, Mapping[str, Any]] = {}
    plain = {k: v for k, v in content.configuration.items() if not _is_mapping(v)}
    if plain:
        groups["Configuration"] = plain
    for name, value in content.configuration.items():
        if _is_mapping(value):
            groups[f"Configuration: {name.replace('_', ' ')}"] = value
    if content.metrics:
        groups["All figures"] = content.metrics
    if not groups:
        return ""
    blocks = [
        f"<details><summary>{html.escape(name)}</summary>{_table(values)}</details>"
        for name, values in groups.items()
    ]
    return (
        '<section aria-labelledby="details-title">\n'
        '  <h2 id="details-title">Settings and figures</h2>\n'
        + "\n".join(blocks)
        + "\n</section>"
    )


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"<td>{html.escape(_readable(value))}</td></tr>"
        for name, value in _flatten(values)
    )
    return f"<table>{rows}</table>"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if _is_mapping(value):
            rows += _flatten(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _readable(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_readable(item) for item in value)
    return str(value)


def _footer(metrics: Mapping[str, Any]) -> str:
    versions = metrics.get("versions")
    if not isinstance(versions, Mapping):
        return "Made with realfusion."
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    commit = metrics.get("git_commit")
    suffix = f" at {str(commit)[:10]}" if commit else ""
    return html.escape(f"Made with {named}{suffix}.")
