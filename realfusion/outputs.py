"""What a finished field becomes: turntable, mesh, figures and a page to look at."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from realfusion.cameras.camera import Camera, FreeCamera, orbit
from realfusion.config import ExportConfig, to_dict
from realfusion.evaluation.metrics import mask_iou, psnr
from realfusion.io.images import composite_on, read_image, to_uint8, write_png
from realfusion.io.mesh_files import color_mesh, write_glb
from realfusion.io.meshes import (
    choose_threshold,
    extract_mesh,
    grid_axis,
    measure_mesh,
)
from realfusion.io.reports import ReportContent, write_report
from realfusion.io.videos import (
    colorize_normals,
    contact_sheet,
    turntable_frame,
    write_video,
)
from realfusion.listener import RunListener, stop_if_asked
from realfusion.rendering.renderer import Rendered
from realfusion.rendering.scene import Scene
from realfusion.run_folder import OpenRun, RunFolder
from realfusion.run_metrics import git_commit, update_metrics, versions
from realfusion.training.history import History
from realfusion.training.photo import prepare_photo, reference_camera
from realfusion.training.state import TrainState
from realfusion.training.step import averaged_parameters

if TYPE_CHECKING:
    import trimesh

METRICS_SIZE = 128
"""Pixels along an edge at which the front view is measured."""
PREVIEW_SIZE = 96
PREVIEW_VIEWS = 4
PROBE_SIZE = 64
PROBE_VIEWS = 12
WIDENING = 1.08
"""Factor on the frame of a turntable whose object leaves it."""
MAX_WIDENINGS = 4
SHEET_VIEWS = 8
STOPPED_WHEN = "while the outputs were made"
DENSITY_CHUNK = 2**19
DEPTH_PERCENTILES = (1.0, 99.0)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A rendered view as arrays.

    Attributes:
        rgba: Straight alpha, in [0, 1].
        normals: World normals times opacity.
        depth: Expected distance where there is something, in world units; else 0.
    """

    rgba: Float[np.ndarray, "height width 4"]
    normals: Float[np.ndarray, "height width 3"]
    depth: Float[np.ndarray, "height width"]


def render_picture(
    scene: Scene, camera: Camera | FreeCamera, height: int, width: int | None = None
) -> Picture:
    """Render one view, `height` pixels high, and as wide unless given otherwise."""
    size = (height, width or height)
    return _to_picture(scene.render_image(camera, size), size)


def render_rgba(
    scene: Scene, camera: Camera, size: int
) -> Float[np.ndarray, "size size 4"]:
    """Render one view as RGBA with straight alpha, without normals."""
    rendered = scene.render_image(camera, (size, size), with_normals=False)
    return _to_picture(rendered, (size, size)).rgba


def write_preview(folder: RunFolder, state: TrainState, camera: Camera) -> None:
    """Four views around the object, colours above normals, as one PNG."""
    with averaged_parameters(state) as scene:
        pictures = [
            render_picture(scene, view, PREVIEW_SIZE)
            for view in orbit(PREVIEW_VIEWS, camera)
        ]
    colours = np.concatenate([composite_on(p.rgba) for p in pictures], axis=1)
    normals = np.concatenate([_normal_colours(p) for p in pictures], axis=1)
    sheet = np.concatenate([colours, normals], axis=0)
    write_png(folder.previews / f"step_{state.step:06d}.png", sheet)


