"""From a density grid to a clean triangle mesh, in the scene's own frame and scale."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32

from realfusion.errors import InputError
from realfusion.io.mesh_links import link_parts

if TYPE_CHECKING:
    import trimesh

_FILL_RANGE = (5e-5, 0.7)  # fraction of the box a believable object occupies


@dataclass(frozen=True)
class MeshMetrics:
    """What one wants to know about a mesh at a glance.

    `depth_to_width` is the extent along z over that along x: about 1 for a round
    object, near 0 for a flat cut-out. `main_component_fraction` is the share of the
    occupied volume that the kept body has.
    """

    num_vertices: int
    num_faces: int
    num_components: int
    is_watertight: bool
    volume: float
    extents: tuple[float, float, float]
    depth_to_width: float
    main_component_fraction: float
    density_threshold: float


def grid_axis(resolution: int, bound: float) -> Float32[np.ndarray, "{resolution}"]:
    """Coordinates of the grid's samples along each axis, ends included.

    Args:
        resolution: Samples along an axis, at least 2.
        bound: Half the side of the scene box, in world units.

    Returns:
        Coordinates from -bound to bound.
    """
    if resolution < 2:
        raise ValueError(f"`resolution` must be at least 2, got {resolution}")
    return np.linspace(-bound, bound, resolution, dtype=np.float32)


def extract_mesh(
    density_grid: Float[np.ndarray, "x y z"],
    bound: float,
    *,
    threshold: float | Literal["auto"] = "auto",
    max_faces: int | None = 200_000,
    smoothing: float = 0.012,
) -> "trimesh.Trimesh":
    """The surface of the main body in a density grid, by marching cubes.

    The grid is padded with emptiness, so the surface is closed even where matter
    touches the box; cavities that cannot be seen are filled; only the largest
    connected body is kept, to which other large parts belong where thin matter leads to
    them (`link_parts`). Densities are first mapped to d / (d + threshold), whose
    interpolation is far less biased than that of the exponential densities.

    Args:
        density_grid: A cube of densities (1/unit) at `grid_axis` points, axes x, y, z.
        bound: Half the side of the scene box, in world units.
        threshold: Density of the surface; "auto" takes the one whose silhouettes
            resemble most what a ray through the box sees (`choose_threshold`).
        max_faces: Simplify to at most about so many triangles; None keeps all.
        smoothing: Standard deviation of a Gaussian over the mapped densities, in world
            units; it closes the pores of a half-converged field. Halved, then left out,
            where it would break the body apart or wear it away. 0 is none.

    Returns:
        Outward triangles in world coordinates. `metadata` holds `density_threshold`
        and `main_component_fraction`.

    Raises:
        InputError: There is no matter in the grid, at any threshold or at this one.
        ValueError: The grid is not a finite cube.
    """
    _check_grid(density_grid)
    if threshold == "auto":
        threshold = choose_threshold(density_grid, bound)
    if not (density_grid > threshold).any():
        raise InputError(
            f"no density in the grid exceeds the threshold {threshold:g} (largest: "
            f'{float(density_grid.max()):g}); lower it, or use "auto"'
        )
    spacing = 2 * bound / (density_grid.shape[0] - 1)
    occupancy = link_parts(density_grid / (density_grid + threshold))
    occupancy, body, fraction = _smoothed_body(occupancy, smoothing / spacing)
    # Other bodies become emptiness, invisible cavities become matter.
    occupancy = np.where(body, np.maximum(occupancy, 0.5 + 1e-3), occupancy)
    occupancy[~body & (occupancy > 0.5 - 1e-3)] = 0.5 - 1e-3
    mesh = _marching_cubes(occupancy, bound)
    if max_faces is not None and len(mesh.faces) > max_faces:
        mesh = simplify(mesh, max_faces)
    mesh.metadata.clear()
    mesh.metadata["density_threshold"] = float(threshold)
    mesh.metadata["main_component_fraction"] = fraction
    return mesh


def _check_grid(density_grid: np.ndarray) -> None:
    shape = density_grid.shape
    if len(shape) != 3 or len(set(shape)) != 1 or shape[0] < 2:
        raise ValueError(f"`density_grid` must be a cube [R, R, R], got {list(shape)}")
    if not np.isfinite(density_grid).all():
        raise ValueError("`density_grid` must be finite, got NaN or infinite densities")
    if (density_grid < 0).any():
        raise ValueError("`density_grid` must not be negative, got negative densities")


def choose_threshold(
    density_grid: Float[np.ndarray, "resolution resolution resolution"], bound: float
) -> float:
    """The density whose surface has the silhouettes that one sees.

    Along each axis, the grid is rendered to opacity; each candidate threshold's
    silhouettes are compared with where opacity exceeds one half, and the best mean
    intersection over union wins (of equals, the middle one). Candidates that leave
    nothing, or fill the box, are out; so the mesh is neither empty nor a cube.

    Args:
        density_grid: Densities (1/unit) at `grid_axis` points.
        bound: Half the side of the scene box, in world units.

    Returns:
        The threshold, in 1/unit.

    Raises:
        InputError: No threshold gives a believable body.
    """
    spacing = 2 * bound / (density_grid.shape[0] - 1)
    seen = [
        1 - np.exp(-density_grid.sum(axis=axis, dtype=np.float64) * spacing) > 0.5
        for axis in range(3)
    ]
    scores = {}
    for candidate in np.geomspace(0.1, 300, 36):
        occupied = density_grid > candidate
        if _FILL_RANGE[0] < occupied.mean() < _FILL_RANGE[1]:
            scores[float(candidate)] = np.mean(
                [_iou(occupied.any(axis), seen[axis]) for axis in range(3)]
            )
    if not scores or max(scores.values()) == 0:
        raise InputError(
            "the reconstruction holds no solid body to make a mesh of (densities up to "
            f"{float(density_grid.max()):g} per unit); run more iterations"
        )
    good = [value for value, s in scores.items() if s >= max(scores.values()) - 0.002]
    return good[len(good) // 2]  # the middle of a plateau


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0


def _main_body(
    occupied: Bool[np.ndarray, "x y z"],
) -> tuple[Bool[np.ndarray, "x y z"], float]:
    """The largest connected body, solid, and its share of all that is occupied."""
    from scipy import ndimage

    parts, count = ndimage.label(occupied)  # connected by faces
    if count == 0:
        return occupied, 0.0
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    main = int(np.argmax(sizes))
    body = ndimage.binary_fill_holes(parts == main)
    return body, float(sizes[main] / sizes.sum())


def _smoothed_body(
    occupancy: Float[np.ndarray, "x y z"], sigma: float
) -> tuple[Float[np.ndarray, "x y z"], Bool[np.ndarray, "x y z"], float]:
    """Blurred occupancy (sigma in cells), its main body and that one's share."""
    from scipy import ndimage

    body, fraction = _main_body(occupancy > 0.5)
    for strength in (sigma, sigma / 2):
        if strength < 0.2:
            break
        blurred = ndimage.gaussian_filter(occupancy, strength)
        blurred_body, blurred_fraction = _main_body(blurred > 0.5)
        is_whole = blurred_fraction > fraction - 0.05
        if is_whole and blurred_body.sum() > 0.8 * body.sum():
            return blurred, blurred_body, blurred_fraction
    return occupancy, body, fraction


