"""The word for what a photo shows, found among common nouns.

The prior itself is asked: the better a word describes the photo, the better the
denoiser guesses the noise that was added to it (Li et al. 2023, "Your diffusion model
is secretly a zero-shot classifier"). All words are judged with the same views, noise
and noise levels, so that nothing but the word tells them apart, and the worse ones drop
out early (successive halving, Karnin et al. 2013). CLIP, where it is at hand, answers
the same question sooner.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from realfusion.errors import InputError, NonFiniteError
from realfusion.priors.augmentation import AugmentedImages, augment
from realfusion.priors.clip import ClipEncoder
from realfusion.priors.config import AugmentationConfig
from realfusion.priors.guidance import add_noise
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.text_conditioning import TextConditioner
from realfusion.transfer import send

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True)
class WordSearchConfig:
    """How words are compared.

    Attributes:
        num_views: Augmented images of the photo.
        rounds: Probes (a view, a noise level, a noise) that a word has passed after
            each round.
        kept_share: Share of the words that goes on to the next round.
        timestep_range: Noise levels, as fractions of the training timesteps: where the
            kind of an object shows, not its texture.
        batch_size: Words that the denoiser judges at once.
        background_weight: Weight of the loss outside the object, where it is 1 inside.
        augmentation: How the photo is varied.
    """

    num_views: int = 3
    rounds: tuple[int, ...] = (2, 4, 10, 24)
    kept_share: float = 0.25
    timestep_range: tuple[float, float] = (0.3, 0.8)
    batch_size: int = 16
    background_weight: float = 0.1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        for name in ("num_views", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be positive, got {getattr(self, name)}"
                )
        ends = (0, *self.rounds)
        if len(ends) < 2 or any(a >= b for a, b in pairwise(ends)):
            raise ValueError(f"`rounds` must be positive and rising, got {self.rounds}")
        if not 0.0 < self.kept_share <= 1.0:
            raise ValueError(
                f"`kept_share` must lie within (0, 1], got {self.kept_share}"
            )


@dataclass(frozen=True)
class WordScore:
    """How well a word fits; lower is better.

    Attributes:
        word: The word.
        loss: Mean denoising loss over the word's probes; 1 - cosine where CLIP judged.
        num_probes: Only losses of as many probes can be compared.
    """

    word: str
    loss: float
    num_probes: int


@dataclass(frozen=True)
class WordSearchProgress:
    """A part of a search for a word.

    Attributes:
        done: Judgements (a word with a probe) so far, from 0.
        total: Judgements of the whole search.
        scores: The result, the best word first; only in the last item.
    """

    done: int
    total: int
    scores: tuple[WordScore, ...] | None = None


@dataclass(frozen=True)
class _Probes:
    """What every word is judged with."""

    noisy: Float[Tensor, "num_probes channels height width"]
    noise: Float[Tensor, "num_probes channels height width"]
    weights: Float[Tensor, "num_probes 1 height width"]
    timesteps: Int[Tensor, " num_probes"]


def photo_of(word: str) -> str:
    """The sentence a word is judged in."""
    article = "an" if word[:1].lower() in _VOWELS else "a"
    return f"a photo of {article} {word}"


def single_token_words(text: TextConditioner, words: Sequence[str]) -> list[str]:
    """The words with one embedding of their own, each once: a token can start there."""
    return [word for word in dict.fromkeys(words) if text.num_pieces(word) == 1]


def score_words(
    prior: StableDiffusionPrior,
    image: Float[Tensor, "height width 4"],
    words: Sequence[str],
    generator: torch.Generator,
    config: WordSearchConfig | None = None,
) -> Iterator[WordSearchProgress]:
    """Rank words by how well the prior denoises a photo that they describe.

    The work is done as the items are drawn; nothing of the prior is changed.

    Args:
        prior: Any Stable-Diffusion-shaped prior.
        image: RGBA with straight alpha in [0, 1].
        words: Of a single token or several.
        generator: CPU generator of views and noise: the same for all words.
        config: Probes and rounds.

    Yields:
        Progress: one item before the first batch, one a batch, one with the scores.

    Raises:
        InputError: If there is no word, or the mask is empty.
        NonFiniteError: If a loss is not finite, naming the word.
    """
    config = config or WordSearchConfig()
    alive = list(dict.fromkeys(words))
    _check(image, alive)
    total = _num_judgements(len(alive), config)
    yield WordSearchProgress(0, total)
    probes = _make_probes(prior, image, config, generator)
    sums = dict.fromkeys(alive, 0.0)
    ranked: list[WordScore] = []
    done = begin = 0
    for end in config.rounds:
        for probe in range(begin, end):
            for start in range(0, len(alive), config.batch_size):
                batch = alive[start : start + config.batch_size]
                for word, loss in _judge(prior, probes, probe, batch).items():
                    sums[word] += loss
                done += len(batch)
                yield WordSearchProgress(done, total)
        scores = _best_first(WordScore(word, sums[word] / end, end) for word in alive)
        num_kept = _num_kept(len(alive), config) if end < config.rounds[-1] else 0
        alive = [score.word for score in scores[:num_kept]]
        ranked = scores[num_kept:] + ranked
        begin = end
    yield WordSearchProgress(total, total, tuple(ranked))


def clip_words(
    encoder: ClipEncoder,
    image: Float[Tensor, "height width 4"],
    words: Sequence[str],
    generator: torch.Generator,
    config: WordSearchConfig | None = None,
) -> tuple[WordScore, ...]:
    """Rank words by CLIP's similarity of the photo and the words.

    Args:
        encoder: A loaded CLIP; nothing is fetched here.
        image: RGBA with straight alpha in [0, 1].
        words: Of a single token or several.
        generator: CPU generator of the views.
        config: Number of views and their augmentation.

    Returns:
        Scores, the best word first.

    Raises:
        InputError: If there is no word, or the mask is empty.
    """
    config = config or WordSearchConfig()
    unique = list(dict.fromkeys(words))
    _check(image, unique)
    views = _views(image, encoder.image_size, config, generator)
    with torch.no_grad():
        seen = encoder.image_features(views.images).mean(dim=0)
    described = encoder.text_features([photo_of(word) for word in unique])
    losses = (1.0 - described @ functional.normalize(seen, dim=0)).tolist()
    return tuple(
        _best_first(
            WordScore(word, loss, config.num_views)
            for word, loss in zip(unique, losses, strict=True)
        )
    )


def _best_first(scores: Iterable[WordScore]) -> list[WordScore]:
    return sorted(scores, key=lambda score: score.loss)


def _check(image: Tensor, words: Sequence[str]) -> None:
    if not words:
        raise InputError("there must be a word to choose from, got none")
    if not bool((image[..., 3] > 0.5).any()):
        raise InputError("the image must show an object, got an empty mask")


def _num_kept(num_words: int, config: WordSearchConfig) -> int:
    return max(1, math.ceil(num_words * config.kept_share))


def _num_judgements(num_words: int, config: WordSearchConfig) -> int:
    total = begin = 0
    for end in config.rounds:
        total += num_words * (end - begin)
        num_words, begin = _num_kept(num_words, config), end
    return total


def _views(
    image: Tensor, size: int, config: WordSearchConfig, generator: torch.Generator
) -> AugmentedImages:
    return augment(image, config.num_views, size, config.augmentation, generator)


@torch.no_grad()
def _make_probes(
    prior: StableDiffusionPrior,
    image: Tensor,
    config: WordSearchConfig,
    generator: torch.Generator,
) -> _Probes:
    """Views in turn, with noise levels that any first few spread over the range."""
    views = _views(image.to(prior.device), prior.image_size, config, generator)
    latents = prior.encode(views.images)
    inside = functional.interpolate(views.masks, latents.shape[-2:], mode="area")
    floor = max(config.background_weight, 1e-4)
    weights = floor + (1.0 - floor) * inside
    indices = torch.arange(config.rounds[-1])
    low, high = config.timestep_range
    # Golden ratio: the additive sequence of the lowest discrepancy.
    shares = low + (high - low) * ((0.5 + _GOLDEN * indices) % 1.0)
    timesteps = (shares * (prior.num_train_timesteps - 1)).round().long()
    timesteps = send(timesteps, prior.device)
    chosen = send(indices % config.num_views, prior.device)
    shape = (len(indices), *latents.shape[1:])
    noise = send(torch.randn(shape, generator=generator), prior.device)
    noisy = add_noise(latents[chosen], noise, prior.alphas_cumprod[timesteps])
    return _Probes(noisy, noise, weights[chosen], timesteps)


@torch.no_grad()
def _judge(
    prior: StableDiffusionPrior, probes: _Probes, probe: int, words: Sequence[str]
) -> dict[str, float]:
    """Weighted mean of ‖ε̂ - ε‖² of one probe, for each of some words."""
    count = len(words)
    label = prior.view_class_label(None)
    labels = None
    if label is not None:
        labels = torch.full((count,), label, device=prior.device)
    estimate = prior.predict_noise(
        probes.noisy[probe].expand(count, -1, -1, -1),
        probes.timesteps[probe].expand(count),
        prior.text.encode([photo_of(word) for word in words]),
        labels,
    )
    weights = probes.weights[probe]
    error = (estimate - probes.noise[probe]).square().mean(dim=1, keepdim=True)
    losses = ((error * weights).sum(dim=(1, 2, 3)) / weights.sum()).tolist()
    for word, loss in zip(words, losses, strict=True):
        if not math.isfinite(loss):
            raise NonFiniteError(
                f"the denoising loss of {word!r} must be finite, got {loss}: try "
                f"float32"
            )
    return dict(zip(words, losses, strict=True))