def export(
    opened: OpenRun, state: TrainState, history: History, listener: RunListener
) -> None:
    """Write every output of a run.

    Args:
        opened: The run.
        state: The finished state.
        history: The curves.
        listener: Told the progress; may ask to stop.

    Raises:
        RunInterruptedError: The listener asked to stop; the checkpoint is complete.
    """
    folder, settings = opened.folder, opened.config.export
    camera = reference_camera(opened.config.reconstruction.reference_camera)
    has_photo = opened.config.image is not None
    started = time.perf_counter()
    with averaged_parameters(state) as scene:
        front = render_rgba(scene, camera, METRICS_SIZE)
        metrics: dict[str, Any] = {}
        if has_photo:
            metrics |= measure_front(folder, front, camera)
        listener.stage("turntable", settings.turntable_views)
        sheet = _write_turntable(folder, scene, camera, settings, listener)
        listener.stage("mesh")
        stop_if_asked(listener, STOPPED_WHEN)
        metrics |= {"mesh": _write_mesh(folder, scene, settings)}
    stop_if_asked(listener, STOPPED_WHEN)
    metrics = update_metrics(
        folder,
        **metrics,
        iterations=state.step,
        device=str(next(scene.parameters()).device),
        versions=versions(),
        git_commit=git_commit(),
        seconds={"export": time.perf_counter() - started},
    )
    listener.stage("report")
    write_report(
        folder.report,
        ReportContent(
            title=opened.config.subject_name,
            input_rgba=read_rgba(folder) if has_photo else None,
            views=sheet,
            mesh_path=folder.mesh,
            video_path=folder.turntable_video,
            history=history.to_dict(),
            metrics=metrics,
            configuration=to_dict(opened.config),
            camera=camera.to_dict(),
        ),
    )


def measure_front(
    folder: RunFolder, rendered: Float[np.ndarray, "size size 4"], camera: Camera
) -> dict[str, float]:
    """PSNR (on white) and mask IoU of the reference view, rendered at 128 px."""
    photo = prepare_photo(
        torch.from_numpy(read_rgba(folder)), size=METRICS_SIZE, camera=camera
    )
    shape = (METRICS_SIZE, METRICS_SIZE)
    target = photo.over(torch.ones(3)).reshape(*shape, 3).numpy()
    mask = photo.alpha.reshape(shape).numpy()
    return {
        "front_psnr_db": psnr(composite_on(rendered), target),
        "front_mask_iou": mask_iou(rendered[..., 3], mask),
    }


def build_mesh(scene: Scene, settings: ExportConfig) -> trimesh.Trimesh:
    """The surface of the main body, in the field's frame and scale, uncoloured."""
    densities = density_grid(scene, settings.mesh_resolution)
    threshold = settings.mesh_threshold
    if threshold is None:
        is_seen = visited_grid(scene, settings.mesh_resolution)
        threshold = choose_threshold(np.where(is_seen, densities, 0.0), scene.bound)
    return extract_mesh(
        densities, scene.bound, threshold=threshold, max_faces=settings.mesh_faces
    )


def visited_grid(
    scene: Scene, resolution: int
) -> Bool[np.ndarray, "resolution resolution resolution"]:
    """Which points of `grid_axis` rays look at, axes x, y, z."""
    device = next(scene.parameters()).device
    visited = scene.occupancy.visits(_grid_points(scene, resolution).to(device))
    return visited.cpu().numpy().reshape((resolution,) * 3)


def density_grid(
    scene: Scene, resolution: int
) -> Float[np.ndarray, "resolution resolution resolution"]:
    """Densities (1/unit) at the points of `grid_axis`, axes x, y, z."""
    device = next(scene.parameters()).device
    points = _grid_points(scene, resolution)
    values = [
        scene.density(chunk.to(device)).cpu() for chunk in points.split(DENSITY_CHUNK)
    ]
    return torch.cat(values).reshape(resolution, resolution, resolution).numpy()


def _grid_points(scene: Scene, resolution: int) -> Float[torch.Tensor, "num_points 3"]:
    axis = torch.from_numpy(grid_axis(resolution, scene.bound))
    return torch.cartesian_prod(axis, axis, axis)


def read_rgba(folder: RunFolder) -> Float[np.ndarray, "size size 4"]:
    """The framed picture of a run."""
    image = read_image(folder.input)
    assert image.alpha is not None, "input.png is always RGBA"
    return np.concatenate([image.rgb, image.alpha[..., None]], axis=-1)


