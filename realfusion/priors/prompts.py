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
    relative_view_bin,
    view_direction,
)
from realfusion.priors.config import PLACEHOLDER, Prompt

__all__ = ["PLACEHOLDER", "Prompt", "ViewText", "ViewVocabulary", "view_text"]

ELEVATION_BINS = 3
"""Level, high and overhead."""


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
    """The two sides of guidance for one view, in words."""

    positive: str
    negative: str
    view_class: int | None
    """azimuth bin · 3 + elevation bin, or None without view words."""


def view_text(
    prompt: Prompt, camera: Camera, vocabulary: ViewVocabulary | None = None
) -> ViewText:
    """Say what a camera sees.

    Args:
        prompt: Subject and options.
        camera: Where the view is taken from.
        vocabulary: The prior's own view words; None takes the classic ones.

    Returns:
        Positive and negative prompt, and the view class.
    """
    if not prompt.view_words:
        return ViewText(prompt.subject, prompt.negative, None)
    reference = replace(camera, azimuth_deg=prompt.reference_azimuth_deg)
    azimuth_bin, elevation_bin = relative_view_bin(camera, reference)
    view_class = azimuth_bin * ELEVATION_BINS + elevation_bin
    if vocabulary is not None:
        words = (
            vocabulary.azimuth_words[azimuth_bin]
            + vocabulary.elevation_suffixes[elevation_bin]
        )
        return ViewText(_joined(prompt.subject, words), prompt.negative, view_class)
    direction = view_direction(
        camera, reference, front_width_deg=prompt.front_width_deg
    )
    others = [f"{d.value} view" for d in ViewDirection if d is not direction]
    negative = prompt.negative
    if prompt.negative_view_words:
        negative = _joined(negative, ", ".join(others))
    positive = _joined(prompt.subject, f"{direction.value} view")
    return ViewText(positive, negative, view_class)


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second
