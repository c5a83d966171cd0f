"""Food, plants and the like."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder


def _leaf(
    b: Builder, centre: tuple[float, float, float], size: float, turn: float
) -> None:
    leaf = b.colour("green")
    half = (size * 0.45, size * 0.12, size)
    b.ellipsoid(leaf, centre, half, rotate=(-25, turn, 0), segments=12)


def apple(b: Builder) -> None:
    """An apple, peach or tomato."""
    radius, tall = b.u(0.42, 0.5), b.u(0.8, 1.1)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 14)
    dent = 0.28 * np.exp(-((np.cos(angle) / 0.35) ** 2)) * np.sign(np.sin(angle))
    wide = radius * np.cos(angle) * (1 + 0.12 * np.sin(angle))
    high = radius * tall * (np.sin(angle) - dent)
    b.lathe(b.main, list(zip(wide, high, strict=True)))
    b.tube(b.colour("brown"), [(0, 0.26, 0), (0.02, 0.44, 0), (0.06, 0.55, 0)], 0.035)
    if b.chance(0.7):
        _leaf(b, (0.15, 0.48, b.u(-0.1, 0.1)), 0.2, b.u(0, 180))


def pear(b: Builder) -> None:
    """A pear or gourd."""
    belly, neck = b.u(0.34, 0.44), b.u(0.12, 0.24)
    b.lathe(
        b.main,
        [
            (0, -0.5),
            (belly * 0.65, -0.47),
            (belly, -0.3),
            (belly, -0.1),
            (belly * 0.75, 0.12),
            (neck, 0.3),
            (neck * 0.85, 0.42),
            (0.08, 0.5),
            (0, 0.51),
        ],
    )
    b.tube(b.colour("brown"), [(0, 0.48, 0), (0.03, 0.6, 0), (0.08, 0.7, 0)], 0.03)
    if b.chance(0.6):
        _leaf(b, (0.16, 0.6, 0), 0.18, 80)


def banana(b: Builder) -> None:
    """A banana or a small bunch."""
    count = int(b.rng.integers(1, 4))
    for k in range(count):
        angle = np.deg2rad(np.linspace(-b.u(55, 75), b.u(55, 75), 12))
        x, y = 0.75 * np.sin(angle), 0.75 * (1 - np.cos(angle))
        thick = 0.15 * np.sqrt(np.cos(angle * 1.15).clip(0.06))
        offset = (k - (count - 1) / 2) * 0.26
        z = offset * np.cos(angle * 0.9) ** 2
        b.tube(b.main, np.column_stack([x, y, z]), thick, segments=7)
    b.tube(b.colour("brown"), [(0.66, 0.42, 0), (0.74, 0.56, 0)], 0.05)


def cherries(b: Builder) -> None:
    """Two or three cherries that share a stalk."""
    top = np.array([b.u(-0.1, 0.1), 0.65, 0])
    for x in (-0.28, 0.28, 0.0)[: int(b.rng.integers(2, 4))]:
        place = np.array([x, b.u(-0.35, -0.1), b.u(-0.2, 0.2)])
        size = b.u(0.2, 0.28)
        b.sphere(b.main, place, size)
        bend = (place + top) / 2 + (x * 0.3, 0, 0)
        b.tube(b.colour("green"), [np.add(place, (0, size * 0.8, 0)), bend, top], 0.022)
    if b.chance(0.7):
        _leaf(b, (0.2, 0.62, 0.05), 0.22, 80)


def strawberry(b: Builder) -> None:
    """A berry or cone-shaped root with a crown of leaves."""
    wide, long = b.u(0.22, 0.42), b.u(0.4, 0.75)
    b.lathe(
        b.main,
        [
            (0, -long),
            (wide * 0.3, -long * 0.85),
            (wide * 0.85, -long * 0.1),
            (wide, 0.12),
            (wide * 0.7, 0.26),
            (0, 0.3),
        ],
    )
    for angle in range(0, 360, 60):
        place = (
            np.sin(np.deg2rad(angle)) * 0.15,
            0.32,
            np.cos(np.deg2rad(angle)) * 0.15,
        )
        _leaf(b, place, b.u(0.15, 0.22), angle)
    b.tube(b.colour("green"), [(0, 0.3, 0), (b.u(-0.1, 0.1), 0.48, 0)], 0.03)


def pineapple(b: Builder) -> None:
    """A pineapple with its crown."""
    b.ellipsoid(b.main, (0, -0.15, 0), (b.u(0.28, 0.38), 0.48, 0.33))
    for ring, count in ((0.14, 7), (0.06, 5)):
        for angle in np.linspace(0, 360, count, endpoint=False) + b.u(0, 60):
            way = np.array([np.sin(np.deg2rad(angle)), 0, np.cos(np.deg2rad(angle))])
            start = way * 0.06 + (0, 0.28, 0)
            b.tube(
                b.detail,
                [start, start + way * ring + (0, 0.38, 0)],
                [0.06, 0.01],
                segments=6,
            )


def pumpkin(b: Builder) -> None:
    """A ribbed pumpkin, sometimes with a carved face."""
    ribs, radius = int(b.rng.integers(6, 10)), b.u(0.22, 0.3)
    tall = b.u(0.3, 0.42)
    for angle in np.arange(ribs) * 2 * np.pi / ribs:
        place = (np.sin(angle) * 0.24, 0, np.cos(angle) * 0.24)
        b.ellipsoid(b.main, place, (radius, tall, radius), segments=14)
    b.tube(
        b.colour("green"), [(0, tall * 0.8, 0), (b.u(-0.1, 0.1), tall + 0.2, 0)], 0.07
    )
    if b.chance(0.5):
        black = b.colour("black")
        for x in (-0.15, 0.15):
            b.box(black, (x, 0.1, 0.48), (0.06, 0.06, 0.04))
        b.box(black, (0, -0.14, 0.49), (0.18, 0.04, 0.04))


def mushroom(b: Builder) -> None:
    """A mushroom with dots."""
    radius, tall = b.u(0.36, 0.56), b.u(0.25, 0.45)
    angle = np.linspace(0, np.pi / 2, 8)
    cap = [(radius * np.cos(a), tall * np.sin(a)) for a in angle]
    b.lathe(b.main, [(0, 0), (radius, 0), *cap])
    stem = [(0, -0.6), (0.2, -0.6), (0.16, -0.3), (0.14, 0.02), (0, 0.02)]
    b.lathe(b.colour("beige"), stem)
    white = b.colour("white")
    for k in range(int(b.rng.integers(0, 10))):
        around, up = k * 2.4, b.u(0.3, 1.2)
        place = (
            radius * np.cos(up) * np.sin(around),
            tall * np.sin(up),
            radius * np.cos(up) * np.cos(around),
        )
        b.sphere(white, place, 0.07)


def cake(b: Builder) -> None:
    """A cake of one to three layers with candles; sometimes a slice is missing."""
    y = -0.4
    for k in range(int(b.rng.integers(1, 4))):
        radius = 0.55 - 0.14 * k
        b.cylinder(b.main if k % 2 == 0 else b.detail, (0, y + 0.12, 0), radius, 0.24)
        b.torus(
            b.detail if k % 2 == 0 else b.main, (0, y + 0.24, 0), radius * 0.95, 0.045
        )
        y += 0.24
    for k in range(int(b.rng.integers(0, 5))):
        place = np.array([0.14 * np.sin(k * 2.1), y + 0.12, 0.14 * np.cos(k * 2.1)])
        b.cylinder(b.detail, place, 0.03, 0.24, segments=8)
        b.ellipsoid(
            b.colour("orange"),
            np.add(place, (0, 0.17, 0)),
            (0.03, 0.06, 0.03),
            segments=8,
        )
    if b.chance(0.4):
        b.sphere(b.colour("red"), (b.u(-0.2, 0.2), y + 0.07, b.u(-0.2, 0.2)), 0.08)


def burger(b: Builder) -> None:
    """A burger: bun, lettuce, meat, cheese."""
    bun = b.colour("beige" if b.chance(0.5) else "brown")
    angle = np.linspace(0, np.pi / 2, 7)
    b.lathe(
        bun,
        [
            (0, 0.1),
            (0.5, 0.1),
            *((0.5 * np.cos(a), 0.1 + 0.36 * np.sin(a)) for a in angle),
        ],
    )
    b.cylinder(b.colour("green"), (0, 0.06, 0), 0.55, 0.06)
    b.cylinder(b.colour("brown"), (0, -0.06, 0), 0.5, 0.16)
    b.box(b.main, (0, 0.03, 0), (0.44, 0.02, 0.44), rotate=(0, b.u(0, 90), 0))
    b.cylinder(bun, (0, -0.24, 0), 0.5, 0.2, top=0.52)


def ice_cream(b: Builder) -> None:
    """A cone with scoops."""
    b.cylinder(b.colour("beige"), (0, -0.35, 0), 0.02, 0.7, top=0.26)
    b.ellipsoid(b.main, (0, 0.1, 0), (0.29, 0.26, 0.29))
    if b.chance(0.6):
        b.ellipsoid(b.detail, (b.u(-0.08, 0.08), 0.4, 0), (0.23, 0.22, 0.23))
        b.sphere(b.colour("red"), (0, 0.64, 0), 0.07)
    else:
        b.sphere(b.detail, (0, 0.37, 0), 0.08)


def tree(b: Builder) -> None:
    """A conifer or a leafy tree with fruit."""
    b.cylinder(b.colour("brown"), (0, -0.5, 0), 0.09, 0.5)
    if b.chance(0.5):
        for k in range(3):
            b.cylinder(b.main, (0, 0.28 * k - 0.15, 0), 0.45 - 0.1 * k, 0.42, top=0.02)
        b.sphere(b.detail, (0, 0.65, 0), 0.07)
        return
    for _ in range(int(b.rng.integers(1, 6))):
        place = np.add(b.rng.uniform(-0.22, 0.22, 3), (0, 0.15, 0))
        b.ellipsoid(b.main, place, b.rng.uniform(0.25, 0.42, 3), segments=14)
    for k in range(int(b.rng.integers(0, 9))):
        around, up = k * 2.4, 0.25 * k - 0.6
        way = np.array(
            [np.cos(up) * np.sin(around), np.sin(up), np.cos(up) * np.cos(around)]
        )
        b.sphere(b.detail, way * 0.4 + (0, 0.12, 0), 0.06)


def cactus(b: Builder) -> None:
    """A cactus with arms in a pot."""
    b.ellipsoid(b.main, (0, 0.05, 0), (0.17, 0.55, 0.17), squareness=(0.7, 1))
    for side in (-1, 1)[: int(b.rng.integers(1, 3))]:
        y, high = b.u(-0.15, 0.15), b.u(0.2, 0.4)
        arm = [
            (side * 0.1, y, 0),
            (side * 0.34, y, 0),
            (side * 0.38, y + 0.08, 0),
            (side * 0.38, y + high, 0),
        ]
        b.tube(b.main, arm, 0.08)
        b.sphere(b.main, (side * 0.38, y + high, 0), 0.08)
    b.lathe(b.detail, [(0, -0.75), (0.2, -0.75), (0.28, -0.4), (0, -0.4)])
    if b.chance(0.4):
        b.sphere(b.colour("pink"), (b.u(-0.08, 0.08), 0.6, b.u(-0.08, 0.08)), 0.09)


def potted_plant(b: Builder) -> None:
    """A pot with leaves that arch outwards."""
    b.lathe(
        b.detail,
        [(0, -0.7), (0.22, -0.7), (b.u(0.28, 0.38), -0.25), (0.22, -0.25), (0, -0.3)],
    )
    for _ in range(int(b.rng.integers(4, 10))):
        angle, reach, rise = b.u(0, 6.3), b.u(0.15, 0.55), b.u(0.25, 0.75)
        way = np.array([np.sin(angle), 0, np.cos(angle)])
        path = [
            way * 0.04 + (0, -0.3, 0),
            way * reach * 0.5 + (0, rise * 0.7 - 0.2, 0),
            way * reach + (0, rise - 0.2, 0),
        ]
        b.tube(b.main, path, [0.03, b.u(0.06, 0.12), 0.015], segments=6)


def flower(b: Builder) -> None:
    """A flower on a stalk, its face to the front."""
    b.tube(
        b.colour("green"),
        [(0, -0.75, 0), (b.u(-0.1, 0.1), -0.2, 0), (0, 0.25, 0)],
        0.04,
    )
    _leaf(b, (b.u(-0.2, 0.2), -0.4, 0), 0.2, 90)
    petals, reach = int(b.rng.integers(5, 10)), b.u(0.22, 0.32)
    for angle in np.arange(petals) * 2 * np.pi / petals:
        place = (np.cos(angle) * reach, 0.3 + np.sin(angle) * reach, 0.02)
        turn = (0, 0, np.rad2deg(angle))
        b.ellipsoid(b.main, place, (reach * 0.75, 0.13, 0.05), rotate=turn, segments=12)
    b.ellipsoid(b.detail, (0, 0.3, 0.05), (0.15, 0.15, 0.09))
