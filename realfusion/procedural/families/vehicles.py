"""Things that drive, sail and fly; their front is +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import picture, random_artwork


def wheels(b: Builder, along: list[float], half: float, y: float, size: float) -> None:
    """Pairs of wheels with hubs at the places ``along`` z."""
    tyre, hub = b.colour("black"), b.colour("gray")
    for z in along:
        for side in (-1, 1):
            b.cylinder(
                tyre, (side * half, y, z), size, 0.12, rotate=(0, 0, 90), segments=14
            )
            b.cylinder(
                hub,
                (side * (half + 0.02), y, z),
                size * 0.45,
                0.12,
                rotate=(0, 0, 90),
                segments=14,
            )


def _lights(b: Builder, half: float, y: float, front: float, back: float) -> None:
    white, red = b.colour("white"), b.colour("red")
    for side in (-1, 1):
        b.ellipsoid(white, (side * half, y, front), (0.07, 0.06, 0.05), segments=10)
        b.ellipsoid(red, (side * half, y, back), (0.07, 0.05, 0.04), segments=10)


def car(b: Builder) -> None:
    """A car: saloon, estate or pick-up."""
    long, wide = b.u(0.65, 0.85), b.u(0.28, 0.38)
    boxy = (b.u(0.25, 0.5), b.u(0.25, 0.5))
    b.ellipsoid(b.main, (0, -0.1, 0), (wide, 0.17, long), squareness=boxy)
    cabin, size = b.u(-0.25, 0.05), b.u(0.35, 0.55)
    glass = b.colour("cyan" if b.chance(0.5) else "black")
    roof = b.detail if b.chance(0.5) else b.main
    top = (0, 0.12, cabin)
    b.ellipsoid(
        roof, top, (wide * 0.88, b.u(0.18, 0.25), long * size), squareness=(0.5, 0.45)
    )
    b.ellipsoid(
        glass, top, (wide * 0.72, 0.12, long * size * 1.03), squareness=(0.4, 0.35)
    )
    b.ellipsoid(
        glass, top, (wide * 0.92, 0.12, long * size * 0.7), squareness=(0.4, 0.35)
    )
    wheels(b, [-long * 0.58, long * 0.58], wide, -0.24, b.u(0.12, 0.18))
    _lights(b, wide * 0.65, -0.06, long * 0.97, -long * 0.97)


def truck(b: Builder) -> None:
    """A lorry with a cab and a load."""
    long, wide = b.u(0.75, 0.9), 0.32
    cab = long * 0.62
    b.box(b.main, (0, 0.05, cab), (wide, 0.28, 0.24))
    b.box(b.colour("cyan"), (0, 0.15, cab + 0.1), (wide * 0.85, 0.1, 0.145))
    high = b.u(0.2, 0.45)
    load = b.detail
    if b.chance(0.5):
        load = picture(load, random_artwork(b.rng, b.secondary_colour))
    if b.chance(0.6):
        b.box(load, (0, high - 0.18, -long * 0.3), (wide * 1.02, high, long * 0.6))
    else:
        b.cylinder(
            load, (0, 0.12, -long * 0.3), wide * 0.9, long * 1.15, rotate=(90, 0, 0)
        )
    b.box(b.colour("black"), (0, -0.22, 0), (wide * 0.8, 0.06, long * 0.85))
    wheels(b, [-long * 0.6, -long * 0.2, long * 0.6], wide, -0.28, 0.15)
    _lights(b, wide * 0.65, -0.1, cab + 0.25, -long * 0.9)


def bus(b: Builder) -> None:
    """A bus with rows of windows, a door on one side."""
    long, wide = b.u(0.7, 0.9), 0.27
    glass = b.colour("cyan" if b.chance(0.6) else "black")
    b.ellipsoid(b.main, (0, 0.05, 0), (wide, 0.34, long), squareness=(0.2, 0.2))
    for z in np.linspace(-0.66, 0.66, int(b.rng.integers(4, 7))):
        b.box(glass, (0, 0.15, z * long), (wide * 1.01, 0.1, 0.09))
    b.box(glass, (0, 0.14, long * 0.98), (wide * 0.8, 0.13, 0.03))
    b.box(b.detail, (0, -0.1, 0), (wide * 1.01, 0.05, long * 0.99))
    b.box(b.colour("gray"), (wide, -0.05, long * 0.5), (0.03, 0.2, 0.08))
    wheels(b, [-long * 0.6, long * 0.6], wide, -0.26, 0.14)
    _lights(b, wide * 0.7, -0.12, long * 0.98, -long * 0.98)


def train(b: Builder) -> None:
    """A steam engine."""
    long = b.u(0.6, 0.75)
    b.cylinder(b.main, (0, 0.05, 0.12), 0.22, long * 1.3, rotate=(90, 0, 0))
    b.box(b.detail, (0, 0.15, -long * 0.7), (0.28, 0.35, 0.22))
    b.box(b.colour("black"), (0, 0.54, -long * 0.7), (0.32, 0.04, 0.27))
    b.cylinder(b.colour("black"), (0, 0.38, long * 0.65), 0.07, 0.3, top=0.12)
    b.sphere(b.colour("yellow"), (0, 0.29, 0.1), 0.1)
    b.sphere(b.colour("yellow"), (0, 0.1, long * 0.92), 0.08)
    b.box(b.colour("red"), (0, -0.2, 0), (0.26, 0.07, long))
    wheels(b, [-long * 0.7, 0.0, long * 0.6], 0.27, -0.28, b.u(0.13, 0.2))


def airplane(b: Builder) -> None:
    """An aeroplane with engines or a propeller."""
    long, span = 0.75, b.u(0.55, 0.85)
    b.ellipsoid(b.main, (0, 0, 0), (0.14, 0.15, long))
    sweep = b.u(0, 30)
    for side in (-1, 1):
        wing = (side * span * 0.5, b.u(-0.04, 0.0), 0.05)
        half = (span * 0.55, 0.03, 0.16)
        b.ellipsoid(
            b.detail, wing, half, squareness=(0.6, 0.6), rotate=(0, side * sweep, 0)
        )
        engine = (side * span * 0.45, -0.1, 0.14)
        b.cylinder(b.colour("gray"), engine, 0.06, 0.26, rotate=(90, 0, 0), segments=10)
    tail = -long * 0.88
    b.ellipsoid(b.detail, (0, 0.05, tail), (0.28, 0.02, 0.1), squareness=(0.6, 0.6))
    b.ellipsoid(b.detail, (0, 0.2, tail), (0.02, 0.2, 0.12), rotate=(-20, 0, 0))
    b.ellipsoid(
        b.colour("cyan"), (0, 0.08, long * 0.55), (0.1, 0.09, 0.16), segments=12
    )
    if b.chance(0.4):
        b.box(
            b.colour("black"),
            (0, 0, long),
            (0.3, 0.03, 0.01),
            rotate=(0, 0, b.u(0, 90)),
        )


def boat(b: Builder) -> None:
    """A sailing boat or a small ship."""
    b.ellipsoid(b.main, (0, -0.3, 0), (0.24, 0.22, 0.65), squareness=(0.6, 0.9))
    b.box(b.colour("brown"), (0, -0.1, -0.05), (0.19, 0.02, 0.48))
    if b.chance(0.6):
        b.cylinder(b.colour("brown"), (0, 0.25, 0), 0.025, 0.75, segments=8)
        b.prism(b.detail, [(0.04, 0), (0.5, 0), (0.04, 0.62)], 0.02, rotate=(0, -90, 0))
        b.prism(
            b.colour("white"),
            [(-0.04, 0), (-0.42, 0), (-0.04, 0.55)],
            0.02,
            rotate=(0, -90, 0),
        )
    else:
        b.box(b.colour("white"), (0, 0.05, -0.15), (0.15, 0.15, 0.25))
        b.box(b.colour("black"), (0, 0.1, 0.0), (0.12, 0.05, 0.12))
        b.cylinder(b.detail, (0, 0.3, -0.25), 0.07, 0.28)


def rocket(b: Builder) -> None:
    """A rocket standing on its fins, with a porthole."""
    waist = b.u(0.2, 0.28)
    hull = [(0, -0.5), (0.18, -0.5), (waist, -0.2), (waist, 0.15), (0.18, 0.4)]
    b.lathe(b.main, [*hull, (0, 0.4)])
    b.lathe(b.detail, [(0, 0.38), (0.185, 0.38), (0.12, 0.58), (0, 0.78)])
    for angle in np.arange(4) * 90 + 45:
        across = np.deg2rad(angle)
        fin = (0.26 * np.sin(across), -0.5, 0.26 * np.cos(across))
        b.box(b.detail, fin, (0.025, 0.16, 0.14), rotate=(0, float(angle), 0))
    b.sphere(b.colour("cyan"), (0, 0.12, waist - 0.03), 0.1)
    b.cylinder(b.colour("black"), (0, -0.55, 0), 0.12, 0.1)
