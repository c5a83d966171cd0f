import numpy as np
import pytest

from realfusion.errors import InputError
from realfusion.io.framing import frame_object


def _box(height=60, width=100, rows=(10, 30), columns=(70, 80)):
    rgba = np.zeros((height, width, 4), np.float32)
    rgba[slice(*rows), slice(*columns)] = [0.8, 0.2, 0.1, 1]
    return rgba


def _extent(rgba):
    rows = np.flatnonzero((rgba[..., 3] > 0.5).any(1))
    columns = np.flatnonzero((rgba[..., 3] > 0.5).any(0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_object_is_centred_and_fills_the_asked_fraction():
    framed = frame_object(_box(), size=100, object_fraction=0.8)
    assert framed.shape == (100, 100, 4)
    top, bottom, left, right = _extent(framed)
    assert bottom - top == pytest.approx(80, abs=1)
    assert right - left == pytest.approx(40, abs=1)
    assert (top + bottom) / 2 == pytest.approx(50, abs=1)
    assert (left + right) / 2 == pytest.approx(50, abs=1)


def test_without_recentring_the_picture_is_only_padded():
    framed = frame_object(_box(), size=100, recenter=False)
    assert _extent(framed) == (30, 50, 70, 80)


def test_no_background_bleeds_into_the_edge():
    rgba = _box()
    rgba[rgba[..., 3] == 0, :3] = [0, 1, 0]  # a loud colour under alpha 0
    framed = frame_object(rgba, size=64)
    visible = framed[..., 3] > 0.1
    np.testing.assert_allclose(
        framed[visible][:, :3], np.tile([0.8, 0.2, 0.1], (visible.sum(), 1)), atol=0.05
    )


def test_transparent_pixels_are_white_and_values_in_range():
    framed = frame_object(_box(), size=64)
    assert (framed[framed[..., 3] == 0] == [1, 1, 1, 0]).all()
    assert framed.min() >= 0
    assert framed.max() <= 1
    assert framed.dtype == np.float32


def test_empty_mask_is_refused():
    with pytest.raises(InputError, match="mask is empty"):
        frame_object(np.zeros((20, 20, 4), np.float32))


@pytest.mark.parametrize("options", [{"size": 0}, {"object_fraction": 1.5}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        frame_object(_box(), **options)
