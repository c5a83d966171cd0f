"""Cutting an object out of a photo without any weights: GrabCut from a border prior.

GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) needs to be told where background
and object probably are. Here the border of the picture says so: its colours are
clustered, and what resembles none of the clusters, near the middle, is probably object.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from realfusion.errors import InputError
from realfusion.io.images import to_uint8

_WORKING_SIDE = 384  # GrabCut is quadratic enough; edges are refined afterwards
_NUM_BORDER_COLOURS = 6
_ITERATIONS = 5
_THRESHOLDS = (1.6, 2.0, 2.5)  # in spreads of the border's colours
_SHADES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)


def cut_out(
    rgb: Float[np.ndarray, "height width 3"],
) -> Float32[np.ndarray, "height width"]:
    """Finds the one object in the middle of a photo.

    Deterministic. Uniform bars around the photo (letterboxing) are background.

    Args:
        rgb: The photo, in [0, 1].

    Returns:
        Soft alpha in [0, 1]; all zeros where nothing was found.

    Raises:
        InputError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "removing a background needs OpenCV; `pip install opencv-python-headless`, "
            "or give an RGBA image"
        ) from None
    photo = to_uint8(rgb)
    alpha = np.zeros(rgb.shape[:2], np.float32)
    rows, columns = inside_bars(photo)
    inner = np.ascontiguousarray(photo[rows, columns])
    scale = min(1.0, _WORKING_SIDE / max(inner.shape[:2]))
    size = (
        max(8, round(inner.shape[1] * scale)),
        max(8, round(inner.shape[0] * scale)),
    )
    small = cv2.resize(inner, size, interpolation=cv2.INTER_AREA)
    mask = _segment(small)
    if mask.any():
        alpha[rows, columns] = _soft_alpha(inner, mask)
    return alpha


def inside_bars(photo: UInt8[np.ndarray, "height width 3"]) -> tuple[slice, slice]:
    """The part of a picture that is not uniform bars added around it.

    A bar is a run of identical rows (or columns) at the border that ends with a sharp
    step; a plain studio background, which does not, is left alone.

    Args:
        photo: The picture.

    Returns:
        Slices of rows and columns.
    """
    return _inside(photo), _inside(photo.swapaxes(0, 1))


def _inside(photo: UInt8[np.ndarray, "height width 3"]) -> slice:
    values = photo.astype(np.int16)
    near = _bar_width(values)
    far = _bar_width(values[::-1])
    if near + far > 0.8 * len(values):
        return slice(0, len(values))
    return slice(near, len(values) - far)


def _bar_width(values: np.ndarray) -> int:
    colour = np.median(values[0], axis=0)
    uniform = (np.abs(values - colour).max(axis=-1) <= 12).mean(axis=1) > 0.995
    width = int(np.argmin(uniform)) if not uniform.all() else 0
    if width == 0 or width + 3 >= len(values):
        return 0
    step = np.abs(values[width + 2] - colour).max(axis=-1) > 12
    return width + 2 if step.mean() > 0.6 else 0  # JPEG smears two pixels


def _segment(photo: UInt8[np.ndarray, "height width 3"]) -> Bool[np.ndarray, "h w"]:
    """A vote of GrabCut from several starting masks: no threshold suits all photos."""
    distance = _border_distance(photo)
    votes = [_cut(photo, _initial_labels(distance, value)) for value in _THRESHOLDS]
    return _main_object(np.mean(votes, axis=0) > 0.5)


