"""The photo as the objective sees it: resized, premultiplied, a ray a pixel."""

from __future__ import annotations

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.training.photo import prepare_photo


@pytest.fixture
def rgba():
    """Four by four: opaque red above, nothing (but in green) below."""
    pixels = torch.zeros(4, 4, 4)
    pixels[:2] = torch.tensor([1.0, 0.0, 0.0, 1.0])
    pixels[2:] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    return pixels


def test_colours_of_what_is_transparent_do_not_bleed(rgba):
    rgba[1] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # a row above, three below
    photo = prepare_photo(rgba, size=2, camera=Camera())
    torch.testing.assert_close(photo.alpha, torch.tensor([0.5, 0.5, 0.0, 0.0]))
    expected = torch.tensor([[0.5, 0.0, 0.0]] * 2 + [[0.0, 0.0, 0.0]] * 2)
    torch.testing.assert_close(photo.premultiplied, expected)
    assert photo.image.shape == (4, 2, 2)
    torch.testing.assert_close(photo.image[3].flatten(), photo.alpha)


def test_rays_go_through_the_pixels(rgba):
    camera = Camera(elevation_deg=20.0)
    photo = prepare_photo(rgba, size=2, camera=camera)
    expected = camera.rays(2, 2)
    assert torch.equal(photo.rays.directions, expected.directions)
    assert torch.equal(photo.rays.origins, expected.origins)


def test_selected_pixels_keep_their_colours_and_rays(rgba):
    photo = prepare_photo(rgba, size=4, camera=Camera())
    places = torch.tensor([15, 0, 0, 6])
    some = photo.select(places)
    assert torch.equal(some.alpha, torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert torch.equal(some.rays.directions, photo.rays.directions[places])
    blue = torch.tensor([0.0, 0.0, 1.0])
    red = torch.tensor([1.0, 0.0, 0.0])
    assert torch.equal(some.over(blue), torch.stack([blue, red, red, red]))
    behind = torch.rand(4, 3)
    assert torch.equal(some.over(behind)[0], behind[0])


def test_a_photo_that_is_no_square_is_refused():
    with pytest.raises(ValueError, match=r"rgba must be \[S, S, 4\], got \[4, 5, 4\]"):
        prepare_photo(torch.zeros(4, 5, 4), size=2, camera=Camera())
