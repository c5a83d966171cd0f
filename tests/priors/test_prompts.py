from __future__ import annotations

import pytest

from realfusion.cameras.camera import Camera
from realfusion.priors.prompts import Prompt, ViewVocabulary, view_text


def positive(azimuth_deg: float, elevation_deg: float = 15.0, **options: float) -> str:
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    return view_text(Prompt(subject="a duck", **options), camera).positive


@pytest.mark.parametrize(
    ("azimuth_deg", "word"),
    [
        (-44.0, "front"),
        (0.0, "front"),
        (44.0, "front"),
        (46.0, "side"),
        (90.0, "side"),
        (-90.0, "side"),
        (134.0, "side"),
        (136.0, "back"),
        (180.0, "back"),
        (-136.0, "back"),
        (359.0, "front"),
    ],
)
def test_classic_words_are_centred_on_the_photo(azimuth_deg: float, word: str) -> None:
    assert positive(azimuth_deg) == f"a duck, {word} view"


def test_every_camera_gets_the_words_of_its_own_view() -> None:
    words = [positive(azimuth) for azimuth in (0.0, 90.0, 180.0, 270.0)]
    assert words == [f"a duck, {w} view" for w in ("front", "side", "back", "side")]


def test_views_are_named_relative_to_the_photo() -> None:
    assert positive(90.0, reference_azimuth_deg=90.0) == "a duck, front view"
    assert positive(0.0, reference_azimuth_deg=180.0) == "a duck, back view"


def test_a_camera_far_above_sees_the_top() -> None:
    assert positive(0.0, 75.0) == "a duck, overhead view"
    assert positive(180.0, 40.0) == "a duck, back view"


def test_front_width_sets_the_sector() -> None:
    assert positive(40.0, front_width_deg=60.0) == "a duck, side view"


def test_negative_prompt_names_the_other_views() -> None:
    camera = Camera(azimuth_deg=180.0)
    text = view_text(Prompt(subject="a duck", negative="blurry"), camera)
    assert text.negative == "blurry, front view, side view, overhead view"
    plain = view_text(Prompt(subject="a duck", negative_view_words=False), camera)
    assert plain.negative == ""


def test_without_view_words_the_prompt_is_the_subject(
    relative_views: ViewVocabulary,
) -> None:
    text = view_text(
        Prompt(subject="a duck", negative="blurry", view_words=False),
        Camera(azimuth_deg=180.0),
        relative_views,
    )
    assert (text.positive, text.negative, text.view_class) == ("a duck", "blurry", None)


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "words", "view_class"),
    [
        (0.0, 15.0, "front view", 0),
        (90.0, 15.0, "right side view", 6),
        (-90.0, 30.0, "left side view, high", 19),
        (180.0, 70.0, "back view, overhead", 14),
        (23.0, 0.0, "front right view", 3),
    ],
)
def test_relative_vocabulary_names_azimuth_and_elevation(
    relative_views: ViewVocabulary,
    azimuth_deg: float,
    elevation_deg: float,
    words: str,
    view_class: int,
) -> None:
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    text = view_text(Prompt(subject="<e>"), camera, relative_views)
    assert text.positive == f"<e>, {words}"
    assert text.view_class == view_class
    assert text.negative == ""


def test_vocabulary_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="`azimuth_words` must hold 8 phrases, got 4"):
        ViewVocabulary(azimuth_words=("a",) * 4, elevation_suffixes=("", "", ""))


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "negative", "negative_class"),
    [
        (0.0, 15.0, "<e>, back view", 12),
        (90.0, 15.0, "<e>, front view", 0),
        (180.0, 40.0, "<e>, front view", 0),
        (0.0, 70.0, "<e>, front view", 0),
    ],
)
def test_perpendicular_negatives_name_the_view_to_keep_away_from(
    relative_views: ViewVocabulary,
    azimuth_deg: float,
    elevation_deg: float,
    negative: str,
    negative_class: int,
) -> None:
    prompt = Prompt(subject="<e>", negative="blurry", negative_guidance="perpendicular")
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    for vocabulary in (None, relative_views):
        text = view_text(prompt, camera, vocabulary)
        assert text.negative == negative
        assert text.negative_view_class == negative_class
        assert text.unconditional == "blurry"
