"""The class word of a run: given, kept from before, or found among common nouns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.errors import InputError
from realfusion.listener import RunInterruptedError, RunListener
from realfusion.priors.clip import cached_clip, load_clip
from realfusion.priors.common_nouns import COMMON_NOUNS
from realfusion.priors.config import TextualInversionConfig
from realfusion.run_folder import OpenRun
from realfusion.run_metrics import read_metrics, update_metrics

if TYPE_CHECKING:
    from realfusion.priors.class_word import WordScore
    from realfusion.priors.clip import ClipEncoder
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

_NUM_NAMED = 3
"""Of the words that came next, as many are told."""


def class_word_of(
    opened: OpenRun,
    rgba: Float[np.ndarray, "size size 4"],
    prior: StableDiffusionPrior,
    index: int,
    listener: RunListener,
) -> str | None:
    """The word for what the photo shows, from which its token starts.

    A word that was found is kept in `metrics.json` and not looked for again.

    Args:
        opened: The run.
        rgba: The framed picture.
        prior: Loaded, without a token.
        index: Its place in `--prior`.
        listener: Told the word and why; may stop the search.

    Returns:
        The word; None where an image encoder reads the token off the photo, where the
        token was learned before, or where no noun could be tried.

    Raises:
        RunInterruptedError: The listener asked to stop.
    """
    config = opened.config
    if config.token != "auto":
        return config.token
    settings = config.inversion
    if settings.use_image_encoder and prior.image_encoder is not None:
        return None
    if settings.init_word != TextualInversionConfig().init_word:
        return settings.init_word
    kept = read_metrics(opened.folder).get("class_word")
    if isinstance(kept, str):
        return kept
    if opened.folder.token(index).exists() or settings.class_words == 0:
        return None
    word = _find(torch.from_numpy(rgba), prior, settings, config.seed, listener)
    if word is not None:
        update_metrics(opened.folder, class_word=word)
    return word


def _find(
    image: Tensor,
    prior: StableDiffusionPrior,
    settings: TextualInversionConfig,
    seed: int,
    listener: RunListener,
) -> str | None:
    from realfusion.priors.class_word import single_token_words

    words = single_token_words(prior.text, _some_nouns(settings.class_words))
    if not words:
        listener.note(
            f"the prior's tokenizer splits every noun that was tried, so the token "
            f"starts from {settings.init_word!r}"
        )
        return None
    generator = torch.Generator().manual_seed(seed)
    encoder = _cached_encoder(listener)
    if encoder is None:
        scores = _by_the_prior(image, prior, words, settings, generator, listener)
        why = f"lowest denoising loss of {len(words)} nouns"
    else:
        scores = _by_clip(image, encoder, words, settings, generator, listener)
        why = f"most alike of {len(words)} nouns by {encoder.name}"
    word, others = scores[0].word, [score.word for score in scores[1 : 1 + _NUM_NAMED]]
    following = f"; next: {', '.join(others)}" if others else ""
    listener.note(f"token starts from {word!r} ({why}{following})")
    return word


def _some_nouns(num_words: int) -> list[str]:
    """So many nouns of the list, from all of its groups."""
    total = len(COMMON_NOUNS)
    count = min(num_words, total)
    return [COMMON_NOUNS[index * total // count] for index in range(count)]


def _cached_encoder(listener: RunListener) -> ClipEncoder | None:
    """The CLIP in the Hub's cache, if any: on the host, where it takes seconds."""
    source = cached_clip()
    if source is None:
        return None
    try:
        return load_clip(source, offline=True)
    except InputError as error:  # nobody asked for it: the prior answers as well
        listener.note(str(error))
        return None


def _by_clip(
    image: Tensor,
    encoder: ClipEncoder,
    words: Sequence[str],
    settings: TextualInversionConfig,
    generator: torch.Generator,
    listener: RunListener,
) -> tuple[WordScore, ...]:
    from realfusion.priors.class_word import WordSearchConfig, clip_words

    listener.stage("class word")
    search = WordSearchConfig(augmentation=settings.augmentation)
    return clip_words(encoder, image, words, generator, search)


def _by_the_prior(
    image: Tensor,
    prior: StableDiffusionPrior,
    words: Sequence[str],
    settings: TextualInversionConfig,
    generator: torch.Generator,
    listener: RunListener,
) -> tuple[WordScore, ...]:
    from realfusion.priors.class_word import WordSearchConfig, score_words

    search = WordSearchConfig(
        background_weight=settings.background_weight,
        augmentation=settings.augmentation,
    )
    scores: tuple[WordScore, ...] | None = None
    for progress in score_words(prior, image, words, generator, search):
        if progress.done == 0:
            listener.stage("class word", progress.total)
        listener.advance(progress.done, {})
        scores = progress.scores or scores
        if listener.should_stop():
            raise RunInterruptedError(
                "stopped while looking for the class word; the same command starts "
                "it again"
            )
    assert scores is not None, "the search for the class word ended without scores"
    return scores
