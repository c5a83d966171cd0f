"""Image and surface metrics on numpy arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

if TYPE_CHECKING:
    import trimesh

_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5  # Wang et al. 2004: an 11 x 11 Gaussian window
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_TOUCHED = 0.01  # opacity from which a pixel counts as touched


def psnr(
    image: Float[np.ndarray, "*shape"], reference: Float[np.ndarray, "..."]
) -> float:
    """Peak signal-to-noise ratio of images in [0, 1].

    Args:
        image: Any shape.
        reference: The same shape.

    Returns:
        Decibels; infinite for equal images.

    Raises:
        ValueError: The shapes differ.
    """
    _check_same_shape(image, reference)
    error = np.mean((image.astype(np.float64) - reference) ** 2)
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def ssim(
    image: Float[np.ndarray, "height width *channels"],
    reference: Float[np.ndarray, "height width *channels"],
) -> float:
    """Structural similarity (Wang, Bovik, Sheikh, Simoncelli, TIP 2004, Eq. 13).

    An 11 x 11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, range 1, averaged
    over the pixels whose window lies inside the image, and over the channels.

    Args:
        image: In [0, 1], at least 11 pixels a side.
        reference: The same shape.

    Returns:
        At most 1, for equal images.

    Raises:
        ValueError: The shapes differ, or the images are too small.
    """
    return float(np.mean(_ssim_map(image, reference)))


def masked_ssim(
    image: Float[np.ndarray, "height width channels"],
    reference: Float[np.ndarray, "height width channels"],
    mask: Bool[np.ndarray, "height width"],
) -> float:
    """`ssim`, averaged over the pixels of a mask.

    Args:
        image: In [0, 1], at least 11 pixels a side.
        reference: The same shape.
        mask: The pixels that count, as far as their window lies inside the image.

    Returns:
        At most 1, for equal images; 0 where no pixel counts.

    Raises:
        ValueError: The shapes differ, or the images are too small.
    """
    similarity = _ssim_map(image, reference)
    inside = slice(_SSIM_RADIUS, -_SSIM_RADIUS)
    counted = mask[inside, inside]
    return float(similarity[counted].mean()) if counted.any() else 0.0


def _ssim_map(image: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """SSIM of the pixels whose window lies inside the image."""
    _check_same_shape(image, reference)
    if min(image.shape[:2]) < 2 * _SSIM_RADIUS + 1:
        raise ValueError(
            f"`image` must be at least 11 pixels a side, got {list(image.shape)}"
        )
    from scipy.ndimage import gaussian_filter

    def mean(values: np.ndarray) -> np.ndarray:
        radii = (_SSIM_RADIUS, _SSIM_RADIUS) + (0,) * (values.ndim - 2)
        blurred = gaussian_filter(
            values, _SSIM_SIGMA, radius=radii, axes=tuple(range(values.ndim))
        )
        inside = slice(_SSIM_RADIUS, -_SSIM_RADIUS)
        return blurred[inside, inside]

    first, second = image.astype(np.float64), reference.astype(np.float64)
    mean_first, mean_second = mean(first), mean(second)
    variances = mean(first * first) + mean(second * second)
    variances -= mean_first**2 + mean_second**2
    covariance = mean(first * second) - mean_first * mean_second
    numerator = (2 * mean_first * mean_second + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    denominator = (mean_first**2 + mean_second**2 + _SSIM_C1) * (variances + _SSIM_C2)
    return numerator / denominator


def mask_iou(
    mask: Bool[np.ndarray, "*shape"] | Float[np.ndarray, "*shape"],
    reference: Bool[np.ndarray, "*shape"] | Float[np.ndarray, "*shape"],
) -> float:
    """Intersection over union of masks; floats count from one half.

    Args:
        mask: Booleans, or opacity in [0, 1].
        reference: The same shape.

    Returns:
        In [0, 1]; 1 where both are empty.

    Raises:
        ValueError: The shapes differ.
    """
    _check_same_shape(mask, reference)
    first, second = mask > 0.5, reference > 0.5
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def opacity_entropy(opacity: Float[np.ndarray, "*shape"]) -> float:
    """Mean binary entropy of the pixels that an object touches, in bits.

    Args:
        opacity: Of rendered views, in [0, 1].

    Returns:
        Within [0, 1]: near 0 for a solid body, of which only the outline is in doubt,
        near 1 for fog; 0 where nothing was rendered.
    """
    touched = opacity[opacity > _TOUCHED].astype(np.float64)
    if touched.size == 0:
        return 0.0
    share = np.clip(touched, 1e-9, 1 - 1e-9)
    bits = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    return float(bits.mean())


def chamfer_distance(
    points: Float[np.ndarray, "n 3"], reference: Float[np.ndarray, "m 3"]
) -> float:
    """Symmetric Chamfer distance of two point sets.

    The mean of the two directed mean distances (not squared, not their sum).

    Args:
        points: On the measured surface, in world units.
        reference: On the true surface.

    Returns:
        World units; 0 for equal sets.

    Raises:
        ValueError: A set is empty or not finite.
    """
    forward, backward = _nearest_distances(points, reference)
    return float((forward.mean() + backward.mean()) / 2)


@dataclass(frozen=True)
class FScore:
    """Precision, recall and their harmonic mean at a distance threshold."""

    f_score: float
    precision: float
    recall: float
    threshold: float


def f_score(
    points: Float[np.ndarray, "n 3"],
    reference: Float[np.ndarray, "m 3"],
    *,
    threshold: float = 0.05,
) -> FScore:
    """F-score of two point sets (Knapitsch et al., Tanks and Temples, 2017).

    Args:
        points: On the measured surface, in world units.
        reference: On the true surface.
        threshold: Distance up to which a point counts as matched.

    Returns:
        Fractions in [0, 1].

    Raises:
        ValueError: A set is empty or not finite, or the threshold not positive.
    """
    if threshold <= 0:
        raise ValueError(f"`threshold` must be positive, got {threshold}")
    forward, backward = _nearest_distances(points, reference)
    precision = float((forward <= threshold).mean())
    recall = float((backward <= threshold).mean())
    total = precision + recall
    score = 2 * precision * recall / total if total else 0.0
    return FScore(score, precision, recall, threshold)


def _nearest_distances(
    points: np.ndarray, reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import cKDTree

    for name, values in (("points", points), ("reference", reference)):
        if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
            raise ValueError(f"`{name}` must be [N, 3], got {list(values.shape)}")
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` must be finite, got NaN or infinite values")
    first = np.asarray(points, np.float64)
    second = np.asarray(reference, np.float64)
    return cKDTree(second).query(first)[0], cKDTree(first).query(second)[0]


def sample_surface(
    mesh: "trimesh.Trimesh", num_points: int, *, seed: int = 0
) -> Float[np.ndarray, "{num_points} 3"]:
    """Points uniform on the surface of a mesh, the same for a seed.

    Args:
        mesh: A mesh with area.
        num_points: How many.
        seed: Of the random generator.

    Returns:
        Points, in the mesh's coordinates.

    Raises:
        ValueError: The mesh has no area.
    """
    generator = np.random.default_rng(seed)
    areas = np.asarray(mesh.area_faces, np.float64)
    if areas.sum() <= 0:
        raise ValueError(f"`mesh` must have area, got {len(areas)} faces of none")
    cumulative = np.cumsum(areas)
    chosen = np.searchsorted(
        cumulative, generator.random(num_points) * cumulative[-1], side="right"
    )
    corners = np.asarray(mesh.triangles)[np.minimum(chosen, len(areas) - 1)]
    u, v = generator.random((2, num_points, 1))
    root = np.sqrt(u)
    return (
        (1 - root) * corners[:, 0]
        + root * (1 - v) * corners[:, 1]
        + root * v * corners[:, 2]
    )


def solidity(mesh: "trimesh.Trimesh") -> float:
    """Volume over that of the convex hull: 1 when convex, near 0 for a thin shell.

    Args:
        mesh: A closed mesh.

    Returns:
        The ratio; 0 where the hull is flat.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(np.asarray(mesh.vertices))
    except QhullError:
        return 0.0
    return float(mesh.volume / hull.volume)


def _check_same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"`reference` must have the shape {list(first.shape)}, got "
            f"{list(second.shape)}"
        )
