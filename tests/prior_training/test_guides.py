"""Pictures of guessed bodies beside the training views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from realfusion.prior_training.dataset import ViewDataset, load_shards, write_shards
from realfusion.prior_training.guides import (
    body_pictures,
    guide_views,
    load_guides,
    write_guides,
)
from realfusion.prior_training.initialisation import initial_autoencoder
from realfusion.priors.model_files import BUNDLED_FOLDER
from realfusion.priors.shape_estimator import bundled_shape_estimator


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder: Path = tmp_path_factory.mktemp("shards")
    return list(write_shards(folder, range(2), objects_per_shard=2))


@pytest.fixture(scope="module")
def views(shards: list[Path]) -> ViewDataset:
    return load_shards(shards)


def test_bodies_are_seen_from_the_cameras_of_the_views(views: ViewDataset) -> None:
    """Guessed, but where the objects are: most of each silhouette is met."""
    overlaps = []
    for index in range(views.num_objects):
        pictures = body_pictures(views, index, bundled_shape_estimator())
        assert pictures.isfinite().all()
        truth = torch.from_numpy(views.images[index, ..., 3]).float()[:, None] / 255
        truth = torch.nn.functional.interpolate(truth, pictures.shape[-2:], mode="area")
        guess, true = pictures[:, 3] > 0.5, truth[:, 0] > 0.5
        union = (guess | true).sum(dim=(1, 2))
        overlaps.append((guess & true).sum(dim=(1, 2)) / union)
    matched = torch.stack(overlaps)
    assert (matched[:, 0] > 0.75).all(), "the reference view is known"
    assert matched[:, 1:].mean() > 0.5


def test_guides_are_written_once_and_the_same_again(shards: list[Path]) -> None:
    autoencoder = initial_autoencoder(BUNDLED_FOLDER)
    estimator = bundled_shape_estimator()
    for shard in shards:
        write_guides(autoencoder, estimator, shard, mixed_precision=False)
    stamp = (shards[0] / "guides.npy").stat().st_mtime_ns
    write_guides(autoencoder, estimator, shards[0], mixed_precision=False)
    assert (shards[0] / "guides.npy").stat().st_mtime_ns == stamp
    guides = load_guides(shards)
    assert guides.shape == (4, 6, 5, 16, 16)
    assert guides.dtype == np.float16
    again = guide_views(
        autoencoder,
        estimator,
        load_shards(shards[1:]),
        mixed_precision=False,
    )
    np.testing.assert_array_equal(guides[2:], again)
    assert 0 <= guides[:, :, 0].min() < guides[:, :, 0].max() <= 1.001
