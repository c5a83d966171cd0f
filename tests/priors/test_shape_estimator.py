"""The network that guesses a body from one image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from realfusion.priors.shape_estimator import (
    ShapeEstimator,
    ShapeEstimatorConfig,
    bundled_shape_estimator,
    load_shape_estimator,
)

SMALL = ShapeEstimatorConfig(
    image_size=16, num_planes=8, widths=(8, 8, 16), num_attentions=2
)


def ball_image(size: int = 64, radius: float = 0.6) -> torch.Tensor:
    """A shaded grey ball, premultiplied, [1, 4, size, size]."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    height = (radius**2 - rows**2 - columns**2).clamp(min=0).sqrt() / radius
    alpha = (height > 0).float()
    grey = (0.35 + 0.5 * height - 0.15 * rows).clamp(0, 1) * alpha
    return torch.stack([grey, grey, grey, alpha])[None]


def test_weights_survive_a_round_trip(tmp_path: Path) -> None:
    model = ShapeEstimator(SMALL).eval()
    model.save_pretrained(tmp_path)
    loaded = load_shape_estimator(tmp_path)
    assert loaded.config == SMALL
    image, elevation = torch.rand(2, 4, 16, 16), torch.tensor([10.0, 30.0])
    with torch.no_grad():
        expected, found = model(image, elevation), loaded(image, elevation)
    torch.testing.assert_close(found.logits, expected.logits, atol=0.02, rtol=0.02)
    assert found.logits.shape == (2, 8, 16, 16)
    assert found.back_colours.shape == (2, 3, 16, 16)


def test_the_elevation_is_seen() -> None:
    model = ShapeEstimator(SMALL).eval()
    image = torch.rand(1, 4, 16, 16)
    with torch.no_grad():
        low, high = (model(image, torch.tensor([e])).logits for e in (0.0, 60.0))
    assert not torch.allclose(low, high)


def test_missing_files_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_shape_estimator(tmp_path)


def test_the_shipped_one_takes_a_ball_for_something_as_deep_as_wide() -> None:
    model = bundled_shape_estimator()
    estimate = model(ball_image(), torch.tensor([15.0]))
    inside = (estimate.logits[0] > 0).float()
    depth = inside[:, 28:36, 28:36].sum(0).mean() * 2 * 0.64 / 64
    width = 2 * 0.6 * 1.8 * torch.tan(torch.deg2rad(torch.tensor(20.0)))
    assert 0.6 < depth / width < 1.3
    edge = inside[:, 31, 14:16].sum(0).mean() * 2 * 0.64 / 64
    assert edge < 0.75 * depth, "round"
