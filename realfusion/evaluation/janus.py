"""The Janus score: does the back of a reconstruction repeat its front?

A prior that has seen more faces than backs paints a second face behind (Poole et al.,
DreamFusion, 2023, call it the Janus problem); a reconstruction that sees its photo
through the body repeats it mirrored. Either makes the back view resemble the front view
more than it does on the true object.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional

from realfusion.cameras.camera import Camera
from realfusion.evaluation.metrics import masked_ssim

_SIZE = 64  # coarse: a second face need not lie where the first is, to the pixel
_LARGEST_ANGLE_DEG = 20.0


def opposite_view(camera: Camera, cameras: tuple[Camera, ...]) -> int | None:
    """The view from behind.

    Args:
        camera: The one in front.
        cameras: To choose from.

    Returns:
        Index of the camera nearest to the one half a turn around the object, or None
        where all are more than 20° away from it.
    """
    behind = _direction(camera.azimuth_deg + 180.0, camera.elevation_deg)
    cosines = [
        float(behind @ _direction(each.azimuth_deg, each.elevation_deg))
        for each in cameras
    ]
    best = int(np.argmax(cosines))
    is_near = cosines[best] >= np.cos(np.deg2rad(_LARGEST_ANGLE_DEG))
    return best if is_near else None


def janus_score(
    front: Float[np.ndarray, "front_size front_size 4"],
    back: Float[np.ndarray, "back_size back_size 4"],
    true_front: Float[np.ndarray, "true_front_size true_front_size 4"],
    true_back: Float[np.ndarray, "true_back_size true_back_size 4"],
) -> float:
    """Similarity of back and front beyond that of the true object.

    Args:
        front: Rendered; straight alpha, in [0, 1]; every view of any size.
        back: Rendered from the opposite side.
        true_front: The true object from the camera of `front`.
        true_back: The true object from the camera of `back`.

    Returns:
        Within [-2, 2]: 0 where the back resembles the front as much as it should, above
        where it repeats it, below where it differs more than it should.
    """
    return similarity(front, back) - similarity(true_front, true_back)


def similarity(
    first: Float[np.ndarray, "height width 4"],
    second: Float[np.ndarray, "other_height other_width 4"],
) -> float:
    """SSIM at 64 px where both pictures show something, as seen or mirrored.

    Args:
        first: Straight alpha, in [0, 1].
        second: The same, of any size.

    Returns:
        At most 1; the larger of the two.
    """
    colour, alpha = _on_white(first)
    other_colour, other_alpha = _on_white(second)
    return max(
        masked_ssim(
            each_colour.copy(), other_colour, (each_alpha > 0.5) & (other_alpha > 0.5)
        )
        for each_colour, each_alpha in (
            (colour, alpha),
            (colour[:, ::-1], alpha[:, ::-1]),
        )
    )


def _on_white(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha at 64 px."""
    image = torch.from_numpy(np.ascontiguousarray(rgba, np.float32)).permute(2, 0, 1)
    premultiplied = torch.cat([image[:3] * image[3:], image[3:]])[None]
    small = functional.interpolate(premultiplied, size=(_SIZE, _SIZE), mode="area")[0]
    return (small[:3] + 1.0 - small[3:]).permute(1, 2, 0).numpy(), small[3].numpy()


def _direction(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    azimuth, elevation = np.deg2rad([azimuth_deg, elevation_deg])
    return np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
