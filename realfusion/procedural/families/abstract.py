"""Objects without a name: what teaches a prior to turn shapes it has never seen."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import (
    Paint,
    picture,
    random_artwork,
    random_colour,
    random_pattern,
)


def _random_paint(b: Builder) -> Paint:
    first, second = random_colour(b.rng), random_colour(b.rng)
    paint = random_pattern(b.rng, first, second)
    if b.chance(0.15):
        middle, half = b.u(-np.pi, np.pi), b.u(0.4, 1.2)
        window = (middle - half, middle + half)
        paint = picture(paint, random_artwork(b.rng, second), azimuth_range=window)
    return paint


def _random_part(
    b: Builder, paint: Paint, centre: np.ndarray, half: np.ndarray, turn: np.ndarray
) -> None:
    """One primitive of about the given half extents."""
    kind = int(b.rng.integers(8))
    if kind <= 1:
        b.ellipsoid(paint, centre, half, segments=16, rotate=turn)
    elif kind == 2:
        square = (b.u(0.15, 1.6), b.u(0.15, 1.6))
        b.ellipsoid(paint, centre, half, squareness=square, segments=18, rotate=turn)
    elif kind == 3:
        b.box(paint, centre, half * 0.85, taper=b.u(0.3, 1.0), rotate=turn)
    elif kind == 4:
        top = half[0] * b.u(0.05, 1.1)
        b.cylinder(
            paint, centre, half[0], 2 * half[1], top=top, segments=16, rotate=turn
        )
    elif kind == 5:
        b.torus(paint, centre, max(half[0], half[2]), half.min() * 0.5, rotate=turn)
    elif kind == 6:
        height = np.linspace(-half[1], half[1], 9)
        radius = np.interp(height, height[::2], b.rng.uniform(0.15, 1, 5) * half[0])
        profile = [(0, -half[1]), *zip(radius, height, strict=True), (0, half[1])]
        b.lathe(paint, profile, centre, segments=18, rotate=turn)
    else:
        corners = int(b.rng.integers(3, 9))
        angle = np.sort(b.rng.uniform(0, 0.5, corners) + np.arange(corners))
        angle *= 2 * np.pi / corners
        reach = b.rng.uniform(0.45, 1.0, corners)[:, None] * half[:2].max()
        outline = np.column_stack([np.cos(angle), np.sin(angle)]) * reach
        b.prism(paint, outline, 2 * half[2], centre, bevel=b.u(0, 0.3), rotate=turn)


def composite(b: Builder) -> None:
    """A random union of primitives, mirrored in part, joined end to end."""
    paints = [b.main, *(_random_paint(b) for _ in range(int(b.rng.integers(1, 4))))]
    is_mirrored = b.chance(0.45)
    first = b.rng.uniform(0.15, 0.5, 3)
    turn = np.zeros(3) if b.chance(0.6) else b.rng.uniform(-90, 90, 3) * (1, 0, 0)
    _random_part(b, paints[0], np.zeros(3), first, turn)
    anchors, reach = [np.zeros(3)], first
    for _ in range(int(b.rng.integers(1, 8))):
        way = b.rng.normal(size=3)
        way /= np.linalg.norm(way)
        start = anchors[int(b.rng.integers(len(anchors)))]
        centre = start + way * reach * b.u(0.7, 1.1)
        half = b.rng.uniform(0.06, 0.32, 3)
        if b.chance(0.4):
            half[:] = half.mean()
        turn = np.zeros(3) if b.chance(0.5) else b.rng.uniform(-90, 90, 3)
        paint = paints[int(b.rng.integers(len(paints)))]
        state = b.rng.bit_generator.state
        _random_part(b, paint, centre, half, turn)
        if is_mirrored and abs(centre[0]) > 0.06:
            b.rng.bit_generator.state = state
            _random_part(b, paint, centre * (-1, 1, 1), half, turn * (1, -1, -1))
        else:
            anchors.append(centre)


def turned(b: Builder) -> None:
    """A lathe of random profile with attachments that break its symmetry."""
    count = int(b.rng.integers(4, 10))
    height = np.linspace(-0.6, 0.6, 22)
    knots = b.rng.uniform(0.08, 0.5, count)
    radius = np.interp(height, np.linspace(-0.6, 0.6, count), knots)
    if b.chance(0.6):
        radius = np.convolve(np.pad(radius, 2, "edge"), np.full(5, 0.2), "valid")
    profile = [(0, -0.6), *zip(radius, height, strict=True)]
    closing = [(radius[-1] * 0.8, 0.6), (radius[-1] * 0.6, 0.1), (0, 0)]
    b.main = _random_paint(b)
    b.lathe(b.main, [*profile, *closing] if b.chance(0.5) else [*profile, (0, 0.6)])
    for _ in range(int(b.rng.integers(1, 4))):
        angle, level = b.u(-np.pi, np.pi), int(b.rng.integers(3, 19))
        way = np.array([np.sin(angle), 0, np.cos(angle)])
        centre = way * radius[level] + (0, height[level], 0)
        half = b.rng.uniform(0.06, 0.25, 3)
        _random_part(b, _random_paint(b), centre, half, b.rng.uniform(-60, 60, 3))


def extruded(b: Builder) -> None:
    """A random outline with thickness: letters, cookies, signs, gears."""
    corners = int(b.rng.integers(5, 26))
    angle = np.arange(corners) * 2 * np.pi / corners
    waves = [b.u(-0.25, 0.25) * np.cos(k * angle + b.u(0, 6.3)) for k in (1, 2, 3, 5)]
    reach = (0.5 * (1 + np.sum(waves, axis=0))).clip(0.12)
    if b.chance(0.25):
        reach *= np.where(np.arange(corners) % 2, b.u(0.5, 0.85), 1.0)
    outline = np.column_stack([np.cos(angle), np.sin(angle)]) * reach[:, None]
    depth = b.u(0.12, 0.7)
    b.main = _random_paint(b)
    b.prism(b.main, outline, depth, bevel=b.u(0, 0.3), rotate=(0, b.u(-180, 180), 0))
    for _ in range(int(b.rng.integers(0, 4))):
        centre = b.rng.uniform(-0.35, 0.35, 3)
        half = b.rng.uniform(0.08, 0.28, 3)
        _random_part(b, _random_paint(b), centre, half, b.rng.uniform(-90, 90, 3))


def branching(b: Builder) -> None:
    """Bent tubes with knobs: corals, antlers, sculptures."""
    paints = [b.main, _random_paint(b), _random_paint(b)]
    for _ in range(int(b.rng.integers(2, 6))):
        steps = b.rng.normal(size=(6, 3)) * b.rng.uniform(0.15, 0.35, 3)
        path = np.cumsum(steps, axis=0)
        path -= path[0]
        fine = np.linspace(0, 5, 14)
        smooth = np.column_stack(
            [np.interp(fine, np.arange(6), path[:, k]) for k in range(3)]
        )
        for _ in range(2):
            smooth[1:-1] = (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4
        paint = paints[int(b.rng.integers(3))]
        b.tube(
            paint, smooth, np.linspace(b.u(0.08, 0.22), b.u(0.04, 0.15), 14), segments=8
        )
        _random_part(
            b,
            paints[int(b.rng.integers(3))],
            smooth[-1],
            b.rng.uniform(0.1, 0.28, 3),
            b.rng.uniform(-90, 90, 3),
        )


def stacked(b: Builder) -> None:
    """Parts on top of one another, each shifted and turned: totems, machines."""
    y = 0.0
    for _ in range(int(b.rng.integers(2, 6))):
        half = b.rng.uniform(0.12, 0.42, 3)
        y += half[1]
        centre = np.array([b.u(-0.12, 0.12), y, b.u(-0.12, 0.12)])
        _random_part(b, _random_paint(b), centre, half, np.array([0, b.u(-90, 90), 0]))
        for _ in range(int(b.rng.integers(0, 3))):
            side = centre + b.rng.uniform(-1, 1, 3) * half
            small = b.rng.uniform(0.05, 0.16, 3)
            _random_part(b, _random_paint(b), side, small, b.rng.uniform(-90, 90, 3))
        y += half[1] * 0.85


def blob(b: Builder) -> None:
    """A lumpy body of overlapping balls in one material, with a few marks."""
    paint = _random_paint(b)
    for _ in range(int(b.rng.integers(3, 10))):
        centre = b.rng.normal(0, 0.22, 3)
        b.ellipsoid(
            paint,
            centre,
            b.rng.uniform(0.12, 0.4, 3),
            rotate=b.rng.uniform(-90, 90, 3),
            segments=16,
        )
    for _ in range(int(b.rng.integers(0, 4))):
        way = b.rng.normal(size=3)
        way *= 0.45 / np.linalg.norm(way)
        b.sphere(_random_paint(b), way, b.u(0.06, 0.16))
