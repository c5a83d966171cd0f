"""One random object for a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realfusion.procedural.builder import Builder, TexturedMesh, Warp
from realfusion.procedural.families.catalogue import (
    ABSTRACT_FAMILIES,
    FAMILIES,
    Family,
)
from realfusion.procedural.paint import COLOURS

OBJECT_RADIUS = 0.55
"""World radius of the bounding sphere of most objects."""

_TRAINED = tuple(family for family in FAMILIES if not family.is_held_out)
_HELD_OUT = tuple(family for family in FAMILIES if family.is_held_out)
_SPLIT_STREAMS = {"train": 1, "held_out_instances": 2, "held_out_families": 3}


@dataclass(frozen=True, kw_only=True)
class ProceduralObject:
    """A random object with the words that describe it."""

    mesh: TexturedMesh
    """Centred at the origin, +y up, canonical front towards +z."""
    noun: str
    """Its family, or "object"."""
    primary: str
    """Name of the main colour."""
    secondary: str
    """Name of the colour of the details."""


def generate_object(
    seed: int,
    *,
    split: str = "train",
    abstract_share: float = 0.45,
    family: Family | None = None,
) -> ProceduralObject:
    """A random object; the same for the same arguments.

    Args:
        seed: Number of the object within its split.
        split: ``"train"``, ``"held_out_instances"`` (the trained families, other
            random numbers) or ``"held_out_families"`` (families never trained on).
        abstract_share: Probability of an object without a name.
        family: This family instead of a random one.

    Returns:
        The object.

    Raises:
        ValueError: If the split is unknown.
    """
    if split not in _SPLIT_STREAMS:
        raise ValueError(f"`split` must be one of {set(_SPLIT_STREAMS)}, got {split!r}")
    rng = np.random.default_rng([_SPLIT_STREAMS[split], seed])
    is_abstract = rng.random() < abstract_share and split != "held_out_families"
    if is_abstract:
        candidates: tuple[Family, ...] = ABSTRACT_FAMILIES
        weights = np.array([4, 2, 2, 1, 2, 1]) / 12
        chosen = candidates[int(rng.choice(len(candidates), p=weights))]
    else:
        candidates = _HELD_OUT if split == "held_out_families" else _TRAINED
        chosen = candidates[int(rng.integers(len(candidates)))]
    chosen = family or chosen
    is_named = chosen in FAMILIES
    names = list(COLOURS)
    if chosen.colours and rng.random() < 0.65:
        primary = str(rng.choice(chosen.colours))
    else:
        primary = str(rng.choice(names))
    secondary = str(rng.choice(names))
    builder = Builder(rng, primary, secondary)
    chosen.build(builder)
    warp = _random_warp(rng, is_named)
    radius = OBJECT_RADIUS * rng.uniform(0.94, 1.08)
    return ProceduralObject(
        mesh=builder.finish(radius, warp),
        noun=chosen.name if is_named else "object",
        primary=primary,
        secondary=secondary,
    )


def _random_warp(rng: np.random.Generator, is_named: bool) -> Warp | None:
    """Named objects are deformed a little and seldom, the others more."""
    if rng.random() < (0.5 if is_named else 0.35):
        return None
    return Warp(rng, rng.uniform(0.1, 0.5) if is_named else rng.uniform(0.3, 1.3))
