"""The triangle rasteriser."""

from __future__ import annotations

import numpy as np
import pytest

from realfusion.procedural.rasterizer import rasterize_triangles

SQUARE = np.array([[[0, 0, 2], [8, 0, 2], [8, 8, 2], [0, 8, 2]]], np.float32)
TWO_FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_two_triangles_cover_a_square_without_gaps() -> None:
    raster = rasterize_triangles(SQUARE, TWO_FACES, 8, 8)
    assert (raster.face_index >= 0).all()
    np.testing.assert_allclose(raster.depth, 2.0, rtol=1e-6)


def test_pixel_centres_are_at_half_integers() -> None:
    narrow = SQUARE * np.array([0.5, 1, 1], np.float32)
    raster = rasterize_triangles(narrow, TWO_FACES, 8, 8)
    assert (raster.face_index[0, :, :4] >= 0).all()
    assert (raster.face_index[0, :, 4:] == -1).all()


def test_the_nearer_triangle_wins_whatever_the_order() -> None:
    far = SQUARE + np.array([0, 0, 1], np.float32)
    vertices = np.concatenate([SQUARE, far], axis=1)
    behind = TWO_FACES + 4
    for faces, nearest in (
        (np.concatenate([TWO_FACES, behind]), {0, 1}),
        (np.concatenate([behind, TWO_FACES]), {2, 3}),
    ):
        raster = rasterize_triangles(vertices, faces.astype(np.int32), 8, 8)
        assert set(raster.face_index.ravel().tolist()) == nearest


def test_weights_are_perspective_correct() -> None:
    # A quarter turn of a plane in depth: 1 / depth is linear on the screen.
    vertices = np.array([[[0, 0, 1], [64, 0, 4], [0, 64, 1]]], np.float32)
    raster = rasterize_triangles(vertices, np.array([[0, 1, 2]], np.int32), 64, 64)
    across = (np.arange(20) + 0.5) / 64
    expected_depth = 1 / (1 + across * (1 / 4 - 1))
    np.testing.assert_allclose(raster.depth[0, 2, :20], expected_depth, rtol=1e-4)
    expected_weight = across / 4 * expected_depth
    np.testing.assert_allclose(raster.weights[0, 2, :20, 0], expected_weight, rtol=1e-4)


def test_views_are_independent() -> None:
    shifted = SQUARE + np.array([100, 0, 0], np.float32)
    both = np.concatenate([SQUARE, shifted])
    raster = rasterize_triangles(both, TWO_FACES, 8, 8)
    assert (raster.face_index[0] >= 0).all()
    assert (raster.face_index[1] == -1).all()
    assert np.isinf(raster.depth[1]).all()


def test_triangles_behind_the_camera_and_no_triangles_leave_nothing() -> None:
    behind = SQUARE * np.array([1, 1, -1], np.float32)
    assert (rasterize_triangles(behind, TWO_FACES, 8, 8).face_index == -1).all()
    none = np.zeros((0, 3), np.int32)
    assert (rasterize_triangles(SQUARE, none, 8, 8).face_index == -1).all()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"`vertices` must be"):
        rasterize_triangles(SQUARE[0], TWO_FACES, 8, 8)
    with pytest.raises(ValueError, match=r"`faces` must be"):
        rasterize_triangles(SQUARE, TWO_FACES[:, :2], 8, 8)
    with pytest.raises(ValueError, match=r"`faces` must index"):
        rasterize_triangles(SQUARE, TWO_FACES + 9, 8, 8)
