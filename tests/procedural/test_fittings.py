"""Walls, straps and labels of household things are closed, hollow and in place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from realfusion.procedural.builder import Builder, TexturedMesh
from realfusion.procedural.families.fittings import (
    arc,
    front_print,
    loft,
    ribbon,
    vessel,
)
from realfusion.procedural.paint import plain


def _builder() -> Builder:
    return Builder(np.random.default_rng(0), "red", "blue", is_patterned=False)


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
    build: Callable[[Builder], None],
    expected: float,
    filled_volumes: Callable[[TexturedMesh], list[float]],
) -> None:
    b = _builder()
    build(b)
    mesh = b.finish(0.6)
    # `finish` scales: the longest edge of the bounding box tells by how much.
    longest = {"_cup": 1.0, "_block": 1.0, "_strip": 1.0, "_ring": 1.2}[build.__name__]
    extents = mesh.vertices.max(axis=0) - mesh.vertices.min(axis=0)
    scale = longest / extents.max()
    for volume in filled_volumes(mesh):
        assert volume * scale**3 == pytest.approx(expected, rel=0.06)


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
