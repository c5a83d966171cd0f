"""Measuring a reconstruction against an object whose every side is known.

A ground-truth folder holds `cameras.json` (`{"input": camera, "views": [camera, …]}`),
`view_00.png`, … (RGBA, straight alpha), and optionally `input.png` (what the input
camera sees) and `surface.npz`: `points` [N, 3] uniform on the true surface, and where
that is known as a whole, `vertices` [V, 3] and `faces` [F, 3]; all in the scene's world
frame.
"""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int64

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.evaluation.body import BodyMetrics, measure_body
from realfusion.evaluation.janus import janus_score, opposite_view
from realfusion.evaluation.metrics import (
    chamfer_distance,
    f_score,
    mask_iou,
    psnr,
    sample_surface,
    solidity,
    ssim,
)
from realfusion.evaluation.perceptual import PerceptualMetrics
from realfusion.io.images import composite_on, read_image

if TYPE_CHECKING:
    import trimesh

_HIGHEST_PSNR_DB = 100.0  # for equal pictures: JSON has no infinity


@dataclass(frozen=True)
class GroundTruth:
    """An object seen from all sides, and its surface where that is known."""

    input_camera: Camera
    cameras: tuple[Camera, ...]
    views: Float32[np.ndarray, "num_views height width 4"]
    surface_points: Float32[np.ndarray, "num_points 3"] | None
    input_view: Float32[np.ndarray, "input_height input_width 4"] | None = None
    vertices: Float32[np.ndarray, "num_vertices 3"] | None = None
    faces: Int64[np.ndarray, "num_faces 3"] | None = None

    def watertight_mesh(self) -> "trimesh.Trimesh | None":
        """The true surface, where it is known and closed."""
        if self.vertices is None or self.faces is None:
            return None
        import trimesh

        mesh = trimesh.Trimesh(self.vertices, self.faces, process=True)
        return mesh if mesh.is_watertight else None


@dataclass(frozen=True)
class ViewMetrics:
    """Novel-view metrics, one number a view; pictures are compared on white."""

    psnr_db: tuple[float, ...]
    ssim: tuple[float, ...]
    mask_iou: tuple[float, ...]

    @property
    def mean_psnr_db(self) -> float:
        """Mean over the views, in decibels."""
        return float(np.mean(self.psnr_db))

    @property
    def mean_ssim(self) -> float:
        """Mean over the views."""
        return float(np.mean(self.ssim))

    @property
    def mean_mask_iou(self) -> float:
        """Mean over the views."""
        return float(np.mean(self.mask_iou))


@dataclass(frozen=True)
class SurfaceMetrics:
    """Distances between the mesh and the true surface, in world units.

    Chamfer is the mean of the two directed mean distances; the F-score is at
    `threshold`.
    """

    chamfer_distance: float
    f_score: float
    precision: float
    recall: float
    threshold: float
    solidity: float


