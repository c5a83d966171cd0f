"""Views of a painted disc: a face in front, hair behind, or a face on both sides."""

import numpy as np
import pytest

from realfusion.cameras.camera import Camera
from realfusion.evaluation.janus import janus_score, opposite_view, similarity


def _disc(pattern, size=128):
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    rgba = np.ones((size, size, 4), np.float32)
    rgba[..., 3] = x**2 + y**2 < 0.6
    rgba[..., :3] = pattern(x, y)[..., None]
    return rgba


def _face(x, y):
    """Two eyes and a mouth, the left eye larger."""
    left = (x + 0.3) ** 2 + (y + 0.2) ** 2 < 0.04
    right = (x - 0.3) ** 2 + (y + 0.2) ** 2 < 0.015
    mouth = (abs(y - 0.35) < 0.06) & (abs(x) < 0.35)
    return np.where(left | right | mouth, 0.1, 0.9)


def _hair(x, y):
    return 0.4 + 0.3 * np.sin(25 * x)


def test_a_second_face_is_found():
    face, hair = _disc(_face), _disc(_hair)
    assert janus_score(face, face, face, hair) > 0.5
    assert janus_score(face, hair, face, hair) == pytest.approx(0, abs=1e-6)


def test_the_front_seen_through_the_body_is_found():
    """It appears mirrored behind."""
    face, hair = _disc(_face), _disc(_hair)
    assert janus_score(face, face[:, ::-1], face, hair) > 0.5


def test_an_object_that_is_the_same_behind_has_no_janus_problem():
    face = _disc(_face)
    assert janus_score(face, face, face, face) == pytest.approx(0, abs=1e-6)
    assert janus_score(face, _disc(_hair), face, face) < -0.5


def test_views_of_several_sizes_are_compared():
    assert similarity(_disc(_face, 256), _disc(_face, 64)) > 0.9


def test_nothing_resembles_an_empty_view():
    empty = np.zeros((64, 64, 4), np.float32)
    assert similarity(empty, _disc(_face)) == 0


def test_what_lies_under_alpha_0_does_not_count():
    face = _disc(_face)
    dirty = face.copy()
    dirty[dirty[..., 3] == 0, :3] = 0
    assert similarity(face, dirty) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("azimuths", "expected"), [((90, 150, 190, 0), 2), ((-185, 90), 0), ((0, 90), None)]
)
def test_the_view_from_behind(azimuths, expected):
    cameras = tuple(Camera(azimuth_deg=azimuth) for azimuth in azimuths)
    assert opposite_view(Camera(), cameras) == expected


def test_a_view_from_far_above_is_not_the_one_from_behind():
    cameras = (Camera(azimuth_deg=180, elevation_deg=60),)
    assert opposite_view(Camera(), cameras) is None