def _cut(
    photo: UInt8[np.ndarray, "height width 3"],
    labels: UInt8[np.ndarray, "height width"],
) -> Bool[np.ndarray, "height width"]:
    import cv2

    if not (labels == cv2.GC_PR_FGD).any():
        return np.zeros(labels.shape, bool)
    cv2.setRNGSeed(0)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        photo, labels, None, background, foreground, _ITERATIONS, cv2.GC_INIT_WITH_MASK
    )
    return _main_object((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _border_distance(
    photo: UInt8[np.ndarray, "height width 3"],
) -> Float[np.ndarray, "height width"]:
    """How far the colour of each pixel is from all colours of the border.

    Distances are in Lab; the unit is the spread of each border colour (at least 4).
    A border colour in shade, its linear RGB scaled down, is a border colour too.
    """
    import cv2

    linear = (photo.astype(np.float32) / 255) ** 2.2
    lab = _lab(linear)
    is_border = _border_strip(*lab.shape[:2])
    samples, colours = np.ascontiguousarray(lab[is_border]), linear[is_border]
    cv2.setRNGSeed(0)
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, centres = cv2.kmeans(
        samples, _NUM_BORDER_COLOURS, np.empty(0), criteria, 2, cv2.KMEANS_PP_CENTERS
    )
    distance = np.full(lab.shape[:2], np.inf, np.float32)
    for index, centre in enumerate(centres):
        members = labels[:, 0] == index
        if members.mean() < 0.02:  # an object that touches the border
            continue
        variance = ((samples[members] - centre) ** 2).sum(-1).mean()
        spread = max(4.0, float(np.sqrt(variance)))
        for shade in _SHADES:
            shaded = _lab((colours[members].mean(axis=0) * shade)[None, None])
            nearness = np.linalg.norm(lab - shaded, axis=-1) / spread
            distance = np.minimum(distance, nearness + (1 - shade) / 2)
    return cv2.GaussianBlur(distance, (0, 0), 1.5)


def _lab(linear: Float32[np.ndarray, "height width 3"]) -> np.ndarray:
    import cv2

    lab = cv2.cvtColor(np.clip(linear, 0, 1) ** (1 / 2.2), cv2.COLOR_RGB2LAB)
    return lab * np.array([0.7, 1, 1], np.float32)  # shade changes light, not hue


def _border_strip(height: int, width: int) -> Bool[np.ndarray, "height width"]:
    strip = max(2, round(0.04 * min(height, width)))
    is_border = np.ones((height, width), bool)
    is_border[strip:-strip, strip:-strip] = False
    return is_border


def _initial_labels(
    distance: Float[np.ndarray, "height width"], threshold: float
) -> UInt8[np.ndarray, "height width"]:
    """Probably object: far from the border's colours, and not near the border."""
    import cv2

    height, width = distance.shape
    score = distance * np.exp(-(_radius_squared(height, width) ** 2) / (2 * 0.75**4))
    on_border = np.percentile(distance[_border_strip(height, width)], 97)
    threshold = max(threshold, 1.25 * float(on_border))
    strongest = max(float(np.percentile(score, 98)), 1e-6)
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    labels[score > min(threshold, _otsu(score / strongest) * strongest)] = cv2.GC_PR_FGD
    margin = max(1, round(0.015 * min(height, width)))
    labels[:margin] = labels[-margin:] = cv2.GC_BGD
    labels[:, :margin] = labels[:, -margin:] = cv2.GC_BGD
    return labels


def _radius_squared(height: int, width: int) -> Float[np.ndarray, "height width"]:
    """Squared distance from the centre; 1 at the middle of each side."""
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None, :] + 0.5) / width * 2 - 1
    return x**2 + y**2


def _otsu(strength: Float[np.ndarray, "height width"]) -> float:
    import cv2

    bytes_ = to_uint8(np.clip(strength, 0, 1))
    return cv2.threshold(bytes_, 0, 255, cv2.THRESH_OTSU)[0] / 255


def _main_object(found: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected part that weighs most in the middle, its small holes filled."""
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, cross)
    count, parts = cv2.connectedComponents(opened, connectivity=4)
    if count < 2:
        return np.zeros_like(found)
    weight = np.exp(-_radius_squared(*found.shape) / (2 * 0.5**2))
    mass = np.bincount(parts.ravel(), weight.ravel(), minlength=count)
    mass[0] = 0
    main = int(np.argmax(mass))
    keep = np.isin(parts, np.flatnonzero(mass > 0.2 * mass[main]))
    holes, hole_parts, hole_stats, _ = cv2.connectedComponentsWithStats(
        (~keep).astype(np.uint8), connectivity=4
    )
    small = hole_stats[:, cv2.CC_STAT_AREA] < 0.01 * keep.sum()
    small[0] = False
    return keep | small[hole_parts] if holes else keep


def _soft_alpha(
    photo: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "height width"]:
    """Scales the mask up along the photo's edges and feathers it by about a pixel."""
    import cv2

    height, width = photo.shape[:2]
    coarse = cv2.resize(
        mask.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    radius = max(2, round(1.5 * width / mask.shape[1]))
    alpha = _guided_filter(photo.astype(np.float32) / 255, coarse, radius)
    return np.clip((alpha - 0.5) * 1.6 + 0.5, 0, 1).astype(np.float32)


def _guided_filter(
    guide: Float32[np.ndarray, "height width 3"],
    values: Float32[np.ndarray, "height width"],
    radius: int,
    regularization: float = 1e-3,
) -> Float32[np.ndarray, "height width"]:
    """Guided filter with a grey guide (He, Sun, Tang, ECCV 2010, Eq. 5, 6, 8)."""
    import cv2

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, (2 * radius + 1, 2 * radius + 1))

    grey = guide.mean(axis=-1)
    mean_grey, mean_values = mean(grey), mean(values)
    variance = mean(grey * grey) - mean_grey**2
    covariance = mean(grey * values) - mean_grey * mean_values
    slope = covariance / (variance + regularization)
    offset = mean_values - slope * mean_grey
    return mean(slope) * grey + mean(offset)
