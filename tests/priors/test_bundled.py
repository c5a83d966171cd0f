"""The prior that is shipped: loads like any other, small, and looks at the image."""

from __future__ import annotations

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.sampling import sample_views
from realfusion.priors.selection import available_priors, resolve_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior

ALL_VIEWS = [
    Camera(azimuth_deg=45.0 * azimuth, elevation_deg=elevation)
    for azimuth in range(8)
    for elevation in (10.0, 40.0, 70.0)
]


@pytest.fixture(scope="module")
def bundled() -> StableDiffusionPrior:
    resolved = resolve_prior("bundled", device="cpu", dtype="float32", offline=True)
    assert resolved.prior is not None
    return resolved.prior


def disc(colour: tuple[float, float, float]) -> torch.Tensor:
    """A shaded ball of one colour, RGBA, 64 px."""
    grid = (torch.arange(64) + 0.5) / 32.0 - 1.0
    rows, columns = torch.meshgrid(grid, grid, indexing="ij")
    squared = (rows**2 + columns**2) / 0.5
    shade = 0.4 + 0.6 * (1.0 - squared).clamp(min=0.0).sqrt()
    image = torch.ones(64, 64, 4)
    image[..., :3] = torch.tensor(colour) * shade[..., None]
    image[..., 3] = (squared < 1.0).float()
    return image


def test_bundled_prior_is_small_and_complete() -> None:
    sizes = {entry.name: entry.megabytes for entry in available_priors()}
    assert 5.0 < sizes["bundled"] <= 25.0


def test_every_view_has_its_own_class_and_words_that_fit(
    bundled: StableDiffusionPrior,
) -> None:
    bundled.set_token(bundled.encode_image_token(disc((0.9, 0.2, 0.1))))
    conditioning = bundled.condition(
        Prompt(subject=bundled.metadata.subject), ALL_VIEWS
    )
    assert sorted(conditioning.class_labels.tolist()) == list(range(24))
    assert conditioning.negative_class_labels.tolist() == [24] * 24
    states = conditioning.context.flatten(1)
    distances = torch.cdist(states, states) + 1e9 * torch.eye(24)
    assert float(distances.min()) > 1e-2


def test_blends_and_negative_views_fit_into_its_prompts(
    bundled: StableDiffusionPrior,
) -> None:
    """Sixteen vectors of the token, or one word in their place."""
    bundled.set_token(bundled.encode_image_token(disc((0.9, 0.2, 0.1))))
    prompt = Prompt(
        subject=bundled.metadata.subject,
        negative="blurry",
        negative_view_words=True,
        interpolate_views=True,
        token_blending=0.5,
    )
    cameras = [Camera(azimuth_deg=azimuth) for azimuth in (0.0, 67.5, 180.0)]
    conditioning = bundled.condition(prompt, cameras)
    encode = bundled.text.encode
    token, word = encode(
        ["an image of a <e>, back view", "an image of a object, back view"]
    )
    torch.testing.assert_close(conditioning.context[2], 0.5 * (token + word))
    assert bool(conditioning.context.isfinite().all())


def test_token_of_the_image_encoder_has_the_stated_size(
    bundled: StableDiffusionPrior,
) -> None:
    token = bundled.encode_image_token(disc((0.1, 0.3, 0.9)))
    assert token.num_vectors == bundled.metadata.num_identity_vectors == 16
    assert token.width == bundled.text.width


def test_autoencoder_keeps_a_picture(bundled: StableDiffusionPrior) -> None:
    image = disc((0.9, 0.5, 0.1))
    picture = image[..., :3] * image[..., 3:] + 1.0 - image[..., 3:]
    pictures = picture.permute(2, 0, 1)[None]
    error = (bundled.decode(bundled.encode(pictures)) - pictures).square().mean()
    assert float(-10.0 * error.log10()) > 24.0


def test_samples_take_their_colour_from_the_image(
    bundled: StableDiffusionPrior,
) -> None:
    """Red image, red object; blue image, blue object: identity, not a category."""
    redness = []
    for colour in ((0.9, 0.15, 0.1), (0.1, 0.2, 0.9)):
        bundled.set_token(bundled.encode_image_token(disc(colour)))
        images = sample_views(
            bundled,
            Prompt(subject=bundled.metadata.subject),
            [Camera(), Camera(azimuth_deg=180.0)],
            generator=torch.Generator().manual_seed(0),
            num_steps=12,
            guidance_scale=3.0,
        )
        redness.append(float((images[:, 0] - images[:, 2]).mean()))
    assert redness[0] > 0.05
    assert redness[1] < -0.05
