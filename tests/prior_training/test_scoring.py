"""Scores of generated views."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from realfusion.prior_training import scoring
from realfusion.prior_training.scoring import (
    as_record,
    held_out_views,
    score_views,
    write_grid,
)


def test_the_truth_scores_perfectly_and_a_copy_scores_as_a_copy() -> None:
    views = held_out_views("held_out_families", 3, size=32)
    perfect = score_views(views.truth, views.truth, guidance_scale=1.0)
    assert perfect.psnr_db > 50
    assert perfect.mask_iou == 1
    assert perfect.identity_top1 == 1
    assert perfect.view_top1 == 1
    copies = views.truth[:, :1].expand_as(views.truth)
    copied = score_views(copies, views.truth, guidance_scale=1.0)
    assert copied.psnr_db == copied.copy_psnr_db == perfect.copy_psnr_db
    assert copied.mask_iou == copied.copy_mask_iou < 1
    assert copied.view_top1 == copied.copy_view_top1 == 1 / 8


def test_other_objects_do_not_score_as_the_own_one() -> None:
    views = held_out_views("held_out_families", 3, size=32)
    shuffled = score_views(views.truth.roll(1, 0), views.truth, guidance_scale=1.0)
    assert shuffled.identity_top1 == 0


def test_objects_are_told_from_those_of_their_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "_IDENTITY_POOL", 2)
    views = held_out_views("held_out_families", 3, size=32)
    truth = views.truth[[0, 1, 0]]  # the last is in a pool of its own
    scores = score_views(truth[[0, 1, 1]], truth, guidance_scale=1.0)
    assert scores.identity_top1 == 1
    shuffled = score_views(truth[[1, 0, 0]], truth, guidance_scale=1.0)
    assert shuffled.identity_top1 == pytest.approx(1 / 3)


def test_views_are_told_apart_only_where_they_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    distinct = torch.rand(8, 3, 16, 16, generator=generator)
    turned = distinct.clone()
    turned[4:] = turned[:4] + 0.05  # within 26 dB of the views opposite
    truth = torch.stack([distinct, turned, turned])
    generated = truth.clone()
    generated[0, :2] = distinct[1:3]
    scores = score_views(generated, truth, guidance_scale=1.0)
    assert scores.num_distinct == 1
    assert scores.view_top1_distinct == 6 / 8
    assert scores.view_top1 == pytest.approx(22 / 24)
    alike = score_views(truth[1:], truth[1:], guidance_scale=1.0)
    assert alike.num_distinct == 0
    assert alike.view_top1_distinct is None


def test_references_are_view_zero_with_straight_alpha() -> None:
    views = held_out_views("held_out_instances", 2, size=32)
    rgb, alpha = views.references[:, :3], views.references[:, 3:]
    torch.testing.assert_close(rgb * alpha + 1 - alpha, views.truth[:, 0])
    assert rgb.max() <= 1


def test_a_grid_shows_reference_samples_and_truth(tmp_path: Path) -> None:
    views = held_out_views("held_out_instances", 2, size=16)
    write_grid(tmp_path / "grid.png", views, views.truth, rows=12)
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (9 * 16, 4 * 16)


def test_records_are_rounded_json_values() -> None:
    views = held_out_views("held_out_families", 2, size=16)
    record = as_record(score_views(views.truth, views.truth, guidance_scale=1.0))
    assert record["num_objects"] == 2
    assert record["view_top1"] == 1.0
