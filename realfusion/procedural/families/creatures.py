"""Animals, dolls and statues; they look towards +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import Paint


def eyes(b: Builder, apart: float, y: float, z: float, size: float = 0.04) -> None:
    """Two eyes that look to the front; they stand ``apart`` from the middle."""
    white, black = b.colour("white"), b.colour("black")
    for side in (-1, 1):
        if b.chance(0.6):
            b.ellipsoid(white, (side * apart, y, z), (size * 1.3,) * 3, segments=10)
        pupil = (side * apart, y, z + size * 0.8)
        b.ellipsoid(black, pupil, (size * 0.8,) * 3, segments=10)


def _four_legs(
    b: Builder, paint: Paint, long: float, thick: float, tall: float
) -> None:
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * 0.13, -0.1 - tall / 2, z * long * 0.68)
            b.cylinder(paint, foot, thick, tall, segments=10)


def _body(b: Builder, girth: float = 0.21) -> tuple[float, np.ndarray]:
    """A four-legged body; its half length and where the head goes."""
    long = b.u(0.36, 0.52)
    b.ellipsoid(b.main, (0, 0, 0), (girth * b.u(0.85, 1.1), girth, long))
    _four_legs(b, b.main, long, b.u(0.05, 0.08), b.u(0.3, 0.5))
    return long, np.array([0.0, b.u(0.2, 0.36), long * b.u(0.95, 1.1)])


def dog(b: Builder) -> None:
    """A dog with hanging ears and a raised tail."""
    long, head = _body(b)
    b.ellipsoid(b.main, head, (0.19, 0.18, 0.2))
    b.ellipsoid(
        b.detail, np.add(head, (0, -0.05, 0.17)), (0.09, 0.07, 0.13), segments=12
    )
    b.sphere(b.colour("black"), np.add(head, (0, -0.02, 0.3)), 0.035)
    eyes(b, 0.08, head[1] + 0.06, head[2] + 0.15, 0.03)
    for side in (-1, 1):
        b.ellipsoid(
            b.detail,
            np.add(head, (side * 0.19, 0, -0.02)),
            (0.04, 0.15, 0.07),
            segments=12,
        )
    tail = [(0, 0.08, -long * 0.95), (0, 0.2, -long * 1.15), (0, 0.38, -long * 1.25)]
    b.tube(b.detail if b.chance(0.5) else b.main, tail, 0.045)


def cat(b: Builder) -> None:
    """A standing cat with pointed ears."""
    long, head = _body(b, 0.18)
    b.ellipsoid(b.main, head, (0.18, 0.17, 0.17))
    b.ellipsoid(
        b.detail, np.add(head, (0, -0.05, 0.14)), (0.09, 0.06, 0.06), segments=12
    )
    eyes(b, 0.08, head[1] + 0.05, head[2] + 0.13, 0.03)
    for side in (-1, 1):
        b.cylinder(
            b.detail,
            np.add(head, (side * 0.11, 0.19, 0)),
            0.07,
            0.16,
            top=0.005,
            segments=8,
        )
    swing = b.u(-0.3, 0.3)
    x = np.array([0, 0.2, 0.6, 1.0]) * swing
    tail = np.column_stack(
        [x, [0.05, 0.1, 0.3, 0.5], -long * np.array([0.9, 1.3, 1.45, 1.3])]
    )
    b.tube(b.main, tail, 0.04)


def sitting_cat(b: Builder) -> None:
    """A cat or fox sitting up, as statues do."""
    b.lathe(
        b.main,
        [(0, -0.55), (0.34, -0.5), (0.32, -0.2), (0.18, 0.2), (0.1, 0.35), (0, 0.4)],
    )
    head = np.array([0, 0.48, b.u(0.04, 0.14)])
    b.ellipsoid(b.main, head, (0.2, 0.18, 0.19))
    b.ellipsoid(
        b.detail, np.add(head, (0, -0.06, 0.16)), (0.08, 0.06, 0.07), segments=12
    )
    eyes(b, 0.09, head[1] + 0.04, head[2] + 0.15, 0.03)
    for side in (-1, 1):
        b.cylinder(
            b.main,
            np.add(head, (side * 0.12, 0.2, 0)),
            0.08,
            0.2,
            top=0.005,
            segments=8,
        )
        leg = (side * 0.1, -0.25, 0.26)
        b.ellipsoid(b.main, leg, (0.07, 0.3, 0.08))
        b.ellipsoid(
            b.detail, (side * 0.11, -0.51, 0.34), (0.08, 0.05, 0.11), segments=12
        )
    side = 1 if b.chance(0.5) else -1
    curl = [
        (side * x, y, z)
        for x, y, z in (
            (0, -0.5, -0.3),
            (0.3, -0.48, -0.25),
            (0.42, -0.46, 0.05),
            (0.35, -0.46, 0.3),
        )
    ]
    b.tube(b.main, curl, 0.06)


def cow(b: Builder) -> None:
    """A cow with horns, muzzle and udder."""
    long, head = _body(b, 0.25)
    b.ellipsoid(b.main, head, (0.15, 0.15, 0.2))
    b.ellipsoid(
        b.colour("pink"),
        np.add(head, (0, -0.07, 0.17)),
        (0.11, 0.09, 0.08),
        segments=12,
    )
    eyes(b, 0.1, head[1] + 0.06, head[2] + 0.1, 0.03)
    for side in (-1, 1):
        start = np.add(head, (side * 0.08, 0.12, -0.02))
        b.tube(
            b.detail,
            [
                start,
                np.add(start, (side * 0.1, 0.06, 0)),
                np.add(start, (side * 0.13, 0.16, 0)),
            ],
            0.03,
        )
    b.sphere(b.colour("pink"), (0, -0.22, -long * 0.4), 0.1)
    b.tube(b.main, [(0, 0.1, -long), (0, -0.2, -long * 1.12)], 0.025)


def horse(b: Builder) -> None:
    """A horse with neck, mane and tail."""
    long = b.u(0.38, 0.5)
    b.ellipsoid(b.main, (0, 0, 0), (0.17, 0.19, long))
    _four_legs(b, b.main, long, 0.05, b.u(0.45, 0.6))
    neck = [(0, 0.05, long * 0.8), (0, 0.35, long * 1.05), (0, 0.5, long * 1.1)]
    b.tube(b.main, neck, [0.15, 0.11, 0.1])
    muzzle = [(0, 0.52, long * 1.05), (0, 0.38, long * 1.6)]
    b.tube(b.main, muzzle, [0.11, 0.07])
    mane = [(0, 0.58, long * 1.0), (0, 0.38, long * 0.88), (0, 0.12, long * 0.6)]
    b.tube(b.detail, mane, 0.07)
    tail = [(0, 0.1, -long * 0.95), (0, 0.05, -long * 1.2), (0, -0.3, -long * 1.25)]
    b.tube(b.detail, tail, [0.04, 0.07, 0.04])
    eyes(b, 0.09, 0.53, long * 1.2, 0.025)


def elephant(b: Builder) -> None:
    """An elephant: trunk, ears, tusks."""
    long, head = _body(b, 0.28)
    b.ellipsoid(b.main, head, (0.2, 0.2, 0.2))
    for side in (-1, 1):
        b.ellipsoid(
            b.main,
            np.add(head, (side * 0.26, 0, -0.05)),
            (0.15, 0.18, 0.05),
            segments=12,
        )
        tusk = np.add(head, (side * 0.09, -0.12, 0.14))
        b.tube(b.colour("white"), [tusk, np.add(tusk, (0, -0.04, 0.2))], [0.03, 0.015])
    swing = b.u(-0.2, 0.2)
    path = np.array(
        [(0, 0, 0.15), (0, -0.1, 0.3), (swing, -0.3, 0.34), (swing, -0.42, 0.42)]
    )
    b.tube(b.main, path + head, [0.08, 0.07, 0.05, 0.04])
    eyes(b, 0.11, head[1] + 0.05, head[2] + 0.16, 0.025)
    b.tube(b.main, [(0, 0.05, -long * 0.95), (0, -0.1, -long * 1.1)], 0.02)


def pig(b: Builder) -> None:
    """A pig or piggy bank."""
    radius = b.u(0.3, 0.38)
    b.ellipsoid(b.main, (0, 0, 0), (radius, radius, radius * b.u(1.1, 1.5)))
    _four_legs(b, b.main, 0.36, 0.09, radius + 0.1)
    snout = radius * 1.35
    b.cylinder(b.detail, (0, 0.02, snout), 0.12, 0.14, rotate=(90, 0, 0), segments=12)
    eyes(b, 0.14, 0.16, snout * 0.82, 0.03)
    for side in (-1, 1):
        b.cylinder(
            b.detail,
            (side * 0.17, radius * 0.85, 0.22),
            0.08,
            0.14,
            top=0.01,
            segments=8,
        )
    b.torus(b.detail, (0, 0.1, -snout), 0.06, 0.02, rotate=(90, 0, 0))


def duck(b: Builder) -> None:
    """A duck with a beak and wings."""
    long = b.u(0.38, 0.5)
    b.ellipsoid(b.main, (0, -0.1, 0), (0.3, 0.27, long))
    head = np.array([0, b.u(0.25, 0.38), long * 0.6])
    size = b.u(0.18, 0.24)
    b.sphere(b.main, head, size)
    b.ellipsoid(
        b.detail, np.add(head, (0, -0.03, size)), (0.11, 0.04, 0.15), segments=12
    )
    eyes(b, 0.1, head[1] + 0.07, head[2] + size * 0.7, 0.035)
    b.ellipsoid(b.main, (0, 0.08, -long * 0.95), (0.14, 0.07, 0.2), rotate=(35, 0, 0))
    for side in (-1, 1):
        wing = b.detail if b.chance(0.3) else b.main
        b.ellipsoid(wing, (side * 0.28, -0.05, -0.05), (0.05, 0.14, 0.25))


def bird(b: Builder) -> None:
    """A perching bird on a base."""
    b.ellipsoid(b.main, (0, 0, 0), (0.2, 0.22, 0.34), rotate=(-35, 0, 0))
    b.sphere(b.main, (0, 0.3, 0.2), 0.17)
    b.cylinder(
        b.colour("orange"), (0, 0.28, 0.4), 0.05, 0.16, top=0.005, rotate=(90, 0, 0)
    )
    eyes(b, 0.1, 0.35, 0.31, 0.03)
    b.ellipsoid(b.detail, (0, -0.25, -0.35), (0.1, 0.03, 0.26), rotate=(-40, 0, 0))
    for side in (-1, 1):
        b.ellipsoid(
            b.detail,
            (side * 0.19, -0.02, -0.06),
            (0.05, 0.15, 0.26),
            rotate=(-35, 0, 0),
        )
        b.cylinder(
            b.colour("orange"), (side * 0.08, -0.3, 0.02), 0.025, 0.25, segments=8
        )
    b.cylinder(b.colour("brown"), (0, -0.45, 0), b.u(0.15, 0.3), 0.08)


def fish(b: Builder) -> None:
    """A fish seen best from its side, so its nose points to +x."""
    long, high, thick = b.u(0.42, 0.6), b.u(0.2, 0.38), b.u(0.12, 0.2)
    b.ellipsoid(b.main, (0, 0, 0), (long, high, thick))
    for sign in (-1, 1):
        fork = (-long * 1.15, sign * 0.12, 0)
        b.ellipsoid(b.detail, fork, (0.22, 0.12, 0.03), rotate=(0, 0, -sign * 40))
        fin = (0.1, -0.08, sign * thick)
        b.ellipsoid(b.detail, fin, (0.14, 0.07, 0.03), rotate=(0, sign * 35, -20))
        eye = (long * 0.66, 0.08, sign * thick * 0.75)
        b.ellipsoid(b.colour("white"), eye, (0.06,) * 3, segments=10)
        pupil = (long * 0.7, 0.08, sign * (thick * 0.75 + 0.04))
        b.ellipsoid(b.colour("black"), pupil, (0.035,) * 3, segments=10)
    b.ellipsoid(b.detail, (-0.05, high, 0), (b.u(0.15, 0.3), 0.12, 0.03))
    for x in (-0.35, 0.0, 0.35)[: int(b.rng.integers(0, 4))]:
        ring = np.sqrt(1 - x**2) * 1.03
        b.ellipsoid(b.detail, (x * long, 0, 0), (0.06, high * ring, thick * ring))


def teddy_bear(b: Builder) -> None:
    """A sitting bear."""
    b.ellipsoid(b.main, (0, -0.2, 0), (0.3, 0.35, 0.28))
    b.ellipsoid(b.detail, (0, -0.2, 0.12), (0.2, 0.24, 0.2))
    b.ellipsoid(b.main, (0, 0.32, 0), (0.27, 0.25, 0.25))
    b.ellipsoid(b.detail, (0, 0.26, 0.22), (0.11, 0.09, 0.1), segments=12)
    b.ellipsoid(b.colour("black"), (0, 0.29, 0.32), (0.04, 0.03, 0.03), segments=8)
    eyes(b, 0.1, 0.38, 0.2, 0.03)
    lift = b.u(-40, 60)
    for side in (-1, 1):
        b.ellipsoid(b.main, (side * 0.23, 0.52, 0), (0.1, 0.1, 0.07), segments=12)
        arm = (side * 0.36, -0.08, 0.08)
        b.ellipsoid(b.main, arm, (0.2, 0.1, 0.11), rotate=(0, 0, side * lift))
        b.ellipsoid(b.main, (side * 0.22, -0.48, 0.22), (0.11, 0.11, 0.22))
        b.ellipsoid(
            b.detail, (side * 0.22, -0.48, 0.42), (0.08, 0.08, 0.04), segments=10
        )
    if b.chance(0.4):
        b.torus(b.detail, (0, 0.1, 0.02), 0.2, 0.05)


def rabbit(b: Builder) -> None:
    """A sitting rabbit with long ears."""
    b.ellipsoid(b.main, (0, -0.2, -0.05), (0.26, 0.3, 0.34))
    b.ellipsoid(b.main, (0, 0.22, 0.18), (0.19, 0.18, 0.2))
    eyes(b, 0.11, 0.27, 0.32, 0.03)
    b.sphere(b.colour("pink"), (0, 0.2, 0.38), 0.03)
    for side in (-1, 1):
        b.ellipsoid(
            b.main,
            (side * 0.09, 0.58, 0.1),
            (0.06, 0.26, 0.04),
            rotate=(-12, 0, -side * 12),
        )
        b.ellipsoid(b.detail, (side * 0.12, -0.46, 0.25), (0.08, 0.06, 0.15))
    b.sphere(b.detail, (0, -0.25, -0.4), 0.1)


def turtle(b: Builder) -> None:
    """A turtle: shell, head, four flippers."""
    b.ellipsoid(b.main, (0, 0.02, 0), (0.42, b.u(0.2, 0.36), 0.5))
    b.ellipsoid(b.detail, (0, -0.06, 0), (0.44, 0.08, 0.52))
    b.ellipsoid(b.detail, (0, 0.04, 0.62), (0.14, 0.13, 0.17))
    eyes(b, 0.08, 0.1, 0.72, 0.03)
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * 0.38, -0.12, z * 0.34)
            b.ellipsoid(b.detail, foot, (0.16, 0.07, 0.1), rotate=(0, x * z * 35, 0))


def snowman(b: Builder) -> None:
    """A snowman with hat, scarf and sticks."""
    white = b.colour("white")
    for y, size in ((-0.4, 0.34), (0.02, 0.25), (0.36, 0.18)):
        b.sphere(white, (0, y, 0), size)
    b.cylinder(
        b.colour("orange"),
        (0, 0.36, 0.26),
        0.04,
        0.2,
        top=0.002,
        rotate=(90, 0, 0),
        segments=8,
    )
    black = b.colour("black")
    for place in (
        (-0.07, 0.42, 0.16),
        (0.07, 0.42, 0.16),
        (0, -0.05, 0.24),
        (0, 0.08, 0.24),
    ):
        b.ellipsoid(black, place, (0.03,) * 3, segments=8)
    b.torus(b.detail, (0, 0.2, 0), 0.18, 0.05)
    b.cylinder(b.main, (0, 0.5, 0), 0.24, 0.04)
    b.cylinder(b.main, (0, 0.62, 0), 0.15, 0.24)
    for side in (-1, 1):
        b.tube(
            b.colour("brown"),
            [(side * 0.2, 0.08, 0), (side * 0.5, b.u(0.1, 0.4), 0)],
            0.02,
        )


def robot(b: Builder) -> None:
    """A boxy robot."""
    wide = b.u(0.2, 0.32)
    b.box(b.main, (0, -0.05, 0), (wide, 0.27, 0.18))
    b.box(b.detail, (0, 0.4, 0), (wide * 0.75, 0.15, 0.16))
    b.cylinder(b.colour("black"), (0, 0.62, 0), 0.015, 0.16, segments=6)
    b.sphere(b.main, (b.u(-0.1, 0.1), 0.72, 0), 0.05)
    eyes(b, wide * 0.35, 0.43, 0.16, 0.04)
    b.box(b.colour("black"), (0, 0.31, 0.16), (wide * 0.4, 0.025, 0.01))
    b.box(b.detail, (b.u(-0.05, 0.05), 0, 0.18), (wide * 0.6, 0.12, 0.01))
    for side in (-1, 1):
        lift = b.u(-20, 70) if b.chance(0.5) else 0
        arm = (side * (wide + 0.08 + 0.002 * lift), -0.05 + 0.002 * lift, 0)
        b.box(b.detail, arm, (0.06, 0.25, 0.07), rotate=(0, 0, side * lift))
        b.box(b.detail, (side * wide * 0.5, -0.5, 0.02), (0.09, 0.2, 0.1))


def person(b: Builder) -> None:
    """A doll or figurine: head, hair, dress or trousers, arms."""
    skin = b.colour("beige" if b.chance(0.6) else "brown")
    hair = b.colour(str(b.rng.choice(["black", "brown", "yellow", "red"])))
    b.sphere(skin, (0, 0.55, 0), 0.16)
    b.ellipsoid(hair, (0, 0.6, -0.04), (0.18, 0.15, 0.16))
    eyes(b, 0.06, 0.56, 0.13, 0.022)
    if b.chance(0.5):
        b.cylinder(b.main, (0, 0.1, 0), b.u(0.26, 0.4), 0.7, top=0.13)
    else:
        b.ellipsoid(b.main, (0, 0.18, 0), (0.2, 0.25, 0.13), squareness=(0.6, 0.8))
    for side in (-1, 1):
        b.tube(b.detail, [(side * 0.1, 0, 0), (side * 0.12, -0.65, 0)], 0.08)
        b.ellipsoid(
            b.colour("black"),
            (side * 0.12, -0.66, 0.05),
            (0.07, 0.05, 0.12),
            segments=10,
        )
        hand = (side * b.u(0.3, 0.5), b.u(-0.1, 0.5), b.u(-0.1, 0.3))
        b.tube(b.main, [(side * 0.16, 0.34, 0), hand], 0.055)
        b.sphere(skin, hand, 0.07)
    if b.chance(0.4):
        b.cylinder(b.detail, (0, 0.72, 0), 0.16, 0.15, top=b.u(0.01, 0.16))


def bust(b: Builder) -> None:
    """A head on a pedestal, of one material."""
    b.cylinder(b.detail, (0, -0.6, 0), b.u(0.2, 0.32), 0.2)
    b.ellipsoid(b.main, (0, -0.32, 0), (b.u(0.32, 0.48), 0.22, 0.22))
    b.cylinder(b.main, (0, -0.05, 0.02), 0.12, 0.35)
    b.ellipsoid(b.main, (0, 0.27, 0.05), (0.21, 0.28, 0.24))
    b.ellipsoid(b.main, (0, 0.24, 0.3), (0.04, 0.08, 0.06), segments=10)
    b.ellipsoid(b.main, (0, 0.12, 0.26), (0.08, 0.02, 0.03), segments=10)
    for side in (-1, 1):
        b.ellipsoid(b.main, (side * 0.21, 0.25, 0.03), (0.03, 0.07, 0.05), segments=10)
    eyes(b, 0.08, 0.31, 0.24, 0.025)
    hair = b.main if b.chance(0.5) else b.detail
    b.ellipsoid(hair, (0, 0.36, -0.03), (0.23, 0.24, 0.24))
