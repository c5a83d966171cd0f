"""Settings of the priors (standard library only, so that `--help` stays light)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from realfusion.errors import InputError
from realfusion.ranges import check_at_least, check_within

PLACEHOLDER = "<e>"
"""The word that stands for the learned token in every prompt (the paper's ⟨e⟩)."""

DEFAULT_CLASS_WORD = "object"
"""What nobody has named."""

DistillationMode = Literal["sds", "csd"]
NegativeGuidance = Literal["replace", "perpendicular"]
PerpendicularWeighting = Literal["constant", "by_azimuth"]
TimestepAnnealing = Literal["none", "linear", "sqrt"]
DistillationWeighting = Literal[
    "one_minus_alpha_cumprod",
    "uniform",
    "sqrt_alpha_cumprod_one_minus_alpha_cumprod",
    "data_space",
]


def _check_timestep_range(name: str, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not 0.0 <= low <= high <= 1.0:
        raise ValueError(f"`{name}` must be ordered within [0, 1], got {bounds}")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the prior is asked for; the words for the view are added per camera."""

    subject: str = f"an image of a {PLACEHOLDER}"
    """The object in words; `<e>` stands for the learned token."""
    negative: str = ""
    """What no view should show."""
    view_words: bool = True
    """Add words for where the camera stands."""
    negative_view_words: bool | None = None
    """Put the other views' words in the negative prompt; None does so for priors
    without a vocabulary of their own."""
    negative_guidance: NegativeGuidance = "replace"
    """What the negative prompt does: stand for "no prompt" in classifier-free guidance,
    or push away from another view only where that does not contradict the prompt
    (Perp-Neg, Armandpour et al. 2023; half as much work again)."""
    perpendicular_weight: float = 1.0
    """Strength of the perpendicular push."""
    perpendicular_weighting: PerpendicularWeighting = "constant"
    """The same push for every view, or more the further from the photo."""
    interpolate_views: bool = False
    """Blend the text states of the two neighbouring views by azimuth."""
    token_blending: float = 0.0
    """Share (0 to 1) of the learned token that the class word takes at the back."""
    class_word: str = DEFAULT_CLASS_WORD
    """What kind of thing it is, for token blending."""
    front_width_deg: float = 90.0
    """Width of the sector called front, centred on the photo (and of back)."""
    reference_azimuth_deg: float = 0.0
    """Azimuth of the photo, in degrees; views are named relative to it."""

    def __post_init__(self) -> None:
        if not 0.0 < self.front_width_deg < 180.0:
            raise ValueError(
                f"`front_width_deg` must lie within (0, 180), got "
                f"{self.front_width_deg}"
            )
        if self.perpendicular_weight < 0.0:
            raise ValueError(
                f"`perpendicular_weight` must not be negative, got "
                f"{self.perpendicular_weight}"
            )
        check_within(self, 0.0, 1.0, "token_blending")
        if self.token_blending > 0.0 and PLACEHOLDER not in self.subject:
            raise InputError(
                f"token blending needs {PLACEHOLDER} in the prompt, got "
                f"{self.subject!r}: set token_blending to 0"
            )
        if self.token_blending > 0.0 and not self.class_word.strip():
            raise InputError("token blending needs a class word, got an empty one")


@dataclass(frozen=True, kw_only=True)
class ScoreDistillationConfig:
    """Score distillation sampling (DreamFusion, Eq. 3) and its variants."""

    mode: DistillationMode = "sds"
    """Score distillation, or its classifier part alone (CSD, Yu et al. 2023): only what
    guidance adds to the estimate, which leaves the noise out. It cannot be rescaled:
    set `guidance_rescale` to 0."""
    guidance_scale: float = 100.0
    """Classifier-free guidance: 1 is none, the paper uses 100."""
    guidance_rescale: float = 0.0
    """Share (0 to 1) of the spread of the unguided estimate that is restored, against
    saturated colours at a high guidance scale (Lin et al. 2023, Sec. 3.4)."""
    timestep_range: tuple[float, float] = (0.02, 0.98)
    """Noise levels drawn at the start, as fractions of the training timesteps."""
    timestep_range_end: tuple[float, float] | None = None
    """Noise levels drawn at the end of the annealing; none keeps the first range."""
    annealing: TimestepAnnealing = "none"
    """How the range moves: linearly, or with the square root of the progress (HiFA)."""
    annealing_fraction: float = 1.0
    """Share of the run after which the annealing is complete."""
    weighting: DistillationWeighting = "one_minus_alpha_cumprod"
    """w(t): 1 - ᾱ (the paper), 1, √ᾱ (1 - ᾱ) (Fantasia3D), or √((1 - ᾱ)/ᾱ), which
    measures the residual on the clean latents."""
    gradient_clip: float | None = None
    """Largest root mean square of one view's weighted residual; none never clips.
    Large scores pull towards the canonical view, whatever side is shown (Hong et al.
    2023, D-SDS): cut, they give way to what the other views and the photo agree on."""
    negative_guidance: NegativeGuidance = "replace"
    """What the negative prompt does: stand for "no prompt" in classifier-free guidance,
    or name another view and push away from it only where that does not contradict the
    prompt (Perp-Neg, Armandpour et al. 2023; half as much work again)."""
    perpendicular_weight: float = 1.0
    """With `perpendicular`: strength of the push away from the other view."""
    perpendicular_weighting: PerpendicularWeighting = "constant"
    """With `perpendicular`: the same push for every view, or one away from the front
    that grows with the angle to the photo, from nothing to twice as much (Armandpour
    et al. 2023, Sec. 4)."""
    view_words: bool = True
    """Say in the prompt where the camera stands; without, every view is asked for
    alike."""
    negative_view_words: bool | None = None
    """With `replace`: put the other views' words in the negative prompt; unless given,
    only where the prior has no view words of its own."""
    body_guide: bool = True
    """Show a denoiser that reads guides (the embedded prior's) what the body guessed
    from the photo looks like from each view."""
    interpolate_views: bool = False
    """Blend the text states of the two neighbouring views by azimuth, so that the
    prompt does not jump between them (Armandpour et al. 2023, Sec. 4)."""
    token_blending: float = 0.0
    """Share (0 to 1) of the learned token that the class word (`--class-word`) takes at
    the back, growing from 0 at the photo: the token knows only the photo's side."""

    def __post_init__(self) -> None:
        _check_timestep_range("timestep_range", self.timestep_range)
        if self.timestep_range_end is not None:
            _check_timestep_range("timestep_range_end", self.timestep_range_end)
        elif self.annealing != "none":
            raise ValueError(
                f"`timestep_range_end` must be given with annealing "
                f"{self.annealing!r}, got None"
            )
        if not 0.0 < self.annealing_fraction <= 1.0:
            raise ValueError(
                f"`annealing_fraction` must lie within (0, 1], got "
                f"{self.annealing_fraction}"
            )
        if not self.view_words:
            if self.negative_guidance == "perpendicular":
                raise ValueError(
                    "`view_words` must be on with negative_guidance 'perpendicular', "
                    "which names another view, got off"
                )
            if self.negative_view_words:
                raise ValueError(
                    "`view_words` must be on with negative_view_words, got off"
                )
        if not 0.0 <= self.guidance_rescale <= 1.0:
            raise ValueError(
                f"`guidance_rescale` must lie within [0, 1], got "
                f"{self.guidance_rescale}"
            )
        if self.mode == "csd" and self.guidance_rescale != 0.0:
            raise ValueError(
                f"`guidance_rescale` must be 0 with mode 'csd', got "
                f"{self.guidance_rescale}"
            )
        if self.gradient_clip is not None and self.gradient_clip <= 0.0:
            raise ValueError(
                f"`gradient_clip` must be positive or None, got {self.gradient_clip}"
            )
        check_at_least(self, 0.0, "perpendicular_weight")
        check_within(self, 0.0, 1.0, "token_blending")


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How one photo is varied while its token is learnt."""

    rotation_deg: float = 10.0
    """Largest rotation, in degrees either way."""
    scale_range: tuple[float, float] = (0.7, 1.3)
    """Range of the size of the object."""
    translation: float = 0.1
    """Largest shift, as a share of the image side, either way."""
    flip_probability: float = 0.0
    """Share of mirrored images (the paper: 0.5; 0 keeps left and right apart)."""
    jitter: float = 0.04
    """Largest relative change of brightness, contrast and saturation."""
    grey_probability: float = 0.0
    """Share of images turned grey (the paper: 0.1)."""
    blur_probability: float = 0.1
    """Share of blurred images."""
    white_background_probability: float = 0.8
    """Share of images on white; the others get a random plain background."""

    def __post_init__(self) -> None:
        low, high = self.scale_range
        if not 0.0 < low <= high:
            raise ValueError(
                f"`scale_range` must be positive and ordered, got {self.scale_range}"
            )
        for name in (
            "flip_probability",
            "grey_probability",
            "blur_probability",
            "white_background_probability",
        ):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(
                    f"`{name}` must lie within [0, 1], got {getattr(self, name)}"
                )


@dataclass(frozen=True, kw_only=True)
class TextualInversionConfig:
    """Single-image textual inversion (RealFusion, Sec. 3.2; Gal et al. 2022).

    Where the prior has an image encoder, its token is only refined. Learning rates are
    relative to the root mean square of the vectors that the optimisation starts from,
    so that one value serves text encoders of any scale.
    """

    steps: int = 3000
    """Optimiser steps at most, from a word; 0 keeps the initial vectors."""
    refinement_steps: int = 120
    """Optimiser steps at most, from the prior's image encoder; 0 keeps its token."""
    learning_rate: float = 0.15
    """AdamW's relative rate from a word, falling to a tenth along a cosine."""
    refinement_learning_rate: float = 0.02
    """AdamW's relative rate from the image encoder, falling to a tenth likewise."""
    batch_size: int = 4
    """Augmented images a step."""
    num_vectors: int = 1
    """Vectors of a token that starts from a word (an image encoder has its own)."""
    init_word: str = "object"
    """The word whose embedding the token starts from, without an image encoder; left
    as it is, a better one is looked for."""
    class_words: int = 400
    """Common nouns to look for it among, at most; 0 looks for none."""
    use_image_encoder: bool = True
    """Start from the prior's image encoder where it has one."""
    describe_view: bool = True
    """Name the view in the prompt (front), so that the token need not learn it."""
    anchor_weight: float = 0.0
    """Weight of the squared distance from the initial vectors, relative to their mean
    square: keeps a token of one photo from fitting that view alone."""
    pool_size: int = 128
    """Augmented images whose latents are computed once and then drawn from."""
    refresh_size: int = 8
    """Images of the pool that new ones replace at each look at the held-out images."""
    heldout_size: int = 16
    """Augmented images kept aside for the early stop."""
    evaluate_every: int = 40
    """Steps between two looks at the held-out images."""
    patience: int = 8
    """Looks without an improvement after which the optimisation stops."""
    timestep_range: tuple[float, float] = (0.02, 0.98)
    """Noise levels, as fractions of the training timesteps."""
    background_weight: float = 0.1
    """Weight of the loss outside the object, where it is 1 inside."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How the photo is varied."""

    def __post_init__(self) -> None:
        _check_timestep_range("timestep_range", self.timestep_range)
        for name in (
            "batch_size",
            "num_vectors",
            "pool_size",
            "heldout_size",
            "evaluate_every",
            "patience",
        ):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be positive, got {getattr(self, name)}"
                )
        for name in (
            "steps",
            "refinement_steps",
            "class_words",
            "refresh_size",
            "anchor_weight",
            "background_weight",
        ):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must not be negative, got {getattr(self, name)}"
                )
        for name in ("learning_rate", "refinement_learning_rate"):
            if not getattr(self, name) > 0.0:
                raise ValueError(
                    f"`{name}` must be positive, got {getattr(self, name)}"
                )


PAPER_INVERSION = TextualInversionConfig(
    describe_view=False,
    background_weight=1.0,
    augmentation=AugmentationConfig(
        flip_probability=0.5, grey_probability=0.1, white_background_probability=1.0
    ),
)
"""One vector, 3000 steps, the paper's augmentation."""

DEFAULT_INVERSION = TextualInversionConfig(refinement_steps=0)
"""An image encoder's token is kept as it is: to refine it changed no figure of the
embedded prior's reconstructions (docs/quality.md)."""

FAST_INVERSION = TextualInversionConfig(
    steps=400,
    refinement_steps=0,
    pool_size=48,
    heldout_size=8,
    evaluate_every=20,
    patience=4,
)
"""For a CPU, likewise."""

SMOKE_INVERSION = TextualInversionConfig(
    steps=2,
    refinement_steps=2,
    class_words=8,
    pool_size=4,
    heldout_size=2,
    evaluate_every=1,
)
"""Runs every stage and learns nothing."""
