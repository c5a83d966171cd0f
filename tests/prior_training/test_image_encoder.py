"""The image encoder that ships with the prior."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from realfusion.priors.image_encoder import (
    ImageTokenEncoder,
    ImageTokenEncoderConfig,
    load_image_encoder,
)

CONFIG = ImageTokenEncoderConfig(num_tokens=4, token_width=8, width=16, num_layers=1)


@pytest.fixture
def encoder() -> ImageTokenEncoder:
    torch.manual_seed(0)
    return ImageTokenEncoder(CONFIG).eval()


def test_colour_where_alpha_is_zero_does_not_matter(
    encoder: ImageTokenEncoder,
) -> None:
    image = torch.rand(1, 4, 64, 64)
    image[:, 3] = (image[:, 3] > 0.5).float()
    other = image.clone()
    other[:, :3] = torch.where(image[:, 3:] > 0, image[:, :3], torch.rand(1, 3, 64, 64))
    tokens = encoder(image)
    assert tokens.shape == (1, 4, 8)
    torch.testing.assert_close(tokens, encoder(other))


def test_each_vector_has_its_own_cell_of_the_image(encoder: ImageTokenEncoder) -> None:
    features = torch.zeros(1, 16, 8, 8)
    features[:, :, 5, 2] = 1.0  # lower left quarter
    cells = encoder._cells(features)
    assert cells.shape == (1, 4, 16 * 16)
    assert cells.sum(dim=2)[0].tolist() == [0, 0, 16, 0]


def test_vectors_that_form_no_square_are_refused() -> None:
    with pytest.raises(ValueError, match="`num_tokens` must be a square"):
        ImageTokenEncoder(ImageTokenEncoderConfig(num_tokens=3))


def test_larger_images_are_reduced_to_the_same_tokens(
    encoder: ImageTokenEncoder,
) -> None:
    tiny = torch.rand(1, 4, 4, 4)
    tiny[:, 3] = 1.0
    small = tiny.repeat_interleave(16, 2).repeat_interleave(16, 3)
    large = small.repeat_interleave(3, 2).repeat_interleave(3, 3)
    near = (encoder(small) - encoder(large)).abs().mean()
    apart = (encoder(small) - encoder(small.flip(2))).abs().mean()
    assert near < 0.35 * apart


def test_a_saved_encoder_loads_and_answers_the_same(
    encoder: ImageTokenEncoder, tmp_path: Path
) -> None:
    encoder.save_pretrained(tmp_path)
    loaded = load_image_encoder(tmp_path)
    image = torch.rand(2, 4, 64, 64)
    torch.testing.assert_close(loaded(image), encoder(image), atol=2e-2, rtol=2e-2)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_a_missing_encoder_raises_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"config\.json"):
        load_image_encoder(tmp_path)
