"""Images of an object together with what lies behind their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.builder import TexturedMesh
from realfusion.procedural.families.catalogue import EVERYDAY_FAMILIES
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import (
    ObjectView,
    random_light,
    render_occupancy,
    render_views,
)

EVERYDAY_SHARE = 0.45
"""Share of the training objects that are drawn from the everyday families."""
ABSTRACT_SHARE = 0.25
"""Share of objects without a name among the rest: fewer than for the diffusion model,
since there is little to be known about the hidden side of what has no name."""
UNFRAMED_SHARE = 0.35
"""Share of the views that show the object as it is, neither centred nor scaled."""


@dataclass(frozen=True, kw_only=True)
class ObjectBodies:
    """Views of objects and the columns behind their pixels."""

    images: NDArray[np.uint8]
    """``[num_views, size, size, 4]``: colour multiplied by alpha, alpha."""
    back_colours: NDArray[np.uint8]
    """``[num_views, size, size, 3]``: the last surface along each ray, seen from
    behind."""
    occupancy: NDArray[np.uint64]
    """``[num_views, size, size]``: bit k tells whether plane k is inside."""
    elevation_deg: NDArray[np.float32]
    """``[num_views]``: of the camera."""


def generate_bodies(
    seed: int,
    *,
    split: str = "train",
    num_views: int = 2,
    size: int = 64,
    extent: float = 0.64,
) -> ObjectBodies:
    """Generates an object and shows it as photos show objects.

    Args:
        seed: Number of the object within its split.
        split: As :func:`generate_object` takes it.
        num_views: Views of the object, from random sides.
        size: Pixels a side.
        extent: As :func:`render_occupancy` takes it.

    Returns:
        The views.
    """
    rng = np.random.default_rng([77, seed])
    is_everyday = rng.random() < EVERYDAY_SHARE and split != "held_out_families"
    everyday = EVERYDAY_FAMILIES[int(rng.integers(len(EVERYDAY_FAMILIES)))]
    subject = generate_object(
        seed,
        split=split,
        abstract_share=ABSTRACT_SHARE,
        family=everyday if is_everyday else None,
    )
    light = random_light(rng)
    images, backs, occupancies, elevations = [], [], [], []
    for _ in range(num_views):
        view = _photo_view(rng)
        mesh = subject.mesh
        if rng.random() >= UNFRAMED_SHARE:
            mesh = framed(mesh, view, _random_fraction(rng), rng.normal(0, 0.02, 2))
        images.append(render_views(mesh, [view], light, size=size)[0])
        behind = render_views(
            mesh, [view], light, size=size, supersampling=1, from_behind=True
        )
        backs.append(behind[0, ..., :3])
        occupancies.append(render_occupancy(mesh, [view], size=size, extent=extent)[0])
        elevations.append(view.elevation_deg)
    return ObjectBodies(
        images=(np.stack(images) * 255 + 0.5).astype(np.uint8),
        back_colours=(np.stack(backs) * 255 + 0.5).astype(np.uint8),
        occupancy=np.stack(occupancies),
        elevation_deg=np.array(elevations, np.float32),
    )


def framed(
    mesh: TexturedMesh,
    view: ObjectView,
    fraction: float,
    offset: NDArray[np.float64],
) -> TexturedMesh:
    """The object moved and scaled to be centred in a view, as a photo is framed.

    Args:
        mesh: The object.
        view: The camera.
        fraction: Larger side of the object's bounding box in the image, as a fraction
            of the frame.
        offset: Of the bounding box's centre from the image's, right and down, in halves
            of the frame.
    """
    half = view.radius * np.tan(np.deg2rad(view.fov_y_deg) / 2)
    across = view.axes()[:2]
    vertices = mesh.vertices.astype(np.float64)
    for _ in range(2):  # perspective: the second pass corrects the first
        local = (vertices - view.eye()) @ view.axes().T
        places = local[:, :2] / local[:, 2:] * view.radius / half
        low, high = places.min(axis=0), places.max(axis=0)
        centre, side = (low + high) / 2, (high - low).max() / 2
        vertices = (vertices - centre * half @ across) * (fraction / side)
    moved = vertices + offset * half @ across
    return replace(mesh, vertices=moved.astype(np.float32))


def _photo_view(rng: np.random.Generator) -> ObjectView:
    """Where somebody who takes a photo stands."""
    azimuth = rng.uniform(-180, 180)
    is_usual = rng.random() < 0.9
    elevation = rng.uniform(-5, 40) if is_usual else rng.uniform(40, 70)
    return ObjectView(azimuth_deg=float(azimuth), elevation_deg=float(elevation))


def _random_fraction(rng: np.random.Generator) -> float:
    is_usual = rng.random() < 0.7
    return float(rng.uniform(0.72, 0.88) if is_usual else rng.uniform(0.5, 0.95))
