"""Shapes that primitives start from."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.unit_shapes import (
    cross_rows,
    quad_grid,
    unit_box,
    unit_superquadric,
    with_creases,
)


def test_a_grid_closed_along_one_side_uses_each_vertex_and_each_inner_edge_twice() -> (
    None
):
    faces = quad_grid(5, 4)
    assert set(faces.ravel()) == set(range(20))
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert set(counts) == {1, 2}
    assert (counts == 1).sum() == 2 * 5


def test_a_round_superquadric_is_a_sphere_and_a_sharp_one_nearly_a_box() -> None:
    sphere = unit_superquadric(18, 1.0, 1.0)
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1, atol=1e-12)
    boxy = unit_superquadric(18, 0.1, 0.1)
    assert np.linalg.norm(boxy, axis=1).max() > 1.4


def test_a_box_has_six_sides_of_area_four() -> None:
    points, faces = unit_box()
    a, b, c = (points[faces[:, k]] for k in range(3))
    areas = np.linalg.norm(cross_rows(b - a, c - a), axis=1) / 2
    np.testing.assert_allclose(areas, 2.0)
    assert len(faces) == 12


def test_cross_products_are_those_of_numpy() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 7, 3))
    np.testing.assert_array_equal(cross_rows(first, second), np.cross(first, second))


def test_sharp_corners_of_a_profile_are_doubled() -> None:
    profile = np.array([(0, 0), (1, 0), (1, 1), (1.01, 2), (0, 2)], float)
    assert len(with_creases(profile)) == 7
