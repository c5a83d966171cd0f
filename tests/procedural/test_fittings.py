"""Walls, straps and labels of household things are closed, hollow and in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from realfusion.procedural.builder import Builder, TexturedMesh
from realfusion.procedural.families import (
    appliances,
    belongings,
    devices,
    furniture,
    gadgets,
    kitchen,
    packages,
)
from realfusion.procedural.families.catalogue import FAMILIES, Family
from realfusion.procedural.families.fittings import (
    arc,
    front_print,
    loft,
    ribbon,
    vessel,
)
from realfusion.procedural.objects import generate_object
from realfusion.procedural.paint import plain
from realfusion.procedural.rasterizer import NUM_PLANES
from realfusion.procedural.render import ObjectView, render_occupancy

_EXTENT, _SIZE = 0.64, 64
_FRONT = ObjectView(azimuth_deg=3, elevation_deg=4)
_SIDE = ObjectView(azimuth_deg=92, elevation_deg=3)
_ABOVE = ObjectView(azimuth_deg=5, elevation_deg=88)
_MODULES = {
    module.__name__
    for module in (
        appliances,
        belongings,
        devices,
        furniture,
        gadgets,
        kitchen,
        packages,
    )
}
_HOUSE_FAMILIES = [f for f in FAMILIES if f.build.__module__ in _MODULES]


def _builder() -> Builder:
    return Builder(np.random.default_rng(0), "red", "blue", is_patterned=False)


def _volume(mesh: TexturedMesh, view: ObjectView) -> float:
    """Volume of what the rays of a view find inside."""
    occupancy = render_occupancy(mesh, [view], size=_SIZE, extent=_EXTENT)[0]
    planes = np.arange(NUM_PLANES, dtype=np.uint64)
    inside = (occupancy[..., None] >> planes) & np.uint64(1)
    spacing = 2 * _EXTENT / NUM_PLANES
    depth = view.radius - _EXTENT + (np.arange(NUM_PLANES) + 0.5) * spacing
    pixel = 2 * depth * np.tan(np.deg2rad(view.fov_y_deg) / 2) / _SIZE
    return float((inside * pixel**2).sum() * spacing)


@pytest.mark.parametrize("family", _HOUSE_FAMILIES, ids=lambda family: family.name)
def test_things_of_the_house_fill_the_same_space_from_every_side(
    family: Family,
) -> None:
    # A part that is not closed is filled from some sides and empty from others.
    for seed in range(2):
        mesh = generate_object(seed, family=family).mesh
        volumes = [_volume(mesh, view) for view in (_FRONT, _SIDE, _ABOVE)]
        assert max(volumes) - min(volumes) < 0.15 * max(volumes)


def _cup(b: Builder) -> None:
    vessel(b, [(0.5, 0), (0.5, 1)], outside=b.main, inside=b.detail, wall=0.1)


def _block(b: Builder) -> None:
    loft(b, b.main, [(0, 0.5, 0.5), (1, 0.5, 0.5)], segments=64)


def _strip(b: Builder) -> None:
    ribbon(b, b.main, [(-0.5, 0), (0.5, 0)], 1.0, 0.5)


def _ring(b: Builder) -> None:
    circle = arc(0.5, 0.5, arc_deg=(0, 360), count=65)[:-1]
    ribbon(b, b.main, circle, 0.5, 0.2, is_loop=True)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (_cup, np.pi * (0.25 - 0.16 * 0.9)),
        (_block, np.pi * 0.25),
        (_strip, 0.5),
        (_ring, np.pi * (0.6**2 - 0.4**2) * 0.5),
    ],
)
def test_a_fitting_has_the_volume_of_its_shape(
    build: Callable[[Builder], None], expected: float
) -> None:
    b = _builder()
    build(b)
    mesh = b.finish(0.6)
    # `finish` scales: the longest edge of the bounding box tells by how much.
    longest = {"_cup": 1.0, "_block": 1.0, "_strip": 1.0, "_ring": 1.2}[build.__name__]
    extents = mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)
    scale = longest / extents.max()
    for view in (_FRONT, _SIDE, _ABOVE):
        measured = _volume(mesh, view) * scale**3
        assert measured == pytest.approx(expected, rel=0.06)


def test_the_inside_of_a_vessel_has_its_own_paint() -> None:
    b = _builder()
    vessel(b, [(0.5, 0), (0.5, 1)], outside=b.main, inside=b.detail, wall=0.1)
    paint = b.finish(0.6).paints[0]
    wall = np.array([[0.5, 0.5, 0.0], [0.4, 0.5, 0.0], [0.0, 0.1, 0.0], [0, 0, 0]])
    colours = paint(wall.astype(np.float32))
    np.testing.assert_allclose(colours[[0, 3]], [b.primary_colour] * 2, atol=1e-6)
    np.testing.assert_allclose(colours[[1, 2]], [b.secondary_colour] * 2, atol=1e-6)


def test_a_front_print_is_upright_and_on_one_side_alone() -> None:
    ground = plain(np.zeros(3, np.float32))
    artwork = np.zeros((2, 2, 3), np.float32)
    artwork[0, 0] = (1, 0, 0)  # upper left
    artwork[1, 1] = (0, 1, 0)  # lower right
    half = (0.5, 1.0, 0.25)
    front = front_print(ground, artwork, half)
    points = np.array([[-0.3, 0.5, 0.25], [0.3, -0.5, 0.25], [-0.3, 0.5, -0.25]])
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(front(points.astype(np.float32)), expected)
    back = front_print(ground, artwork, half, is_back=True)
    # Seen from behind, left is +x.
    behind = np.array([[0.3, 0.5, -0.25], [-0.3, 0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(back(behind), [[1, 0, 0], [0, 0, 0]])


def test_a_turned_object_lies() -> None:
    b = _builder()
    b.box(b.main, (0, 1, 0), (0.1, 1, 0.1))
    b.turn((90, 0, 0))
    extents = np.ptp(b.finish(0.5).vertices, axis=0)
    assert extents.argmax() == 2
