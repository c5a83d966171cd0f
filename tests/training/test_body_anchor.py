"""Views are held to the body that a run began with."""

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.view_guide import BodyPictures
from realfusion.training.body_anchor import BodyAnchor

PHOTO = Camera(azimuth_deg=20.0, elevation_deg=10.0)
CPU = torch.device("cpu")


class Ball:
    """A green ball beside the origin."""

    def at(self, points):
        distance = (points - torch.tensor([0.2, 0.1, 0.0])).norm(dim=-1)
        surety = ((0.25 - distance) / 0.05).clamp(-1.0, 1.0)
        return surety, torch.tensor([0.0, 1.0, 0.0]).expand_as(points)


def loss_of(azimuth_deg, shown=None):
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=-10.0)
    if shown is None:
        shown = BodyPictures(Ball(), CPU).seen_from(camera, 64)
    return BodyAnchor(Ball(), PHOTO, CPU).loss(camera.rays(32, 32), shown)


def test_the_body_itself_costs_nothing_from_any_side():
    for azimuth_deg in (0.0, 90.0, 200.0):
        assert loss_of(azimuth_deg) < 1e-3


def test_what_is_not_the_body_costs_the_more_the_farther_from_the_photo():
    nothing = torch.zeros(4, 64, 64)
    front, side, back = (loss_of(20.0 + turn, nothing) for turn in (0.0, 90.0, 180.0))
    assert 15.0 * front < side < 0.75 * back
    # At the antipode the whole difference counts.
    picture = BodyPictures(Ball(), CPU).seen_from(
        Camera(azimuth_deg=200.0, elevation_deg=-10.0), 32
    )
    torch.testing.assert_close(back, picture.square().mean())


def test_detail_below_the_anchors_resolution_is_free():
    camera = Camera(azimuth_deg=200.0, elevation_deg=-10.0)
    shown = BodyPictures(Ball(), CPU).seen_from(camera, 64)
    grain = torch.tensor([1.0, -1.0]).repeat(32)
    grained = shown + 0.3 * grain * grain[:, None]
    torch.testing.assert_close(loss_of(200.0, grained), loss_of(200.0, shown))
