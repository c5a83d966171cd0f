"""Volumes of closed meshes: what lies inside, and how far two of them agree."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    import trimesh

_RESOLUTION = 96


def volume_iou(
    mesh: "trimesh.Trimesh",
    reference: "trimesh.Trimesh",
    *,
    resolution: int = _RESOLUTION,
) -> float:
    """Intersection over union of the volumes that two meshes enclose.

    Args:
        mesh: Closed, triangles outwards; parts may overlap.
        reference: The same.
        resolution: Grid points along the longest edge of the box around both.

    Returns:
        In [0, 1]; 0 where neither encloses a grid point.
    """
    low = np.minimum(mesh.bounds[0], reference.bounds[0])
    high = np.maximum(mesh.bounds[1], reference.bounds[1])
    spacing = float((high - low).max()) / resolution
    shape = np.maximum(np.ceil((high - low) / spacing).astype(int), 1)
    # Cell centres, a little off: no column then runs along an edge of a mesh that is
    # aligned with the grid, where a crossing would be counted twice or not at all.
    axes = [
        start + (np.arange(count) + 0.5 + shift) * spacing
        for start, count, shift in zip(
            low, shape, (0.0137, 0.0071, 0.0193), strict=True
        )
    ]
    first, second = (
        points_inside(np.asarray(each.vertices), np.asarray(each.faces), axes)
        for each in (mesh, reference)
    )
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def points_inside(
    vertices: Float[np.ndarray, "num_vertices 3"],
    faces: Int[np.ndarray, "num_faces 3"],
    axes: list[np.ndarray],
) -> Bool[np.ndarray, "x y z"]:
    """Which points of a grid a closed mesh encloses.

    The signed crossings below a point along z are its winding number.

    Args:
        vertices: Corners.
        faces: Triangles, outwards.
        axes: Evenly spaced coordinates of the grid along x, y and z.

    Returns:
        True where the winding number is positive.
    """
    corners = np.asarray(vertices, np.float64)[faces]
    face, column_x, column_y = _columns_below(corners, axes[0], axes[1])
    a, b, c = np.moveaxis(corners[face], 1, 0)
    x, y = axes[0][column_x], axes[1][column_y]

    def edge(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        return (end[:, 0] - start[:, 0]) * (y - start[:, 1]) - (
            end[:, 1] - start[:, 1]
        ) * (x - start[:, 0])

    weights = np.stack([edge(b, c), edge(c, a), edge(a, b)])
    area = weights.sum(axis=0)
    hit = ((weights > 0).all(axis=0) | (weights < 0).all(axis=0)) & (area != 0)
    weights, area = weights[:, hit], area[hit]
    heights = np.stack([a[hit, 2], b[hit, 2], c[hit, 2]])
    crossing = (weights * heights).sum(axis=0) / area
    above = np.searchsorted(axes[2], crossing)
    winding = np.zeros((len(axes[0]), len(axes[1]), len(axes[2]) + 1), np.int32)
    # A face that looks down is where the column enters.
    np.add.at(
        winding,
        (column_x[hit], column_y[hit], above),
        np.where(area < 0, 1, -1).astype(np.int32),
    )
    return np.cumsum(winding, axis=2)[:, :, :-1] > 0


def _columns_below(
    corners: Float[np.ndarray, "num_faces 3 3"], xs: np.ndarray, ys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every pair of a triangle and a grid column within its bounding rectangle."""
    first_x = np.searchsorted(xs, corners[:, :, 0].min(axis=1))
    first_y = np.searchsorted(ys, corners[:, :, 1].min(axis=1))
    num_x = np.searchsorted(xs, corners[:, :, 0].max(axis=1)) - first_x
    num_y = np.searchsorted(ys, corners[:, :, 1].max(axis=1)) - first_y
    counts = num_x * num_y
    face = np.repeat(np.arange(len(corners)), counts)
    within = np.arange(len(face)) - np.repeat(np.cumsum(counts) - counts, counts)
    return (
        face,
        first_x[face] + within // num_y[face],
        first_y[face] + within % num_y[face],
    )
