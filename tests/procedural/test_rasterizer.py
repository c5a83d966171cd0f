"""The triangle rasteriser."""

from __future__ import annotations

import numpy as np
import pytest

from realfusion.procedural.rasterizer import (
    NUM_PLANES,
    rasterize_occupancy,
    rasterize_triangles,
)

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


def test_the_farther_triangle_is_kept_on_request() -> None:
    far = SQUARE + np.array([0, 0, 1], np.float32)
    vertices = np.concatenate([far, SQUARE], axis=1)
    faces = np.concatenate([TWO_FACES, TWO_FACES + 4]).astype(np.int32)
    raster = rasterize_triangles(vertices, faces, 8, 8, keep_farthest=True)
    np.testing.assert_allclose(raster.depth, 3.0, rtol=1e-6)
    assert set(raster.face_index.ravel().tolist()) == {0, 1}


SHEET = np.array([[[-1, -2, 0], [9, -2, 0], [9, 9, 0], [-1, 9, 0]]], np.float32)
"""Covers the image; its diagonal meets no pixel centre."""
BEHIND = np.array([0, 0, 1], np.float32)


def slab(front: float, back: float) -> np.ndarray:
    """Two sheets that close a box as far as rays through the image can tell."""
    return np.concatenate([SHEET + front * BEHIND, SHEET + back * BEHIND], axis=1)


def planes(words: np.ndarray) -> list[int]:
    """The planes that are inside, the same for all pixels."""
    assert (words == words.flat[0]).all()
    return [k for k in range(NUM_PLANES) if int(words.flat[0]) >> k & 1]


def occupancy(vertices: np.ndarray, faces: np.ndarray, parts: list[int]) -> np.ndarray:
    begin = np.array(parts, np.int64)
    return rasterize_occupancy(
        vertices, faces, begin, 8, 8, first_depth=1.5, spacing=0.1
    )


BOTH_SIDES = np.concatenate([TWO_FACES, TWO_FACES + 4]).astype(np.int32)


def test_the_planes_between_two_crossings_are_inside() -> None:
    # Planes lie at 1.5, 1.6, ...: those in [2.05, 2.55] are 2.1 ... 2.5.
    words = occupancy(slab(2.05, 2.55), BOTH_SIDES, [0, 4])
    assert planes(words) == [6, 7, 8, 9, 10]


def test_the_way_faces_turn_and_their_order_do_not_matter() -> None:
    expected = occupancy(slab(2.05, 2.55), BOTH_SIDES, [0, 4])
    turned = BOTH_SIDES[::-1, ::-1].copy()
    np.testing.assert_array_equal(occupancy(slab(2.05, 2.55), turned, [0, 4]), expected)


def test_parts_that_overlap_are_united() -> None:
    vertices = np.concatenate([slab(2.05, 2.55), slab(2.35, 2.75)], axis=1)
    faces = np.concatenate([BOTH_SIDES, BOTH_SIDES + 8]).astype(np.int32)
    assert planes(occupancy(vertices, faces, [0, 4, 8])) == list(range(6, 13))
    # As one part, what lies in both is outside: even-odd.
    assert planes(occupancy(vertices, faces, [0, 8])) == [6, 7, 8, 11, 12]


def test_an_open_part_counts_as_missed_and_the_others_stay() -> None:
    vertices = np.concatenate([slab(2.05, 2.55), SHEET + 2 * BEHIND], axis=1)
    faces = np.concatenate([BOTH_SIDES, TWO_FACES + 8]).astype(np.int32)
    assert planes(occupancy(vertices, faces, [0, 4, 6])) == [6, 7, 8, 9, 10]
    assert planes(occupancy(SHEET + 2 * BEHIND, TWO_FACES, [0, 2])) == []


def test_a_body_may_begin_before_the_planes_and_end_behind_them() -> None:
    assert planes(occupancy(slab(0.5, 99.0), BOTH_SIDES, [0, 4])) == list(range(64))
    assert planes(occupancy(slab(50.0, 99.0), BOTH_SIDES, [0, 4])) == []


@pytest.mark.parametrize("parts", [[], [0, 3], [1, 4], [0, 3, 2, 4]])
def test_parts_that_do_not_partition_the_faces_are_refused(parts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"`part_begin` must ascend from 0 to 4"):
        occupancy(slab(2.05, 2.55), BOTH_SIDES, parts)
