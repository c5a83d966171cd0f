from __future__ import annotations

import pytest

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
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


def mixture(
    prompt: Prompt,
    azimuth_deg: float,
    elevation_deg: float = 15.0,
    vocabulary: ViewVocabulary | None = None,
) -> dict[str, float]:
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    text = view_text(prompt, camera, vocabulary)
    return {part.text: part.share for part in text.mixture}


def test_views_are_not_mixed_unless_asked_for(relative_views: ViewVocabulary) -> None:
    for vocabulary in (None, relative_views):
        assert mixture(Prompt(), 60.0, vocabulary=vocabulary) == {}


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "expected"),
    [
        (0.0, 15.0, {"front": 1.0}),
        (30.0, 15.0, {"front": 2 / 3, "side": 1 / 3}),
        (-30.0, 15.0, {"side": 1 / 3, "front": 2 / 3}),
        (135.0, 40.0, {"side": 0.5, "back": 0.5}),
        (225.0, 40.0, {"back": 0.5, "side": 0.5}),
        (30.0, 70.0, {"overhead": 1.0}),
    ],
)
def test_classic_words_are_blended_between_the_quarters(
    azimuth_deg: float, elevation_deg: float, expected: dict[str, float]
) -> None:
    prompt = Prompt(
        subject="a duck", interpolate_views=True, reference_azimuth_deg=100.0
    )
    found = mixture(prompt, azimuth_deg + 100.0, elevation_deg)
    wanted = {f"a duck, {word} view": share for word, share in expected.items()}
    assert found == pytest.approx(wanted)


def test_eight_words_are_blended_between_their_bins(
    relative_views: ViewVocabulary,
) -> None:
    prompt = Prompt(subject="<e>", interpolate_views=True)
    found = mixture(prompt, 60.0, 40.0, relative_views)
    assert found == pytest.approx(
        {"<e>, front right view, high": 2 / 3, "<e>, right side view, high": 1 / 3}
    )
    camera = Camera(azimuth_deg=60.0, elevation_deg=40.0)
    text = view_text(prompt, camera, relative_views)
    assert text.view_class == 1 * 3 + 1
    assert text.positive == "<e>, front right view, high"


def test_the_class_word_takes_the_tokens_place_behind() -> None:
    prompt = Prompt(subject="a <e>", token_blending=0.5, class_word="duck")
    assert mixture(prompt, 0.0) == {}
    assert mixture(prompt, 180.0) == pytest.approx(
        {"a <e>, back view": 0.5, "a duck, back view": 0.5}
    )
    assert mixture(prompt, 90.0) == pytest.approx(
        {"a <e>, side view": 0.75, "a duck, side view": 0.25}
    )


def test_both_blends_multiply() -> None:
    prompt = Prompt(subject="a <e>", token_blending=1.0, interpolate_views=True)
    found = mixture(prompt, 120.0)
    assert found == pytest.approx(
        {
            "a <e>, side view": 0.25 * 2 / 3,
            "a <e>, back view": 0.25 / 3,
            "a object, side view": 0.75 * 2 / 3,
            "a object, back view": 0.75 / 3,
        }
    )


def test_without_view_words_the_token_alone_is_blended() -> None:
    prompt = Prompt(
        subject="a <e>",
        token_blending=1.0,
        view_words=False,
        interpolate_views=True,
    )
    assert mixture(prompt, 180.0) == {"a object": 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject": "a duck", "token_blending": 0.5}, r"needs <e> .* got 'a duck'"),
        ({"class_word": " ", "token_blending": 0.5}, "needs a class word"),
    ],
)
def test_token_blending_without_token_or_class_word_is_refused(
    options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Prompt(**options)
    with pytest.raises(ValueError, match="`token_blending` must lie within"):
        Prompt(token_blending=1.5)


@pytest.mark.parametrize(
    ("azimuth_deg", "others"),
    [
        (0.0, "right side, back right, back, back left, left side"),
        (-45.0, "front right, right side, back right, back, back left"),
        (180.0, "front, front right, right side, left side, front left"),
    ],
)
def test_negative_prompt_names_far_views_of_the_own_vocabulary_if_asked(
    relative_views: ViewVocabulary, azimuth_deg: float, others: str
) -> None:
    """A quarter turn or more: the neighbours of the own bin look too much alike."""
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=40.0)
    asked = Prompt(subject="<e>", negative="blurry", negative_view_words=True)
    text = view_text(asked, camera, relative_views)
    named = [f"{words} view" for words in others.split(", ")]
    assert sorted(text.negative.split(", ")) == sorted(["blurry", *named])
    assert text.negative_view_class is None
    for off in (None, False):
        prompt = Prompt(subject="<e>", negative="blurry", negative_view_words=off)
        assert view_text(prompt, camera, relative_views).negative == "blurry"


@pytest.mark.parametrize(
    ("azimuth_deg", "elevation_deg", "weight"),
    [(0.0, 15.0, 0.0), (90.0, 15.0, 1.574), (180.0, 15.0, 1.967), (0.0, 70.0, 1.574)],
)
def test_perpendicular_weight_by_azimuth_keeps_away_from_the_front(
    azimuth_deg: float, elevation_deg: float, weight: float
) -> None:
    prompt = Prompt(
        subject="a duck",
        negative_guidance="perpendicular",
        perpendicular_weighting="by_azimuth",
        perpendicular_weight=2.0,
    )
    camera = Camera(azimuth_deg=azimuth_deg, elevation_deg=elevation_deg)
    text = view_text(prompt, camera)
    assert text.negative == "a duck, front view"
    assert text.perpendicular_weight == pytest.approx(2.0 * weight, abs=2e-3)
