"""Words for views: every view is named relative to the photo.

Two vocabularies. The classic one (DreamFusion, Sec. 3.2) says front, side, back or
overhead view; front is *centred* on the photo. The relative one, which the bundled
prior was trained with, names eight azimuths and three elevations and gives each a
class label besides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from realfusion.cameras.camera import Camera
from realfusion.cameras.view_direction import (
    AZIMUTH_BINS,
    ViewDirection,
    relative_azimuth_deg,
    relative_view_bin,
    view_direction,
)
from realfusion.priors.config import PLACEHOLDER, Prompt

__all__ = ["PLACEHOLDER", "Prompt", "ViewText", "ViewVocabulary", "view_text"]

ELEVATION_BINS = 3
"""Level, high and overhead."""
_FRONT_HALF_WIDTH_DEG = 67.5


@dataclass(frozen=True, kw_only=True)
class ViewVocabulary:
    """The view words a prior was trained with.

    Attributes:
        azimuth_words: Eight phrases, counter-clockwise from the photo.
        elevation_suffixes: Three endings: level, high, overhead.
    """

    azimuth_words: tuple[str, ...]
    elevation_suffixes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.azimuth_words) != AZIMUTH_BINS:
            raise ValueError(
                f"`azimuth_words` must hold {AZIMUTH_BINS} phrases, got "
                f"{len(self.azimuth_words)}"
            )
        if len(self.elevation_suffixes) != ELEVATION_BINS:
            raise ValueError(
                f"`elevation_suffixes` must hold {ELEVATION_BINS} endings, got "
                f"{len(self.elevation_suffixes)}"
            )


@dataclass(frozen=True)
class ViewText:
    """The sides of guidance for one view, in words.

    Attributes:
        positive: What the view shows.
        negative: What it does not show.
        view_class: azimuth bin · 3 + elevation bin, or None without view words.
        negative_view_class: Class of the view that the negative prompt names, or None.
        unconditional: A neutral third prompt for perpendicular guidance, or None.
    """

    positive: str
    negative: str
    view_class: int | None = None
    negative_view_class: int | None = None
    unconditional: str | None = None


def view_text(
    prompt: Prompt, camera: Camera, vocabulary: ViewVocabulary | None = None
) -> ViewText:
    """Say what a camera sees.

    Args:
        prompt: Subject and options.
        camera: Where the view is taken from.
        vocabulary: The prior's own view words; None takes the classic ones.

    Returns:
        The prompts of guidance, and view classes.
    """
    if not prompt.view_words:
        return ViewText(prompt.subject, prompt.negative)
    words, view_class = _view_words(prompt, camera, vocabulary)
    positive = _joined(prompt.subject, words)
    if prompt.negative_guidance == "perpendicular":
        other, other_class = _view_words(
            prompt, _other_view(prompt, camera), vocabulary
        )
        negative = _joined(prompt.subject, other)
        return ViewText(positive, negative, view_class, other_class, prompt.negative)
    negative = prompt.negative
    if prompt.negative_view_words and vocabulary is None:
        named = [f"{direction.value} view" for direction in ViewDirection]
        others = ", ".join(name for name in named if name != words)
        negative = _joined(negative, others)
    return ViewText(positive, negative, view_class)


def _view_words(
    prompt: Prompt, camera: Camera, vocabulary: ViewVocabulary | None
) -> tuple[str, int]:
    """The words for a view, and its class."""
    reference = replace(camera, azimuth_deg=prompt.reference_azimuth_deg)
    azimuth_bin, elevation_bin = relative_view_bin(camera, reference)
    view_class = azimuth_bin * ELEVATION_BINS + elevation_bin
    if vocabulary is None:
        direction = view_direction(
            camera, reference, front_width_deg=prompt.front_width_deg
        )
        return f"{direction.value} view", view_class
    azimuth = vocabulary.azimuth_words[azimuth_bin]
    return azimuth + vocabulary.elevation_suffixes[elevation_bin], view_class


def _other_view(prompt: Prompt, camera: Camera) -> Camera:
    """The view to keep away from: the front, and for the front the back."""
    reference = replace(camera, azimuth_deg=prompt.reference_azimuth_deg)
    is_front = abs(relative_azimuth_deg(camera, reference)) < _FRONT_HALF_WIDTH_DEG
    is_overhead = relative_view_bin(camera, reference)[1] == ELEVATION_BINS - 1
    turn_deg = 180.0 if is_front and not is_overhead else 0.0
    return replace(
        reference, azimuth_deg=reference.azimuth_deg + turn_deg, elevation_deg=0.0
    )


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second
