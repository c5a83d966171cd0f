"""Bread, snacks and further food."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.food import baked, plate, scattered
from realfusion.procedural.paint import Array, blend, grainy, halves


def bread(b: Builder) -> None:
    """A loaf: round, long with cuts, or a tin loaf with a slice before it."""
    crust, crumb = baked(b), b.colour("beige")
    kind = int(b.rng.integers(3))
    if kind == 0:
        wide, high = b.u(0.42, 0.52), b.u(0.26, 0.38)
        low = -high * 0.96
        b.ellipsoid(
            crust, (0, 0, 0), (wide, high, wide * b.u(0.8, 1.0)), squareness=(0.7, 1)
        )
        for turn in (0, 90)[: int(b.rng.integers(1, 3))]:
            cross = (wide * 0.5, 0.02, 0.03)
            b.box(crumb, (0, high * 0.97, 0), cross, rotate=(0, turn, 0))
    elif kind == 1:
        long, wide, cuts = b.u(0.6, 0.8), b.u(0.11, 0.2), int(b.rng.integers(3, 6))
        half, low = (long, wide * 0.8, wide), -wide * 0.76
        b.ellipsoid(crust, (0, 0, 0), half, squareness=(0.8, 0.7), segments=22)
        cut = (0.04, 0.03, wide * 0.75)
        for x in np.linspace(-0.62, 0.62, cuts) * long:
            middle = (x, wide * 0.74, 0)
            b.ellipsoid(crumb, middle, cut, rotate=(0, 35, 0), segments=8)
    else:
        wide, high, long = b.u(0.22, 0.3), b.u(0.2, 0.28), b.u(0.3, 0.45)
        low = -high
        angle = np.linspace(0, np.pi, 9)
        dome = np.column_stack(
            [np.cos(angle) * wide * 1.1, np.sin(angle) * high * 0.6 + high * 0.5]
        )
        outline = np.concatenate([[(-wide, -high), (wide, -high)], dome])
        b.prism(crust, outline, 2 * long, (0, 0, -0.15))
        b.prism(crumb, outline * 0.93, 0.03, (0, 0, long - 0.15))
        for k in range(int(b.rng.integers(0, 3))):
            place = (b.u(-0.03, 0.03), 0, long + 0.02 + 0.12 * k)
            b.prism(crust, outline, 0.07, place)
            b.prism(crumb, outline * 0.93, 0.08, place)
    plate(b, low, 0.8)


def hot_dog(b: Builder) -> None:
    """A sausage in a split bun with a wavy line of sauce."""
    long, wide, crust = b.u(0.5, 0.65), b.u(0.13, 0.18), baked(b)
    for side in (-1, 1):
        half = (long, wide * 0.9, wide)
        b.ellipsoid(
            crust,
            (0, 0, side * wide * 0.85),
            half,
            rotate=(side * 14, 0, 0),
            squareness=(1, 0.8),
        )
    b.ellipsoid(crust, (0, -wide * 0.45, 0), (long * 0.97, wide * 0.5, wide * 1.2))
    sausage = b.colour("brown" if b.chance(0.5) else "red")
    reach = long * b.u(0.95, 1.15)
    thick, y = wide * b.u(0.6, 0.8), wide * 0.55
    path = [
        (-reach, y + 0.03, 0),
        (-reach * 0.5, y, 0),
        (reach * 0.5, y, 0),
        (reach, y + 0.03, 0),
    ]
    b.tube(sausage, path, [thick * 0.6, thick, thick, thick * 0.6], segments=12)
    if b.chance(0.85):
        x = np.linspace(-reach * 0.85, reach * 0.85, 32)
        wave = np.sin(x * b.u(18, 32)) * thick * 0.5
        sauce = np.column_stack([x, 0 * x + y + thick * 0.95, wave])
        b.tube(b.main, sauce, 0.025, segments=6)
    if b.chance(0.4):
        green = b.colour("green")
        for side in (-1, 1):
            b.ellipsoid(green, (0, y, side * thick), (long * 0.9, 0.06, 0.05))
    plate(b, -wide * 0.95, 0.75)


def egg(b: Builder) -> None:
    """An egg: painted on a stand or in a nest, broken, or fried."""
    wide, tall = b.u(0.3, 0.36), b.u(0.42, 0.5)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 15)
    shape = [
        (wide * np.cos(a) * (1 - 0.14 * np.sin(a)), tall * np.sin(a)) for a in angle
    ]
    kind = int(b.rng.integers(4))
    if kind == 0:
        yolk = b.colour("yellow" if b.chance(0.6) else "orange")
        white = b.colour("white")
        for _ in range(int(b.rng.integers(2, 5))):
            place = (b.u(-0.18, 0.18), 0, b.u(-0.18, 0.18))
            b.ellipsoid(white, place, (b.u(0.25, 0.42), 0.045, b.u(0.25, 0.42)))
        b.ellipsoid(
            yolk, (b.u(-0.08, 0.08), 0.05, b.u(-0.08, 0.08)), (0.16, 0.11, 0.16)
        )
        plate(b, -0.02, 0.62)
        return
    if kind == 1:
        flat = [(r, h) for r, h in shape if h <= 0.02]
        b.lathe(b.main, [*flat, (flat[-1][0] * 0.92, flat[-1][1]), (0, -tall * 0.2)])
        b.sphere(b.colour("yellow"), (0, 0.02, 0), wide * 0.72)
        for side in (-1, 1):
            b.sphere(b.colour("black"), (side * 0.08, 0.1, wide * 0.66), 0.03)
        b.cylinder(
            b.colour("orange"),
            (0, 0.02, wide * 0.75),
            0.04,
            0.1,
            top=0.005,
            rotate=(90, 0, 0),
            segments=7,
        )
        cap = [(r, h) for r, h in shape if h >= 0.02]
        if b.chance(0.5):
            b.lathe(
                b.main, [(0, cap[0][1]), *cap], (0.0, 0.13, -0.06), rotate=(-25, 0, 15)
            )
        return
    turn = (0, 0, 0) if kind == 2 else (0, b.u(0, 180), 80)
    b.lathe(b.main, shape, rotate=turn, segments=26)
    if kind == 2:
        low = -tall * 0.95
        cup = [
            (0, low - 0.22),
            (0.22, low - 0.22),
            (0.1, low - 0.05),
            (wide * 0.9, low + 0.24),
        ]
        b.lathe(b.detail, [*cup, (wide * 0.7, low + 0.24), (0, low)])
    elif b.chance(0.5):
        nest = grainy(
            b.rng, np.array([0.5, 0.36, 0.18], np.float32), b.secondary_colour
        )
        rim = [
            (0, -0.4),
            (0.45, -0.4),
            (0.68, -0.2),
            (0.6, -0.12),
            (0.4, -0.28),
            (0, -0.3),
        ]
        b.lathe(nest, rim)
        b.ellipsoid(b.detail, (0.2, -0.12, 0.3), (wide * 0.6, wide * 0.55, wide * 0.8))


def corn(b: Builder) -> None:
    """A cob of corn with its grains in rows, husk leaves at its foot."""
    long, wide = b.u(0.55, 0.7), b.u(0.15, 0.21)
    rows, rings = int(b.rng.integers(8, 13)), b.u(14, 22)
    first, second = b.primary_colour, b.primary_colour * b.u(0.55, 0.85)

    def grains(points: Array) -> Array:
        angle = np.arctan2(points[:, 0], points[:, 2])
        seam = np.maximum(np.cos(angle * rows), np.cos(points[:, 1] * rings * 2))
        return blend(np.clip((seam - 0.55) * 4, 0, 1), first, second)

    profile = [
        (0, -long),
        (wide * 0.9, -long * 0.9),
        (wide, -long * 0.3),
        (wide * 0.85, long * 0.5),
        (wide * 0.4, long * 0.9),
        (0, long),
    ]
    turn = (0, 0, 90 if b.chance(0.6) else b.u(-20, 20))
    b.lathe(grains, profile, rotate=turn, segments=22)
    angle = np.deg2rad(turn[2])
    axis = np.array([-np.sin(angle), np.cos(angle), 0])
    side = np.array([np.cos(angle), np.sin(angle), 0])
    leaf = b.colour("green")
    for k in range(int(b.rng.integers(2, 6))):
        around = k * 2.4
        way = side * np.cos(around) + np.array([0, 0, 1]) * np.sin(around)
        far = b.u(0.2, 0.5)
        path = [
            -axis * long * 0.95,
            -axis * long * 0.4 + way * wide * 1.05,
            axis * long * far * 0.5 + way * wide * b.u(1.0, 1.7),
        ]
        b.tube(leaf, path, [0.07, 0.085, 0.01], segments=7)
    b.tube(leaf, [-axis * long * 0.95, -axis * long * 1.2], 0.06)


def sushi(b: Builder) -> None:
    """One to four pieces of sushi: rolls or fish on rice."""
    white = b.colour("white")
    rice = grainy(
        b.rng, np.array([0.93, 0.92, 0.88], np.float32), b.secondary_colour * 0.1
    )
    black, number = b.colour("black"), int(b.rng.integers(1, 5))
    salmon = b.main if b.chance(0.4) else b.colour("orange")
    for k in range(number):
        x = (k - (number - 1) / 2) * 0.52
        if b.chance(0.5):
            size, tall = b.u(0.19, 0.24), b.u(0.2, 0.34)
            wrap = black if b.chance(0.65) else rice
            b.cylinder(wrap, (x, tall / 2, 0), size, tall, segments=20)
            b.cylinder(white, (x, tall / 2, 0), size * 0.9, tall + 0.02, segments=20)
            for angle in (0.0, 2.1, 4.2)[: int(b.rng.integers(1, 4))]:
                place = (
                    x + np.sin(angle) * size * 0.3,
                    tall / 2,
                    np.cos(angle) * size * 0.3,
                )
                paint = salmon if angle == 0 else b.colour("green")
                b.cylinder(paint, place, size * 0.3, tall + 0.05, segments=10)
        else:
            deep = b.u(0.3, 0.4)
            b.ellipsoid(
                rice, (x, 0.11, 0), (0.17, 0.12, deep * 0.9), squareness=(0.6, 0.6)
            )
            banded = halves(
                b.primary_colour,
                b.primary_colour * 0.5 + 0.45,
                (0, 0, 1),
                b.u(-0.4, 0.4),
                3,
            )
            b.ellipsoid(
                banded if b.chance(0.5) else salmon,
                (x, 0.23, 0),
                (0.19, 0.07, deep),
                squareness=(0.7, 0.6),
                rotate=(b.u(-5, 5), 0, 0),
            )
            if b.chance(0.4):
                b.box(black, (x, 0.15, 0), (0.195, 0.16, 0.05))
    if b.chance(0.5):
        b.box(b.detail, (0, -0.05, 0), (number * 0.28 + 0.15, 0.05, 0.52))
    if b.chance(0.3):
        for z in (0.41, 0.47):
            b.tube(
                b.colour("brown"),
                [(-0.6, 0.02, z), (0.6, 0.02, z + 0.02)],
                [0.02, 0.012],
            )


def cheese(b: Builder) -> None:
    """A wedge of cheese with holes, or a wheel with a piece cut out."""
    high, rind = b.u(0.2, 0.36), b.detail if b.chance(0.5) else b.main
    angle = np.linspace(-b.u(0.25, 0.5), b.u(0.25, 0.5), 8)
    if b.chance(0.7):
        arc = np.column_stack([np.sin(angle), -np.cos(angle)]) * 1.0
        wedge = np.add(np.concatenate([[(0.0, 0.0)], arc]), (0, 0.5))
        b.prism(b.main, wedge, high, rotate=(-90, 180, 0))
        for first in range(len(angle) - 1):
            quad = np.add(
                np.array(
                    [
                        arc[first],
                        arc[first + 1],
                        arc[first + 1] * 1.04,
                        arc[first] * 1.04,
                    ]
                ),
                (0, 0.5),
            )
            b.prism(rind, quad, high, rotate=(-90, 180, 0))
        dark = b.primary_colour * 0.72
        hole = grainy(b.rng, dark, dark * 0.8)
        for _ in range(int(b.rng.integers(4, 11))):
            along, side = b.u(0.25, 0.95), int(b.rng.integers(3))
            edge = angle[-1] if side else angle[0]
            x, z = -np.sin(edge) * along, np.cos(edge) * along - 0.5
            y = b.u(-0.35, 0.35) * high
            size = b.u(0.03, 0.07)
            if side == 2:
                x, y = x * b.u(-0.5, 0.7), high / 2 - 0.8 * size
            else:
                x -= 0.8 * size * np.sign(x)
            b.ellipsoid(hole, (x, y, -z), (size,) * 3, segments=8)
        return
    gap = b.u(0.5, 1.2)
    arc_all = np.linspace(gap / 2, 2 * np.pi - gap / 2, 26)
    wheel = np.column_stack([np.sin(arc_all), -np.cos(arc_all)]) * 0.5
    b.prism(b.main, np.concatenate([[(0.0, 0.0)], wheel]), high, rotate=(-90, 0, 0))
    for k in range(len(wheel) - 1):
        quad = [wheel[k], wheel[k + 1], wheel[k + 1] * 1.06, wheel[k] * 1.06]
        b.prism(rind, quad, high * 1.02, rotate=(-90, 0, 0))


def pepper(b: Builder) -> None:
    """A bell pepper, chilli or aubergine with its green stalk."""
    green = b.colour("green")
    kind = int(b.rng.integers(3))
    if kind == 0:
        lobes, wide, tall = int(b.rng.integers(3, 5)), b.u(0.17, 0.23), b.u(0.32, 0.46)
        for angle in np.arange(lobes) * 2 * np.pi / lobes + 0.4:
            place = (np.sin(angle) * wide * 0.85, 0, np.cos(angle) * wide * 0.85)
            b.ellipsoid(
                b.main, place, (wide * 1.15, tall, wide * 1.15), squareness=(0.85, 1)
            )
        top = np.array([0, tall * 0.8, 0])
    elif kind == 1:
        long, bend = b.u(0.5, 0.7), b.u(-0.3, 0.3)
        path = [
            (0, 0, 0),
            (0, -0.1, long * 0.4),
            (bend * 0.5, -0.12, long * 0.8),
            (bend, -0.05, long * 1.2),
        ]
        b.tube(b.main, path, [0.11, 0.13, 0.09, 0.012], segments=12)
        b.sphere(green, (0, 0.01, -0.02), 0.11)
        b.tube(green, [(0, 0.02, -0.05), (0, 0.08, -0.28)], [0.04, 0.025])
        return
    else:
        wide, long = b.u(0.2, 0.28), b.u(0.45, 0.6)
        profile = [
            (0, -long),
            (wide * 0.75, -long * 0.85),
            (wide, -long * 0.35),
            (wide * 0.7, long * 0.3),
            (wide * 0.45, long * 0.8),
            (0, long * 0.85),
        ]
        b.lathe(b.main, profile)
        top = np.array([0, long * 0.78, 0])
    for angle in np.arange(5) * 2 * np.pi / 5:
        way = np.array([np.sin(angle), -0.3, np.cos(angle)]) * 0.1
        b.ellipsoid(green, top + way, (0.06, 0.05, 0.06), segments=8)
    b.tube(green, [top, np.add(top, (b.u(-0.08, 0.08), 0.2, 0))], [0.055, 0.04])


def pancakes(b: Builder) -> None:
    """A stack of pancakes or biscuits with butter, syrup or berries."""
    y, number, size = 0.0, int(b.rng.integers(2, 7)), b.u(0.4, 0.5)
    thick = b.u(0.08, 0.14)
    for _ in range(number):
        place = (b.u(-0.05, 0.05), y + thick / 2, b.u(-0.05, 0.05))
        half = (size * b.u(0.93, 1.05), thick * 0.56, size)
        b.ellipsoid(baked(b), place, half, squareness=(0.4, 1.0), segments=20)
        y += thick
    if b.chance(0.6):
        b.ellipsoid(b.main, (0, y, 0), (size * 0.75, 0.03, size * 0.7))
        for k in range(4):
            angle = k * 1.9 + 0.4
            way = np.array([np.sin(angle), 0, np.cos(angle)]) * size
            drip = [
                way * 0.6 + (0, y, 0),
                way * 0.97 + (0, y - 0.03, 0),
                way * 1.05 + (0, y - b.u(0.1, 0.3), 0),
            ]
            b.tube(b.main, drip, [0.05, 0.045, 0.035], segments=7)
    if b.chance(0.5):
        b.box(
            b.colour("yellow"),
            (0, y + 0.04, 0),
            (0.09, 0.05, 0.09),
            rotate=(0, b.u(0, 90), 0),
        )
    else:
        for k in range(int(b.rng.integers(0, 6))):
            place = (np.sin(k * 2.4) * 0.18, y + 0.05, np.cos(k * 2.4) * 0.18)
            b.sphere(b.detail, place, 0.075)
    scattered(b, [b.detail], int(b.rng.integers(0, 8)), size * 0.7, y + 0.01)
    plate(b, 0.0, 0.68)


def fries(b: Builder) -> None:
    """Chips or popcorn in a paper cone or box."""
    wide, deep, tall = b.u(0.22, 0.32), b.u(0.12, 0.2), b.u(0.25, 0.4)
    b.box(b.main, (0, 0, 0), (wide * 0.8, tall, deep * 0.8), taper=1.25)
    back = [
        (-wide, -0.1),
        (wide, -0.1),
        (wide * 0.95, 0.1),
        (0, 0.2),
        (-wide * 0.95, 0.1),
    ]
    b.prism(b.main, back, 0.03, (0, tall, -deep))
    b.ellipsoid(
        b.detail,
        (0, -0.02, deep * 0.92),
        (wide * 0.5, tall * 0.4, 0.03),
        rotate=(-5, 0, 0),
    )
    if b.chance(0.65):
        yellow = b.colour("yellow")
        for k in range(int(b.rng.integers(12, 22))):
            x, z = b.u(-0.8, 0.8) * wide, b.u(-0.75, 0.75) * deep
            high = tall + b.u(0.05, 0.3) - (0.1 if z > 0 else 0)
            turn = (b.u(-10, 10), k * 20, -x * 50)
            b.box(yellow, (x, high - 0.15, z), (0.03, 0.25, 0.03), rotate=turn)
        return
    white = b.colour("white")
    for _ in range(int(b.rng.integers(14, 24))):
        place = (
            b.u(-1, 1) * wide * 0.8,
            tall + b.u(-0.04, 0.14),
            b.u(-1, 1) * deep * 0.8,
        )
        b.ellipsoid(white, place, b.rng.uniform(0.05, 0.1, 3), segments=7)
