"""Random cameras for the prior's views."""

from __future__ import annotations

import math

import torch

from realfusion.cameras.camera import Camera
from realfusion.cameras.config import CameraSamplingConfig


def sample_camera(config: CameraSamplingConfig, generator: torch.Generator) -> Camera:
    """Draw one random orbit camera.

    Azimuths are uniform over the circle. Elevations come from one of three
    distributions: from above, uniform on the upper hemisphere (RealFusion's release),
    or the ordinary range.

    Args:
        config: Ranges and shares.
        generator: CPU generator; five numbers are drawn whatever the branch, so that
            a changed share does not shift the random numbers of later steps.

    Returns:
        The camera.
    """
    draws = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    branch, azimuth, elevation, radius, fov = draws
    if branch < config.overhead_probability:
        elevation_deg = _between(config.overhead_elevation_range_deg, elevation)
    elif branch < config.overhead_probability + config.uniform_sphere_probability:
        elevation_deg = math.degrees(math.asin(elevation))
    else:
        elevation_deg = _between(config.elevation_range_deg, elevation)
    return Camera(
        azimuth_deg=360.0 * azimuth - 180.0,
        elevation_deg=elevation_deg,
        radius=_between(config.radius_range, radius),
        fov_y_deg=_between(config.fov_y_range_deg, fov),
    )


def _between(bounds: tuple[float, float], fraction: float) -> float:
    low, high = bounds
    return low + (high - low) * fraction
