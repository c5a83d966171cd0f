import numpy as np
import pytest
import trimesh

from realfusion.evaluation.volumes import points_inside, volume_iou


def _box(size, offset=(0.0, 0.0, 0.0)):
    return trimesh.creation.box(
        extents=size, transform=trimesh.transformations.translation_matrix(offset)
    )


def test_iou_of_boxes_is_known():
    """Cubes shifted by half a side share a third of their union."""
    cube = _box((1.0, 1.0, 1.0))
    assert volume_iou(cube, cube) == 1
    for axis in range(3):
        shifted = _box((1.0, 1.0, 1.0), 0.5 * np.eye(3)[axis])
        assert volume_iou(cube, shifted) == pytest.approx(1 / 3, abs=0.01)
    assert volume_iou(cube, _box((1.0, 1.0, 1.0), (3.0, 0.0, 0.0))) == 0


def test_iou_of_balls_is_the_ratio_of_their_volumes():
    small, large = (trimesh.creation.icosphere(4, radius=r) for r in (0.4, 0.5))
    assert volume_iou(small, large) == pytest.approx(0.8**3, abs=0.01)


def test_a_cavity_is_outside_and_an_overlap_inside():
    outer, inner = (trimesh.creation.icosphere(3, radius=r) for r in (0.5, 0.3))
    inner.invert()
    hollow = trimesh.util.concatenate([outer, inner])
    pair = trimesh.util.concatenate([_box((1, 1, 1)), _box((1, 1, 1), (0.3, 0, 0))])
    axes = [np.array([-0.55, -0.4, 0.01, 0.41]) + 1e-3] * 3
    for mesh, expected in (
        (hollow, [False, True, False, True]),
        (pair, [False, True, True, True]),
    ):
        inside = points_inside(np.asarray(mesh.vertices), np.asarray(mesh.faces), axes)
        assert inside[:, 2, 2].tolist() == expected
        assert inside[2, 2, :].tolist() == expected


def test_points_inside_a_ball():
    ball = trimesh.creation.icosphere(5, radius=0.5)
    axis = np.linspace(-0.6, 0.6, 31) + 0.0037
    inside = points_inside(
        np.asarray(ball.vertices), np.asarray(ball.faces), [axis] * 3
    )
    distance = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0)
    assert inside[distance < 0.495].all()
    assert not inside[distance > 0.505].any()