@dataclass(frozen=True)
class EvaluationResult:
    """All that was measured on one object.

    `janus_score` is None where the truth has no view from behind, or none of the front;
    `perceptual` where it was not asked for.
    """

    views: ViewMetrics
    surface: SurfaceMetrics | None
    body: BodyMetrics | None = None
    janus_score: float | None = None
    perceptual: PerceptualMetrics | None = None

    def summary(self) -> dict[str, float]:
        """The headline numbers, by name.

        Returns:
            Means over the views and what else is known.
        """
        numbers = {
            "novel_view_psnr_db": self.views.mean_psnr_db,
            "novel_view_ssim": self.views.mean_ssim,
            "novel_view_mask_iou": self.views.mean_mask_iou,
        }
        if self.perceptual is not None:
            numbers |= self.perceptual.summary()
        if self.surface is not None:
            numbers["chamfer_distance"] = self.surface.chamfer_distance
            numbers[f"f_score_at_{self.surface.threshold:g}"] = self.surface.f_score
        known = {} if self.body is None else asdict(self.body)
        known["janus_score"] = self.janus_score
        return numbers | {
            name: value for name, value in known.items() if value is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON.

        Returns:
            The summary, and the details under `views`, `surface` and `perceptual`.
        """
        details = {
            name: None if part is None else asdict(part)
            for name, part in (
                ("views", self.views),
                ("surface", self.surface),
                ("perceptual", self.perceptual),
            )
        }
        return self.summary() | details


def load_ground_truth(folder: str | Path) -> GroundTruth:
    """Reads a ground-truth folder.

    Args:
        folder: See the module's description.

    Returns:
        Cameras, views and, where given, points of the surface.

    Raises:
        InputError: A file is missing, damaged, or does not fit the others.
    """
    folder = Path(folder)
    listed = _read_cameras(folder / "cameras.json")
    cameras = tuple(listed[1:])
    views = [
        _read_view(folder / f"view_{index:02d}.png") for index in range(len(cameras))
    ]
    if len({view.shape for view in views}) > 1:
        raise InputError(f"the views in {folder} differ in size; they must not")
    height, width = views[0].shape[:2]
    if height != width:
        raise InputError(f"the views in {folder} must be square, got {width}x{height}")
    points, vertices, faces = _read_surface(folder / "surface.npz")
    photo = folder / "input.png"
    return GroundTruth(
        input_camera=listed[0],
        cameras=cameras,
        views=np.stack(views),
        surface_points=points,
        input_view=_read_view(photo) if photo.is_file() else None,
        vertices=vertices,
        faces=faces,
    )


def _read_cameras(path: Path) -> list[Camera]:
    """The input camera, then those of the views."""
    if not path.is_file():
        raise InputError(f"{path} is missing; give a folder of ground truth")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cameras = [Camera.from_dict(document["input"])]
        cameras += [Camera.from_dict(camera) for camera in document["views"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f'{path} must be {{"input": camera, "views": [camera, …]}} ({error})'
        ) from error
    if len(cameras) < 2:
        raise InputError(f"{path} lists no views; there must be at least one")
    return cameras


def _read_view(path: Path) -> Float32[np.ndarray, "height width 4"]:
    image = read_image(path)
    alpha = np.ones(image.rgb.shape[:2]) if image.alpha is None else image.alpha
    rgba = np.concatenate([image.rgb, alpha[..., None]], axis=-1)
    return rgba.astype(np.float32)


def _read_surface(
    path: Path,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Points, vertices and faces, as far as they are there."""
    if not path.is_file():
        return None, None, None
    try:
        # Opened here: numpy leaves the file open where it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            points = archive["points"].astype(np.float32)
            vertices = faces = None
            if "faces" in archive:
                vertices = archive["vertices"].astype(np.float32)
                faces = archive["faces"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no readable `points` ({error})") from error
    _check_points(path, "points", points)
    if vertices is not None and faces is not None:
        _check_points(path, "vertices", vertices)
        _check_points(path, "faces", faces)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise InputError(f"`faces` in {path} must be indices of its `vertices`")
    return points, vertices, faces


def _check_points(path: Path, name: str, values: np.ndarray) -> None:
    is_list = values.ndim == 2 and values.shape[1] == 3 and len(values) > 0
    if not is_list or not np.isfinite(values).all():
        raise InputError(
            f"`{name}` in {path} must be finite and [N, 3], got {list(values.shape)}"
        )


def evaluate(
    truth: GroundTruth,
    views: Float[np.ndarray, "num_views height width 4"],
    front: Float[np.ndarray, "size size 4"],
    mesh: "trimesh.Trimesh | None",
) -> EvaluationResult:
    """Compares all of a reconstruction with the truth.

    Args:
        truth: The true object.
        views: Rendered from the truth's cameras; straight alpha, in [0, 1].
        front: Rendered from the camera of the photo.
        mesh: In world coordinates; None where there is no body to make one of.

    Returns:
        The result.
    """
    surface, janus = None, None
    if truth.surface_points is not None and mesh is not None:
        surface = evaluate_surface(mesh, truth.surface_points)
    behind = opposite_view(truth.input_camera, truth.cameras)
    if behind is not None and truth.input_view is not None:
        janus = janus_score(front, views[behind], truth.input_view, truth.views[behind])
    body = measure_body(
        views[..., 3], mesh, truth.surface_points, truth.watertight_mesh()
    )
    return EvaluationResult(evaluate_views(views, truth.views), surface, body, janus)


def evaluate_views(
    rendered: Float[np.ndarray, "num_views height width 4"],
    truth: Float[np.ndarray, "num_true_views true_height true_width 4"],
) -> ViewMetrics:
    """Compares rendered views with true ones, composited on white.

    Args:
        rendered: Straight-alpha RGBA in [0, 1], from the truth's cameras.
        truth: The same shape.

    Returns:
        PSNR, SSIM and mask IoU of each view.

    Raises:
        ValueError: The shapes differ.
    """
    if rendered.shape != truth.shape:
        raise ValueError(
            f"`rendered` must have the shape {list(truth.shape)}, got "
            f"{list(rendered.shape)}"
        )
    pairs = list(zip(composite_on(rendered), composite_on(truth), strict=True))
    return ViewMetrics(
        psnr_db=tuple(min(psnr(a, b), _HIGHEST_PSNR_DB) for a, b in pairs),
        ssim=tuple(ssim(a, b) for a, b in pairs),
        mask_iou=tuple(
            mask_iou(a[..., 3], b[..., 3]) for a, b in zip(rendered, truth, strict=True)
        ),
    )


def evaluate_surface(
    mesh: "trimesh.Trimesh",
    surface_points: Float[np.ndarray, "num_points 3"],
    *,
    threshold: float = 0.05,
    num_samples: int = 20_000,
    seed: int = 0,
) -> SurfaceMetrics:
    """Compares a mesh with points of the true surface.

    Args:
        mesh: In world coordinates.
        surface_points: Uniform on the true surface.
        threshold: Of the F-score, in world units.
        num_samples: Points taken uniformly on the mesh.
        seed: Of the sampling.

    Returns:
        The metrics.
    """
    samples = sample_surface(mesh, num_samples, seed=seed)
    matched = f_score(samples, surface_points, threshold=threshold)
    return SurfaceMetrics(
        chamfer_distance=chamfer_distance(samples, surface_points),
        f_score=matched.f_score,
        precision=matched.precision,
        recall=matched.recall,
        threshold=threshold,
        solidity=solidity(mesh),
    )


@dataclass(frozen=True)
class _Column:
    """A column of the table."""

    key: str
    title: str
    digits: int
    is_optional: bool = False


_COLUMNS = (
    _Column("novel_view_psnr_db", "PSNR dB", 2),
    _Column("novel_view_ssim", "SSIM", 3),
    _Column("novel_view_mask_iou", "mask IoU", 3),
    _Column("clip_similarity", "CLIP", 3, is_optional=True),
    _Column("lpips", "LPIPS", 3, is_optional=True),
    _Column("chamfer_distance", "Chamfer", 4),
    _Column("f_score", "F-score", 3),
)


def format_table(results: dict[str, EvaluationResult]) -> str:
    """A plain-text table, one object a line, with the mean where there are several.

    Args:
        results: By the name of the object (or run).

    Returns:
        The table, without a final line break; columns of what no result has are absent.
    """
    summaries = {name: _table_figures(result) for name, result in results.items()}
    known = {key for summary in summaries.values() for key in summary}
    columns = [c for c in _COLUMNS if not c.is_optional or c.key in known]
    rows = [
        (name, [summary.get(column.key, np.nan) for column in columns])
        for name, summary in summaries.items()
    ]
    if len(rows) > 1:
        means = np.mean([numbers for _, numbers in rows], axis=0)
        rows.append(("mean", [float(mean) for mean in means]))
    width = max(len(name) for name in ("object", *(name for name, _ in rows)))
    lines = [f"{'object':<{width}}" + "".join(f"{c.title:>10}" for c in columns)]
    for name, numbers in rows:
        cells = "".join(
            f"{'–':>10}" if np.isnan(number) else f"{number:>10.{column.digits}f}"
            for number, column in zip(numbers, columns, strict=True)
        )
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)


def _table_figures(result: EvaluationResult) -> dict[str, float]:
    surface = result.surface
    f_scores = {} if surface is None else {"f_score": surface.f_score}
    return result.summary() | f_scores
