"""Settings of the cameras (standard library only, so that `--help` stays light)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReferenceCameraConfig:
    """The camera that took the photo. Its azimuth is 0 by definition."""

    elevation_deg: float = 15.0
    """Degrees above the horizontal from which the photo looks at the object."""
    radius: float = 1.8
    """Distance from the camera to the centre of the object, in world units."""
    fov_y_deg: float = 40.0
    """Vertical field of view in degrees."""


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
