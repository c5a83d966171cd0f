"""The estimate of a network as a body in the world."""

import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.estimated_body import EstimatedBody
from realfusion.priors.shape_estimator import (
    ShapeEstimate,
    ShapeEstimator,
    ShapeEstimatorConfig,
)


class Slab(ShapeEstimator):
    """Takes everything for a slab from -0.2 to 0.32 along the axis, blue behind.

    An object that fills less of the frame is thinner by as much.
    """

    def __init__(self):
        super().__init__(ShapeEstimatorConfig(widths=(8, 8, 8)))

    def depths(self, images):
        """The middles of the slices, as the object's first picture would have them."""
        area = images[:, 3].mean(dim=(1, 2))
        size = (area / area.max()).sqrt()
        depths = (torch.arange(64) + 0.5) * 0.02 - 0.64
        return (depths / size[:, None])[..., None, None].expand(-1, -1, 64, 64)

    def forward(self, images, elevation_deg):
        depths = self.depths(images)
        inside = (depths > -0.2) & (depths < 0.32)
        blue = torch.tensor([0.0, 0.0, 1.0])[None, :, None, None]
        colours = blue.expand(len(images), 3, 64, 64)
        return ShapeEstimate(torch.where(inside, 8.0, -8.0), colours)


def red_square_photo():
    """Red, but only in the right half."""
    image = torch.zeros(4, 64, 64)
    image[[0, 3], :, 32:] = 1.0
    return image


def test_the_body_lies_along_the_cameras_axis():
    camera = Camera(azimuth_deg=90, elevation_deg=0)  # looks along -x; right is -z
    body = EstimatedBody(red_square_photo(), camera, Slab())
    depths = torch.tensor([-0.3, -0.1, 0.2, 0.4])
    right = torch.tensor([[0.0, 0.0, -0.2]]).expand(4, 3).clone()
    right[:, 0] = -depths
    surety, _ = body.at(right)
    assert (surety > 0).tolist() == [False, True, True, False]
    left = right * torch.tensor([1.0, 1.0, -1.0])
    assert (body.at(left)[0] < 0).all(), "outside the photo's outline"


def test_colours_go_from_the_photos_to_the_estimated():
    body = EstimatedBody(
        red_square_photo(), Camera(azimuth_deg=0, elevation_deg=0), Slab()
    )
    points = torch.tensor([[0.2, 0.0, 0.2], [0.2, 0.0, -0.06], [0.2, 0.0, -0.32]])
    _, colours = body.at(points)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(colours, expected, atol=0.03, rtol=0)


def test_a_wider_lens_shows_the_same_columns_larger():
    camera = Camera(azimuth_deg=0, elevation_deg=0, radius=3.6, fov_y_deg=40.0)
    body = EstimatedBody(red_square_photo(), camera, Slab())
    points = torch.tensor([[0.4, 0.0, 0.3], [0.4, 0.0, 0.5], [0.4, 0.0, -0.6]])
    assert (body.at(points)[0] > 0).tolist() == [True, False, True]


class Uncertain(Slab):
    """Knows only that something is there, a little likelier at depth 0.05 or so."""

    def forward(self, images, elevation_deg):
        logits = -4.0 - (self.depths(images) - 0.05).abs()
        return ShapeEstimate(
            logits, super().forward(images, elevation_deg).back_colours
        )


def test_what_nobody_knows_the_depth_of_is_thin_and_solid():
    camera = Camera(azimuth_deg=0, elevation_deg=0)
    body = EstimatedBody(red_square_photo(), camera, Uncertain())
    points = torch.tensor([[0.2, 0.0, -0.05], [0.2, 0.0, 0.05], [0.2, 0.0, -0.15]])
    surety, _ = body.at(points)
    assert surety[0] > 0.9
    assert (surety[1:] < 0).all()


class Doubtful(Slab):
    """Takes nothing for likelier than not, but some depths nearly so."""

    def forward(self, images, elevation_deg):
        estimate = super().forward(images, elevation_deg)
        return ShapeEstimate(0.25 * estimate.logits - 3.0, estimate.back_colours)


def test_every_visible_pixel_is_filled_somewhere():
    camera = Camera(azimuth_deg=0, elevation_deg=0)
    body = EstimatedBody(red_square_photo(), camera, Doubtful())
    points = torch.tensor([[0.2, 0.0, 0.0], [0.2, 0.0, -0.3], [0.2, 0.0, 0.3]])
    assert (body.at(points)[0] > 0).tolist() == [True, True, False]


class Painter(Slab):
    """Takes the object's own colours for those of its back; notes what it is shown."""

    def forward(self, images, elevation_deg):
        self.shown = images
        return ShapeEstimate(
            super().forward(images, elevation_deg).logits, images[:, :3]
        )


def test_what_it_sees_of_several_sizes_and_their_mirrors_lies_where_the_photo_has_it():
    photo = torch.zeros(4, 64, 64)
    photo[3, 8:56, 8:56] = 1.0
    photo[0, 8:56, 8:32] = 1.0  # red on the left, green below on the right
    photo[1, 32:56, 32:56] = 1.0
    painter = Painter()
    body = EstimatedBody(photo, Camera(azimuth_deg=0, elevation_deg=0), painter)
    areas = painter.shown[:, 3].mean(dim=(1, 2))
    assert len(areas.unique()) == 3
    assert torch.equal(areas[:3], areas[3:])
    assert (painter.shown[0] == painter.shown[3].flip(-1)).all()
    back = torch.tensor([[-0.2, 0.2, -0.3], [0.2, -0.2, -0.3], [0.2, 0.2, -0.3]])
    _, colours = body.at(back)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(colours, expected, atol=0.03, rtol=0)
