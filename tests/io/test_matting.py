import numpy as np
import pytest

from realfusion.errors import InputError
from realfusion.io.images import InputImage
from realfusion.io.matting import matte

SIZE = 96


def _disk(radius=0.3, centre=(0.5, 0.5)):
    y, x = (np.mgrid[0:SIZE, 0:SIZE] + 0.5) / SIZE
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2


def _photo(mask, seed=0):
    """A two-coloured object on a noisy beige gradient."""
    noise = np.random.default_rng(seed).normal(0, 0.02, (SIZE, SIZE, 3))
    slope = np.linspace(0.6, 0.8, SIZE)[:, None, None]
    rgb = slope * np.array([1.0, 0.93, 0.8]) + noise
    half = np.arange(SIZE)[None, :] < SIZE // 2
    rgb[mask & half] = [0.75, 0.15, 0.1]
    rgb[mask & ~half] = [0.1, 0.3, 0.6]
    return np.clip(rgb, 0, 1).astype(np.float32)


def _iou(alpha, mask):
    found = alpha > 0.5
    return (found & mask).sum() / (found | mask).sum()


def test_useful_alpha_is_taken_as_it_is():
    alpha = _disk().astype(np.float32) * 0.9
    result = matte(InputImage(_photo(_disk()), alpha, "a.png"))
    assert result.method == "alpha"
    np.testing.assert_array_equal(result.rgba[..., 3], alpha)
    assert (result.rgba[alpha == 0, :3] == 1).all()


def test_opaque_alpha_falls_through_to_grabcut():
    image = InputImage(_photo(_disk()), np.ones((SIZE, SIZE), np.float32), "a.png")
    assert matte(image).method == "grabcut"


@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.42, 0.6)])
def test_grabcut_finds_an_object_on_a_plain_background(centre):
    mask = _disk(0.25, centre)
    result = matte(InputImage(_photo(mask), None, "a.png"), "grabcut")
    assert _iou(result.rgba[..., 3], mask) > 0.93


def test_grabcut_ignores_a_soft_shadow():
    mask = _disk(0.25)
    photo = _photo(mask)
    shadow = _disk(0.2, (0.72, 0.6)) & ~mask
    photo[shadow] *= 0.75
    result = matte(InputImage(photo, None, "a.png"))
    assert _iou(result.rgba[..., 3], mask) > 0.9


def test_letterbox_bars_are_background():
    mask = _disk(0.25)
    photo = _photo(mask)
    photo[:, :14] = photo[:, -14:] = 0
    result = matte(InputImage(photo, None, "a.png"))
    assert _iou(result.rgba[..., 3], mask) > 0.9
    assert result.rgba[:, :14, 3].max() == 0


def test_grabcut_is_deterministic():
    image = InputImage(_photo(_disk()), None, "a.png")
    np.testing.assert_array_equal(matte(image).rgba, matte(image).rgba)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_uniform_picture_has_no_object(grey):
    image = InputImage(np.full((SIZE, SIZE, 3), grey, np.float32), None, "flat.png")
    with pytest.raises(InputError, match=r"flat.png: .*RGBA image") as caught:
        matte(image, "grabcut")
    assert "\n" not in str(caught.value)


def test_transparent_picture_has_an_empty_mask():
    zeros = np.zeros((SIZE, SIZE), np.float32)
    with pytest.raises(InputError, match="empty mask"):
        matte(InputImage(_photo(_disk()), zeros, "a.png"))


def test_alpha_method_refuses_an_opaque_picture():
    with pytest.raises(InputError, match="no transparent background"):
        matte(InputImage(_photo(_disk()), None, "a.png"), "alpha")


def test_missing_rembg_names_the_remedy(monkeypatch):
    monkeypatch.setattr("realfusion.io.matting._is_rembg_installed", lambda: False)
    with pytest.raises(InputError, match=r"realfusion\[matting\]"):
        matte(InputImage(_photo(_disk()), None, "a.png"), "rembg")


def test_auto_turns_to_rembg_where_grabcut_fails(monkeypatch):
    mask = _disk().astype(np.float32)
    monkeypatch.setattr("realfusion.io.matting._is_rembg_installed", lambda: True)
    monkeypatch.setattr("realfusion.io.matting._rembg", lambda image: mask)
    flat = InputImage(np.full((SIZE, SIZE, 3), 0.5, np.float32), None, "flat.png")
    result = matte(flat)
    assert result.method == "rembg"
    np.testing.assert_array_equal(result.rgba[..., 3], mask)


def test_unknown_method_is_refused():
    with pytest.raises((ValueError, TypeError), match="'magic'"):
        matte(InputImage(_photo(_disk()), None, "a.png"), "magic")
