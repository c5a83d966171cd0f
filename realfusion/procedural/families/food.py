"""Dishes, pastries, fruit and vegetables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import (
    Array,
    Paint,
    blend,
    grainy,
    halves,
    stripes,
)

_CRUST = np.array([0.72, 0.45, 0.18], np.float32)
_CRUMB = np.array([0.93, 0.80, 0.55], np.float32)


def baked(b: Builder) -> Paint:
    """A crust, from pale to dark, browner on top."""
    crust = _CRUST * b.u(0.7, 1.15)
    if b.chance(0.4):
        return grainy(b.rng, crust, crust * 0.7)
    return halves(_CRUMB * b.u(0.85, 1.0), crust, (0, 1, 0), b.u(-0.4, 0.1), 1.5)


def plate(b: Builder, low: float, radius: float) -> None:
    """Sometimes a plate or a board below the food."""
    draw, paint = b.rng.random(), b.colour("white" if b.chance(0.6) else "gray")
    if draw < 0.25:
        rim = [(0, low - 0.05), (radius * 0.6, low - 0.05), (radius, low + 0.03)]
        b.lathe(paint, [*rim, (radius * 0.65, low), (0, low)], segments=28)
    elif draw < 0.35:
        b.box(b.colour("brown"), (0, low - 0.03, 0), (radius, 0.03, radius * 0.75))


def scattered(
    b: Builder, paints: Sequence[Paint], number: int, reach: float, y: float
) -> None:
    """Small grains, seeds or crumbs on a level top."""
    for k in range(number):
        angle, far = k * 2.4, reach * np.sqrt((k + 0.5) / number)
        place = (np.sin(angle) * far, y, np.cos(angle) * far)
        turn = (0, b.u(0, 180), 0)
        paint = paints[k % len(paints)]
        b.ellipsoid(paint, place, (0.045, 0.016, 0.016), rotate=turn, segments=6)


def croissant(b: Builder) -> None:
    """A croissant: a ridged crescent, thick in its middle."""
    bend, number = b.u(55, 110), int(b.rng.integers(22, 34))
    angle = np.deg2rad(np.linspace(-bend, bend, number))
    radius, ridges = b.u(0.4, 0.5), int(b.rng.integers(5, 9))
    along = np.linspace(-1, 1, number)
    fold = np.abs(np.sin(along * ridges * np.pi / 2))
    thick = b.u(0.17, 0.23) * (1 - 0.8 * np.abs(along) ** 1.6) * (0.82 + 0.2 * fold)
    curve = np.column_stack([np.sin(angle), 0 * angle, np.cos(angle)]) * radius
    curve[:, 1] = thick * 0.9
    side = 1 if b.chance(0.5) else -1
    b.tube(baked(b), curve * (1, 1, side), thick, segments=12)
    plate(b, 0.0, 0.6)


def donut(b: Builder) -> None:
    """A ring of dough with icing on top and sprinkles, or a bagel."""
    radius, thick = b.u(0.3, 0.38), b.u(0.14, 0.2)
    angle = np.linspace(0, 2 * np.pi, 18)
    ring = [(radius + thick * np.cos(a), thick * 0.85 * np.sin(a)) for a in angle]
    b.lathe(baked(b), ring, segments=30)
    if b.chance(0.8):
        low = b.u(-0.2, 0.3)
        over = np.linspace(low, np.pi - low, 12)
        shell = [
            (radius + thick * 1.06 * np.cos(a), thick * 0.95 * np.sin(a)) for a in over
        ]
        b.lathe(b.main, [*shell, shell[0]], segments=30)
    if b.chance(0.65):
        paints = [b.colour(name) for name in ("red", "yellow", "cyan", "white")]
        for _ in range(int(b.rng.integers(12, 30))):
            around, up = b.u(0, 6.3), b.u(0.7, 2.4)
            far = radius + thick * 1.05 * np.cos(up)
            place = (
                np.sin(around) * far,
                thick * 0.95 * np.sin(up),
                np.cos(around) * far,
            )
            paint = paints[int(b.rng.integers(4))]
            turn = (0, b.u(0, 180), 0)
            b.ellipsoid(paint, place, (0.04, 0.016, 0.016), rotate=turn, segments=6)
    plate(b, -thick * 0.85, 0.65)


def pizza_slice(b: Builder) -> None:
    """A wedge of pizza or tart with its crust and toppings; a whole one at times."""
    high = b.u(0.05, 0.09)
    cheese = grainy(b.rng, b.primary_colour, _CRUST)
    topping = [b.colour(name) for name in ("red", "green", "brown", "black", "white")]
    if b.chance(0.3):
        b.cylinder(baked(b), (0, 0, 0), 0.6, high, segments=28)
        b.cylinder(cheese, (0, high * 0.6, 0), 0.54, high * 0.5, segments=28)
        b.torus(baked(b), (0, high * 0.4, 0), 0.57, 0.06)
        places = [
            (far * np.sin(a), far * np.cos(a))
            for a, far in ((k * 2.4, 0.13 * np.sqrt(k)) for k in range(1, 12))
        ]
    else:
        half, long = b.u(0.26, 0.42), b.u(0.8, 1.0)
        wedge = np.array([(-half, 0), (0, 0.08), (half, 0), (0, -long)])
        flat = (-90, 0, 0)
        b.prism(baked(b), wedge, high, (0, 0, -0.3), rotate=flat)
        b.prism(cheese, wedge * 0.96, high * 0.5, (0, high * 0.6, -0.3), rotate=flat)
        rim = [(-half, 0.03, -0.3), (0, 0.04, -0.38), (half, 0.03, -0.3)]
        b.tube(baked(b), rim, b.u(0.06, 0.09))
        places = [
            (b.u(-0.6, 0.6) * half * (1 - t), t * long * 0.85 - 0.22)
            for t in np.linspace(0.05, 0.8, 7)
        ]
    for x, z in places:
        paint = topping[int(b.rng.integers(5))] if b.chance(0.5) else topping[0]
        size = b.u(0.04, 0.085)
        if b.chance(0.7):
            b.cylinder(paint, (x, high * 0.9, z), size, 0.03, segments=12)
        else:
            turn = (0, b.u(0, 180), 0)
            b.ellipsoid(
                paint,
                (x, high * 0.9, z),
                (size, 0.025, size * 0.5),
                rotate=turn,
                segments=8,
            )


def sandwich(b: Builder) -> None:
    """A sandwich of sliced bread, a triangle or a square, with fillings."""
    crumb, crust = b.colour("beige"), baked(b)
    size, is_half = b.u(0.36, 0.48), b.chance(0.55)
    square = np.array([(-1, -1), (1, -1), (1, 0.8), (0.6, 1), (-0.6, 1), (-1, 0.8)])
    triangle = np.array([(-1, -0.75), (1, -0.75), (0.0, 0.85)])
    outline = (triangle if is_half else square) * size
    flat, y, tall = (-90, 0, 0), 0.0, b.u(0.09, 0.16)
    fillings = ["green", "red", "yellow", "pink", "brown"]
    b.rng.shuffle(fillings)
    layers: list[tuple[Paint | None, float]] = [(None, tall)]
    layers += [
        (b.colour(name), b.u(0.03, 0.07))
        for name in fillings[: int(b.rng.integers(2, 5))]
    ]
    for paint, thick in [*layers, (None, tall)]:
        middle = (0, y + thick / 2, 0)
        if paint is None:
            b.prism(crust, outline, thick, middle, rotate=flat)
            b.prism(crumb, outline * 0.94, thick * 1.04, middle, rotate=flat)
            front = (0, y + thick / 2, 0.75 * size - 0.02)
            if is_half:
                b.box(crumb, front, (size * 0.94, thick * 0.46, 0.03))
        else:
            share = b.u(0.92, 1.06)
            turn = (-90, b.u(-6, 6), 0)
            b.prism(paint, outline * share, thick * 1.1, middle, rotate=turn)
        y += thick
    if b.chance(0.3):
        b.tube(b.colour("brown"), [(0, y - 0.1, 0), (0, y + 0.25, 0)], 0.015)
        b.sphere(b.colour("green"), (0, y + 0.06, 0), 0.06)
    plate(b, 0.0, 0.65)


def cupcake(b: Builder) -> None:
    """A cake in a pleated paper cup, a mound or muffin top with a cherry."""
    high = b.u(0.34, 0.42)
    low = high * b.u(0.68, 0.85)
    paper = stripes(b.rng, b.secondary_colour, b.secondary_colour * 0.6)
    number = int(b.rng.integers(14, 22)) * 2
    angle = np.linspace(0, 2 * np.pi, number, endpoint=False)
    pleat = np.where(np.arange(number) % 2 == 0, 1.0, 0.93)
    outline = np.column_stack([np.sin(angle) * pleat, np.cos(angle) * pleat])
    b.prism(
        b.detail if b.chance(0.6) else paper,
        outline * high,
        0.04,
        (0, -0.02, 0),
        rotate=(-90, 0, 0),
    )
    b.lathe(
        b.detail, [(0, -0.42), (low, -0.42), (high * 0.97, 0), (0, 0)], segments=number
    )
    if b.chance(0.65):
        y, wide, swirl = 0.04, high * b.u(1.0, 1.15), int(b.rng.integers(3, 5))
        for k in range(swirl):
            size = wide * (1 - 0.8 * k / swirl)
            tilt = (b.u(-6, 6), 0, b.u(-6, 6))
            b.ellipsoid(b.main, (0, y, 0), (size, 0.09, size), rotate=tilt)
            y += 0.1
        b.cylinder(b.main, (0, y, 0), wide * 0.22, 0.14, top=0.01)
    else:
        y = b.u(0.16, 0.26)
        b.ellipsoid(baked(b), (0, 0.02, 0), (high * 1.15, y, high * 1.15))
        chips = b.colour("black")
        for k in range(int(b.rng.integers(0, 10))):
            up = b.u(0.5, 1.3)
            ring = high * 1.15 * np.cos(up)
            place = (
                ring * np.sin(k * 2.4),
                0.02 + y * np.sin(up),
                ring * np.cos(k * 2.4),
            )
            b.sphere(chips, place, 0.035)
    if b.chance(0.5):
        b.sphere(b.colour("red"), (b.u(-0.05, 0.05), y + 0.06, b.u(-0.05, 0.05)), 0.075)


def carrot(b: Builder) -> None:
    """A carrot, radish or turnip lying on its side, with its leaves."""
    long, thick = b.u(0.3, 0.75), b.u(0.09, 0.2)
    bend = b.u(-0.06, 0.06)
    path = [
        (0, 0, -0.1),
        (bend, 0, long * 0.4),
        (bend, -thick * 0.5, long),
        (0, -thick * 0.8, long * 1.3),
    ]
    b.tube(b.main, path, [thick * 0.85, thick, thick * 0.55, 0.012], segments=12)
    leaf = b.colour("green")
    for _ in range(int(b.rng.integers(3, 8))):
        x, y, far = b.u(-0.25, 0.25), b.u(-0.05, 0.25), b.u(0.25, 0.5)
        stalk = [(0, 0, -0.1), (x * 0.5, y * 0.7, -0.1 - far * 0.5), (x, y, -0.1 - far)]
        b.tube(leaf, stalk, [0.025, 0.02, b.u(0.02, 0.07)], segments=6)
    for _ in range(int(b.rng.integers(0, 5))):
        z = b.u(0, 0.6) * long
        b.torus(
            b.colour("brown"),
            (bend * z / long * 2, 0, z),
            thick * 0.98,
            0.008,
            rotate=(90, 0, 0),
        )


def lemon(b: Builder) -> None:
    """A lemon, lime or orange: whole, or a half that shows its segments."""
    size, long = b.u(0.36, 0.44), b.u(1.0, 1.45)
    peel = (
        grainy(b.rng, b.primary_colour, b.primary_colour * 0.8)
        if b.chance(0.5)
        else b.main
    )
    if b.chance(0.55):
        b.ellipsoid(peel, (0, 0, 0), (size * long, size, size), segments=24)
        if long > 1.15:
            for side, share in ((-1, 0.35), (1, 0.28)):
                b.ellipsoid(
                    peel,
                    (side * size * long * 0.95, 0, 0),
                    (0.13, size * share, size * share),
                )
        b.sphere(
            b.colour("green"),
            (-size * long - (0.08 if long > 1.15 else -0.01), 0, 0),
            0.05,
        )
        if b.chance(0.4):
            b.ellipsoid(
                b.colour("green"),
                (-size * long, 0.1, 0.1),
                (0.22, 0.03, 0.1),
                rotate=(0, 25, 20),
            )
        return
    pulp, rind = b.primary_colour, b.primary_colour * 0.4 + 0.58
    wedges = int(b.rng.integers(7, 11))

    def cut(points: Array) -> Array:
        angle = np.arctan2(points[:, 0], points[:, 2]) * wedges / 2
        far = np.hypot(points[:, 0], points[:, 2])
        inside = (np.abs(np.sin(angle)) > 0.14 / (far + 0.1)) & (far < 0.86)
        return blend(inside.astype(np.float32), rind, pulp)

    tilt = (b.u(0, 75), b.u(-25, 25), 0)
    curve = np.linspace(-np.pi / 2, 0, 9)
    bowl = [(size * np.cos(a), size * long * 0.9 * np.sin(a)) for a in curve]
    b.lathe(peel, [*bowl, (0, 0)], rotate=tilt, segments=26)
    top = [(0, -0.01), (size * 0.97, -0.01), (size * 0.97, 0.012), (0, 0.012)]
    b.lathe(cut, top, rotate=tilt, segments=26)


def grapes(b: Builder) -> None:
    """A bunch of grapes or berries on its stalk."""
    size, tall, wide = b.u(0.08, 0.12), b.u(0.6, 0.95), b.u(0.2, 0.34)
    flat = b.u(0.6, 1.0)
    levels = max(3, int(tall / (size * 1.5)))
    for k in range(levels):
        share = (k + 0.6) / levels
        radius = wide * np.sin(np.pi * min(1, share * 0.8 + 0.12)) ** 0.7
        number = max(1, int(2 * np.pi * radius / (size * 1.9)))
        turn = b.u(0, 6)
        for angle in np.arange(number) * 2 * np.pi / number + turn:
            place = (
                np.sin(angle) * radius,
                -share * tall,
                np.cos(angle) * radius * flat,
            )
            b.ellipsoid(
                b.main,
                np.add(place, b.rng.normal(0, 0.01, 3)),
                (size, size * 1.1, size),
                segments=9,
            )
    core = (wide * 0.75, tall * 0.42, wide * 0.75 * flat)
    b.ellipsoid(b.main, (0, -tall * 0.5, 0), core, segments=12)
    b.tube(b.colour("brown"), [(0, -0.05, 0), (b.u(-0.08, 0.08), 0.2, 0)], 0.03)
    if b.chance(0.6):
        leaf = [
            (0, -0.2),
            (0.2, -0.1),
            (0.14, 0.05),
            (0.25, 0.2),
            (0, 0.25),
            (-0.25, 0.2),
            (-0.14, 0.05),
            (-0.2, -0.1),
        ]
        b.prism(b.colour("green"), leaf, 0.03, (0.16, 0.06, 0.1), rotate=(-50, 30, -60))


def melon(b: Builder) -> None:
    """A striped melon, whole, or a slice or half of one with seeds."""
    size, rind = b.u(0.42, 0.52), b.primary_colour
    number, dark = int(b.rng.integers(6, 11)), rind * b.u(0.35, 0.7)

    def striped(points: Array) -> Array:
        angle = np.arctan2(points[:, 0], points[:, 2]) * number
        wave = np.sin(angle + 1.2 * np.sin(9 * points[:, 1]))
        return blend(np.clip(0.5 + 2 * wave, 0, 1), rind, dark)

    skin: Paint = striped if b.chance(0.7) else b.main
    flesh = b.colour("red" if b.chance(0.6) else "orange")
    pale, black = b.colour("beige"), b.colour("black")
    kind = int(b.rng.integers(3))
    if kind == 0:
        tilt = (0.0, 0.0, 90.0) if b.chance(0.5) else (0.0, 0.0, 0.0)
        b.ellipsoid(
            skin,
            (0, 0, 0),
            (size, size * b.u(0.95, 1.35), size),
            rotate=tilt,
            segments=28,
        )
        stalk = np.array(
            [-size * 1.2 if tilt[2] else 0.0, 0.0 if tilt[2] else size * 1.1, 0]
        )
        b.tube(
            b.colour("brown"), [stalk * 0.85, stalk, stalk * 1.08 + (0, 0.04, 0)], 0.03
        )
        return
    if kind == 1:
        curve = np.linspace(-np.pi / 2, 0, 10)
        tilt = (b.u(20, 70), 0.0, 0.0)
        bowl = [(size * np.cos(a), size * np.sin(a)) for a in curve]
        b.lathe(skin, [*bowl, (0, 0)], rotate=tilt, segments=28)
        for paint, share, y in ((pale, 0.97, 0.008), (flesh, 0.9, 0.016)):
            disc = [(0, -0.02), (size * share, -0.02), (size * share, y), (0, y)]
            b.lathe(paint, disc, rotate=tilt, segments=28)
        up = np.array([0, np.cos(np.deg2rad(tilt[0])), np.sin(np.deg2rad(tilt[0]))])
        across = np.array([0, -up[2], up[1]])
        for k in range(12):
            far = size * (0.4 + 0.25 * (k % 2))
            place = (
                np.array([np.sin(k * 0.52) * far, 0, 0])
                + across * np.cos(k * 0.52) * far
                + up * 0.02
            )
            b.ellipsoid(black, place, (0.025, 0.03, 0.03), segments=6)
        return
    arc = np.linspace(-np.pi, 0, 15)
    thick = b.u(0.16, 0.34)
    for paint, share, deep in (
        (skin, 1.0, 1.0),
        (pale, 0.93, 1.02),
        (flesh, 0.86, 1.04),
    ):
        wedge = np.column_stack([np.cos(arc), np.sin(arc)]) * size * share * 1.2
        b.prism(paint, wedge, thick * deep, (0, 0.15 * (deep - 1), 0))
    for k in range(6):
        for z in (-1, 1):
            angle = -0.5 - 0.42 * k
            place = (
                np.cos(angle) * size * 0.65,
                np.sin(angle) * size * 0.65,
                z * thick * 0.52,
            )
            b.ellipsoid(black, place, (0.025, 0.035, 0.015), segments=6)
