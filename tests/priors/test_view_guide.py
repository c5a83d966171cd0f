"""Pictures of a guessed body as a guide of the denoiser."""

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors.components import check_components
from realfusion.priors.config import Prompt
from realfusion.priors.random_weights import TINY, random_prior
from realfusion.priors.view_guide import (
    BodyPictures,
    ViewGuide,
    guide_latents,
    guided_input,
)

CPU = torch.device("cpu")


class Ball:
    """Of radius 0.3 around (0, 0.2, 0): red where z > 0, blue behind.

    Like a body that was seen by a camera, it has no colour where that camera stands.
    """

    def at(self, points):
        assert (points.norm(dim=-1) < 1.5).all()
        distance = (points - torch.tensor([0.0, 0.2, 0.0])).norm(dim=-1)
        surety = ((0.3 - distance) / 0.05).clamp(-1.0, 1.0)
        is_front = (points[:, 2] > 0).float()[:, None]
        red, blue = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
        return surety, is_front * red + (1.0 - is_front) * blue


@pytest.mark.parametrize(
    ("azimuth_deg", "colour"), [(0.0, [1.0, 0.0, 0.0]), (180.0, [0.0, 0.0, 1.0])]
)
def test_a_body_looks_like_itself_from_every_side(azimuth_deg, colour):
    pictures = BodyPictures(Ball(), CPU)
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=0.0)
    picture = pictures.seen_from(camera, 48)
    assert picture.shape == (4, 48, 48)
    # Where the camera sees (0, 0.2, 0), and the ball's area: pi r^2 of the frame's.
    frame = 2.0 * camera.radius * 0.36397
    row = int(48 * (0.5 - 0.2 / frame))
    torch.testing.assert_close(
        picture[:, row, 24], torch.tensor([*colour, 1.0]), atol=0.02, rtol=0
    )
    share = torch.pi * 0.3**2 / frame**2
    assert picture[3].mean().item() == pytest.approx(share, rel=0.12)
    assert picture[:, -4:].abs().max() == 0


def test_a_camera_within_reach_of_the_body_gives_finite_pictures():
    near = Camera(radius=0.5, fov_y_deg=90.0)
    assert BodyPictures(Ball(), CPU).seen_from(near, 16).isfinite().all()


def test_a_guide_is_opacity_and_the_latents_of_the_body_on_white():
    pictures = torch.zeros(2, 4, 32, 32)
    pictures[1, 0], pictures[1, 3] = 0.25, 0.5

    def encode(images):
        return torch.nn.functional.avg_pool2d(images, 8)

    guides = guide_latents(pictures, encode, 32)
    assert guides.shape == (2, 4, 4, 4)
    torch.testing.assert_close(guides[0, :, 0, 0], torch.tensor([0.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(guides[1, :, 0, 0], torch.tensor([0.5, 0.75, 0.5, 0.5]))
    seen = ViewGuide(BodyPictures(Ball(), CPU), encode, 32)([Camera(), Camera()])
    assert seen.shape == (2, 4, 4, 4)


def test_the_guide_lies_behind_the_latents_and_its_absence_is_zero():
    noisy, guide = torch.ones(2, 4, 3, 3), torch.full((2, 5, 3, 3), 2.0)
    assert guided_input(noisy, None, 4) is noisy
    assert guided_input(noisy, guide, 9).mean(dim=(0, 2, 3)).tolist() == (
        [1.0] * 4 + [2.0] * 5
    )
    assert guided_input(noisy, None, 9)[:, 4:].abs().max() == 0


def guided_prior():
    return random_prior(dataclasses.replace(TINY, is_guided=True), dtype="float32")


def judged(prior):
    generator = torch.Generator().manual_seed(0)
    return prior.noise_residual(
        torch.zeros(2, 4, prior.unet.config.sample_size, prior.unet.config.sample_size),
        prior.condition(Prompt(subject="a duck"), [Camera(), Camera(azimuth_deg=90.0)]),
        timesteps=torch.tensor([500, 500]),
        guidance_scale=3.0,
        generator=generator,
    ).residual


def test_a_photo_guides_a_guided_prior_alone(prior, photo):
    guided = guided_prior()
    without = judged(guided)
    guided.set_photo(photo, Camera())
    conditioning = guided.condition(Prompt(subject="a duck"), [Camera()])
    latent = guided.unet.config.sample_size
    assert conditioning.guide.shape == (1, 5, latent, latent)
    assert not torch.allclose(judged(guided), without)
    guided.set_photo(None, Camera())
    torch.testing.assert_close(judged(guided), without)
    prior.set_photo(photo, Camera())
    assert prior.condition(Prompt(subject="a duck"), [Camera()]).guide is None


def test_more_channels_without_an_estimator_are_refused():
    from realfusion.priors.random_weights import random_components

    components = random_components(dataclasses.replace(TINY, is_guided=True))
    check_components(components)
    with pytest.raises(InputError, match="inpainting, depth and upscaling"):
        check_components(dataclasses.replace(components, shape_estimator=None))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_guide_is_the_same_on_a_gpu(photo):
    shape = dataclasses.replace(TINY, is_guided=True)
    guides = []
    for device in ("cpu", "cuda"):
        guided = random_prior(shape, device=device, dtype="float32")
        guided.set_photo(photo, Camera())
        prompt, cameras = Prompt(subject="a duck"), [Camera(azimuth_deg=130.0)]
        guides.append(guided.condition(prompt, cameras).guide.cpu())
    torch.testing.assert_close(*guides, atol=2e-2, rtol=0)
