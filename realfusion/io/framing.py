"""The object centred in a square frame, as the reference camera sees it."""

import numpy as np
from jaxtyping import Float

from realfusion.errors import InputError

_VISIBLE = 0.05  # alpha from which a pixel counts as the object's


def frame_object(
    rgba: Float[np.ndarray, "height width 4"],
    *,
    size: int = 512,
    object_fraction: float = 0.8,
    recenter: bool = True,
) -> Float[np.ndarray, "{size} {size} 4"]:
    """Crops and scales a matted picture to a square frame.

    Colours are resampled premultiplied (Lanczos), so no background bleeds into the
    edge of the object.

    Args:
        rgba: Straight alpha, in [0, 1].
        size: Side of the result in pixels.
        object_fraction: Larger side of the object's bounding box as a fraction of the
            frame, in (0, 1].
        recenter: Centre and scale the object. Otherwise the picture is only padded to
            a square and resized.

    Returns:
        Straight alpha, white where alpha is 0.

    Raises:
        InputError: Nothing in the picture is visible.
        ValueError: `size` or `object_fraction` is out of range.
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1, got {size}")
    if not 0 < object_fraction <= 1:
        raise ValueError(f"`object_fraction` must be in (0, 1], got {object_fraction}")
    top, left, side = (
        _object_square(rgba[..., 3], object_fraction)
        if recenter
        else _whole_square(*rgba.shape[:2])
    )
    premultiplied = rgba.astype(np.float32).copy()
    premultiplied[..., :3] *= premultiplied[..., 3:]
    premultiplied, top, left = _pad_to_cover(premultiplied, top, left, side)
    return _unpremultiply(_resample(premultiplied, top, left, side, size))


def _object_square(
    alpha: Float[np.ndarray, "height width"], object_fraction: float
) -> tuple[float, float, float]:
    rows = np.flatnonzero((alpha > _VISIBLE).any(axis=1))
    columns = np.flatnonzero((alpha > _VISIBLE).any(axis=0))
    if rows.size == 0:
        raise InputError("the mask is empty: nothing in the picture is visible")
    height = rows[-1] + 1 - rows[0]
    width = columns[-1] + 1 - columns[0]
    side = max(height, width) / object_fraction
    return (
        float(rows[0] + height / 2 - side / 2),
        float(columns[0] + width / 2 - side / 2),
        float(side),
    )


def _whole_square(height: int, width: int) -> tuple[float, float, float]:
    side = max(height, width)
    return (height - side) / 2, (width - side) / 2, float(side)


def _pad_to_cover(
    image: Float[np.ndarray, "height width 4"], top: float, left: float, side: float
) -> tuple[Float[np.ndarray, "padded_height padded_width 4"], float, float]:
    height, width = image.shape[:2]
    before = (max(0, int(np.ceil(-top))), max(0, int(np.ceil(-left))))
    after = (
        max(0, int(np.ceil(top + side - height))),
        max(0, int(np.ceil(left + side - width))),
    )
    padding = ((before[0], after[0]), (before[1], after[1]), (0, 0))
    return np.pad(image, padding), top + before[0], left + before[1]


def _resample(
    image: Float[np.ndarray, "height width 4"],
    top: float,
    left: float,
    side: float,
    size: int,
) -> Float[np.ndarray, "{size} {size} 4"]:
    from PIL import Image

    box = (left, top, left + side, top + side)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[..., channel])).resize(
                (size, size), Image.Resampling.LANCZOS, box=box
            )
        )
        for channel in range(4)
    ]
    return np.stack(planes, axis=-1)


def _unpremultiply(
    premultiplied: Float[np.ndarray, "height width 4"],
) -> Float[np.ndarray, "height width 4"]:
    alpha = premultiplied[..., 3:]  # rings below 0 and above 1, as the colours do
    visible = alpha > 0.5 / 255
    colour = np.where(visible, premultiplied[..., :3] / np.where(visible, alpha, 1), 1)
    straight = np.concatenate([colour, np.where(visible, alpha, 0)], axis=-1)
    return np.clip(straight, 0, 1).astype(np.float32)
