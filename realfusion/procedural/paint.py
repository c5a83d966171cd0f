"""Paints: functions from a primitive's own coordinates to colours.

A primitive's own coordinates are its points before it is rotated and placed, divided
by its largest half extent, so that they lie in [-1, 1] with +y up and +z to the front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Paint: TypeAlias = Callable[[Array], Array]
"""``[num_points, 3]`` own coordinates to ``[num_points, 3]`` colours in [0, 1]."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.82, 0.11, 0.10),
    "orange": (0.95, 0.50, 0.08),
    "yellow": (0.95, 0.84, 0.14),
    "green": (0.16, 0.58, 0.18),
    "blue": (0.13, 0.26, 0.82),
    "cyan": (0.22, 0.72, 0.82),
    "purple": (0.48, 0.19, 0.68),
    "pink": (0.95, 0.52, 0.70),
    "brown": (0.44, 0.27, 0.13),
    "beige": (0.83, 0.72, 0.53),
    "white": (0.93, 0.93, 0.92),
    "black": (0.09, 0.09, 0.10),
    "gray": (0.50, 0.50, 0.51),
}
"""Named colours, the words that captions use."""


def colour_near(rng: np.random.Generator, name: str, spread: float = 0.06) -> Array:
    """A random colour close to a named one."""
    shifted = np.array(COLOURS[name]) + rng.uniform(-spread, spread, 3)
    shifted *= rng.uniform(0.85, 1.08)
    return np.clip(shifted, 0.02, 0.98).astype(np.float32)


def random_colour(rng: np.random.Generator) -> Array:
    """A random colour: a named one, or any."""
    if rng.random() < 0.7:
        return colour_near(rng, str(rng.choice(list(COLOURS))))
    return rng.uniform(0.04, 0.97, 3).astype(np.float32)


def plain(colour: Array) -> Paint:
    """One colour."""
    return lambda points: np.broadcast_to(colour, points.shape)


def blend(weight: Array, first: Array, second: Array) -> Array:
    """``first`` where ``weight`` is 0, ``second`` where it is 1."""
    mixture = first + weight[:, None] * (second - first)
    return mixture.astype(np.float32)


