"""What a run with a checkpoint can be asked: its views, and how right it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realfusion.cameras.camera import Camera
from realfusion.config import ExportConfig
from realfusion.devices import choose_device
from realfusion.errors import InputError
from realfusion.evaluation.ground_truth import evaluate, load_ground_truth
from realfusion.evaluation.perceptual import measure_perceptual
from realfusion.io.images import write_png
from realfusion.listener import RunListener
from realfusion.outputs import METRICS_SIZE, build_mesh, measure_front, render_rgba
from realfusion.rendering.scene import Scene
from realfusion.run_folder import load_run
from realfusion.run_lock import exclusive
from realfusion.run_metrics import update_metrics
from realfusion.run_state import load_state
from realfusion.training.photo import reference_camera
from realfusion.training.step import averaged_parameters

if TYPE_CHECKING:
    import trimesh

MAX_VIEW_SIZE = 4096


def render_run(
    root: Path,
    cameras: Path,
    out: Path,
    *,
    size: int,
    device: str,
    listener: RunListener,
) -> list[Path]:
    """Render views of a run to `view_00.png`, … (RGBA, straight alpha).

    Args:
        root: A run folder with a checkpoint.
        cameras: JSON, `{"views": [camera, …]}`.
        out: Folder of the pictures.
        size: Pixels along an edge.
        device: Where to compute.
        listener: Told the progress.

    Returns:
        The files written.

    Raises:
        InputError: The run or the cameras cannot be read, or `out` not written.
    """
    if not 1 <= size <= MAX_VIEW_SIZE:
        raise InputError(f"--size must lie within [1, {MAX_VIEW_SIZE}], got {size}")
    views = read_cameras(cameras)
    state, _ = load_state(load_run(root), choose_device(device, listener))
    listener.stage("views", len(views))
    paths = []
    with averaged_parameters(state) as scene:
        for index, camera in enumerate(views):
            path = out / f"view_{index:02d}.png"
            try:
                write_png(path, render_rgba(scene, camera, size))
            except OSError as error:
                raise InputError(
                    f"--out {out} cannot be written ({error.strerror})"
                ) from error
            paths.append(path)
            listener.advance(index + 1, {})
    return paths


def evaluate_run(
    root: Path, ground_truth: Path, *, device: str, listener: RunListener
) -> dict[str, Any]:
    """Compare a run with an object whose every side is known.

    Args:
        root: A run folder with a checkpoint.
        ground_truth: Folder in the format of `realfusion.evaluation.ground_truth`.
        device: Where to compute.
        listener: Told the progress.

    Returns:
        The figures, which `metrics.json` keeps under `evaluation` too.

    Raises:
        InputError: The run or the ground truth cannot be read.
    """
    truth = load_ground_truth(ground_truth)
    opened = load_run(root)
    place = choose_device(device, listener)
    state, _ = load_state(opened, place)
    size = truth.views.shape[1]
    camera = reference_camera(opened.config.reconstruction.reference_camera)
    listener.stage("views", len(truth.cameras))
    pictures = []
    with averaged_parameters(state) as scene:
        front = render_rgba(scene, camera, METRICS_SIZE)
        for index, view in enumerate(truth.cameras):
            pictures.append(render_rgba(scene, view, size))
            listener.advance(index + 1, {})
        listener.stage("surface")
        mesh = _mesh_or_none(scene, opened.config.export, listener)
    rendered = np.stack(pictures)
    perceptual = measure_perceptual(rendered, truth.views, device=place)
    if perceptual.left_out:
        listener.note("; ".join(perceptual.left_out))
    result = replace(evaluate(truth, rendered, front, mesh), perceptual=perceptual)
    front_figures = {}
    if opened.config.image is not None:
        front_figures = measure_front(opened.folder, front, camera)
    with exclusive(root):
        update_metrics(opened.folder, **front_figures, evaluation=result.to_dict())
    return result.summary() | front_figures


def _mesh_or_none(
    scene: Scene, settings: ExportConfig, listener: RunListener
) -> trimesh.Trimesh | None:
    """The mesh; that fog has none is a finding, and no reason to measure nothing."""
    try:
        return build_mesh(scene, settings)
    except InputError as error:
        listener.note(str(error))
        return None


def read_cameras(path: Path) -> list[Camera]:
    """The cameras listed in a JSON file, `{"views": [camera, …]}`."""
    try:
        views = json.loads(path.read_text(encoding="utf-8"))["views"]
        cameras = [Camera.from_dict(view) for view in views]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f'{path} must be {{"views": [camera, …]}}, a camera having azimuth_deg, '
            f"elevation_deg, radius and fov_y_deg ({error})"
        ) from error
    if not cameras:
        raise InputError(f"{path} lists no views")
    return cameras