def with_whole_object(scene: Scene, camera: Camera) -> Camera:
    """The camera, its lens so wide that the object stays in the frame all around.

    A photo is framed by its own side: what is deep comes nearer as it turns.

    Args:
        scene: The object.
        camera: Where the orbit begins.

    Returns:
        The camera with a frame up to a third wider, and the same if the object is seen
        as a whole.
    """
    for _ in range(MAX_WIDENINGS):
        views = orbit(PROBE_VIEWS, camera)
        if not any(
            _leaves_frame(render_rgba(scene, view, PROBE_SIZE)) for view in views
        ):
            break
        half = math.atan(WIDENING * math.tan(0.5 * math.radians(camera.fov_y_deg)))
        camera = dataclasses.replace(camera, fov_y_deg=2.0 * math.degrees(half))
    return camera


def _leaves_frame(rgba: Float[np.ndarray, "size size 4"]) -> bool:
    """Whether something opaque touches the border of a picture."""
    alpha = rgba[..., 3]
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    return bool((border > 0.5).any())


def _write_turntable(
    folder: RunFolder,
    scene: Scene,
    camera: Camera,
    settings: ExportConfig,
    listener: RunListener,
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """The video and the contact sheet; returns the sheet's colour views."""
    camera = with_whole_object(scene, camera)
    cameras = orbit(settings.turntable_views, camera)
    pictures = []
    for index, view in enumerate(cameras):
        stop_if_asked(listener, STOPPED_WHEN)
        pictures.append(render_picture(scene, view, settings.turntable_size))
        listener.advance(index + 1, {})
    depth_range = _depth_range(pictures, camera)
    frames = [
        turntable_frame(p.rgba, p.normals, p.depth, depth_range=depth_range)
        for p in pictures
    ]
    write_video(folder.turntable_video, np.stack(frames), settings.turntable_fps)
    step = max(1, settings.turntable_views // SHEET_VIEWS)
    chosen = range(0, settings.turntable_views, step)
    labels = [f"{cameras[index].azimuth_deg:.0f}°" for index in chosen]
    colours = [to_uint8(composite_on(pictures[index].rgba)) for index in chosen]
    normals = [to_uint8(_normal_colours(pictures[index])) for index in chosen]
    sheet = contact_sheet(
        colours + normals,
        columns=len(colours),
        labels=labels + ["normals"] * len(normals),
    )
    write_png(folder.turntable_sheet, sheet)
    return colours


def _depth_range(pictures: list[Picture], camera: Camera) -> tuple[float, float]:
    """Near and far ends of the depth colours, one pair for all frames."""
    visible = np.concatenate([p.depth[p.depth > 0.0] for p in pictures])
    if visible.size == 0:
        return 0.0, camera.radius
    near, far = np.percentile(visible, DEPTH_PERCENTILES)
    return float(near), float(far)


def _write_mesh(
    folder: RunFolder, scene: Scene, settings: ExportConfig
) -> dict[str, Any]:
    device = next(scene.parameters()).device
    mesh = build_mesh(scene, settings)

    @torch.no_grad()
    def colours(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        positions = torch.from_numpy(points).to(device)
        samples = scene.field(
            positions, num_active_levels=scene.num_active_levels, with_normals=False
        )
        return samples.albedo.cpu().numpy()

    write_glb(folder.mesh, color_mesh(mesh, colours))
    return dataclasses.asdict(measure_mesh(mesh))


def _to_picture(rendered: Rendered, size: tuple[int, int]) -> Picture:
    alpha = rendered.opacity.clamp(0.0, 1.0)
    solid = alpha.clamp(min=1e-4)
    rgb = torch.where(
        alpha[:, None] > 1e-3, rendered.rgb / solid[:, None], torch.ones(3).to(alpha)
    )
    depth = torch.where(alpha > 0.5, rendered.depth / solid, torch.zeros_like(alpha))
    rgba = torch.cat([rgb.clamp(0.0, 1.0), alpha[:, None]], dim=-1)
    return Picture(
        rgba=rgba.reshape(*size, 4).cpu().numpy(),
        normals=rendered.normals.reshape(*size, 3).cpu().numpy(),
        depth=depth.reshape(size).cpu().numpy(),
    )


def _normal_colours(picture: Picture) -> Float[np.ndarray, "height width 3"]:
    return colorize_normals(picture.normals, picture.rgba[..., 3])