def random_direction(rng: np.random.Generator) -> Array:
    """A unit vector: an axis in three cases of four, else any."""
    if rng.random() < 0.75:
        return np.eye(3, dtype=np.float32)[rng.integers(3)]
    vector = rng.normal(size=3)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def stripes(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """Parallel bands of random direction, number and duty."""
    direction = random_direction(rng)
    frequency, phase = rng.uniform(3.0, 14.0), rng.uniform(0.0, 6.3)
    threshold, softness = rng.uniform(-0.5, 0.6), rng.choice([4.0, 12.0])

    def paint(points: Array) -> Array:
        wave = np.sin(frequency * (points @ direction) + phase) - threshold
        return blend(np.clip(0.5 + softness * wave, 0, 1), first, second)

    return paint


def halves(
    first: Array,
    second: Array,
    direction: Sequence[float] | Array,
    level: float = 0.0,
    softness: float = 25.0,
) -> Paint:
    """``second`` where a point lies beyond ``level`` along a direction."""
    normal = np.asarray(direction, np.float32)

    def paint(points: Array) -> Array:
        distance = points @ normal - level
        return blend(np.clip(0.5 + softness * distance, 0, 1), first, second)

    return paint


def two_tone(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """One colour on each side of a plane."""
    direction, level = random_direction(rng), rng.uniform(-0.45, 0.45)
    return halves(first, second, direction, level, rng.choice([2.0, 25.0]))


def band(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """A single belt around the height axis."""
    centre, half = rng.uniform(-0.6, 0.6), rng.uniform(0.06, 0.3)

    def paint(points: Array) -> Array:
        inside = np.abs(points[:, 1] - centre) < half
        return blend(inside.astype(np.float32), first, second)

    return paint


def checks(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """A checkerboard of random scale in three dimensions."""
    scale = rng.uniform(1.2, 4.0)
    offset = rng.uniform(0, 1, 3).astype(np.float32)

    def paint(points: Array) -> Array:
        cells = np.floor(points * scale + offset).astype(np.int32).sum(axis=1)
        return blend((cells & 1).astype(np.float32), first, second)

    return paint


def spots(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """Randomly placed round spots."""
    centres = rng.normal(size=(int(rng.integers(6, 26)), 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    centres *= rng.uniform(0.4, 1.0, (len(centres), 1))
    cosines = rng.uniform(0.86, 0.975)
    unit = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)

    def paint(points: Array) -> Array:
        norm = np.linalg.norm(points, axis=1, keepdims=True) + 1e-6
        nearest = ((points / norm) @ unit.T).max(axis=1)
        return blend((nearest > cosines).astype(np.float32), first, second)

    return paint


def panels(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """Voronoi panels on the sphere of directions, with seams (balls, patchwork)."""
    sites = rng.normal(size=(int(rng.integers(6, 22)), 3))
    sites = (sites / np.linalg.norm(sites, axis=1, keepdims=True)).astype(np.float32)
    shares = rng.uniform(0, 1, len(sites)) < rng.uniform(0.2, 0.6)
    colours = np.where(shares[:, None], second, first).astype(np.float32)
    if rng.random() < 0.3:
        colours = np.stack([random_colour(rng) for _ in sites])
    seam, seam_colour = rng.uniform(0.0, 0.04), first * rng.uniform(0.1, 0.6)

    def paint(points: Array) -> Array:
        norm = np.linalg.norm(points, axis=1, keepdims=True) + 1e-6
        closeness = (points / norm) @ sites.T
        best = np.partition(closeness, -2, axis=1)[:, -2:]
        painted = colours[closeness.argmax(axis=1)]
        on_seam = (best[:, 1] - best[:, 0]) < seam
        return np.where(on_seam[:, None], seam_colour, painted).astype(np.float32)

    return paint


def cloudy(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """Smooth noise: a few random plane waves, from marble to camouflage."""
    frequency = rng.uniform(1.5, 7.0)
    waves = (rng.normal(size=(5, 3)) * frequency).astype(np.float32)
    phases = rng.uniform(0, 6.3, 5).astype(np.float32)
    softness, level = rng.choice([0.5, 4.0]), rng.uniform(-0.6, 0.6)

    def paint(points: Array) -> Array:
        value = np.sin(points @ waves.T + phases).sum(axis=1) - level
        return blend(np.clip(0.5 + softness * value, 0, 1), first, second)

    return paint


def gradient(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """A smooth change along a direction."""
    direction = random_direction(rng)

    def paint(points: Array) -> Array:
        return blend(np.clip(0.5 + 0.6 * (points @ direction), 0, 1), first, second)

    return paint


def mottled(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """Fine darker and lighter grain of one colour (wool, stone, bark, wicker)."""
    waves = (rng.normal(size=(4, 3)) * rng.uniform(9.0, 26.0)).astype(np.float32)
    depth = rng.uniform(0.06, 0.3)
    tint = first + rng.uniform(0.0, 0.3) * (second - first)

    def paint(points: Array) -> Array:
        value = np.sin(points @ waves.T).sum(axis=1, keepdims=True) * 0.5
        return np.clip(tint * (1.0 + depth * value), 0, 1).astype(np.float32)

    return paint


def grainy(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """A grain of many waves without a direction (stone, fur, crust)."""
    lengths = rng.uniform(6.0, 26.0, (14, 1))
    waves = (rng.normal(size=(14, 3)) * lengths).astype(np.float32)
    phases = rng.uniform(0, 6.3, 14).astype(np.float32)
    depth = rng.uniform(0.04, 0.16)
    tint = first + rng.uniform(0.0, 0.25) * (second - first)

    def paint(points: Array) -> Array:
        value = np.sin(points @ waves.T + phases).sum(axis=1, keepdims=True) * 0.38
        return np.clip(tint * (1.0 + depth * value), 0, 1).astype(np.float32)

    return paint


PATTERNS = (stripes, two_tone, band, checks, spots, panels, cloudy, gradient, mottled)
"""Patterns of two colours, each ``(rng, first, second) -> Paint``."""


def random_artwork(rng: np.random.Generator, ground: Array) -> Array:
    """A small picture ``[24, 24, 3]``: blocks, discs, bars like lines of print."""
    size = 24
    picture = np.broadcast_to(ground, (size, size, 3)).copy()
    rows, columns = np.mgrid[0:size, 0:size]
    for _ in range(int(rng.integers(1, 6))):
        colour, kind = random_colour(rng), rng.random()
        row, column = rng.uniform(2, size - 2, 2)
        height, width = rng.uniform(2, 12, 2)
        if kind < 0.4:
            inside = (abs(rows - row) < height / 2) & (abs(columns - column) < width)
        elif kind < 0.7:
            inside = (rows - row) ** 2 + (columns - column) ** 2 < (height / 1.6) ** 2
        else:
            letters = np.sin(columns * rng.uniform(1.2, 2.6)) > -0.4
            inside = (abs(rows - row) < 1.2) & (abs(columns - column) < width) & letters
        picture[inside] = colour
    return picture.astype(np.float32)


def picture(
    base: Paint,
    artwork: Array,
    *,
    azimuth_range: tuple[float, float] = (-np.pi, np.pi),
    height_range: tuple[float, float] = (-1.0, 1.0),
) -> Paint:
    """Wraps a picture around the height axis over another paint.

    Args:
        base: Paint outside the picture's window.
        artwork: ``[rows, columns, 3]``, row 0 at the top.
        azimuth_range: Window in radians from +z towards +x.
        height_range: Window along y.
    """
    rows, columns = artwork.shape[:2]

    def paint(points: Array) -> Array:
        colours = np.array(base(points), np.float32)
        azimuth = np.arctan2(points[:, 0], points[:, 2])
        u = (azimuth - azimuth_range[0]) / (azimuth_range[1] - azimuth_range[0])
        v = (points[:, 1] - height_range[0]) / (height_range[1] - height_range[0])
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        row = ((1 - v[inside]) * rows).astype(np.int32).clip(0, rows - 1)
        column = (u[inside] * columns).astype(np.int32).clip(0, columns - 1)
        colours[inside] = artwork[row, column]
        return colours

    return paint


def random_pattern(rng: np.random.Generator, first: Array, second: Array) -> Paint:
    """A random pattern of the two colours; mostly plain on purpose."""
    draw = rng.random()
    if draw < 0.45:
        return plain(first)
    if draw < 0.55:
        return mottled(rng, first, second)
    return PATTERNS[int(rng.integers(len(PATTERNS)))](rng, first, second)