def _marching_cubes(
    occupancy: Float[np.ndarray, "x y z"], bound: float
) -> "trimesh.Trimesh":
    import trimesh
    from skimage.measure import marching_cubes

    spacing = 2 * bound / (occupancy.shape[0] - 1)
    with warnings.catch_warnings():
        # NumPy 2.5 deprecates what scikit-image 0.26 does with its own arrays.
        warnings.filterwarnings("ignore", "Setting the shape", DeprecationWarning)
        vertices, faces, _, _ = marching_cubes(
            np.pad(occupancy, 1).astype(np.float32),
            level=0.5,
            spacing=(spacing,) * 3,
            gradient_direction="ascent",
        )
    mesh = trimesh.Trimesh(vertices - bound - spacing, faces, process=True)
    mesh = _largest_component(mesh)
    assert mesh.volume > 0, "marching cubes must wind its triangles outwards"
    return mesh


def _largest_component(mesh: "trimesh.Trimesh") -> "trimesh.Trimesh":
    """Bodies that touch at a voxel's corner may still have come apart."""
    from trimesh.graph import connected_component_labels

    labels = connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    sizes = np.bincount(labels)
    if len(sizes) == 1:
        return mesh
    mesh.update_faces(labels == np.argmax(sizes))
    mesh.remove_unreferenced_vertices()
    return mesh


def simplify(mesh: "trimesh.Trimesh", max_faces: int) -> "trimesh.Trimesh":
    """Fewer triangles by quadric collapse; a watertight mesh stays watertight.

    Args:
        mesh: The mesh; its vertex colours are not carried over (colour it after).
        max_faces: Triangles to aim at.

    Returns:
        The simplified mesh, or the given one where every way to simplify tears it.
    """
    import fast_simplification
    import trimesh

    if len(mesh.faces) <= max_faces:
        return mesh
    for aggressiveness in (5, 2):  # sheets that nearly touch need the gentler one
        vertices, faces = fast_simplification.simplify(
            np.asarray(mesh.vertices, np.float32),
            np.asarray(mesh.faces, np.int32),
            target_count=max_faces,
            agg=aggressiveness,
        )
        simplified = _largest_component(trimesh.Trimesh(vertices, faces, process=True))
        is_torn = mesh.is_watertight and not simplified.is_watertight
        if not is_torn and simplified.volume > 0.9 * mesh.volume:
            return simplified
    return mesh


def measure_mesh(mesh: "trimesh.Trimesh") -> MeshMetrics:
    """Counts and sizes of a mesh.

    Args:
        mesh: A mesh, best of `extract_mesh` (which remembers the threshold).

    Returns:
        The metrics.
    """
    from trimesh.graph import connected_component_labels

    labels = connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    width, height, depth = (float(extent) for extent in mesh.extents)
    return MeshMetrics(
        num_vertices=len(mesh.vertices),
        num_faces=len(mesh.faces),
        num_components=int(labels.max()) + 1,
        is_watertight=bool(mesh.is_watertight),
        volume=float(mesh.volume),
        extents=(width, height, depth),
        depth_to_width=depth / max(width, 1e-9),
        main_component_fraction=float(
            mesh.metadata.get("main_component_fraction", 1.0)
        ),
        density_threshold=float(mesh.metadata.get("density_threshold", float("nan"))),
    )
