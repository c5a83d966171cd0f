"""Settings of the cameras (standard library only, so that `--help` stays light)."""

from __future__ import annotations

from dataclasses import dataclass

from realfusion.ranges import check_range, check_within

MIN_FOV_DEG, MAX_FOV_DEG = 1.0, 170.0
"""Fields of view that still make a picture."""
MIN_RADIUS, MAX_RADIUS = 0.01, 1000.0
"""Distances at which the object is more than a point."""


@dataclass(frozen=True, kw_only=True)
class ReferenceCameraConfig:
    """The camera that took the photo. Its azimuth is 0 by definition."""

    elevation_deg: float = 15.0
    """Degrees above the horizontal from which the photo looks at the object."""
    radius: float = 1.8
    """Distance from the camera to the centre of the object, in world units."""
    fov_y_deg: float = 40.0
    """Vertical field of view in degrees."""

    def __post_init__(self) -> None:
        """Refuse what is no camera."""
        check_within(self, -90.0, 90.0, "elevation_deg")
        check_within(self, MIN_RADIUS, MAX_RADIUS, "radius")
        check_within(self, MIN_FOV_DEG, MAX_FOV_DEG, "fov_y_deg")


@dataclass(frozen=True, kw_only=True)
class CameraSamplingConfig:
    """How the random views are drawn that the prior judges."""

    elevation_range_deg: tuple[float, float] = (-10.0, 45.0)
    """Elevations of the ordinary views, in degrees."""
    overhead_probability: float = 0.1
    """Share of the views taken from above."""
    overhead_elevation_range_deg: tuple[float, float] = (58.0, 85.0)
    """Elevations of the views from above, in degrees."""
    uniform_sphere_probability: float = 0.0
    """Share of the views drawn uniformly from the upper hemisphere (the paper: 0.5)."""
    radius_range: tuple[float, float] = (1.7, 1.9)
    """Distances from the origin, in world units."""
    fov_y_range_deg: tuple[float, float] = (38.0, 42.0)
    """Vertical fields of view, in degrees."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn from."""
        check_range(
            self, -90.0, 90.0, "elevation_range_deg", "overhead_elevation_range_deg"
        )
        check_range(self, MIN_FOV_DEG, MAX_FOV_DEG, "fov_y_range_deg")
        check_range(self, MIN_RADIUS, MAX_RADIUS, "radius_range")
        check_within(
            self, 0.0, 1.0, "overhead_probability", "uniform_sphere_probability"
        )
