"""A picture of one instance of each family: ``python -m ... contact_sheet OUT.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.families.catalogue import ABSTRACT_FAMILIES, FAMILIES
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import ObjectView, random_light, render_views

_VIEWS = [
    ObjectView(azimuth_deg=azimuth, elevation_deg=elevation)
    for azimuth, elevation in ((0, 15), (60, 15), (150, 20), (0, 70))
]


def family_sheet(
    *, seed: int = 100, columns: int = 8, abstract_instances: int = 3
) -> NDArray[np.uint8]:
    """Four views each of the named families, then of the abstract ones.

    Args:
        seed: Number of the first instance.
        columns: Objects in a row.
        abstract_instances: Instances of each abstract family.

    Returns:
        ``[height, width, 3]`` on white.
    """
    tiles = []
    families = FAMILIES + ABSTRACT_FAMILIES * abstract_instances
    for index, family in enumerate(families):
        subject = generate_object(seed + index, family=family)
        light = random_light(np.random.default_rng(seed + index))
        rgba = render_views(subject.mesh, _VIEWS, light)
        tiles.append(np.concatenate(list(rgba[..., :3] + 1 - rgba[..., 3:]), axis=1))
    while len(tiles) % columns:
        tiles.append(np.ones_like(tiles[0]))
    rows = [
        np.concatenate(tiles[start : start + columns], axis=1)
        for start in range(0, len(tiles), columns)
    ]
    return (np.concatenate(rows) * 255 + 0.5).astype(np.uint8)


def main(out: Path) -> None:
    """Writes the sheet as a PNG."""
    from PIL import Image

    out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(family_sheet()).quantize(128).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
