"""Measuring a reconstruction against an object whose every side is known.

A ground-truth folder holds `cameras.json` (`{"input": camera, "views": [camera, …]}`),
`view_00.png`, … (RGBA, straight alpha), and optionally `surface.npz` (`points` [N, 3]
uniform on the true surface), all in the scene's world frame.
"""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.evaluation.metrics import (
    chamfer_distance,
    f_score,
    mask_iou,
    psnr,
    sample_surface,
    solidity,
    ssim,
)
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
    """All that was measured on one object."""

    views: ViewMetrics
    surface: SurfaceMetrics | None

    def summary(self) -> dict[str, float]:
        """The headline numbers, by name.

        Returns:
            Means over the views and, where the surface is known, its metrics.
        """
        numbers = {
            "novel_view_psnr_db": self.views.mean_psnr_db,
            "novel_view_ssim": self.views.mean_ssim,
            "novel_view_mask_iou": self.views.mean_mask_iou,
        }
        if self.surface is not None:
            numbers["chamfer_distance"] = self.surface.chamfer_distance
            numbers[f"f_score_at_{self.surface.threshold:g}"] = self.surface.f_score
        return numbers

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON.

        Returns:
            The summary, and the details under `views` and `surface`.
        """
        surface = None if self.surface is None else asdict(self.surface)
        return {**self.summary(), "views": asdict(self.views), "surface": surface}


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
    return GroundTruth(
        listed[0], cameras, np.stack(views), _read_surface(folder / "surface.npz")
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


def _read_surface(path: Path) -> Float32[np.ndarray, "num_points 3"] | None:
    if not path.is_file():
        return None
    try:
        # Opened here: numpy leaves the file open where it is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            points = archive["points"].astype(np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no readable `points` ({error})") from error
    is_list = points.ndim == 2 and points.shape[1] == 3 and len(points) > 0
    if not is_list or not np.isfinite(points).all():
        raise InputError(
            f"`points` in {path} must be finite and [N, 3], got {list(points.shape)}"
        )
    return points


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


def format_table(results: dict[str, EvaluationResult]) -> str:
    """A plain-text table, one object a line, with the mean where there are several.

    Args:
        results: By the name of the object (or run).

    Returns:
        The table, without a final line break.
    """
    header = ("object", "PSNR dB", "SSIM", "mask IoU", "Chamfer", "F-score")
    rows = [(name, _numbers(result)) for name, result in results.items()]
    if len(rows) > 1:
        columns = zip(*(numbers for _, numbers in rows), strict=True)
        rows.append(("mean", tuple(float(np.mean(column)) for column in columns)))
    width = max([len(header[0]), *(len(name) for name, _ in rows)])
    lines = [f"{header[0]:<{width}}" + "".join(f"{title:>10}" for title in header[1:])]
    for name, numbers in rows:
        cells = "".join(
            f"{'–':>10}" if np.isnan(number) else f"{number:>10.{digits}f}"
            for number, digits in zip(numbers, (2, 3, 3, 4, 3), strict=True)
        )
        lines.append(f"{name:<{width}}{cells}")
    return "\n".join(lines)


def _numbers(result: EvaluationResult) -> tuple[float, ...]:
    surface = result.surface
    views = result.views
    return (
        views.mean_psnr_db,
        views.mean_ssim,
        views.mean_mask_iou,
        float("nan") if surface is None else surface.chamfer_distance,
        float("nan") if surface is None else surface.f_score,
    )
