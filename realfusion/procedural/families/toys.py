"""Garden figures, action figures, wooden toys and the like; they look to +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, Vector
from realfusion.procedural.families.creatures import eyes
from realfusion.procedural.families.figures import face, hair, hairdo, limb, skin
from realfusion.procedural.paint import checks, picture, random_artwork, stripes


def gnome(b: Builder) -> None:
    """A garden gnome or Santa: pointed hat, beard, belt, boots."""
    flesh, black = skin(b), b.colour("black")
    wide, white = b.u(0.24, 0.36), b.colour("white" if b.chance(0.75) else "gray")
    b.ellipsoid(b.main, (0, -0.1, 0), (wide, 0.32, wide * 0.85))
    b.cylinder(black, (0, -0.16, 0), wide * 1.0, 0.08, top=wide * 1.01)
    b.box(b.colour("yellow"), (0, -0.16, wide * 0.98), (0.06, 0.05, 0.03))
    size = b.u(0.17, 0.22)
    head = np.array([0, 0.18 + size, 0.03])
    face(b, head, size, flesh)
    b.ellipsoid(white, head - (0, 0, size * 0.4), (size, size, size * 0.7))
    long = b.u(0.18, 0.34)
    beard = np.add(head, (0, -size * 0.5 - long * 0.6, size * 0.75))
    b.ellipsoid(white, beard, (size * 0.85, long, size * 0.45))
    b.sphere(flesh, np.add(head, (0, -size * 0.1, size * 1.05)), size * 0.24)
    tall, droop = b.u(0.3, 0.55), b.u(-0.2, 0.2)
    top = np.add(head, (0, size * 0.45, -0.02))
    ends = [
        top,
        np.add(top, (droop * 0.3, tall * 0.6, -0.04)),
        np.add(top, (droop, tall, -0.08)),
    ]
    b.tube(b.detail, ends, [size * 1.1, size * 0.6, 0.02], segments=14)
    if b.chance(0.5):
        b.torus(white, top, size * 1.05, 0.06)
        b.sphere(white, ends[2], 0.07)
    for side in (-1, 1):
        b.tube(b.detail, [(side * 0.14, -0.3, 0), (side * 0.15, -0.5, 0.02)], 0.11)
        b.ellipsoid(black, (side * 0.15, -0.54, 0.08), (0.11, 0.08, 0.18), segments=10)
        hand = (side * (wide + b.u(0.0, 0.15)), b.u(-0.2, 0.05), b.u(0.1, 0.25))
        b.tube(b.main, [(side * wide * 0.8, 0.12, 0), hand], [0.1, 0.08])
        b.sphere(flesh, hand, 0.085)
    if b.chance(0.5):
        x = wide + 0.1
        b.tube(b.colour("brown"), [(x, -0.6, 0.2), (x, b.u(0.1, 0.3), 0.2)], 0.025)
        b.ellipsoid(b.colour("yellow"), (x, 0.15, 0.2), (0.09, 0.12, 0.06), segments=10)
    elif b.chance(0.5):
        b.ellipsoid(b.colour("brown"), (-0.2, 0.0, -wide), (0.22, 0.26, 0.18))


def astronaut(b: Builder) -> None:
    """An astronaut: round helmet with a dark visor, a pack on the back."""
    suit = b.colour("white") if b.chance(0.6) else b.main
    wide = b.u(0.19, 0.26)
    b.ellipsoid(suit, (0, 0.05, 0), (wide, 0.28, 0.18), squareness=(0.6, 0.7))
    size = b.u(0.2, 0.27)
    head = np.array([0, 0.28 + size * 0.8, 0])
    b.ellipsoid(suit, head, (size, size * 0.95, size))
    visor = b.colour(str(b.rng.choice(["black", "yellow", "blue"])))
    b.ellipsoid(
        visor, np.add(head, (0, 0, size * 0.3)), (size * 0.8, size * 0.68, size * 0.76)
    )
    pack = (0, 0.1, -0.27)
    b.box(b.detail, pack, (wide * 0.85, b.u(0.2, 0.3), 0.11))
    for side in (-1, 1):
        b.cylinder(b.colour("gray"), (side * wide * 0.5, 0.1, -0.39), 0.05, 0.3)
        b.cylinder(
            b.detail, np.add(head, (side * size, 0, 0)), 0.06, 0.06, rotate=(0, 0, 90)
        )
        hand = np.array([side * b.u(0.34, 0.5), b.u(-0.15, 0.4), b.u(0.0, 0.25)])
        limb(b, suit, [(side * wide, 0.2, 0), hand], 0.09)
        b.sphere(b.detail, hand, 0.095)
        foot = (side * 0.14, -0.55, b.u(-0.06, 0.12))
        limb(b, suit, [(side * 0.12, -0.12, 0), foot], 0.11)
        b.ellipsoid(b.detail, np.add(foot, (0, -0.04, 0.05)), (0.11, 0.08, 0.17))
    panel = picture(b.colour("gray"), random_artwork(b.rng, b.secondary_colour))
    b.box(panel, (0, 0.08, 0.18), (wide * 0.5, 0.09, 0.05))
    if b.chance(0.4):
        b.tube(b.colour("gray"), [(0.1, 0.3, -0.3), (0.12, 0.85, -0.3)], 0.015)


def hero(b: Builder) -> None:
    """An action figure: suit and trunks, boots, gloves, a cape behind."""
    flesh, wide = skin(b), b.u(0.17, 0.24)
    b.ellipsoid(b.main, (0, 0.16, 0), (wide, 0.24, 0.13), squareness=(0.8, 0.8))
    b.ellipsoid(b.main, (0, -0.02, 0), (wide * 0.68, 0.18, 0.11))
    b.ellipsoid(b.detail, (0, -0.14, 0), (wide * 0.72, 0.11, 0.12))
    b.cylinder(b.colour("yellow"), (0, -0.05, 0), wide * 0.68, 0.05)
    emblem = picture(b.detail, random_artwork(b.rng, b.secondary_colour))
    b.ellipsoid(emblem, (0, 0.2, 0.11), (0.09, 0.08, 0.04), segments=12)
    size = b.u(0.12, 0.16)
    head = np.array([0, 0.38 + size, 0.01])
    b.cylinder(flesh, (0, 0.4, 0), 0.06, 0.14)
    face(b, head, size, flesh)
    if b.chance(0.4):
        mask = np.add(head, (0, size * 0.25, -size * 0.1))
        b.ellipsoid(b.main, mask, (size, size * 0.9, size))
        for side in (-1, 1):
            b.cylinder(
                b.main, np.add(mask, (side * 0.08, size, 0)), 0.035, 0.12, top=0.004
            )
    else:
        hairdo(b, head, size, hair(b))
    for side in (-1, 1):
        foot = (side * b.u(0.1, 0.24), -0.72, b.u(-0.14, 0.14))
        knee = np.add(np.multiply(foot, 0.6), (side * 0.02, 0, 0.03))
        hip = (side * 0.09, -0.16, 0)
        limb(b, b.main, [hip, knee], 0.09)
        limb(b, b.detail, [knee, foot], 0.075)
        b.ellipsoid(
            b.detail, np.add(foot, (0, -0.01, 0.05)), (0.065, 0.05, 0.13), segments=8
        )
        pose = b.rng.choice(3)
        elbow = np.array([side * (wide + 0.12), (0.05, 0.32, 0.5)[pose], 0.03])
        hand = (
            elbow
            + ((-side * 0.1, -0.2, 0.1), (side * 0.2, 0, 0.06), (0, 0.25, 0))[pose]
        )
        limb(b, b.main, [(side * wide * 0.9, 0.3, 0), elbow], 0.07)
        limb(b, b.detail, [elbow, hand], 0.06)
        b.sphere(flesh if b.chance(0.5) else b.detail, hand, 0.065)
    if b.chance(0.7):
        sway, low = b.u(-0.15, 0.15), -b.u(0.45, 0.9)
        cape = [(-0.14, 0), (0.14, 0), (0.32 + sway, low), (-0.32 + sway, low)]
        tilt = (b.u(2, 22), 0, 0)
        b.prism(b.detail, cape, 0.04, (0, 0.36, -0.13), rotate=tilt)


def nesting_doll(b: Builder) -> None:
    """A painted wooden doll without limbs, or a skittle or bell-shaped figure."""
    belly, waist = b.u(0.28, 0.38), b.u(0.17, 0.22)
    size = b.u(0.19, 0.26)
    body = [(0, -0.6), (belly * 0.8, -0.6), (belly, -0.4), (belly * 0.98, -0.15)]
    shawl = [
        (waist, 0.12),
        (size, 0.3),
        (size * 0.95, 0.42),
        (size * 0.6, 0.55),
        (0, 0.6),
    ]
    apron = picture(
        b.main,
        random_artwork(b.rng, b.primary_colour),
        azimuth_range=(-b.u(0.5, 1.0), b.u(0.5, 1.0)),
        height_range=(-0.85, -0.1),
    )
    b.lathe(apron, [*body, (waist, 0.12), (0, 0.14)], segments=28)
    b.lathe(b.detail, [(0, 0.1), *shawl], segments=28)
    flesh = skin(b)
    face = (0, 0.36, size * 0.32)
    b.ellipsoid(flesh, face, (size * 0.78, size * 0.8, size * 0.72))
    b.ellipsoid(
        hair(b),
        np.add(face, (0, size * 0.3, -0.01)),
        (size * 0.72, size * 0.5, size * 0.7),
    )
    eyes(b, size * 0.3, 0.38, size * 0.98, size * 0.1)
    b.ellipsoid(b.colour("red"), (0, 0.27, size * 0.92), (0.05, 0.02, 0.03), segments=8)
    if b.chance(0.5):
        for side in (-1, 1):
            knot = (side * 0.06, 0.12, waist + 0.03)
            b.ellipsoid(
                b.detail, knot, (0.08, 0.05, 0.05), rotate=(0, 0, side * 30), segments=8
            )


def rocking_horse(b: Builder) -> None:
    """A horse or other animal on rockers or on a board with wheels."""
    girth, low = b.u(0.15, 0.2), -0.58
    b.ellipsoid(b.main, (0, 0, 0), (girth, girth * 1.1, 0.36))
    for x in (-0.13, 0.13):
        for z in (-1, 1):
            foot = (x * 1.1, low + 0.07, z * b.u(0.28, 0.36))
            b.tube(b.main, [(x, -0.02, z * 0.22), foot], [0.08, 0.05])
    head, root = (0, b.u(0.28, 0.42), b.u(0.36, 0.46)), (0, 0.08, -0.33)
    b.tube(b.main, [(0, 0.02, 0.22), np.add(head, (0, 0.1, 0))], [0.14, 0.1])
    top = np.add(head, (0, 0.12, 0.02))
    b.tube(b.main, [top, np.add(top, (0, -0.14, 0.24))], [0.11, 0.075])
    eyes(b, 0.08, top[1] + 0.02, top[2] + 0.1, 0.025)
    mane: list[Vector] = [
        np.add(top, (0, 0.09, 0)),
        np.add(top, (0, -0.08, -0.14)),
        (0, 0.18, 0.16),
    ]
    b.tube(b.detail, mane, 0.055)
    tail = [root, np.add(root, (0, -0.02, -0.16)), np.add(root, (0, -0.32, -0.2))]
    b.tube(b.detail, tail, [0.04, 0.07, 0.03])
    for side in (-1, 1):
        ear = np.add(top, (side * 0.06, 0.12, -0.02))
        b.cylinder(b.main, ear, 0.035, 0.11, top=0.004, segments=7)
    b.ellipsoid(b.colour("red"), (0, 0.15, -0.02), (0.16, 0.08, 0.16))
    if b.chance(0.55):
        for side in (-1, 1):
            angle = np.linspace(-0.85, 0.85, 12)
            path = np.column_stack(
                [
                    0 * angle + side * 0.15,
                    0.35 - 0.93 * np.cos(angle),
                    0.9 * np.sin(angle),
                ]
            )
            b.tube(b.detail, path, 0.04)
        for bar in (-0.3, 0.3):
            ends = [(-0.16, low + 0.04, bar), (0.16, low + 0.04, bar)]
            b.tube(b.detail, ends, 0.035)
    else:
        b.box(b.detail, (0, low, 0.02), (0.24, 0.04, 0.5))
        for side in (-1, 1):
            for axle in (-0.36, 0.4):
                place = (side * 0.27, low - 0.06, axle)
                b.cylinder(
                    b.colour("red"), place, 0.12, 0.06, rotate=(0, 0, 90), segments=14
                )
        b.tube(
            b.colour("beige"), [(0, low, 0.5), (b.u(-0.2, 0.2), low - 0.1, 0.85)], 0.015
        )


def jester(b: Builder) -> None:
    """A clown or scarecrow with a checked or striped suit and a big hat."""
    pattern = checks if b.chance(0.5) else stripes
    suit = pattern(b.rng, b.primary_colour, b.secondary_colour)
    flesh = b.colour("white") if b.chance(0.4) else skin(b)
    b.ellipsoid(suit, (0, 0.0, 0), (b.u(0.2, 0.3), 0.3, 0.2))
    b.lathe(b.detail, [(0, 0.2), (0.24, 0.25), (0.1, 0.32), (0, 0.32)], segments=14)
    for y in (-0.08, 0.08):
        b.sphere(b.colour("red"), (0, y, 0.2), 0.05)
    size = b.u(0.17, 0.22)
    head = np.array([0, 0.3 + size * 0.9, 0])
    face(b, head, size, flesh)
    b.sphere(b.colour("red"), np.add(head, (0, -size * 0.1, size)), size * 0.27)
    locks = b.colour(str(b.rng.choice(["red", "orange", "green", "blue"])))
    for side in (-1, 1):
        b.ellipsoid(
            locks, np.add(head, (side * size * 0.95, 0.04, -0.04)), (size * 0.5,) * 3
        )
        hand = (side * b.u(0.35, 0.5), b.u(-0.15, 0.45), b.u(0, 0.2))
        limb(b, suit, [(side * 0.16, 0.2, 0), hand], 0.08)
        b.sphere(b.colour("white"), hand, 0.085)
        foot = (side * b.u(0.12, 0.2), -0.6, 0)
        limb(b, suit, [(side * 0.1, -0.2, 0), foot], 0.1)
        b.ellipsoid(
            b.detail, np.add(foot, (side * 0.03, -0.03, 0.1)), (0.1, 0.07, 0.22)
        )
    if b.chance(0.5):
        b.ellipsoid(
            locks,
            np.add(head, (0, 0.04, -size * 0.6)),
            (size * 0.9, size * 0.8, size * 0.5),
        )
    top = np.add(head, (0, size * 0.85, 0))
    if b.chance(0.5):
        b.cylinder(b.detail, np.add(top, (0, 0.15, 0)), size * 0.75, 0.36, top=0.01)
        b.sphere(b.colour("yellow"), np.add(top, (0, 0.34, 0)), 0.05)
    else:
        b.cylinder(b.detail, top, size * 1.1, 0.035)
        b.cylinder(b.main, np.add(top, (0, 0.11, 0)), size * 0.7, 0.2)
