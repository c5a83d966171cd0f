"""Figurines and statues of people; they look to +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, Vector
from realfusion.procedural.families.creatures import eyes
from realfusion.procedural.paint import (
    Paint,
    grainy,
    halves,
)


def skin(b: Builder) -> Paint:
    return b.colour(str(b.rng.choice(["beige", "beige", "brown"])))


def hair(b: Builder) -> Paint:
    names = ["black", "brown", "yellow", "orange", "gray"]
    return b.colour(str(b.rng.choice(names)))


def face(b: Builder, head: Vector, size: float, flesh: Paint) -> None:
    """A head with eyes, nose, ears and a mouth."""
    x, y, z = head
    b.ellipsoid(flesh, head, (size * 0.9, size, size * 0.95))
    eyes(b, size * 0.36, y + size * 0.12, z + size * 0.8, size * 0.13)
    nose = (x, y - size * 0.1, z + size * 0.95)
    b.ellipsoid(flesh, nose, (size * 0.13, size * 0.16, size * 0.16), segments=8)
    mouth = (x, y - size * 0.42, z + size * 0.82)
    b.ellipsoid(b.colour("red"), mouth, (size * 0.28, size * 0.07, 0.02), segments=8)
    for side in (-1, 1):
        ear = (x + side * size * 0.9, y, z)
        b.ellipsoid(flesh, ear, (size * 0.12, size * 0.22, size * 0.16), segments=8)


def hairdo(b: Builder, head: Vector, size: float, locks: Paint) -> None:
    """Hair: a cap of it, with a knot, plaits or a long fall behind."""
    top = np.add(head, (0, size * 0.25, -size * 0.22))
    b.ellipsoid(locks, top, (size * 1.02, size * 0.95, size * 0.95))
    kind = int(b.rng.integers(4))
    if kind == 1:
        b.ellipsoid(
            locks, np.add(top, (0, size * 0.85, -size * 0.3)), (size * 0.4,) * 3
        )
    elif kind == 2:
        for side in (-1, 1):
            start = np.add(head, (side * size * 0.9, 0, -size * 0.1))
            end = np.add(start, (side * size * 0.4, -size * b.u(1.0, 1.8), 0))
            b.tube(locks, [start, end], [size * 0.28, size * 0.2])
    elif kind == 3:
        fall = np.add(head, (0, -size * 0.5, -size * 0.65))
        half = (size * 0.85, size * b.u(0.9, 1.5), size * 0.4)
        b.ellipsoid(locks, fall, half, squareness=(0.7, 0.8))


def limb(b: Builder, paint: Paint, joints: list[Vector], thick: float) -> None:
    """An arm or leg through its joints, tapering a little."""
    b.tube(paint, joints, np.linspace(thick * 1.15, thick * 0.85, len(joints)))


def doll(b: Builder) -> None:
    """A rag doll, sitting with its legs out or standing, in a dress."""
    flesh, locks, size = skin(b), hair(b), b.u(0.19, 0.27)
    sits = b.chance(0.5)
    head = (0, 0.3 + size, b.u(-0.02, 0.05))
    dress = b.main
    b.lathe(
        dress,
        [(0, -0.3), (b.u(0.24, 0.36), -0.28), (0.14, 0.2), (0.08, 0.3), (0, 0.32)],
    )
    b.lathe(b.detail, [(0, 0.24), (0.16, 0.24), (0.13, 0.3), (0, 0.31)])
    face(b, head, size, flesh)
    hairdo(b, head, size, locks)
    for side in (-1, 1):
        hand = (side * b.u(0.28, 0.42), b.u(-0.2, 0.2), b.u(0.0, 0.22))
        limb(b, dress, [(side * 0.1, 0.22, 0), hand], 0.07)
        b.sphere(flesh, hand, 0.07)
        foot = (side * 0.17, -0.26, 0.52) if sits else (side * 0.13, -0.66, 0)
        limb(b, flesh, [(side * 0.1, -0.22, 0.08), foot], 0.08)
        shoe = np.add(foot, (0, 0.03, 0.03) if sits else (0, 0, 0.05))
        half = (0.08, 0.12, 0.08) if sits else (0.08, 0.07, 0.13)
        b.ellipsoid(b.detail, shoe, half, segments=10)
    if b.chance(0.5):
        bow = np.add(head, (0, size * 1.1, 0))
        for side in (-1, 1):
            loop = np.add(bow, (side * 0.08, 0, 0))
            b.ellipsoid(b.detail, loop, (0.09, 0.06, 0.04), segments=8)


def knight(b: Builder) -> None:
    """A knight in armour with helmet, shield and sword or lance."""
    steel = b.colour("gray") if b.chance(0.6) else b.main
    black, wide = b.colour("black"), b.u(0.17, 0.24)
    b.ellipsoid(steel, (0, 0.15, 0), (wide, 0.26, 0.15), squareness=(0.6, 0.8))
    b.cylinder(b.main, (0, -0.15, 0), wide * b.u(1.0, 1.25), 0.24, top=wide * 0.85)
    b.cylinder(b.colour("brown"), (0, -0.02, 0), wide * 0.95, 0.06)
    if b.chance(0.5):
        b.cylinder(steel, (0, 0.52, 0), 0.13, 0.28, top=b.u(0.08, 0.13))
    else:
        b.ellipsoid(steel, (0, 0.52, 0), (0.13, 0.17, 0.15))
    b.box(black, (0, 0.54, 0.115), (0.09, 0.016, 0.04))
    if b.chance(0.6):
        plume = [(0, 0.66, 0), (0, 0.78, -0.1), (0, 0.7, -0.24), (0, 0.54, -0.28)]
        b.tube(b.detail, plume, [0.04, 0.07, 0.06, 0.02])
    stride = b.u(0.0, 0.12)
    for side in (-1, 1):
        b.sphere(steel, (side * (wide + 0.03), 0.33, 0), 0.1)
        foot = (side * 0.12, -0.62, side * stride)
        knee = (side * 0.11, -0.42, side * stride * 0.5 + 0.03)
        limb(b, steel, [(side * 0.1, -0.15, 0), knee, foot], 0.085)
        b.ellipsoid(
            steel, np.add(foot, (0, -0.02, 0.06)), (0.08, 0.05, 0.14), segments=8
        )
    hand = np.array([wide + b.u(0.08, 0.2), b.u(-0.02, 0.2), 0.2])
    limb(b, steel, [(wide, 0.3, 0), (wide + 0.1, 0.12, 0), hand], 0.06)
    tip, lean = b.u(0.35, 0.6), b.u(-0.1, 0.3)
    b.tube(
        b.colour("white"),
        [hand, np.add(hand, (0, tip, lean))],
        [0.035, 0.012],
        segments=6,
    )
    b.tube(b.colour("brown"), [hand, hand - (0, 0.12, lean * 0.2)], 0.03)
    b.box(b.colour("yellow"), np.add(hand, (0, 0.04, 0)), (0.1, 0.02, 0.03))
    left = (-wide - b.u(0.05, 0.14), 0.05, 0.2)
    limb(b, steel, [(-wide, 0.3, 0), (-wide - 0.1, 0.12, 0.02), left], 0.06)
    shield = [(-0.2, 0.22), (0.2, 0.22), (0.2, 0), (0, -0.3), (-0.2, 0)]
    blazon = halves(b.primary_colour, b.secondary_colour, (1, b.u(-1, 1), 0))
    turn = (0, -b.u(0, 40), 0)
    b.prism(blazon, shield, 0.06, np.add(left, (0, 0, 0.07)), rotate=turn, bevel=0.12)
    if b.chance(0.4):
        b.ellipsoid(b.detail, (0, -0.05, -0.2), (wide * 1.2, 0.4, 0.06))
    if b.chance(0.5):
        b.cylinder(b.colour("green"), (0, -0.69, 0.03), b.u(0.28, 0.36), 0.06)


def toy_soldier(b: Builder) -> None:
    """A nutcracker or guardsman: tall hat, coat with belt, upright limbs."""
    flesh, black = skin(b), b.colour("black")
    wide = b.u(0.15, 0.21)
    b.cylinder(b.main, (0, 0.12, 0), wide, 0.46, top=wide * 1.08)
    b.cylinder(black, (0, -0.02, 0), wide * 1.06, 0.07)
    b.box(b.colour("yellow"), (0, -0.02, wide * 1.05), (0.05, 0.04, 0.02))
    for k in range(3):
        b.sphere(b.colour("yellow"), (0, 0.08 + 0.1 * k, wide * 1.02), 0.025)
    size = b.u(0.14, 0.18)
    head = (0, 0.34 + size, 0)
    face(b, head, size, flesh)
    locks = b.colour("white" if b.chance(0.5) else "black")
    b.ellipsoid(locks, np.add(head, (0, 0, -size * 0.35)), (size, size, size * 0.75))
    if b.chance(0.5):
        beard = np.add(head, (0, -size * 0.85, size * 0.5))
        b.ellipsoid(locks, beard, (size * 0.55, size * 0.6, size * 0.35), segments=12)
    tall, hat = b.u(0.2, 0.36), b.detail if b.chance(0.5) else black
    middle = np.add(head, (0, size * 0.55 + tall / 2, 0))
    b.cylinder(hat, middle, size * 1.02, tall, top=size * b.u(0.85, 1.2))
    b.ellipsoid(
        black, np.add(middle, (0, -tall / 2, size)), (size * 0.8, 0.02, size * 0.4)
    )
    b.sphere(b.colour("yellow"), np.add(middle, (0, 0, size * 1.02)), 0.05)
    for side in (-1, 1):
        b.sphere(b.colour("yellow"), (side * wide * 1.1, 0.32, 0), 0.075)
        hand = (side * (wide + 0.1), -0.08, 0.04)
        limb(
            b,
            b.main,
            [(side * wide, 0.28, 0), (side * (wide + 0.08), 0.1, 0), hand],
            0.06,
        )
        b.sphere(flesh, hand, 0.06)
        limb(b, b.detail, [(side * 0.085, -0.1, 0), (side * 0.09, -0.4, 0)], 0.08)
        b.cylinder(black, (side * 0.09, -0.5, 0), 0.085, 0.24)
        b.ellipsoid(black, (side * 0.09, -0.6, 0.06), (0.08, 0.05, 0.14), segments=8)
    if b.chance(0.5):
        x = wide + 0.12
        b.tube(b.colour("brown"), [(x, -0.2, 0.1), (x, 0.25, 0.06)], 0.035)
        b.tube(black, [(x, 0.25, 0.06), (x, 0.7, 0.03)], 0.018)
    if b.chance(0.6):
        b.box(b.detail, (0, -0.68, 0.03), (0.24, 0.05, 0.22))


def seated_statue(b: Builder) -> None:
    """A meditating or thinking figure on a plinth, of one material."""
    if b.chance(0.5):
        b.main = grainy(b.rng, b.primary_colour, b.secondary_colour)
    wide = b.u(0.2, 0.28)
    lean = b.u(-4, 14)
    b.ellipsoid(b.main, (0, 0, 0), (wide, 0.3, wide * 0.72), rotate=(lean, 0, 0))
    head, size = np.array([0, 0.4, 0.02 + lean * 0.005]), b.u(0.15, 0.19)
    b.cylinder(b.main, head - (0, size, 0.02), size * 0.55, 0.16)
    b.ellipsoid(b.main, head, (size * 0.9, size * 1.1, size))
    nose = np.add(head, (0, -0.01, size))
    b.ellipsoid(b.main, nose, (0.025, 0.05, 0.035), segments=8)
    for side in (-1, 1):
        ear = np.add(head, (side * size * 0.9, -0.03, 0))
        b.ellipsoid(b.main, ear, (0.025, 0.08, 0.04), segments=8)
        brow = np.add(head, (side * size * 0.38, 0.02, size * 0.86))
        b.ellipsoid(b.detail, brow, (0.035, 0.012, 0.02), segments=8)
    locks = b.main if b.chance(0.5) else b.detail
    b.ellipsoid(locks, np.add(head, (0, 0.05, -0.03)), (size * 0.95, size, size * 0.95))
    if b.chance(0.5):
        b.sphere(locks, np.add(head, (0, size * 1.15, -0.02)), size * 0.4)
    hand: Vector
    if b.chance(0.6):
        for side in (-1, 1):
            knee = (side * (wide + 0.2), -0.24, 0.12)
            b.tube(b.main, [(side * 0.1, -0.22, 0), knee], [0.14, 0.11])
            b.tube(b.main, [knee, (-side * 0.12, -0.24, 0.3)], [0.11, 0.07])
            elbow = (side * (wide + 0.1), -0.02, 0.02)
            hand = (side * 0.05, -0.14, 0.28)
            b.tube(
                b.main,
                [(side * wide * 0.85, 0.2, 0), elbow, hand],
                [0.09, 0.075, 0.055],
            )
        b.ellipsoid(b.main, (0, -0.18, 0.1), (0.2, 0.1, 0.2))
        base = -0.35
    else:
        seat = (0, -0.42, -0.05)
        b.box(b.detail, seat, (wide * 1.2, 0.2, 0.22))
        for side in (-1, 1):
            knee = (side * 0.15, -0.2, 0.34)
            b.tube(b.main, [(side * 0.12, -0.2, 0), knee], [0.12, 0.1])
            b.tube(b.main, [knee, (side * 0.15, -0.58, 0.34)], [0.1, 0.07])
            b.ellipsoid(
                b.main, (side * 0.15, -0.6, 0.4), (0.07, 0.04, 0.13), segments=8
            )
            hand = np.add(knee, (0, 0.1, -0.04))
            if side == 1 and b.chance(0.5):
                hand = np.add(head, (0.05, -size, size * 0.7))
            elbow = (side * (wide + 0.08), -0.04, 0.14)
            b.tube(
                b.main, [(side * wide * 0.85, 0.2, 0), elbow, hand], [0.09, 0.07, 0.05]
            )
        base = -0.63
    if b.chance(0.7):
        half = (wide + 0.25, 0.07, 0.36)
        b.ellipsoid(b.detail, (0, base, 0.08), half, squareness=(0.2, b.u(0.3, 1)))


def angel(b: Builder) -> None:
    """An angel or fairy in a long robe with wings and a halo."""
    flesh = b.main if b.chance(0.4) else skin(b)
    hem = b.u(0.24, 0.38)
    b.lathe(
        b.main,
        [
            (0, -0.6),
            (hem, -0.6),
            (hem * 0.75, -0.3),
            (0.13, 0.12),
            (0.15, 0.24),
            (0, 0.34),
        ],
    )
    size = b.u(0.13, 0.17)
    head = (0, 0.34 + size * 0.8, 0.02)
    face(b, head, size, flesh)
    hairdo(b, head, size, hair(b))
    span, rise, fold = b.u(0.3, 0.55), b.u(0.3, 0.5), b.u(5, 45)
    shape = [
        (0, 0.1),
        (0.1, -0.7),
        (0.5, -0.8),
        (0.85, -0.3),
        (1, 0.6),
        (0.7, 1),
        (0.3, 0.7),
    ]
    feathers = b.colour("white") if b.chance(0.5) else b.detail
    for side in (-1, 1):
        outline = np.array(shape) * (side * span, rise)
        place = (side * 0.04, 0.12, -0.14)
        b.prism(feathers, outline, 0.05, place, rotate=(0, side * fold, 0), bevel=0.1)
    joined, lift = b.chance(0.5), b.u(-0.1, 0.3)
    for side in (-1, 1):
        hand = (side * 0.03, 0.1, 0.28) if joined else (side * 0.34, lift, 0.14)
        elbow = (side * 0.22, 0.04, 0.1)
        b.tube(b.main, [(side * 0.12, 0.22, 0), elbow, hand], [0.06, 0.065, 0.075])
        b.sphere(flesh, np.add(hand, (0, 0.02, 0.03)), 0.055)
    if b.chance(0.6):
        halo = np.add(head, (0, size * 1.5, -0.03))
        b.torus(b.colour("yellow"), halo, size * 0.85, 0.022)
    if b.chance(0.4):
        b.torus(b.detail, (0, 0.06, 0), 0.14, 0.03)
