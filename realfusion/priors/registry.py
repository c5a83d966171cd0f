"""Which priors a run asks for, in words, and how the ones that are no diffusion begin.

`sd15:1.0+clip:0.1` is two priors with weights. The first word of a part names a kind
of `PRIOR_KINDS`, and what follows is its model; every other part is a diffusion model.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realfusion.errors import InputError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

    from realfusion.priors.protocol import Prior

PRIOR_KINDS = {
    "clip": "realfusion.priors.clip_guidance",
}
"""Modules with a function `prepare(PriorRequest) -> Prior`, by the kind's name."""

DIFFUSION = "diffusion"
"""The kind of everything else: `bundled`, `sd15`, a Hub id, a folder, a file."""


@dataclass(frozen=True)
class PriorSpec:
    """One prior as it was asked for.

    Attributes:
        kind: A key of `PRIOR_KINDS`, or `DIFFUSION`.
        source: Its model; may be empty for a kind with a model of its own.
        weight: Its share in the prior's term.
    """

    kind: str
    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class PriorRequest:
    """What a kind of `PRIOR_KINDS` is given to begin with.

    Attributes:
        source: The model, as `PriorSpec` has it.
        device: Where to compute.
        offline: Never ask the Hub.
        text: What the object is, in the user's words; None if there are none.
        rgba: The framed photo, straight alpha in [0, 1]; None without one.
    """

    source: str
    device: torch.device
    offline: bool
    text: str | None
    rgba: Float[Tensor, "height width 4"] | None


def parse_priors(words: str) -> list[PriorSpec]:
    """The priors that `--prior` names.

    Args:
        words: `none`, or `SOURCE[:WEIGHT]` and `KIND[:MODEL][:WEIGHT]`, joined by `+`.

    Returns:
        One or more; empty for `none`.

    Raises:
        InputError: A part is empty, a weight is not positive, or `none` has company.
    """
    if words == "none":
        return []
    if words and Path(words).expanduser().exists():
        return [PriorSpec(DIFFUSION, words)]
    specs = [_parse(part.strip(), words) for part in words.split("+")]
    if any(spec.source == "none" for spec in specs):
        raise InputError(f"--prior: `none` cannot stand beside others, got {words!r}")
    return specs


def _parse(part: str, words: str) -> PriorSpec:
    source, colon, last = part.rpartition(":")
    weight = 1.0
    if colon and _is_number(last):
        part, weight = source, float(last)
    if not part or not (math.isfinite(weight) and weight > 0.0):
        raise InputError(
            f"--prior: each must be PRIOR or PRIOR:WEIGHT with a positive weight, got "
            f"{words!r}"
        )
    kind, _, model = part.partition(":")
    if kind in PRIOR_KINDS:
        return PriorSpec(kind, model, weight)
    return PriorSpec(DIFFUSION, part, weight)


def prepare_other(kind: str, request: PriorRequest) -> Prior:
    """The prior of a kind of `PRIOR_KINDS`.

    Args:
        kind: Its name.
        request: What it begins with.

    Returns:
        The prior.

    Raises:
        InputError: Its model is missing, or does not fit the request.
    """
    prior: Prior = importlib.import_module(PRIOR_KINDS[kind]).prepare(request)
    return prior


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
