"""The random views of an object that training sees."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.objects import ProceduralObject, generate_object
from realfusion.procedural.render import ObjectView, random_light, render_views

REFERENCE_VIEW = 0
"""The view of each object that is fit to be the input image."""


@dataclass(frozen=True, kw_only=True)
class ObjectViews:
    """Images of one object."""

    images: NDArray[np.uint8]
    """``[num_views, size, size, 4]``: colour multiplied by alpha, alpha."""
    cameras: NDArray[np.float32]
    """``[num_views, 4]``: azimuth, elevation (degrees), radius, vertical field of view
    (degrees)."""
    subject: ProceduralObject


def random_views(rng: np.random.Generator, num_views: int) -> list[ObjectView]:
    """Cameras around an object: first the reference view, the rest spread around."""
    sector = 360.0 / num_views
    start = rng.uniform(0, 360)
    azimuths = start + sector * (np.arange(num_views) + rng.uniform(0, 1, num_views))
    azimuths = rng.permutation(azimuths)
    elevations = np.where(
        rng.random(num_views) < 0.8,
        rng.uniform(-15, 45, num_views),
        rng.uniform(45, 85, num_views),
    )
    elevations[REFERENCE_VIEW] = rng.uniform(2, 32)
    radii = 1.8 + rng.uniform(-0.2, 0.2, num_views) * (rng.random(num_views) < 0.5)
    fovs = 40.0 + rng.uniform(-4, 5, num_views) * (rng.random(num_views) < 0.5)
    return [
        ObjectView(
            azimuth_deg=float((azimuth + 180) % 360 - 180),
            elevation_deg=float(elevation),
            radius=float(radius),
            fov_y_deg=float(fov),
        )
        for azimuth, elevation, radius, fov in zip(
            azimuths, elevations, radii, fovs, strict=True
        )
    ]


def generate_views(
    seed: int, *, split: str = "train", num_views: int = 6, size: int = 64
) -> ObjectViews:
    """Generates an object and renders random views of it.

    Args:
        seed: Number of the object within its split.
        split: As :func:`generate_object` takes it.
        num_views: Views of the object.
        size: Pixels a side.

    Returns:
        The images with their cameras' angles.
    """
    subject = generate_object(seed, split=split)
    rng = np.random.default_rng([11, seed])
    views = random_views(rng, num_views)
    images = render_views(subject.mesh, views, random_light(rng), size=size)
    return ObjectViews(
        images=(images * 255 + 0.5).astype(np.uint8),
        cameras=np.array([astuple(view) for view in views], np.float32),
        subject=subject,
    )
