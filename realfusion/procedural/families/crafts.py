"""Ships, aircraft and other craft; their front is +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder


def helicopter(b: Builder) -> None:
    """A helicopter on skids: glass nose, tail boom, two rotors."""
    wide, high, long = b.u(0.18, 0.25), b.u(0.19, 0.26), b.u(0.32, 0.42)
    b.ellipsoid(b.main, (0, 0, 0), (wide, high, long), squareness=(0.9, 0.9))
    glass = b.colour("cyan" if b.chance(0.6) else "black")
    nose = (wide * 0.92, high * 0.72, long * 0.6)
    b.ellipsoid(glass, (0, high * 0.2, long * 0.42), nose)
    for side in (-1, 1):
        b.box(glass, (side * wide * 0.88, high * 0.2, -0.02), (0.03, high * 0.35, 0.09))
    back = -b.u(0.75, 0.95)
    b.tube(b.main, [(0, 0.05, -long * 0.6), (0, 0.1, back)], [high * 0.55, 0.04])
    fin = [(-0.08, -0.08), (0.1, -0.05), (0.0, 0.24), (-0.12, 0.24)]
    b.prism(b.detail, fin, 0.03, (0, 0.12, back), rotate=(0, -90, 0))
    b.box(b.detail, (0, 0.1, back + 0.12), (0.17, 0.012, 0.05))
    grey, black = b.colour("gray"), b.colour("black")
    tail = (0.06, 0.18, back)
    for turn in (20, 110):
        b.box(grey, tail, (0.01, 0.15, 0.018), rotate=(turn, 0, 0))
    b.cylinder(b.detail, (0, high + 0.04, 0), 0.05, 0.16)
    b.ellipsoid(b.main, (0, high * 0.85, -0.1), (0.12, 0.09, 0.2))
    number, start, span = int(b.rng.integers(2, 5)), b.u(0, 90), b.u(0.55, 0.75)
    for turn in start + np.arange(number) * 360 / number:
        way = np.deg2rad(turn)
        blade = (np.sin(way) * span / 2, high + 0.12, np.cos(way) * span / 2)
        b.box(black, blade, (0.035, 0.012, span / 2), rotate=(0, float(turn), 0))
    low = -high - b.u(0.08, 0.14)
    for side in (-1, 1):
        x = side * wide * 1.05
        skid = [(x, low, -long), (x, low, long * 0.9), (x, low + 0.07, long * 1.15)]
        b.tube(grey, skid, 0.022)
        for z in (-0.15, 0.18):
            b.tube(grey, [(side * wide * 0.5, -high * 0.6, z), (x, low, z)], 0.02)


def sailing_ship(b: Builder) -> None:
    """A ship with two or three masts, square sails, a high stern and flags."""
    long, wide = b.u(0.6, 0.75), b.u(0.15, 0.2)
    hull = b.colour("brown") if b.chance(0.5) else b.main
    b.ellipsoid(hull, (0, 0, 0), (wide, 0.17, long), squareness=(0.7, 0.9))
    b.box(b.colour("beige"), (0, 0.1, 0), (wide * 0.8, 0.05, long * 0.72))
    b.box(hull, (0, 0.18, -long * 0.72), (wide * 0.85, 0.13, long * 0.2))
    b.box(b.detail, (0, 0.2, -long * 0.92), (wide * 0.7, 0.05, 0.02))
    b.ellipsoid(b.detail, (0, 0.06, 0), (wide * 1.02, 0.03, long * 1.01))
    mast, white = b.colour("brown"), b.colour("white" if b.chance(0.6) else "beige")
    b.tube(mast, [(0, 0.1, long * 0.8), (0, 0.26, long + 0.26)], [0.03, 0.012])
    number = int(b.rng.integers(2, 4))
    sail = b.main if b.chance(0.4) else white
    for k, z in enumerate(np.linspace(-0.5, 0.55, number) * long):
        tall = b.u(0.75, 1.0) - 0.1 * abs(k - 1)
        b.cylinder(mast, (0, tall / 2 + 0.05, z), 0.025, tall, segments=8)
        for share, half in ((0.38, 0.3), (0.7, 0.22))[: int(b.rng.integers(1, 3))]:
            bulge = (0, tall * share + 0.1, z + 0.04)
            b.ellipsoid(sail, bulge, (half, tall * 0.17, 0.05), squareness=(0.35, 0.5))
            b.box(
                mast,
                np.add(bulge, (0, tall * 0.17, -0.02)),
                (half * 1.05, 0.014, 0.014),
            )
        flag = [(0, 0), (0.14, 0.04), (0, 0.08)]
        b.prism(b.detail, flag, 0.012, (0, tall + 0.02, z), rotate=(0, 90, 0))
    if b.chance(0.5):
        jib = [(0, 0), (0.42, 0), (0.0, 0.5)]
        b.prism(white, jib, 0.018, (0, 0.24, long * 0.62), rotate=(0, -90, 0))
    if b.chance(0.5):
        black = b.colour("black")
        for z in np.linspace(-0.4, 0.4, 4) * long:
            b.box(black, (0, 0.0, z), (wide * 0.99, 0.025, 0.03))
    if b.chance(0.5):
        for z in (-long * 0.5, long * 0.5):
            b.box(b.detail, (0, -0.2, z), (wide, 0.09, 0.04))
        b.box(b.detail, (0, -0.28, 0), (wide * 1.2, 0.03, long * 0.7))


def balloon(b: Builder) -> None:
    """A hot-air balloon with its basket, an airship, or a submarine."""
    steel = b.colour("gray")
    if b.chance(0.6):
        size = b.u(0.42, 0.5)
        angle = np.linspace(np.pi / 2, -0.9, 14)
        dome = [(size * np.cos(a), size * np.sin(a)) for a in angle]
        low = dome[-1]
        b.lathe(
            b.main,
            [*dome, (low[0] * 0.45, low[1] - 0.2), (0, low[1] - 0.2)],
            segments=26,
        )
        basket = low[1] - 0.2 - b.u(0.16, 0.28)
        b.box(b.colour("brown"), (0, basket, 0), (0.1, 0.08, 0.1))
        for x in (-0.09, 0.09):
            for z in (-0.09, 0.09):
                b.tube(
                    steel, [(x, basket, z), (x * 1.4, low[1] - 0.16, z * 1.4)], 0.012
                )
        return
    long, wide = b.u(0.6, 0.75), b.u(0.2, 0.28)
    b.ellipsoid(b.main, (0, 0, 0), (wide, wide, long), squareness=(1, 0.9))
    for turn in (0, 90):
        half = (wide * 1.1, 0.02, 0.12)
        b.box(b.detail, (0, 0, -long * 0.85), half, rotate=(0, 0, turn))
    if b.chance(0.5):
        b.ellipsoid(
            b.detail, (0, -wide - 0.02, 0.1), (0.09, 0.08, 0.24), squareness=(0.5, 0.6)
        )
        b.box(b.colour("cyan"), (0, -wide - 0.01, 0.14), (0.093, 0.025, 0.19))
    else:
        b.ellipsoid(
            b.detail, (0, wide + 0.04, 0.08), (0.08, 0.14, 0.18), squareness=(0.5, 0.8)
        )
        scope = [(0, wide, 0.1), (0, wide + 0.34, 0.1), (0, wide + 0.34, 0.2)]
        b.tube(steel, scope, 0.028)
        for z in (-0.2, 0.1, 0.4):
            for side in (-1, 1):
                b.sphere(b.colour("cyan"), (side * wide * 0.93, 0.04, z * long), 0.06)
        b.cylinder(steel, (0, 0, -long), 0.05, 0.1, rotate=(90, 0, 0), segments=10)
