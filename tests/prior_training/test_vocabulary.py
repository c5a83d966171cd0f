"""Tokenizer, view words and captions of the embedded prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from realfusion.cameras.camera import Camera
from realfusion.cameras.view_direction import relative_view_bin
from realfusion.prior_training.vocabulary import (
    AZIMUTH_WORDS,
    ELEVATION_SUFFIXES,
    NUM_CLASSES,
    UNCONDITIONAL_CLASS,
    build_tokenizer,
    random_caption,
    view_class,
    view_words,
)
from realfusion.procedural.families.catalogue import FAMILIES


def test_known_words_are_whole_tokens_and_unknown_ones_still_encode(
    tmp_path: Path,
) -> None:
    tokenizer = build_tokenizer(tmp_path, 40)
    for words in (*AZIMUTH_WORDS, *(family.name for family in FAMILIES)):
        ids = tokenizer(words, add_special_tokens=False).input_ids
        assert len(ids) == len(words.split())
    for text in ("zebra", "naïve café", "日本"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids).strip() == text
    assert tokenizer("a").input_ids[0] == tokenizer.bos_token_id
    assert tokenizer.model_max_length == 40


def test_the_vocabulary_is_the_same_each_time(tmp_path: Path) -> None:
    first = build_tokenizer(tmp_path / "a", 40).get_vocab()
    assert first == build_tokenizer(tmp_path / "b", 40).get_vocab()


@pytest.mark.parametrize("azimuth_deg", [-179.0, -100.0, -23.0, 0.0, 22.0, 68.0, 180.0])
@pytest.mark.parametrize("elevation_deg", [-10.0, 27.9, 28.0, 57.0, 58.0, 88.0])
def test_view_classes_are_those_of_the_product(
    azimuth_deg: float, elevation_deg: float
) -> None:
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    azimuth_bin, elevation_bin = relative_view_bin(camera, Camera())
    label = view_class(azimuth_deg, elevation_deg)
    assert label == azimuth_bin * 3 + elevation_bin
    expected = AZIMUTH_WORDS[azimuth_bin] + ELEVATION_SUFFIXES[elevation_bin]
    assert view_words(label) == expected


def test_classes_leave_one_for_no_view() -> None:
    assert UNCONDITIONAL_CLASS == 24
    assert NUM_CLASSES == 25
    assert view_words(UNCONDITIONAL_CLASS) == ""


def test_captions_name_the_object() -> None:
    rng = np.random.default_rng(0)
    captions = {random_caption(rng, "apple", "red", "green") for _ in range(100)}
    assert len(captions) > 5
    assert all("apple" in caption for caption in captions)
    assert "an apple" in captions
