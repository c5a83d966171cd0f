"""Whether a reconstruction is a solid body of the right depth."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from realfusion.evaluation.metrics import opacity_entropy
from realfusion.evaluation.volumes import volume_iou
from realfusion.io.meshes import measure_mesh

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class BodyMetrics:
    """How solid a reconstruction is.

    Attributes:
        opacity_entropy_bits: Of the rendered views: 0 solid, 1 fog.
        watertight_body_fraction: Share of the volume that lies in the largest body; 0
            where that is not watertight, or there is none.
        depth_to_width: Extent along the photo's axis over that across; None without a
            mesh.
        depth_to_width_error: |log| of its ratio to the true one; None where the surface
            is unknown.
        volume_iou: With the true volume; None where that is unknown.
    """

    opacity_entropy_bits: float
    watertight_body_fraction: float
    depth_to_width: float | None = None
    depth_to_width_error: float | None = None
    volume_iou: float | None = None


def measure_body(
    opacity: Float[np.ndarray, "num_views height width"],
    mesh: "trimesh.Trimesh | None",
    surface_points: Float[np.ndarray, "num_points 3"] | None,
    true_mesh: "trimesh.Trimesh | None",
) -> BodyMetrics:
    """Measures a reconstruction as a body.

    Args:
        opacity: Of rendered views.
        mesh: Of `extract_mesh`; None where there is no body to make one of.
        surface_points: Of the true surface, where it is known.
        true_mesh: The true surface, watertight, where it is known.

    Returns:
        The metrics.
    """
    entropy = opacity_entropy(opacity)
    if mesh is None:
        is_measurable = true_mesh is not None
        return BodyMetrics(entropy, 0.0, volume_iou=0.0 if is_measurable else None)
    shape = measure_mesh(mesh)
    error = None
    if surface_points is not None:
        width, _, depth = np.ptp(surface_points, axis=0)
        true_ratio = float(depth) / max(float(width), 1e-9)
        error = float(abs(np.log(shape.depth_to_width / max(true_ratio, 1e-9))))
    return BodyMetrics(
        opacity_entropy_bits=entropy,
        watertight_body_fraction=(
            shape.main_component_fraction if shape.is_watertight else 0.0
        ),
        depth_to_width=shape.depth_to_width,
        depth_to_width_error=error,
        volume_iou=None if true_mesh is None else volume_iou(mesh, true_mesh),
    )
