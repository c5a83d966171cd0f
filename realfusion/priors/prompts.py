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
from realfusion.priors.azimuth_weights import (
    neighbouring_centres,
    perpendicular_strength,
    token_blending_share,
)
from realfusion.priors.config import PLACEHOLDER, Prompt

__all__ = [
    "PLACEHOLDER",
    "Prompt",
    "ViewText",
    "ViewVocabulary",
    "WeightedText",
    "view_text",
]

ELEVATION_BINS = 3
"""Level, high and overhead."""
_FRONT_HALF_WIDTH_DEG = 67.5
_CLASSIC_SECTOR_DEG = 90.0
_OVERHEAD_STRENGTH = perpendicular_strength(90.0)
"""From above no azimuth is the front, nor the back: the weight of the side."""


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
class WeightedText:
    """A text and its share in a mixture of text states."""

    text: str
    share: float


@dataclass(frozen=True)
class ViewText:
    """The sides of guidance for one view, in words.

    Attributes:
        positive: What the view shows, in the words of the nearest view.
        negative: What it does not show.
        view_class: azimuth bin · 3 + elevation bin, or None without view words.
        negative_view_class: Class of the view that the negative prompt names, or None.
        unconditional: A neutral third prompt for perpendicular guidance, or None.
        mixture: Texts whose states make the positive side, with shares that sum to 1;
            empty where it is `positive` alone.
        perpendicular_weight: Strength of the perpendicular push.
    """

    positive: str
    negative: str
    view_class: int | None = None
    negative_view_class: int | None = None
    unconditional: str | None = None
    mixture: tuple[WeightedText, ...] = ()
    perpendicular_weight: float = 1.0


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
    mixture = _mixture(prompt, camera, vocabulary)
    if not prompt.view_words:
        return ViewText(prompt.subject, prompt.negative, mixture=mixture)
    words, view_class = _view_words(prompt, camera, vocabulary)
    positive = _joined(prompt.subject, words)
    if prompt.negative_guidance == "perpendicular":
        other, other_class = _view_words(
            prompt, _other_view(prompt, camera), vocabulary
        )
        negative = _joined(prompt.subject, other)
        return ViewText(
            positive,
            negative,
            view_class,
            other_class,
            prompt.negative,
            mixture,
            _perpendicular_weight(prompt, camera),
        )
    negative = prompt.negative
    named = prompt.negative_view_words
    if named or (named is None and vocabulary is None):
        others = ", ".join(_words_of_other_views(words, view_class, vocabulary))
        negative = _joined(negative, others)
    return ViewText(positive, negative, view_class, mixture=mixture)


def _mixture(
    prompt: Prompt, camera: Camera, vocabulary: ViewVocabulary | None
) -> tuple[WeightedText, ...]:
    """The texts that an azimuth lies between; nothing where one says it all."""
    azimuth_deg = _relative_azimuth_deg(prompt, camera)
    views = [(camera, 1.0)]
    if prompt.interpolate_views and prompt.view_words:
        width_deg = _CLASSIC_SECTOR_DEG if vocabulary is None else 360.0 / AZIMUTH_BINS
        # The elevation stays the camera's: high and overhead are not blended.
        views = [
            (replace(camera, azimuth_deg=prompt.reference_azimuth_deg + centre), share)
            for centre, share in neighbouring_centres(azimuth_deg, width_deg)
        ]
    blended = token_blending_share(azimuth_deg, prompt.token_blending)
    general = prompt.subject.replace(PLACEHOLDER, prompt.class_word)
    shares: dict[str, float] = {}
    for subject, share in ((prompt.subject, 1.0 - blended), (general, blended)):
        for view, nearness in views:
            text = subject
            if prompt.view_words:
                text = _joined(subject, _view_words(prompt, view, vocabulary)[0])
            shares[text] = shares.get(text, 0.0) + share * nearness
    found = [WeightedText(text, share) for text, share in shares.items() if share > 0.0]
    return tuple(found) if prompt.interpolate_views or blended > 0.0 else ()


def _words_of_other_views(
    words: str, view_class: int, vocabulary: ViewVocabulary | None
) -> list[str]:
    """What a view is not: of eight azimuths, those a quarter turn or more away."""
    if vocabulary is None:
        named = [f"{direction.value} view" for direction in ViewDirection]
        return [name for name in named if name != words]
    own = view_class // ELEVATION_BINS
    quarter = AZIMUTH_BINS // 4
    return [
        name
        for index, name in enumerate(vocabulary.azimuth_words)
        if quarter <= (index - own) % AZIMUTH_BINS <= AZIMUTH_BINS - quarter
    ]


def _perpendicular_weight(prompt: Prompt, camera: Camera) -> float:
    """Strength of the push away from the other view, for this one."""
    if prompt.perpendicular_weighting == "constant":
        return prompt.perpendicular_weight
    if _is_overhead(camera):
        return prompt.perpendicular_weight * _OVERHEAD_STRENGTH
    azimuth_deg = _relative_azimuth_deg(prompt, camera)
    return prompt.perpendicular_weight * perpendicular_strength(azimuth_deg)


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
    """The view to keep away from: the front, and for the front the back.

    By azimuth it is always the front, whose weight is nothing at the front itself.
    """
    reference = replace(camera, azimuth_deg=prompt.reference_azimuth_deg)
    is_front = abs(_relative_azimuth_deg(prompt, camera)) < _FRONT_HALF_WIDTH_DEG
    is_turned = is_front and not _is_overhead(camera)
    is_constant = prompt.perpendicular_weighting == "constant"
    turn_deg = 180.0 if is_turned and is_constant else 0.0
    return replace(
        reference, azimuth_deg=reference.azimuth_deg + turn_deg, elevation_deg=0.0
    )


def _relative_azimuth_deg(prompt: Prompt, camera: Camera) -> float:
    reference = replace(camera, azimuth_deg=prompt.reference_azimuth_deg)
    return relative_azimuth_deg(camera, reference)


def _is_overhead(camera: Camera) -> bool:
    return relative_view_bin(camera, camera)[1] == ELEVATION_BINS - 1


def _joined(first: str, second: str) -> str:
    return f"{first}, {second}" if first else second
