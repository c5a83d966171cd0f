"""Training of the network that guesses bodies."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from realfusion.prior_training.config import SMOKE
from realfusion.prior_training.shape_dataset import (
    ShapeBatch,
    generate_shape_shard,
    load_shape_shard,
    random_shape_batch,
    shape_batch,
    write_shape_shards,
)
from realfusion.prior_training.shape_estimator import (
    augment,
    shape_iou,
    shape_losses,
    train_shape_estimator,
    trained_shape,
)
from realfusion.priors.shape_estimator import (
    ShapeEstimate,
    ShapeEstimator,
    ShapeEstimatorConfig,
)
from realfusion.procedural.bodies import ObjectBodies

SMALL = ShapeEstimatorConfig(widths=(8, 8, 8))


@pytest.fixture(scope="module")
def bodies() -> ObjectBodies:
    return generate_shape_shard(0, 6)


def test_shards_survive_the_disk_and_are_written_once(tmp_path: Path) -> None:
    paths = list(write_shape_shards(tmp_path, 2, objects_per_shard=2, size=32))
    stamps = [path.stat().st_mtime_ns for path in paths]
    assert list(write_shape_shards(tmp_path, 2, objects_per_shard=2, size=32)) == paths
    assert [path.stat().st_mtime_ns for path in paths] == stamps
    expected = generate_shape_shard(2, 2, size=32)
    found = load_shape_shard(paths[1])
    assert (found.occupancy == expected.occupancy).all()
    assert (found.images == expected.images).all()


def test_bits_become_planes(bodies: ObjectBodies) -> None:
    batch = shape_batch(bodies, slice(0, 2))
    assert batch.occupancy.shape == (2, 64, 64, 64)
    row, column = 32, 30
    word = int(bodies.occupancy[1, row, column])
    expected = [word >> k & 1 for k in range(64)]
    assert batch.occupancy[1, row, column].tolist() == expected


def test_mirroring_keeps_bodies_behind_their_pixels(bodies: ObjectBodies) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = random_shape_batch([bodies], 32, generator)
    alpha, filled = batch.images[:, 3], batch.occupancy.amax(-1) > 0
    assert not (filled & (alpha == 0)).any()
    plain = shape_batch(bodies, slice(None)).images
    as_they_are = sum(
        (plain == image).flatten(1).all(1).any() for image in batch.images
    )
    assert 4 < as_they_are < 28


def test_losses_are_those_of_the_whole_output(bodies: ObjectBodies) -> None:
    torch.manual_seed(0)
    model = ShapeEstimator(SMALL).eval()
    batch = shape_batch(bodies, slice(0, 4))
    losses = shape_losses(model, batch, mixed_precision=False)
    estimate = model(batch.images, batch.elevation_deg)
    alpha = batch.images[:, 3]
    truth = batch.occupancy.permute(0, 3, 1, 2).float()
    is_open = (alpha > 0.9) & (truth.amax(1) == 0)
    error = torch.nn.functional.binary_cross_entropy_with_logits(
        estimate.logits, truth, reduction="none"
    ).mean(1)
    expected = error[(alpha > 0.02) & ~is_open].mean()
    torch.testing.assert_close(losses.occupancy, expected)
    difference = (estimate.back_colours - batch.back_colours).abs().mean(1)
    torch.testing.assert_close(losses.colour, difference[alpha > 0.9].mean())


def test_augmentation_leaves_the_shape_and_never_widens_the_outline(
    bodies: ObjectBodies,
) -> None:
    batch = shape_batch(bodies, slice(0, 12))
    varied = augment(batch, torch.Generator().manual_seed(0))
    assert not torch.equal(varied.images[:, :3], batch.images[:, :3])
    assert torch.equal(varied.occupancy, batch.occupancy)
    is_cut = (varied.images[:, 3] != batch.images[:, 3]).flatten(1).any(dim=1)
    assert 1 <= is_cut.sum() <= 8
    assert (varied.images[:, 3] <= batch.images[:, 3] + 1e-6).all()
    assert (varied.images[:, :3] <= varied.images[:, 3:]).all()
    assert (varied.images >= 0).all()
    unseen = (batch.back_colours == 0).all(dim=1, keepdim=True)
    assert (varied.back_colours * unseen == 0).all()


def test_exposure_is_the_same_on_both_sides() -> None:
    """A plain object stays plain all round, up to light, blur and noise of one side."""
    bodies = generate_shape_shard(0, 1)
    plain = np.full_like(bodies.images, 255)
    plain[..., :3] = (180, 90, 40)
    bodies = dataclasses.replace(
        bodies, images=plain, back_colours=plain[..., :3].copy()
    )
    batch = shape_batch(bodies, slice(0, 2))
    for seed in range(8):
        varied = augment(batch, torch.Generator().manual_seed(seed))
        front = varied.images[:, :3, 24:40, 24:40].mean(dim=(2, 3))
        back = varied.back_colours[:, :, 24:40, 24:40].mean(dim=(2, 3))
        torch.testing.assert_close(front, back, atol=0.05, rtol=0.1)


def test_training_learns_and_continues(bodies: ObjectBodies, tmp_path: Path) -> None:
    settings = dataclasses.replace(SMOKE.shape_estimator, steps=25, learning_rate=1e-2)
    config = dataclasses.replace(SMOKE, device="cpu", shape_estimator=settings)
    losses: list[float] = []

    def remember(stage: str, step: int, total: int, means: dict[str, float]) -> None:
        losses.append(means["occupancy"])

    train_shape_estimator([bodies], config, tmp_path, remember)
    assert losses[-1] < losses[0]
    seen = len(losses)
    train_shape_estimator([bodies], config, tmp_path, remember)
    assert len(losses) == seen, "nothing is left to do"


def test_training_starts_from_given_weights(
    bodies: ObjectBodies, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SMOKE.shape_estimator, steps=0)
    config = dataclasses.replace(SMOKE, device="cpu", shape_estimator=settings)
    initial = ShapeEstimator(trained_shape(config))
    trained = train_shape_estimator(
        [bodies], config, tmp_path, lambda *_: None, initial=initial
    )
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, initial.state_dict()[name])


def test_iou_is_one_for_the_truth_and_zero_for_its_opposite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    truth = shape_batch(
        generate_shape_shard(0, 2, split="held_out_instances"), slice(4)
    )
    columns = (truth.occupancy.permute(0, 3, 1, 2).float() - 0.5) * 10

    def answer(sign: float) -> float:
        model = ShapeEstimator(SMALL)
        monkeypatch.setattr(
            model,
            "forward",
            lambda images, _: ShapeEstimate(sign * columns, images[:, :3]),
        )
        return shape_iou(model, split="held_out_instances", num_objects=2)

    assert answer(1.0) == 1.0
    assert answer(-1.0) == 0.0


def test_batches_move_as_a_whole(bodies: ObjectBodies) -> None:
    moved = shape_batch(bodies, slice(0, 1)).to(torch.device("meta"))
    assert isinstance(moved, ShapeBatch)
    assert {t.device.type for t in vars(moved).values()} == {"meta"}
