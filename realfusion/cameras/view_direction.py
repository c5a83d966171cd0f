"""Where a camera stands relative to the photo: the words a prompt needs."""

from __future__ import annotations

import enum

from realfusion.cameras.camera import Camera

AZIMUTH_BINS = 8
"""Number of 45° bins around the object; bin 0 is centred on the photo."""
ELEVATION_BIN_EDGES_DEG = (28.0, 58.0)
"""Elevations at which a view becomes high, and overhead."""


class ViewDirection(enum.Enum):
    """The four directions of DreamFusion's view-dependent prompts."""

    FRONT = "front"
    SIDE = "side"
    BACK = "back"
    OVERHEAD = "overhead"


def relative_azimuth_deg(camera: Camera, reference: Camera) -> float:
    """Azimuth counted from the reference view, within [-180, 180)."""
    return (camera.azimuth_deg - reference.azimuth_deg + 180.0) % 360.0 - 180.0


def view_direction(
    camera: Camera, reference: Camera, *, front_width_deg: float = 90.0
) -> ViewDirection:
    """Classify a view for a prompt (DreamFusion, Sec. 3.2).

    Front and back are *centred* on the reference view and its opposite, each
    `front_width_deg` wide. (The original release calls azimuths of 0 to 60 degrees
    "front", which is off by 30.)

    Args:
        camera: The view.
        reference: The camera of the photo.
        front_width_deg: Width of the front and of the back sector, in degrees.

    Returns:
        The direction.
    """
    if camera.elevation_deg >= ELEVATION_BIN_EDGES_DEG[1]:
        return ViewDirection.OVERHEAD
    distance = abs(relative_azimuth_deg(camera, reference))
    if distance <= front_width_deg / 2:
        return ViewDirection.FRONT
    if distance >= 180.0 - front_width_deg / 2:
        return ViewDirection.BACK
    return ViewDirection.SIDE


def relative_view_bin(camera: Camera, reference: Camera) -> tuple[int, int]:
    """Azimuth bin (0 to 7, counter-clockwise from the photo), elevation bin (0 to 2).

    The elevation bins are absolute: level below 28°, high below 58°, overhead above.
    """
    width = 360.0 / AZIMUTH_BINS
    relative = relative_azimuth_deg(camera, reference) % 360.0
    azimuth_bin = int((relative + width / 2) // width) % AZIMUTH_BINS
    elevation_bin = sum(
        camera.elevation_deg >= edge for edge in ELEVATION_BIN_EDGES_DEG
    )
    return azimuth_bin, elevation_bin
