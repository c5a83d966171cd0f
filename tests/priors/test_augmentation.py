from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.priors.augmentation import augment
from realfusion.priors.config import AugmentationConfig

STILL = AugmentationConfig(
    rotation_deg=0.0,
    scale_range=(1.0, 1.0),
    translation=0.0,
    jitter=0.0,
    blur_probability=0.0,
    white_background_probability=1.0,
)


def varied(**options: object) -> AugmentationConfig:
    return dataclasses.replace(STILL, **options)


def test_without_variation_the_photo_stands_on_white(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    result = augment(photo, 2, 48, STILL, generator)
    alpha = photo[..., 3:]
    expected = (photo[..., :3] * alpha + 1.0 - alpha).permute(2, 0, 1)
    torch.testing.assert_close(result.images[0], expected, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(result.masks[1, 0], photo[..., 3], atol=1e-5, rtol=0.0)


def test_results_stay_in_the_unit_range_and_differ(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    config = AugmentationConfig(jitter=0.5, blur_probability=1.0, grey_probability=0.3)
    result = augment(photo, 16, 32, config, generator)
    assert result.images.shape == (16, 3, 32, 32)
    assert float(result.images.min()) >= 0.0
    assert float(result.images.max()) <= 1.0
    assert len({float(image.sum()) for image in result.images}) == 16


def test_hidden_colours_never_show(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    """Defect 4 of the release: what lay under alpha 0 became the background."""
    photo[..., :3][photo[..., 3] == 0.0] = torch.tensor([0.0, 1.0, 0.0])
    images = augment(photo, 8, 32, varied(rotation_deg=10.0), generator).images
    greenness = images[:, 1] - torch.maximum(images[:, 0], images[:, 2])
    assert float(greenness.max()) < 0.01


@pytest.mark.parametrize(("scale", "share"), [(0.7, 0.49), (1.3, 1.69)])
def test_scale_changes_the_area(
    photo: torch.Tensor, generator: torch.Generator, scale: float, share: float
) -> None:
    plain = augment(photo, 1, 64, STILL, generator).masks.mean()
    scaled = augment(photo, 1, 64, varied(scale_range=(scale, scale)), generator)
    assert float(scaled.masks.mean() / plain) == pytest.approx(share, rel=0.05)


def test_rotation_stays_within_its_range(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    """The bar through the disc tilts by at most the given angle."""
    masks = augment(photo, 64, 64, varied(rotation_deg=10.0), generator)
    dark = masks.images.sum(dim=1) < 0.9
    angles = []
    for image in dark:
        rows, columns = image.nonzero().double().T
        covariance = torch.cov(torch.stack([columns, rows]))
        direction = torch.linalg.eigh(covariance).eigenvectors[:, 1]
        angles.append(float(torch.rad2deg((direction[1] / direction[0]).atan())))
    assert max(map(abs, angles)) < 11.0
    assert max(angles) > 5.0
    assert min(angles) < -5.0


def test_flip_mirrors_left_and_right(generator: torch.Generator) -> None:
    image = torch.zeros(16, 16, 4)
    image[:, :8] = torch.tensor([0.2, 0.2, 0.2, 1.0])
    flipped = augment(image, 1, 16, varied(flip_probability=1.0), generator).masks
    assert float(flipped[..., 9:].min()) > 0.99
    assert float(flipped[..., :7].max()) < 0.01


def test_grey_images_have_equal_channels(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    images = augment(photo, 2, 32, varied(grey_probability=1.0), generator).images
    torch.testing.assert_close(images[:, 0], images[:, 2], atol=1e-5, rtol=0.0)


def test_share_of_white_backgrounds(
    photo: torch.Tensor, generator: torch.Generator
) -> None:
    config = varied(white_background_probability=0.8)
    corners = augment(photo, 400, 16, config, generator).images[:, :, 0, 0]
    share = float((corners.min(dim=1).values > 0.999).double().mean())
    assert share == pytest.approx(0.8, abs=0.06)


def test_same_seed_same_images(photo: torch.Tensor) -> None:
    first, second = (
        augment(photo, 4, 32, AugmentationConfig(), torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(first.images, second.images)


def test_image_without_alpha_is_refused(generator: torch.Generator) -> None:
    with pytest.raises((ValueError, TypeError), match="image"):
        augment(torch.rand(8, 8, 3), 1, 8, STILL, generator)
