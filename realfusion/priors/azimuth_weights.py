"""How prompts and their weights follow the azimuth, counted in degrees from the photo.

Plain functions of one angle; `realfusion.priors.prompts` puts words to them.
"""

from __future__ import annotations

import math

_FRONT_TO_SIDE = (4.0, 0.5, -2.426)
_SIDE_TO_BACK = (1.0, 0.5, 0.967)
"""(a, b, c) of the front view as a negative prompt, as text-to-3D programs set them:
about 0 at the front, and the two curves meet at the side (1.574)."""


def neighbouring_centres(
    azimuth_deg: float, width_deg: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The two view sectors an azimuth lies between, and its linear shares in them.

    Perp-Neg (Armandpour et al. 2023, Sec. 4) blends the text embeddings of neighbouring
    views in this way, so that the prompt does not jump where one sector ends.

    Args:
        azimuth_deg: Counted from the photo, any number of turns.
        width_deg: Distance between the centres of two sectors; the first is at 0.

    Returns:
        Twice the centre in degrees within [0, 360), and its share; shares sum to 1.
    """
    steps = azimuth_deg % 360.0 / width_deg
    lower = math.floor(steps)
    share = steps - lower
    first, second = (centre * width_deg % 360.0 for centre in (lower, lower + 1))
    return (first, 1.0 - share), (second, share)


def token_blending_share(azimuth_deg: float, largest: float) -> float:
    """How much of the learned token gives way to its class word at an azimuth.

    `largest` · (1 - cos azimuth) / 2: nothing at the photo, flat around it, the whole
    share at the back. A token of one photo (RealFusion, Sec. 3.2) holds what the front
    looks like besides what the object is; a class word knows no side.

    Args:
        azimuth_deg: Counted from the photo.
        largest: The share at the back, 0 to 1.

    Returns:
        The share, 0 to `largest`.
    """
    return largest * 0.5 * (1.0 - math.cos(math.radians(azimuth_deg)))


def perpendicular_strength(azimuth_deg: float) -> float:
    """How strongly to push away from the front view (Armandpour et al. 2023, Sec. 4).

    w = a exp(-b r) + c, where r is the share of the front between front and side, and
    the share of the side between side and back. The paper pushes side views away from a
    second view as well; one negative prompt is kept here, for the price of one.

    Args:
        azimuth_deg: Counted from the photo.

    Returns:
        The weight: about 0 at the front, 1.574 at the side, 1.967 at the back.
    """
    turned = abs((azimuth_deg + 180.0) % 360.0 - 180.0) / 90.0
    slope, decay, offset = _FRONT_TO_SIDE if turned < 1.0 else _SIDE_TO_BACK
    share = 1.0 - turned if turned < 1.0 else 2.0 - turned
    return max(slope * math.exp(-decay * share) + offset, 0.0)
