"""Volumes of meshes as the columns behind the pixels of views measure them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from realfusion.procedural.builder import TexturedMesh
from realfusion.procedural.rasterizer import NUM_PLANES
from realfusion.procedural.render import ObjectView, render_occupancy

_EXTENT, _SIZE = 0.64, 64
_VIEWS = (
    ObjectView(azimuth_deg=3, elevation_deg=4),
    ObjectView(azimuth_deg=92, elevation_deg=3),
    ObjectView(azimuth_deg=5, elevation_deg=88),
)


def _filled_volume(mesh: TexturedMesh, view: ObjectView) -> float:
    """Volume of what the rays of a view find inside."""
    occupancy = render_occupancy(mesh, [view], size=_SIZE, extent=_EXTENT)[0]
    planes = np.arange(NUM_PLANES, dtype=np.uint64)
    inside = (occupancy[..., None] >> planes) & np.uint64(1)
    spacing = 2 * _EXTENT / NUM_PLANES
    depth = view.radius - _EXTENT + (np.arange(NUM_PLANES) + 0.5) * spacing
    pixel = 2 * depth * np.tan(np.deg2rad(view.fov_y_deg) / 2) / _SIZE
    return float((inside * pixel**2).sum() * spacing)


@pytest.fixture
def filled_volumes() -> Callable[[TexturedMesh], list[float]]:
    """A mesh's volume as it is seen from the front, the side and above.

    They differ where a part is not closed.
    """
    return lambda mesh: [_filled_volume(mesh, view) for view in _VIEWS]
