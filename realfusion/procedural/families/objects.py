"""Toys, tools, clothes, buildings and other single things."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import panels, picture, random_artwork


def ball(b: Builder) -> None:
    """A ball with panels, stripes or spots."""
    if b.chance(0.6):
        b.main = panels(b.rng, b.primary_colour, b.secondary_colour)
    b.ellipsoid(b.main, (0, 0, 0), (0.6, 0.6, 0.6), segments=30)


def brick(b: Builder) -> None:
    """A toy brick with studs."""
    columns, rows = int(b.rng.integers(1, 5)), int(b.rng.integers(1, 3))
    pitch, high = 0.25, b.u(0.08, 0.22)
    half = (columns * pitch / 2, high, rows * pitch / 2)
    b.box(b.main, (0, 0, 0), half)
    for column in range(columns):
        for row in range(rows):
            x = (column - (columns - 1) / 2) * pitch
            z = (row - (rows - 1) / 2) * pitch
            b.cylinder(b.main, (x, high + 0.04, z), 0.075, 0.08, segments=12)


def blocks(b: Builder) -> None:
    """A small pile of toy blocks."""
    y = -0.5
    for _ in range(int(b.rng.integers(2, 5))):
        half = np.array([b.u(0.15, 0.35), b.u(0.1, 0.2), b.u(0.15, 0.35)])
        y += half[1]
        paint = b.colour(
            str(b.rng.choice(["red", "blue", "yellow", "green", "purple"]))
        )
        place = (b.u(-0.1, 0.1), y, b.u(-0.1, 0.1))
        if b.chance(0.7):
            b.box(paint, place, half, rotate=(0, b.u(-40, 40), 0))
        else:
            b.cylinder(paint, place, half[0], 2 * half[1])
        y += half[1]
    if b.chance(0.5):
        b.cylinder(b.main, (0, y + 0.15, 0), 0.2, 0.3, top=0.01)


def house(b: Builder) -> None:
    """A house with door, windows, roof and chimney."""
    wide, deep, high = b.u(0.35, 0.5), b.u(0.35, 0.5), b.u(0.25, 0.4)
    b.box(b.main, (0, -0.25, 0), (wide, high, deep))
    top, rise = high - 0.25, b.u(0.3, 0.5)
    gable = [(-wide * 1.15, top), (wide * 1.15, top), (0, top + rise)]
    b.prism(b.detail, gable, deep * 2.2)
    b.box(
        b.colour("brown"),
        (b.u(-0.15, 0.15), -0.25 - high + 0.2, deep),
        (0.1, 0.2, 0.02),
    )
    glass = b.colour("cyan")
    for side in (-1, 1):
        b.box(glass, (side * wide * 0.6, -0.15, deep), (0.09, 0.09, 0.02))
        if b.chance(0.7):
            b.box(glass, (side * wide, -0.18, b.u(-0.2, 0.2)), (0.02, 0.1, 0.12))
    chimney = (wide * 0.5, top + rise * 0.7, -deep * 0.4)
    b.box(b.colour("red"), chimney, (0.07, 0.2, 0.07))


def tower(b: Builder) -> None:
    """A tower or castle with battlements or a roof."""
    radius, high = b.u(0.2, 0.32), b.u(0.5, 0.7)
    b.cylinder(b.main, (0, 0, 0), radius, 2 * high, top=radius * b.u(0.7, 1.0))
    if b.chance(0.5):
        b.cylinder(b.detail, (0, high + 0.2, 0), radius * 1.2, 0.4, top=0.01)
    else:
        b.cylinder(b.main, (0, high, 0), radius * 1.2, 0.12)
        for angle in np.arange(6) * np.pi / 3:
            place = (np.sin(angle) * radius, high + 0.12, np.cos(angle) * radius)
            b.box(b.main, place, (0.06, 0.08, 0.06))
    b.box(b.colour("brown"), (0, 0.18 - high, radius * 0.95), (0.09, 0.18, 0.05))
    for y in (0.0, 0.3):
        b.box(
            b.colour("black"), (b.u(-0.05, 0.05), y, radius * 0.9), (0.05, 0.07, 0.06)
        )
    if b.chance(0.4):
        b.box(
            b.main, (radius * 1.6, -high * 0.5, 0), (radius, high * 0.5, radius * 0.8)
        )


def shoe(b: Builder) -> None:
    """A shoe or boot; its toe points to the front."""
    b.ellipsoid(b.main, (0, 0, 0.2), (0.2, 0.17, 0.42), squareness=(0.8, 0.8))
    tall = b.u(0.15, 0.45)
    b.cylinder(b.main, (0, tall * 0.9, -0.25), 0.2, tall * 2, top=b.u(0.16, 0.22))
    b.cylinder(b.colour("black"), (0, tall * 1.82, -0.25), 0.15, 0.08)
    sole = b.detail if b.chance(0.6) else b.colour("white")
    b.ellipsoid(sole, (0, -0.15, 0.05), (0.23, 0.07, 0.6), squareness=(0.3, 0.8))
    for z in (0.0, 0.12, 0.24):
        b.box(b.colour("white"), (0, 0.17 - z * 0.15, z), (0.1, 0.015, 0.02))
    if b.chance(0.5):
        b.box(b.detail, (0.19, 0.02, 0.0), (0.02, 0.06, 0.16), rotate=(20, 0, 0))


def hat(b: Builder) -> None:
    """A hat with a band and a feather, or a cap with a peak."""
    radius = b.u(0.34, 0.42)
    if b.chance(0.6):
        brim, tall = b.u(0.5, 0.68), b.u(0.3, 0.6)
        b.cylinder(b.main, (0, -0.25, 0), brim, 0.05, segments=26)
        b.cylinder(
            b.main, (0, tall / 2 - 0.24, 0), radius, tall, top=radius * b.u(0.3, 1.05)
        )
        b.cylinder(b.detail, (0, -0.17, 0), radius * 1.02, 0.12)
        if b.chance(0.5):
            b.ellipsoid(
                b.detail, (radius, 0.1, 0), (0.03, 0.3, 0.08), rotate=(0, 0, -20)
            )
    else:
        angle = np.linspace(0, np.pi / 2, 8)
        dome = [(radius * np.cos(a), 0.36 * np.sin(a)) for a in angle]
        b.lathe(b.main, [(0, 0), *dome])
        b.ellipsoid(b.detail, (0, 0, radius), (0.3, 0.03, 0.34))
        b.sphere(b.detail, (0, 0.37, 0), 0.05)


def bag(b: Builder) -> None:
    """A handbag or rucksack with a pocket and straps."""
    half = (b.u(0.35, 0.5), b.u(0.3, 0.5), b.u(0.15, 0.25))
    b.ellipsoid(b.main, (0, 0, 0), half, squareness=(0.35, 0.4))
    pocket = (half[0] * 0.6, half[1] * 0.4, 0.08)
    b.ellipsoid(b.detail, (0, -half[1] * 0.3, half[2]), pocket, squareness=(0.3, 0.3))
    reach = half[0] * b.u(0.4, 0.7)
    b.torus(
        b.detail,
        (0, half[1] * 0.9, 0),
        reach,
        0.035,
        arc_deg=(-90, 90),
        rotate=(-90, 0, 0),
    )
    if b.chance(0.5):
        for side in (-1, 1):
            strap = (side * half[0] * 0.5, 0, -half[2])
            b.torus(
                b.detail, strap, half[1] * 0.7, 0.04, rotate=(0, 0, 90), flatten=0.4
            )


def camera(b: Builder) -> None:
    """A photographic camera."""
    half = (b.u(0.4, 0.55), b.u(0.26, 0.36), b.u(0.12, 0.2))
    b.box(b.main, (0, 0, 0), half)
    b.box(
        b.detail,
        (0, half[1] * 0.6, 0),
        (half[0] * 1.01, half[1] * 0.25, half[2] * 1.02),
    )
    lens = (b.u(-0.12, 0.12), -0.04, half[2] + 0.12)
    b.cylinder(b.colour("black"), lens, half[1] * 0.75, 0.28, rotate=(90, 0, 0))
    b.cylinder(
        b.colour("cyan"),
        np.add(lens, (0, 0, 0.14)),
        half[1] * 0.5,
        0.02,
        rotate=(90, 0, 0),
    )
    b.cylinder(b.colour("red"), (half[0] * 0.7, half[1] + 0.04, 0), 0.06, 0.08)
    b.box(b.colour("black"), (-half[0] * 0.3, half[1] + 0.06, 0), (0.12, 0.08, 0.1))


def hammer(b: Builder) -> None:
    """A hammer or mallet."""
    b.cylinder(b.main, (0, -0.2, 0), b.u(0.05, 0.08), 1.2)
    head = b.detail
    if b.chance(0.5):
        b.cylinder(head, (0, 0.42, 0), 0.14, b.u(0.4, 0.7), rotate=(0, 0, 90))
    else:
        b.cylinder(head, (0.16, 0.42, 0), 0.11, 0.34, rotate=(0, 0, 90))
        b.tube(
            head, [(0, 0.42, 0), (-0.25, 0.46, 0), (-0.4, 0.32, 0)], [0.1, 0.08, 0.02]
        )


def guitar(b: Builder) -> None:
    """A guitar; its strings face the front."""
    deep = b.u(0.14, 0.24)
    b.cylinder(b.main, (0, -0.4, 0), 0.34, deep, rotate=(90, 0, 0), segments=22)
    b.cylinder(b.main, (0, -0.05, 0), 0.26, deep, rotate=(90, 0, 0), segments=22)
    front = deep / 2
    b.cylinder(
        b.colour("black"), (0, -0.12, front), 0.1, 0.02, rotate=(90, 0, 0), segments=22
    )
    b.box(b.colour("brown"), (0, 0.42, front * 0.6), (0.05, 0.4, 0.03))
    b.box(b.detail, (0, 0.88, front * 0.6), (0.08, 0.1, 0.03))
    b.box(b.detail, (0, -0.48, front), (0.12, 0.025, 0.03))


def umbrella(b: Builder) -> None:
    """An open umbrella, upright."""
    angle = np.linspace(0.05, b.u(1.1, 1.5), 8)
    dome = [(0.75 * np.sin(a), 0.75 * np.cos(a) - 0.2) for a in angle]
    below = [(0.95 * radius, height - 0.03) for radius, height in reversed(dome)]
    cloth = [(0, 0.55), *dome, *below, (0, 0.52)]
    b.lathe(b.main, cloth, segments=int(b.rng.integers(6, 11)))
    b.cylinder(b.detail, (0, 0, 0), 0.03, 1.2, segments=8)
    b.torus(b.detail, (0.1, -0.6, 0), 0.1, 0.04, arc_deg=(-90, 90), rotate=(90, 0, 0))


def crown(b: Builder) -> None:
    """A crown with points and gems."""
    radius, high = b.u(0.4, 0.5), b.u(0.2, 0.35)
    b.lathe(
        b.main,
        [
            (radius * 0.92, high),
            (radius * 0.92, -high),
            (radius, -high),
            (radius, high),
            (radius * 0.92, high),
        ],
    )
    count = int(b.rng.integers(5, 9))
    for k, angle in enumerate(np.arange(count) * 2 * np.pi / count):
        way = np.array([np.sin(angle), 0, np.cos(angle)])
        b.cylinder(
            b.main,
            way * radius * 0.95 + (0, high + 0.14, 0),
            0.12,
            0.3,
            top=0.01,
            segments=6,
        )
        gem = b.detail if k % 2 else b.colour("red")
        b.sphere(gem, way * radius, 0.07)


def chess_pawn(b: Builder) -> None:
    """A turned chess piece."""
    b.lathe(
        b.main,
        [
            (0, -0.6),
            (0.3, -0.6),
            (0.3, -0.5),
            (0.2, -0.42),
            (0.13, -0.2),
            (0.11, 0.15),
            (0.2, 0.2),
            (0.2, 0.24),
            (0, 0.24),
        ],
    )
    if b.chance(0.6):
        b.sphere(b.main, (0, 0.38, 0), 0.19)
    else:
        b.cylinder(b.main, (0, 0.4, 0), 0.14, 0.3, top=0.2)
        b.box(b.detail, (0, 0.62, 0), (0.03, 0.12, 0.08))


def trophy(b: Builder) -> None:
    """A cup with two ears on a base with a plate."""
    b.lathe(
        b.main,
        [
            (0, -0.3),
            (0.12, -0.3),
            (0.06, -0.1),
            (0.12, 0.05),
            (b.u(0.26, 0.36), 0.3),
            (b.u(0.3, 0.4), 0.6),
            (0.2, 0.5),
            (0, 0.3),
        ],
    )
    b.box(b.detail, (0, -0.45, 0), (0.24, 0.15, 0.2))
    plate = picture(b.colour("yellow"), random_artwork(b.rng, b.primary_colour))
    b.box(plate, (0, -0.45, 0.2), (0.15, 0.07, 0.01))
    for side in (-1, 1):
        ear = [
            (side * (0.28 + np.sin(a) * 0.22), 0.35 + np.cos(a) * 0.2, 0)
            for a in np.linspace(0, np.pi, 10)
        ]
        b.tube(b.main, ear, 0.04)


def gift(b: Builder) -> None:
    """A wrapped box with ribbon and bow."""
    half = np.array([b.u(0.3, 0.5), b.u(0.2, 0.45), b.u(0.3, 0.5)])
    b.box(b.main, (0, 0, 0), half)
    ribbon = b.detail
    b.box(ribbon, (0, 0, 0), (0.07, half[1] * 1.02, half[2] * 1.02))
    b.box(ribbon, (0, 0, 0), (half[0] * 1.02, half[1] * 1.02, 0.07))
    for side in (-1, 1):
        loop = (side * 0.14, half[1] + 0.1, 0)
        b.torus(ribbon, loop, 0.12, 0.04, rotate=(90, 0, side * 20))
