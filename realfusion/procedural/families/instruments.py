"""Musical instruments and treasure."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.paint import grainy


def treasure_chest(b: Builder) -> None:
    """A chest with a barrel lid, bands and a lock; open with gold at times."""
    wide, high, deep = b.u(0.4, 0.55), b.u(0.17, 0.25), b.u(0.24, 0.32)
    wood = (
        grainy(b.rng, b.primary_colour, 0.5 * b.primary_colour)
        if b.chance(0.5)
        else b.main
    )
    metal = b.colour("yellow" if b.chance(0.5) else "gray")
    b.box(wood, (0, 0, 0), (wide, high, deep))
    angle = np.linspace(0, np.pi, 11)
    arch = np.column_stack([np.cos(angle), np.sin(angle) * b.u(0.6, 0.9)]) * deep
    is_open = b.chance(0.45)
    tilt = b.u(50, 95) if is_open else 0.0
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    hinged = arch - (deep, 0)
    hinged = np.column_stack(
        [
            hinged[:, 0] * cos + hinged[:, 1] * sin,
            hinged[:, 1] * cos - hinged[:, 0] * sin,
        ]
    )
    hinged = np.add(hinged, (deep, 0))
    b.prism(wood, hinged, 2 * wide, (0, high, 0), rotate=(0, 90, 0))
    for x in (-0.85, 0.0, 0.85) if b.chance(0.5) else (-0.7, 0.7):
        strap = hinged.mean(axis=0) + (hinged - hinged.mean(axis=0)) * 1.05
        b.prism(metal, strap, 0.07, (x * wide, high, 0), rotate=(0, 90, 0))
        b.box(metal, (x * wide, -0.005, 0), (0.035, high * 1.0, deep * 1.03))
    b.box(metal, (0, -high, 0), (wide * 1.02, 0.03, deep * 1.03))
    b.box(metal, (0, high * 0.85, deep), (0.08, 0.09, 0.03))
    b.box(b.colour("black"), (0, high * 0.8, deep + 0.03), (0.02, 0.035, 0.005))
    for side in (-1, 1):
        b.torus(
            metal, (side * wide, 0, 0), 0.1, 0.022, arc_deg=(90, 270), rotate=(0, 0, 90)
        )
    if is_open:
        gold = b.colour("yellow")
        b.ellipsoid(gold, (0, high * 0.9, 0), (wide * 0.88, 0.1, deep * 0.85))
        for _ in range(int(b.rng.integers(4, 12))):
            place = (b.u(-0.7, 0.7) * wide, high + 0.07, b.u(-0.6, 0.6) * deep)
            if b.chance(0.7):
                turn = (b.u(-30, 30), 0, b.u(-30, 30))
                b.cylinder(gold, place, 0.06, 0.02, rotate=turn, segments=12)
            else:
                b.sphere(b.detail, place, 0.055)


def drum(b: Builder) -> None:
    """A drum: shell, two hoops, cords in zigzag, sticks; or a goblet drum."""
    wide, tall = b.u(0.32, 0.46), b.u(0.2, 0.5)
    skin = b.colour("beige" if b.chance(0.5) else "white")
    if b.chance(0.25):
        waist = wide * b.u(0.4, 0.55)
        shell = [
            (0, -0.6),
            (wide * 0.75, -0.6),
            (waist, -0.2),
            (waist, -0.05),
            (wide * 0.8, 0.3),
        ]
        b.lathe(b.main, [*shell, (wide * 0.8, 0.5), (0, 0.5)])
        b.cylinder(skin, (0, 0.51, 0), wide * 0.78, 0.03)
        b.torus(b.detail, (0, 0.46, 0), wide * 0.8, 0.03)
        return
    b.cylinder(b.main, (0, 0, 0), wide, 2 * tall, segments=28)
    for y in (-tall, tall):
        b.cylinder(
            b.detail, (0, y * 0.94, 0), wide * 1.06, tall * 0.14 + 0.03, segments=28
        )
        b.cylinder(skin, (0, y * 1.01, 0), wide * 0.98, 0.06, segments=28)
    cord = b.colour("white" if b.chance(0.5) else "gray")
    number = int(b.rng.integers(5, 9)) * 2
    if b.chance(0.75):
        for k in range(number):
            ends = np.array([k, k + 1]) * 2 * np.pi / number
            level = np.array([-1, 1]) * tall * 0.88 * (1 if k % 2 else -1)
            path = np.column_stack(
                [np.sin(ends) * wide * 1.02, level, np.cos(ends) * wide * 1.02]
            )
            b.tube(cord, path, 0.022, segments=5)
    if b.chance(0.5):
        for side in (-1, 1):
            start = np.array([side * 0.12, tall * 1.01 + 0.07, b.u(-0.1, 0.1)])
            end = np.add(start, (side * b.u(-0.3, 0.3), 0.03, 0.5))
            b.tube(b.colour("brown"), [start, end], 0.022, segments=7)
            b.sphere(b.colour("beige"), start, 0.045)


def violin(b: Builder) -> None:
    """A violin or cello, upright: waisted body, f-holes, scroll, a bow at times."""
    size, deep = b.u(0.9, 1.15), b.u(0.09, 0.16)
    black, wood = b.colour("black"), b.main
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    y = -np.cos(turn) * 0.36
    lower = 0.24 * np.exp(-(((y + 0.2) / 0.2) ** 2))
    upper = 0.2 * np.exp(-(((y - 0.2) / 0.17) ** 2))
    half = (lower + upper) * np.sqrt(np.clip(1 - (y / 0.365) ** 2, 0, 1)) ** 0.5 + 0.005
    outline = np.column_stack([np.sign(np.sin(turn)) * half, y - 0.25]) * (size, size)
    b.prism(wood, outline, deep, bevel=0.04)
    front = deep / 2
    for side in (-1, 1):
        hole = (side * 0.09 * size, -0.27 * size, front)
        b.ellipsoid(
            black, hole, (0.014, 0.07, 0.006), rotate=(0, 0, side * 10), segments=8
        )
    b.box(b.colour("beige"), (0, -0.3 * size, front + 0.02), (0.07, 0.035, 0.008))
    b.box(black, (0, -0.44 * size, front + 0.02), (0.035, 0.09 * size, 0.012))
    b.box(black, (0, 0.14 * size, front + 0.03), (0.028, 0.32 * size, 0.014))
    b.box(wood, (0, 0.27 * size, front * 0.3), (0.03, 0.22 * size, 0.03))
    scroll = (0, 0.53 * size, 0)
    b.cylinder(wood, scroll, 0.05, 0.06, rotate=(0, 0, 90), segments=12)
    b.cylinder(b.detail, scroll, 0.025, 0.085, rotate=(0, 0, 90), segments=10)
    for k, side in enumerate((-1, 1, -1, 1)):
        peg = (side * 0.05, (0.41 + 0.025 * k) * size, 0)
        b.cylinder(black, peg, 0.018, 0.09, rotate=(0, 0, 90), segments=7)
    white = b.colour("white")
    for x in (-0.015, 0.015):
        b.tube(
            white,
            [(x * 1.5, -0.44 * size, front + 0.04), (x, 0.46 * size, front + 0.05)],
            0.005,
            segments=4,
        )
    b.ellipsoid(
        black, (-0.1 * size, -0.57 * size, front), (0.08, 0.04, 0.03), segments=8
    )
    if b.chance(0.4):
        x = b.u(0.3, 0.38)
        b.tube(b.detail, [(x, -0.6 * size, 0.05), (x * 0.9, 0.4 * size, 0.05)], 0.014)
        b.tube(
            white,
            [(x - 0.04, -0.55 * size, 0.05), (x * 0.9, 0.4 * size, 0.05)],
            0.007,
            segments=4,
        )
        b.box(black, (x - 0.02, -0.56 * size, 0.05), (0.03, 0.03, 0.015))


def piano(b: Builder) -> None:
    """An upright or a grand piano with its keys to the front, a stool at times."""
    white, black = b.colour("white"), b.colour("black")
    wide = b.u(0.42, 0.52)
    if b.chance(0.5):
        tall, deep = b.u(0.4, 0.5), b.u(0.12, 0.17)
        b.box(b.main, (0, 0, 0), (wide, tall, deep))
        b.box(b.detail, (0, tall, 0.01), (wide * 1.04, 0.025, deep * 1.1))
        keys, front = -0.02, deep + 0.12
        b.box(b.main, (0, keys - 0.05, front), (wide, 0.045, 0.14))
        for side in (-1, 1):
            b.box(
                b.main,
                (side * wide * 0.95, keys - 0.02, front),
                (wide * 0.05, 0.07, 0.14),
            )
            b.box(
                b.main,
                (side * wide * 0.9, -tall / 2 - 0.06, front + 0.07),
                (0.035, tall / 2 - 0.06, 0.035),
            )
        b.box(b.detail, (0, keys + 0.2, deep), (wide * 0.7, 0.1, 0.015))
    else:
        deep, keys, front = b.u(0.75, 1.0), 0.0, 0.2
        body = [
            (-wide, 0.12),
            (wide, 0.12),
            (wide, -0.3),
            (wide * 0.6, -deep * 0.55),
            (wide * 0.1, -deep * 0.8),
        ]
        body += [
            (-wide * 0.3, -deep),
            (-wide * 0.8, -deep * 0.98),
            (-wide, -deep * 0.85),
        ]
        flat = np.array(body)
        b.prism(b.main, flat, 0.18, (0, 0.03, 0.12), rotate=(90, 0, 0))
        b.box(b.main, (0, keys - 0.04, front + 0.06), (wide, 0.045, 0.1))
        for x, z in (
            (-wide * 0.85, 0.12),
            (wide * 0.85, 0.12),
            (-wide * 0.4, -deep * 0.75),
        ):
            b.cylinder(b.main, (x, -0.27, z), 0.035, 0.46, top=0.05, segments=10)
        if b.chance(0.6):
            lift = b.u(20, 45)
            cos, sin = np.cos(np.deg2rad(lift)), np.sin(np.deg2rad(lift))
            pivot = (-wide * (1 - cos), 0.14 + wide * sin, 0.12)
            b.prism(b.main, flat * 0.99, 0.025, pivot, rotate=(90, 0, lift))
            b.tube(
                black,
                [(wide * 0.7, 0.1, 0), (wide * 0.66, 0.14 + wide * 1.6 * sin, 0)],
                0.014,
            )
        b.box(b.detail, (0, 0.22, 0.16), (wide * 0.45, 0.09, 0.012), rotate=(-15, 0, 0))
        front += 0.06
    b.box(white, (0, keys, front + 0.01), (wide * 0.88, 0.02, 0.1))
    for k in range(15):
        if k % 7 not in (2, 6):
            x = (k - 7) / 7.6 * wide * 0.88
            b.box(black, (x, keys + 0.02, front - 0.02), (wide * 0.022, 0.015, 0.06))
    if b.chance(0.45):
        seat = (0, -0.18, front + 0.34)
        b.box(b.detail, seat, (0.2, 0.045, 0.12))
        for x in (-0.15, 0.15):
            for z in (-0.08, 0.08):
                b.box(b.main, np.add(seat, (x, -0.15, z)), (0.025, 0.13, 0.025))


def trumpet(b: Builder) -> None:
    """A trumpet or horn: bell to the front, looped tube, three valves."""
    pipe, bell = b.u(0.03, 0.042), b.u(0.16, 0.24)
    high = b.u(0.07, 0.11)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 8)
    for end in (-0.32, 0.3):
        sign = 1 if end > 0 else -1
        bow = np.column_stack(
            [0 * angle, high * np.sin(angle), end + sign * high * np.cos(angle)]
        )
        b.tube(b.main, bow, pipe, segments=8)
    b.tube(b.main, [(0, high, -0.75), (0, high, 0.3)], pipe)
    b.tube(b.main, [(0, -high, 0.3), (0, -high, -0.32)], pipe)
    b.tube(b.main, [(0.07, high, -0.32), (0.07, high, 0.3)], pipe)
    flare = np.linspace(0, 1, 9)
    horn = [(0.0, 0.0), *((pipe + (bell - pipe) * t**3.2, 0.5 * t) for t in flare)]
    inside = [(bell * 0.95, 0.5), (bell * 0.4, 0.47), (0, 0.42)]
    b.lathe(b.main, [*horn, *inside], (0, high, 0.26), rotate=(90, 0, 0), segments=22)
    b.cylinder(
        b.detail, (0, high, -0.78), 0.035, 0.1, top=0.02, rotate=(90, 0, 0), segments=12
    )
    for z in (-0.1, 0.0, 0.1):
        b.cylinder(b.main, (0.03, 0, z), 0.042, high * 2 + 0.12, segments=12)
        b.cylinder(b.detail, (0.03, high + b.u(0.09, 0.13), z), 0.018, 0.08, segments=8)
        b.cylinder(b.detail, (0.03, high + 0.14, z), 0.036, 0.025, segments=12)
