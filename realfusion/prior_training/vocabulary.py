"""The embedded prior's words: tokenizer, view vocabulary and captions."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer

from realfusion.procedural.families.catalogue import FAMILIES
from realfusion.procedural.paint import COLOURS

AZIMUTH_WORDS = (
    "front view",
    "front right view",
    "right side view",
    "back right view",
    "back view",
    "back left view",
    "left side view",
    "front left view",
)
"""Views counter-clockwise from the reference, 45 degrees each."""
ELEVATION_SUFFIXES = ("", ", high", ", overhead")
"""Below 28, 28 to 58, and from 58 degrees above the horizontal."""
ELEVATION_EDGES_DEG = (28.0, 58.0)
UNCONDITIONAL_CLASS = len(AZIMUTH_WORDS) * len(ELEVATION_SUFFIXES)
"""Class label of "no view"."""
NUM_CLASSES = UNCONDITIONAL_CLASS + 1

SUBJECT_TEMPLATES = (
    "an image of a {}",
    "a {}",
    "a photo of a {}",
    "{}",
    "an image of {}",
)
"""Prompts around the subject; the first, which the product uses, most often."""

_OTHER_WORDS = (
    "a an the of and with in on photo image picture render object toy thing front back "
    "side left right overhead high low view details striped spotted plain colorful "
    "small large round square tall flat wood metal plastic glass statue animal fruit "
    "food vehicle furniture plant building tool box jar jug cup plate pan pot fruit "
    "vegetable figurine doll sneaker lego soccer football packet bag"
)
_START, _END = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"


def view_class(relative_azimuth_deg: float, elevation_deg: float) -> int:
    """Class label of a view: azimuth bin * 3 + elevation bin.

    Args:
        relative_azimuth_deg: Counter-clockwise from the reference view.
        elevation_deg: Above the horizontal, absolute.
    """
    azimuth_bin = int(((relative_azimuth_deg + 22.5) % 360) // 45)
    elevation_bin = sum(elevation_deg >= edge for edge in ELEVATION_EDGES_DEG)
    return azimuth_bin * len(ELEVATION_SUFFIXES) + elevation_bin


def view_words(label: int) -> str:
    """The words of a view's class label, or nothing for the unconditional one."""
    if label == UNCONDITIONAL_CLASS:
        return ""
    azimuth_bin, elevation_bin = divmod(label, len(ELEVATION_SUFFIXES))
    return AZIMUTH_WORDS[azimuth_bin] + ELEVATION_SUFFIXES[elevation_bin]


def with_article(phrase: str) -> str:
    """ "a" or "an" before a phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def random_caption(
    rng: np.random.Generator, noun: str, primary: str, secondary: str
) -> str:
    """Words for an object: its noun with none, one or two colours."""
    draw = rng.random()
    if draw < 0.25:
        words = with_article(noun)
    elif draw < 0.6 or primary == secondary:
        words = with_article(f"{primary} {noun}")
    elif draw < 0.8:
        words = with_article(f"{primary} and {secondary} {noun}")
    else:
        words = f"{with_article(f'{primary} {noun}')} with {secondary} details"
    prefix = ("", "a photo of ", "an image of ")[int(rng.integers(3))]
    return prefix + words


def build_tokenizer(folder: Path, max_length: int) -> CLIPTokenizer:
    """Builds a byte-complete CLIP tokenizer in which the known words are whole.

    Args:
        folder: Where its files are written.
        max_length: Tokens in a prompt.

    Returns:
        The tokenizer, as it loads from ``folder``.
    """
    words = set(_OTHER_WORDS.split()) | set(COLOURS)
    for family in FAMILIES:
        words |= set(family.name.split())
    merges = _train_merges(sorted(words))
    symbols = _byte_symbols()
    entries = [*symbols, *(s + _END_OF_WORD for s in symbols)]
    entries += [first + second for first, second in merges]
    vocabulary: dict[str, int] = {}
    for entry in [*entries, _START, _END]:
        vocabulary.setdefault(entry, len(vocabulary))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(f"{first} {second}" for first, second in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    special = {"bos_token": _START, "eos_token": _END, "unk_token": _END}
    special["pad_token"] = _END
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": max_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | special))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return CLIPTokenizer.from_pretrained(folder)


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins of the 256 bytes, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def _train_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that make each of the words one token.

    The most frequent pair first, the alphabetically first among equals: unlike common
    trainers, the same result every time.
    """
    spelled = [[*word[:-1], word[-1] + _END_OF_WORD] for word in words]
    merges: list[tuple[str, str]] = []
    while True:
        counts = Counter(pair for parts in spelled for pair in pairwise(parts))
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        spelled = [_merged(parts, best) for parts in spelled]


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """Joins each occurrence of a pair of neighbours."""
    result: list[str] = []
    index = 0
    while index < len(parts):
        if tuple(parts[index : index + 2]) == pair:
            result.append(pair[0] + pair[1])
            index += 2
        else:
            result.append(parts[index])
            index += 1
    return result
