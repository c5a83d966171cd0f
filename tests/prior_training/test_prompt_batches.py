"""Pairs of reference and target views with their prompts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from realfusion.prior_training.config import SMOKE
from realfusion.prior_training.dataset import ViewDataset, generate_dataset
from realfusion.prior_training.prompt_batches import (
    PairBatch,
    PromptTokenizer,
    augment_references,
    random_pairs,
)
from realfusion.prior_training.vocabulary import (
    UNCONDITIONAL_CLASS,
    build_tokenizer,
    view_class,
)
from realfusion.procedural.views import REFERENCE_VIEW


@pytest.fixture(scope="module")
def views() -> ViewDataset:
    return generate_dataset(0, 4, size=32)


@pytest.fixture(scope="module")
def tokenize(tmp_path_factory: pytest.TempPathFactory) -> PromptTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    return PromptTokenizer(build_tokenizer(folder, 24), 4, 24)


def draw(
    views: ViewDataset,
    tokenize: PromptTokenizer,
    *,
    caption_share: float,
    drop: float,
    guide_alone: float = 0.0,
) -> PairBatch:
    config = dataclasses.replace(
        SMOKE.denoiser, caption_share=caption_share, guide_alone_share=guide_alone
    )
    return random_pairs(
        views,
        tokenize,
        config,
        np.random.default_rng(3),
        num_references=16,
        targets_per_reference=3,
        condition_dropout=drop,
    )


def test_image_prompts_hold_the_tokens_in_one_run(
    views: ViewDataset, tokenize: PromptTokenizer
) -> None:
    batch = draw(views, tokenize, caption_share=0.0, drop=0.0)
    assert batch.targets_per_reference == 3
    assert batch.references.shape == (16, 4, 32, 32)
    counts = batch.is_image_token.sum(dim=1)
    assert (counts == 4).all()
    edges = batch.is_image_token.int().diff(dim=1).abs().sum(dim=1)
    assert (edges == 2).all()
    assert batch.has_identity.all()


def test_classes_are_relative_to_the_reference(
    views: ViewDataset, tokenize: PromptTokenizer
) -> None:
    batch = draw(views, tokenize, caption_share=0.0, drop=0.0)
    objects = np.repeat(batch.object_index, 3)
    for index, (label, target) in enumerate(
        zip(batch.class_labels.tolist(), batch.target_view, strict=True)
    ):
        if label == UNCONDITIONAL_CLASS:
            continue
        cameras = views.cameras[objects[index]]
        relative = float(cameras[target, 0] - cameras[REFERENCE_VIEW, 0])
        possible = {
            view_class(relative + jitter, float(cameras[target, 1]))
            for jitter in range(-16, 17, 4)
        }
        assert label in possible


def test_dropped_conditions_are_empty_prompts_of_the_last_class(
    views: ViewDataset, tokenize: PromptTokenizer
) -> None:
    batch = draw(views, tokenize, caption_share=0.5, drop=1.0)
    assert (batch.class_labels == UNCONDITIONAL_CLASS).all()
    assert not batch.has_identity.any()
    assert not batch.has_guide.any()
    assert not batch.is_image_token.any()
    assert (batch.input_ids == tokenize("")[0]).all()


def test_a_guide_may_come_without_a_prompt(
    views: ViewDataset, tokenize: PromptTokenizer
) -> None:
    batch = draw(views, tokenize, caption_share=0.5, drop=0.0, guide_alone=1.0)
    assert batch.has_guide.all()
    assert not batch.has_identity.any()
    assert (batch.class_labels == UNCONDITIONAL_CLASS).all()


@pytest.mark.parametrize(("caption_share", "guided"), [(0.0, 0.9), (1.0, 0.5)])
def test_tokens_usually_come_with_a_guide_and_words_half_the_time(
    views: ViewDataset, tokenize: PromptTokenizer, caption_share: float, guided: float
) -> None:
    batch = draw(views, tokenize, caption_share=caption_share, drop=0.0)
    assert batch.has_guide.float().mean().item() == pytest.approx(guided, abs=0.15)


def test_captions_use_no_image_tokens(
    views: ViewDataset, tokenize: PromptTokenizer
) -> None:
    batch = draw(views, tokenize, caption_share=1.0, drop=0.0)
    assert not batch.is_image_token.any()
    assert batch.has_identity.all()


def test_augmented_references_stay_premultiplied() -> None:
    images = generate_dataset(9, 3, size=32).images[:, 0]
    augmented = augment_references(images, np.random.default_rng(0))
    assert augmented.min() >= 0
    assert augmented.max() <= 1
    assert (augmented[:, :3] <= augmented[:, 3:]).all()
    original = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    assert not torch.equal(augmented, original)
