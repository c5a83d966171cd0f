"""Birds, sea animals and other small animals; they look to +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.beasts import coat, side_eyes
from realfusion.procedural.families.creatures import eyes
from realfusion.procedural.paint import Array, Paint, blend, grainy, spots


def owl(b: Builder) -> None:
    """An owl with a disc around each eye, on the ground or on a log."""
    coat(b)
    wide, tall = b.u(0.24, 0.34), b.u(0.34, 0.46)
    b.ellipsoid(b.main, (0, 0, 0), (wide, tall, wide * 0.85), squareness=(0.8, 1))
    chest = grainy(b.rng, b.secondary_colour, b.primary_colour)
    front = wide * 0.85
    b.ellipsoid(chest, (0, -0.1, 0.1), (wide * 0.8, tall * 0.75, front * 0.82))
    head, size = np.array([0, tall * b.u(0.8, 1.0), 0.02]), wide * b.u(0.75, 0.95)
    b.ellipsoid(b.main, head, (size, size * 0.85, size * 0.9))
    ring, black = b.colour("yellow" if b.chance(0.6) else "orange"), b.colour("black")
    white = b.colour("white" if b.chance(0.5) else "beige")
    for side in (-1, 1):
        for paint, share, z in (
            (white, 0.48, 0.72),
            (ring, 0.27, 0.86),
            (black, 0.16, 0.93),
        ):
            place = np.add(head, (side * size * 0.42, size * 0.1, size * z))
            b.ellipsoid(paint, place, (size * share, size * share, 0.05), segments=12)
        if b.chance(0.75):
            tuft = np.add(head, (side * size * 0.6, size * 0.85, 0))
            lean = (0, 0, -side * 25)
            b.cylinder(
                b.main, tuft, size * 0.25, 0.2, top=0.005, rotate=lean, segments=7
            )
        wing = (side * wide * 0.95, -0.05, -0.05)
        half = (0.06, tall * 0.8, wide * 0.6)
        b.ellipsoid(
            b.detail if b.chance(0.3) else b.main, wing, half, rotate=(12, 0, 0)
        )
        b.ellipsoid(ring, (side * 0.1, -tall, 0.12), (0.07, 0.04, 0.1), segments=8)
    beak = np.add(head, (0, -size * 0.15, size))
    b.cylinder(ring, beak, 0.05, 0.14, top=0.005, rotate=(120, 0, 0), segments=8)
    b.ellipsoid(
        b.main, (0, -tall * 0.9, -wide * 0.7), (0.12, 0.16, 0.05), rotate=(35, 0, 0)
    )
    if b.chance(0.4):
        log = (0, -tall - 0.12, 0.04)
        b.cylinder(b.colour("brown"), log, 0.1, b.u(0.6, 1.0), rotate=(0, 0, 90))


def penguin(b: Builder) -> None:
    """A penguin with a pale front, flippers and orange feet."""
    wide, tall = b.u(0.22, 0.32), b.u(0.38, 0.5)
    b.ellipsoid(b.main, (0, 0, 0), (wide, tall, wide * 0.9), squareness=(0.9, 1))
    belly = b.colour("white")
    b.ellipsoid(belly, (0, -0.05, wide * 0.16), (wide * 0.82, tall * 0.88, wide * 0.8))
    size = b.u(0.17, 0.23)
    head = np.array([0, tall + size * 0.35, 0.03])
    b.sphere(b.main, head, size)
    for side in (-1, 1):
        cheek = np.add(head, (side * size * 0.4, -0.02, size * 0.45))
        b.ellipsoid(belly, cheek, (size * 0.5, size * 0.6, size * 0.52), segments=12)
    orange = b.colour("orange")
    beak = np.add(head, (0, -0.03, size * 1.15))
    b.cylinder(
        orange, beak, 0.06, b.u(0.12, 0.22), top=0.008, rotate=(92, 0, 0), segments=8
    )
    eyes(b, size * 0.42, head[1] + size * 0.3, head[2] + size * 0.85, 0.025)
    lift = b.u(10, 60)
    for side in (-1, 1):
        reach = np.array(
            [side * np.sin(np.deg2rad(lift)), -np.cos(np.deg2rad(lift)), 0]
        )
        wing = reach * 0.18 + (side * wide * 0.85, tall * 0.4, 0)
        turn = (0, 0, side * lift)
        b.ellipsoid(b.main, wing, (0.045, 0.25, 0.1), rotate=turn, segments=12)
        b.ellipsoid(orange, (side * 0.13, -tall, 0.14), (0.1, 0.04, 0.16), segments=10)
    b.ellipsoid(b.main, (0, -tall * 0.88, -wide * 0.8), (0.1, 0.05, 0.14), segments=10)
    if b.chance(0.35):
        b.torus(b.detail, (0, tall * 0.82, 0.02), size * 0.9, 0.05)
        b.box(
            b.detail,
            (0.1, tall * 0.6, wide * 0.8),
            (0.05, 0.14, 0.03),
            rotate=(15, 0, 10),
        )


def frog(b: Builder) -> None:
    """A squatting frog with eyes on top of its head."""
    if b.chance(0.3):
        b.main = spots(b.rng, b.primary_colour, b.secondary_colour)
    wide, tilt = b.u(0.26, 0.36), b.u(-45, -15)
    b.ellipsoid(b.main, (0, 0, -0.05), (wide, 0.21, 0.38), rotate=(tilt, 0, 0))
    pale = b.colour("beige" if b.chance(0.5) else "yellow")
    b.ellipsoid(pale, (0, -0.05, 0.03), (wide * 0.85, 0.18, 0.34), rotate=(tilt, 0, 0))
    head = np.array([0, b.u(0.16, 0.26), b.u(0.2, 0.28)])
    b.ellipsoid(b.main, head, (wide * 0.95, 0.15, 0.22))
    b.ellipsoid(pale, np.add(head, (0, -0.06, 0.03)), (wide * 0.88, 0.1, 0.2))
    b.ellipsoid(
        b.colour("black"), np.add(head, (0, -0.02, 0.02)), (wide * 0.9, 0.012, 0.215)
    )
    black, bulge = b.colour("black"), b.u(0.08, 0.12)
    ball = b.colour("yellow" if b.chance(0.5) else "white")
    for side in (-1, 1):
        top = np.add(head, (side * wide * 0.55, 0.16, 0))
        b.sphere(b.main, top, bulge)
        b.ellipsoid(
            ball,
            np.add(top, (side * 0.02, 0.01, 0.04)),
            (bulge * 0.8,) * 3,
            segments=10,
        )
        b.ellipsoid(
            black,
            np.add(top, (side * 0.03, 0.01, 0.09)),
            (bulge * 0.5,) * 3,
            segments=8,
        )
        thigh = (side * wide * 1.05, -0.12, -0.12)
        b.ellipsoid(b.main, thigh, (0.12, 0.14, 0.25), rotate=(-20, side * 20, 0))
        shin = [(side * wide * 1.2, -0.08, 0.05), (side * wide * 1.1, -0.22, -0.2)]
        b.tube(b.main, shin, 0.06)
        b.ellipsoid(
            b.main, (side * wide * 1.2, -0.25, 0), (0.1, 0.03, 0.22), segments=10
        )
        arm = [(side * wide * 0.7, 0.02, 0.2), (side * wide * 0.8, -0.24, 0.3)]
        b.tube(b.main, arm, [0.07, 0.05])
        b.ellipsoid(
            b.main, np.add(arm[1], (0, -0.01, 0.06)), (0.08, 0.03, 0.1), segments=8
        )


def crab(b: Builder) -> None:
    """A crab or lobster-like animal with two claws and eight legs."""
    wide, high, deep = b.u(0.3, 0.44), b.u(0.12, 0.2), b.u(0.24, 0.34)
    b.ellipsoid(b.main, (0, 0, 0), (wide, high, deep), squareness=(1, 0.8))
    b.ellipsoid(b.detail, (0, -0.04, 0), (wide * 0.97, high * 0.8, deep * 0.97))
    reach = b.u(0.14, 0.26)
    for side in (-1, 1):
        for k in range(4):
            z = deep * (0.45 - 0.35 * k)
            knee = (side * (wide + reach * 0.5), high * 0.6, z - 0.05 * k)
            foot = (side * (wide + reach), -high - 0.08, z - 0.1 * k)
            hip = (side * wide * 0.7, 0, z * 0.8)
            b.tube(b.main, [hip, knee, foot], [0.045, 0.04, 0.012], segments=7)
        size = b.u(0.1, 0.18)
        wrist = np.array([side * wide * b.u(0.8, 1.2), b.u(0, 0.2), deep + 0.22])
        elbow = (side * (wide + 0.12), 0.05, deep * 0.8)
        b.tube(b.main, [(side * wide * 0.7, 0, deep * 0.5), elbow, wrist], 0.05)
        b.ellipsoid(
            b.main, np.add(wrist, (0, 0, 0.04)), (size, size * 0.65, size), segments=12
        )
        for turn, thick in ((1, 0.42), (-1, 0.3)):
            finger = np.add(wrist, (turn * size * 0.45, 0, size * 1.3))
            half = (size * thick, size * 0.4, size * 0.9)
            b.ellipsoid(b.detail, finger, half, rotate=(0, -turn * 18, 0), segments=10)
        stalk = np.array([side * wide * 0.25, high * 0.4, deep * 0.85])
        top = np.add(stalk, (0, b.u(0.12, 0.24), 0.04))
        b.tube(b.main, [stalk, top], 0.03, segments=7)
        b.ellipsoid(b.colour("white"), top, (0.055,) * 3, segments=8)
        b.ellipsoid(
            b.colour("black"), np.add(top, (0, 0, 0.035)), (0.035,) * 3, segments=8
        )


def _coil(first: Array, second: Array, turns: float) -> Paint:
    """A spiral around the x axis."""

    def paint(points: Array) -> Array:
        angle = np.arctan2(points[:, 1], points[:, 2])
        radius = np.hypot(points[:, 1], points[:, 2]) + 0.02
        wave = np.sin(angle + turns * np.log(radius))
        return blend(np.clip(0.5 + 3 * wave, 0, 1), first, second)

    return paint


def snail(b: Builder) -> None:
    """A snail with a coiled shell and two feelers."""
    skin = b.colour("beige") if b.chance(0.4) else b.detail
    long, bend = b.u(0.45, 0.6), b.u(-0.12, 0.12)
    sole = [(bend, -0.02, -long), (0, 0.01, -long * 0.4), (0, 0.01, long * 0.4)]
    neck = [(0, 0.06, long * 0.7), (0, b.u(0.2, 0.36), long * b.u(0.85, 1.0))]
    b.tube(skin, [*sole, *neck], [0.02, 0.12, 0.14, 0.13, 0.09])
    head = np.array(neck[1])
    b.ellipsoid(skin, np.add(head, (0, 0, 0.03)), (0.11, 0.1, 0.13))
    black = b.colour("black")
    for side in (-1, 1):
        top = np.add(head, (side * b.u(0.08, 0.16), b.u(0.18, 0.3), b.u(0.02, 0.12)))
        b.tube(skin, [np.add(head, (side * 0.05, 0.05, 0.04)), top], 0.025, segments=7)
        b.ellipsoid(black if b.chance(0.6) else skin, top, (0.04,) * 3, segments=8)
        horn = np.add(head, (side * 0.05, -0.02, 0.12))
        b.tube(
            skin, [horn, np.add(horn, (side * 0.03, -0.03, 0.08))], 0.018, segments=6
        )
    b.ellipsoid(black, np.add(head, (0, -0.04, 0.145)), (0.05, 0.012, 0.02), segments=8)
    size, turns = b.u(0.26, 0.36), b.u(3.0, 6.0) * (1 if b.chance(0.5) else -1)
    shell = _coil(b.primary_colour, 0.55 * b.primary_colour, turns)
    if b.chance(0.5):
        shell = _coil(b.primary_colour, b.secondary_colour, turns)
    middle, tilt = np.array([0, size * 0.9, -0.1]), (0, 0, b.u(-15, 15))
    b.ellipsoid(shell, middle, (size * 0.6, size, size), rotate=tilt, segments=22)
    for side in (-1, 1):
        for step, share in ((0.5, 0.62), (0.68, 0.34)):
            bump = np.add(middle, (side * size * step, 0.02, 0))
            half = (size * 0.18, size * share, size * share)
            b.ellipsoid(shell, bump, half, rotate=tilt, segments=14)


def octopus(b: Builder) -> None:
    """An octopus or jellyfish-like toy on its eight arms."""
    size = b.u(0.24, 0.34)
    rise = b.u(0.12, 0.3)
    b.ellipsoid(b.main, (0, rise, 0), (size, size * b.u(0.9, 1.4), size))
    eyes(b, size * 0.4, rise, size * 0.85, b.u(0.04, 0.08))
    if b.chance(0.5):
        b.ellipsoid(
            b.colour("black"), (0, rise - 0.12, size * 0.93), (0.06, 0.02, 0.03)
        )
    number, reach = int(b.rng.integers(6, 9)), b.u(0.3, 0.5)
    curl, thick = b.u(0.0, 0.2), b.u(0.06, 0.1)
    for angle in (np.arange(number) + 0.5) * 2 * np.pi / number:
        way, across = np.array([np.sin(angle), 0, np.cos(angle)]), b.u(-0.15, 0.15)
        side = np.array([way[2], 0, -way[0]]) * across
        low = rise - size - 0.12
        path = [
            way * size * 0.5 + (0, rise - size * 0.5, 0),
            way * (size * 0.9) + (0, low + 0.08, 0),
            way * (size * 0.9 + reach * 0.6) + (0, low, 0) + side,
            way * (size * 0.9 + reach) + (0, low + curl, 0) + side * 2,
        ]
        b.tube(b.main, path, [thick * 1.4, thick * 1.2, thick, thick * 0.3])
        if curl > 0.1:
            b.ellipsoid(
                b.detail, path[2], (thick * 0.8, thick * 1.1, thick * 0.8), segments=8
            )


def whale(b: Builder) -> None:
    """A whale or dolphin: fluke, fins and a pale belly."""
    wide, high, long = b.u(0.17, 0.3), b.u(0.18, 0.3), b.u(0.4, 0.5)
    b.ellipsoid(b.main, (0, 0, 0.15), (wide, high, long))
    pale = b.colour("white")
    b.ellipsoid(pale, (0, -high * 0.25, 0.17), (wide * 0.93, high * 0.8, long * 0.95))
    lift, back = b.u(-0.05, 0.35), -b.u(0.7, 0.85)
    path = [(0, 0, 0), (0, 0.02, -0.35), (0, lift * 0.5, -0.55), (0, lift, back)]
    b.tube(b.main, path, [high * 0.8, high * 0.6, high * 0.35, 0.05], segments=12)
    swing = b.u(15, 40)
    for side in (-1, 1):
        fluke = (side * 0.15, lift + 0.02, back - 0.06)
        turn = (0, side * swing, 0)
        b.ellipsoid(b.main, fluke, (0.2, 0.03, 0.09), rotate=turn, segments=12)
        fin = (side * (wide + 0.08), -high * 0.55, 0.28)
        turn = (0, side * 30, -side * 25)
        b.ellipsoid(b.main, fin, (0.18, 0.03, 0.09), rotate=turn, segments=12)
    side_eyes(b, (0, 0, 0.15 + long * 0.7), wide * 0.7, 0.035)
    if b.chance(0.5):
        snout = (0, -high * 0.3, 0.15 + long)
        b.ellipsoid(b.main, snout, (wide * 0.35, high * 0.22, 0.16), segments=12)
    if b.chance(0.6):
        sail = [(-0.15, -0.1), (0.12, -0.1), (-0.18, 0.16)]
        b.prism(b.main, sail, 0.04, (0, high, 0.05), rotate=(0, -90, 0), bevel=0.3)
    elif b.chance(0.5):
        b.tube(
            b.colour("cyan"),
            [(0, high * 0.9, 0.3), (0, high + 0.22, 0.3)],
            [0.02, 0.07],
        )


def hen(b: Builder) -> None:
    """A hen or cock: comb, wattles, fanned tail; on legs or on a nest."""
    coat(b)
    wide, long = b.u(0.2, 0.27), b.u(0.28, 0.36)
    b.ellipsoid(b.main, (0, 0, 0), (wide, b.u(0.2, 0.26), long), rotate=(-12, 0, 0))
    head = np.array([0, b.u(0.36, 0.5), long * b.u(0.8, 1.05)])
    b.tube(b.main, [(0, 0.02, long * 0.4), head], [0.19, 0.1])
    b.sphere(b.main, head, 0.115)
    red, yellow = b.colour("red"), b.colour("orange" if b.chance(0.5) else "yellow")
    comb = b.u(0.045, 0.075)
    for k in range(4):
        place = np.add(head, (0, 0.11 + 0.02 * np.sin(k), 0.09 - 0.06 * k))
        b.ellipsoid(red, place, (0.022, comb, comb * 0.7), segments=8)
    b.ellipsoid(red, np.add(head, (0, -0.12, 0.1)), (0.03, 0.06, 0.03), segments=8)
    beak = np.add(head, (0, -0.02, 0.14))
    b.cylinder(yellow, beak, 0.04, 0.12, top=0.005, rotate=(100, 0, 0), segments=7)
    side_eyes(b, np.add(head, (0, 0.03, 0.05)), 0.09, 0.022)
    is_cock = b.chance(0.45)
    for k in range(6):
        spread = (k - 2.5) * 0.05
        root = np.array([spread * 0.6, 0.06, -long * 0.75])
        top = np.add(root, (spread * 2, b.u(0.22, 0.38), -0.12))
        path = (
            [root, top, np.add(top, (spread, -0.12, -0.2))] if is_cock else [root, top]
        )
        thick = [0.05, 0.05, 0.015] if is_cock else [0.06, 0.05]
        b.tube(b.detail, path, thick, segments=7)
    for side in (-1, 1):
        wing = (side * wide * 0.92, 0.02, -0.05)
        b.ellipsoid(b.detail, wing, (0.05, 0.13, 0.22), rotate=(-20, 0, 0), segments=12)
    if b.chance(0.35):
        nest = b.colour("beige")
        b.lathe(nest, [(0, -0.32), (0.3, -0.3), (0.4, -0.1), (0.3, -0.1), (0, -0.16)])
        return
    for side in (-1, 1):
        foot = (side * 0.1, -0.46, 0.02)
        b.tube(yellow, [(side * 0.1, -0.12, 0), foot], 0.025, segments=7)
        for turn in (-0.09, 0.0, 0.09):
            b.tube(yellow, [foot, np.add(foot, (turn, 0, 0.12))], 0.018, segments=6)


def ladybird(b: Builder) -> None:
    """A ladybird or beetle: domed wing-cases with dots and a seam."""
    wide, high, long = b.u(0.36, 0.46), b.u(0.26, 0.4), b.u(0.42, 0.56)
    if b.chance(0.3):
        b.main = spots(b.rng, b.primary_colour, 0.15 * b.secondary_colour)
    b.ellipsoid(b.main, (0, 0, -0.05), (wide, high, long))
    black = b.colour("black")
    b.ellipsoid(black, (0, -0.03, -0.05), (wide * 1.02, high * 0.35, long * 1.02))
    b.ellipsoid(black, (0, 0.01, -0.06), (0.015, high * 1.01, long * 1.01))
    for _ in range(int(b.rng.integers(0, 5))):
        along, up, size = b.u(-0.6, 0.6), b.u(0.4, 1.0), b.u(0.06, 0.11)
        for side in (-1, 1):
            ring = np.sqrt(1 - along**2)
            x, y = side * wide * ring * np.cos(up), high * ring * np.sin(up)
            spot = (x, y, along * long - 0.05)
            b.ellipsoid(black, spot, (size, size * 0.7, size), segments=8)
    head = np.array([0, 0, long * 0.95 - 0.02])
    b.ellipsoid(black, head, (wide * 0.55, high * 0.6, 0.17))
    eyes(b, wide * 0.3, 0.06, head[2] + 0.1, 0.05)
    for side in (-1, 1):
        horn = np.add(head, (side * 0.08, high * 0.5, 0.06))
        tip = np.add(horn, (side * 0.1, 0.16, 0.08))
        b.tube(black, [horn, tip], 0.018, segments=6)
        b.ellipsoid(b.detail, tip, (0.035,) * 3, segments=8)
        for z in (-0.3, 0.0, 0.3):
            knee = (side * wide * 1.1, -0.05, z)
            foot = (side * wide * 1.3, -high * 0.5 - 0.1, z * 1.2)
            b.tube(black, [(side * wide * 0.6, -0.05, z), knee, foot], 0.03, segments=6)
