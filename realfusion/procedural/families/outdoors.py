"""Things that stand in streets and gardens."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import (
    grainy,
    picture,
    random_artwork,
)


def stone(b: Builder) -> None:
    """Gives the main paint the grain of stone in half of all cases."""
    if b.chance(0.5):
        b.main = grainy(b.rng, b.primary_colour, 0.6 * b.primary_colour)


def shaft(
    b: Builder, paint: Paint, wide: float, top: float, tall: float, sides: int = 24
) -> None:
    """A cylinder or cone of height ``2 tall`` in rings, so that bands follow it."""
    levels = np.linspace(-1, 1, 9)
    rings = [(wide + (top - wide) * (y + 1) / 2, y * tall) for y in levels]
    b.lathe(paint, [(0, -tall), *rings, (0, tall)], segments=sides)


def fire_hydrant(b: Builder) -> None:
    """A hydrant: barrel, domed cap, a big nozzle to the front, two at its sides."""
    wide, tall = b.u(0.15, 0.2), b.u(0.36, 0.5)
    b.cylinder(
        b.main, (0, -tall, 0), wide * 1.6, 0.08, segments=int(b.rng.integers(6, 20))
    )
    shaft(b, b.main, wide, wide, tall, 20)
    b.cylinder(b.detail, (0, tall, 0), wide * 1.3, 0.07)
    curve = np.linspace(0, np.pi / 2, 7)
    cap = [(wide * 1.15 * np.cos(a), tall + wide * 1.1 * np.sin(a)) for a in curve]
    cap_paint = b.detail if b.chance(0.5) else b.main
    b.lathe(cap_paint, [(0, tall), *cap])
    b.cylinder(b.detail, (0, tall + wide * 1.2, 0), 0.05, 0.1, segments=5)
    y = tall * b.u(0.3, 0.6)
    b.cylinder(b.main, (0, y - 0.05, wide), 0.11, 0.2, rotate=(90, 0, 0))
    b.cylinder(
        b.detail, (0, y - 0.05, wide + 0.12), 0.13, 0.07, rotate=(90, 0, 0), segments=8
    )
    for side in (-1, 1):
        b.cylinder(
            b.main, (side * wide, y, 0), 0.075, 0.2, rotate=(0, 0, 90), segments=12
        )
        b.cylinder(
            b.detail,
            (side * (wide + 0.11), y, 0),
            0.09,
            0.06,
            rotate=(0, 0, 90),
            segments=6,
        )
    if b.chance(0.4):
        chain = [
            (wide, y - 0.1, 0.06),
            (wide + 0.02, y - 0.2, 0.12),
            (0.08, y - 0.16, wide + 0.1),
        ]
        b.tube(b.colour("gray"), chain, 0.015, segments=5)


def letter_box(b: Builder) -> None:
    """A pillar box, a box on a leg with a flag, or a wall box with a slot."""
    black, white, kind = b.colour("black"), b.colour("white"), int(b.rng.integers(3))
    notice = picture(
        white, random_artwork(b.rng, np.array([0.9, 0.9, 0.88], np.float32))
    )
    if kind == 0:
        wide, tall = b.u(0.2, 0.27), b.u(0.5, 0.65)
        shaft(b, b.main, wide, wide, tall)
        b.cylinder(black, (0, -tall, 0), wide * 1.12, 0.14, segments=24)
        top = tall + 0.03
        hood = [(0, top - 0.04), (wide * 1.2, top - 0.04), (wide * 1.15, top + 0.03)]
        b.lathe(b.main, [*hood, (wide * 0.6, top + 0.1), (0, top + 0.13)], segments=24)
        b.box(black, (0, tall * 0.65, wide * 0.9), (wide * 0.55, 0.025, wide * 0.14))
        b.box(notice, (0, tall * 0.25, wide * 0.9), (wide * 0.4, 0.11, wide * 0.12))
        return
    wide, high, deep = b.u(0.14, 0.24), b.u(0.13, 0.2), b.u(0.26, 0.38)
    angle = np.linspace(0, np.pi, 9)
    dome = np.column_stack([np.cos(angle) * wide, np.sin(angle) * wide * 0.8])
    outline = np.concatenate([[(-wide, -high), (wide, -high)], dome])
    if kind == 1:
        b.prism(b.main, outline, 2 * deep, (0, 0.45, 0.1))
        door = outline * 0.94
        b.prism(b.detail, door, 0.03, (0, 0.45, 0.1 + deep))
        b.sphere(black, (0, 0.5, 0.13 + deep), 0.03)
        pole = b.colour("brown" if b.chance(0.6) else "gray")
        b.box(pole, (0, -0.2, 0.05), (0.05, 0.55, 0.05))
        b.box(pole, (0, 0.45 - high - 0.02, 0.08), (wide * 0.7, 0.03, deep * 0.8))
        side = wide if b.chance(0.6) else -wide
        b.box(b.colour("red"), (side * 1.08, 0.58, 0), (0.015, 0.17, 0.02))
        b.box(b.colour("red"), (side * 1.08, 0.7, -0.06), (0.015, 0.06, 0.08))
        return
    half = (b.u(0.25, 0.35), b.u(0.3, 0.45), b.u(0.1, 0.2))
    b.ellipsoid(b.main, (0, 0, 0), half, squareness=(0.2, 0.25), segments=24)
    roof = (half[0] * 1.08, 0.04, half[2] * 1.2)
    b.box(b.detail, (0, half[1], 0.02), roof, rotate=(12, 0, 0))
    front = half[2] * 0.98
    b.box(black, (0, half[1] * 0.6, front), (half[0] * 0.7, 0.025, 0.02))
    b.box(notice, (0, -half[1] * 0.1, front), (half[0] * 0.55, half[1] * 0.3, 0.02))
    b.cylinder(
        b.colour("gray"),
        (half[0] * 0.7, -half[1] * 0.6, front),
        0.03,
        0.05,
        rotate=(90, 0, 0),
    )


def traffic_cone(b: Builder) -> None:
    """A traffic cone with white bands, or a barrel or bollard with them."""
    white, tall = b.colour("white"), b.u(0.45, 0.6)
    if b.chance(0.7):
        wide = b.u(0.22, 0.32)
        base = b.main if b.chance(0.5) else b.colour("black")
        half = (wide * 1.35, 0.04, wide * 1.35)
        b.ellipsoid(base, (0, -tall, 0), half, squareness=(0.2, b.u(0.2, 0.5)))
        shaft(b, b.main, wide, 0.055, tall)
        for low in ((-0.35, 0.2), (-0.1,), (-0.45, -0.05, 0.35))[
            int(b.rng.integers(3))
        ]:
            high = low + b.u(0.2, 0.32)
            radius = [wide + (0.055 - wide) * (t + 1) / 2 + 0.008 for t in (low, high)]
            ring = [(0, low * tall), (radius[0], low * tall), (radius[1], high * tall)]
            b.lathe(white, [*ring, (0, high * tall)], segments=24)
        return
    wide = b.u(0.16, 0.28)
    shaft(b, b.main, wide, wide * b.u(0.85, 1.0), tall)
    b.cylinder(b.colour("black"), (0, -tall, 0), wide * 1.3, 0.1, segments=24)
    for y in (-0.4, 0.0, 0.4)[: int(b.rng.integers(1, 4))]:
        b.cylinder(white, (0, y * tall, 0), wide * 1.01, 0.13, segments=24)
    if b.chance(0.5):
        b.ellipsoid(b.colour("yellow"), (0, tall + 0.06, 0), (0.1, 0.13, 0.1))
    else:
        b.ellipsoid(b.main, (0, tall, 0), (wide * 0.8, 0.1, wide * 0.8))


def fountain(b: Builder) -> None:
    """A fountain with one to three basins and water."""
    stone(b)
    wide, water = b.u(0.45, 0.6), b.colour("cyan")
    sides = 8 if b.chance(0.3) else 28
    b.lathe(
        b.main,
        [
            (0, -0.4),
            (wide * 0.95, -0.4),
            (wide, -0.18),
            (wide * 0.86, -0.18),
            (wide * 0.82, -0.28),
            (0, -0.28),
        ],
        segments=sides,
    )
    b.cylinder(water, (0, -0.26, 0), wide * 0.84, 0.06, segments=sides)
    y, radius = -0.3, wide * b.u(0.5, 0.65)
    for _ in range(int(b.rng.integers(1, 4))):
        tall = b.u(0.2, 0.34)
        b.lathe(
            b.main,
            [
                (0, y),
                (0.09, y),
                (0.05, y + tall * 0.5),
                (0.07, y + tall),
                (0, y + tall),
            ],
        )
        y += tall
        dish = [
            (0, y - 0.03),
            (radius * 0.4, y - 0.02),
            (radius, y + 0.08),
            (radius * 0.9, y + 0.08),
            (0, y + 0.01),
        ]
        b.lathe(b.main, dish, segments=sides)
        b.cylinder(water, (0, y + 0.05, 0), radius * 0.82, 0.03, segments=sides)
        if b.chance(0.5):
            for angle in np.arange(6) * np.pi / 3:
                way = np.array([np.sin(angle), 0, np.cos(angle)]) * radius
                fall = [
                    way * 0.8 + (0, y + 0.06, 0),
                    way * 1.05 + (0, y + 0.04, 0),
                    way * 1.12 + (0, y - 0.2, 0),
                ]
                b.tube(water, fall, 0.018, segments=5)
        radius *= b.u(0.45, 0.65)
        y += 0.03
    if b.chance(0.5):
        b.tube(water, [(0, y, 0), (0, y + b.u(0.1, 0.3), 0)], [0.05, 0.02])
    else:
        b.sphere(b.detail, (0, y + 0.06, 0), 0.085)


def barrow(b: Builder) -> None:
    """A wheelbarrow: tub, one wheel at the front, two handles; at times loaded."""
    wide, long = b.u(0.24, 0.3), b.u(0.3, 0.4)
    tub = [
        (-long * 1.3, 0.16),
        (-long * 0.7, -0.14),
        (long * 0.7, -0.14),
        (long * 1.1, 0.2),
    ]
    b.prism(b.main, tub, 2 * wide, rotate=(0, 90, 0))
    dark = b.colour("brown" if b.chance(0.6) else "black")
    b.box(dark, (0, 0.155, 0.04), (wide * 0.93, 0.02, long * 1.08))
    wood = b.detail if b.chance(0.5) else b.colour("brown")
    front = long * 1.3 + 0.12
    for side in (-1, 1):
        path = [
            (side * 0.08, -0.26, front),
            (side * wide * 0.8, -0.16, 0),
            (side * (wide + 0.04), 0.06, -long - 0.5),
        ]
        b.tube(wood, path, 0.03, segments=7)
        leg = (side * wide * 0.85, -0.18, -long * 0.6)
        b.tube(wood, [leg, np.add(leg, (0, -0.26, -0.06))], 0.03, segments=7)
    size = b.u(0.14, 0.19)
    hub = (0, size - 0.44, front)
    b.cylinder(b.colour("black"), hub, size, 0.09, rotate=(0, 0, 90), segments=18)
    b.cylinder(b.colour("gray"), hub, size * 0.5, 0.11, rotate=(0, 0, 90), segments=12)
    if b.chance(0.5):
        load = b.colour(str(b.rng.choice(["green", "brown", "red", "yellow", "gray"])))
        for _ in range(int(b.rng.integers(3, 8))):
            place = (b.u(-0.6, 0.6) * wide, 0.2, b.u(-0.6, 0.7) * long)
            b.ellipsoid(load, place, b.rng.uniform(0.09, 0.18, 3), segments=10)
