"""Buildings: windmills, castles and small ones of the garden."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.outdoors import shaft, stone
from realfusion.procedural.paint import grainy, picture, random_artwork, stripes


def windmill(b: Builder) -> None:
    """A windmill with four sails to the front, door, windows and cap."""
    stone(b)
    wide, tall = b.u(0.24, 0.34), b.u(0.45, 0.6)
    sides = 8 if b.chance(0.5) else 24
    shaft(b, b.main, wide, wide * 0.65, tall, sides)
    cap = wide * 0.72
    if b.chance(0.5):
        b.cylinder(
            b.detail, (0, tall + cap * 0.4, 0), cap, cap * 0.9, top=0.02, segments=sides
        )
    else:
        b.ellipsoid(b.detail, (0, tall, 0), (cap, cap, cap * 1.1))
    b.box(b.colour("brown"), (0, 0.15 - tall, wide * 0.93), (0.08, 0.15, 0.04))
    for y in (-0.1, 0.3)[: int(b.rng.integers(1, 3))]:
        front = wide * (1 - 0.175 * (y + 1)) - 0.02
        b.box(b.colour("black"), (0, y * tall, front), (0.05, 0.06, 0.04))
        b.box(b.colour("black"), (0, y * tall, -front), (0.05, 0.06, 0.04))
    hub = np.array([0, tall * b.u(0.85, 1.0), wide * 0.65 + 0.1])
    b.cylinder(b.colour("brown"), hub - (0, 0, 0.06), 0.05, 0.24, rotate=(90, 0, 0))
    turn, reach = b.u(0, 90), b.u(0.45, 0.62)
    white, wood = b.colour("white"), b.colour("brown")
    for angle in turn + np.arange(4) * 90.0:
        way = np.array([-np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle)), 0])
        side = np.array([way[1], -way[0], 0])
        spin = (0, 0, float(angle))
        b.box(wood, hub + way * reach / 2, (0.018, reach / 2, 0.018), rotate=spin)
        middle = hub + way * reach * 0.6 + side * 0.07
        b.box(white, middle, (0.06, reach * 0.36, 0.012), rotate=spin)
    if b.chance(0.4):
        b.cylinder(b.detail, (0, -tall * 0.4, 0), wide * 1.25, 0.04, segments=sides)


def castle(b: Builder) -> None:
    """A castle: walls with battlements, corner towers, a gate, perhaps a keep."""
    stone(b)
    half, high = b.u(0.34, 0.44), b.u(0.14, 0.22)
    deep = half * b.u(0.7, 1.0)
    b.box(b.main, (0, 0, 0), (half, high, deep))
    for x in np.linspace(-0.75, 0.75, 5) * half:
        for z in (-deep, deep):
            b.box(b.main, (x, high + 0.03, z * 0.95), (0.035, 0.04, 0.025))
    for z in np.linspace(-0.6, 0.6, 3) * deep:
        for x in (-half, half):
            b.box(b.main, (x * 0.95, high + 0.03, z), (0.025, 0.04, 0.035))
    radius, tall, pointed = b.u(0.09, 0.14), high + b.u(0.1, 0.25), b.chance(0.55)
    for x in (-half, half):
        for z in (-deep, deep):
            middle = (x, tall - high, z)
            b.cylinder(b.main, middle, radius, 2 * tall, segments=14)
            if pointed:
                roof = (x, 2 * tall - high + 0.12, z)
                b.cylinder(b.detail, roof, radius * 1.25, 0.26, top=0.005, segments=14)
            else:
                roof = (x, 2 * tall - high, z)
                b.cylinder(b.main, roof, radius * 1.2, 0.08, segments=10)
    b.box(b.colour("brown"), (0, 0.13 - high, deep), (0.1, 0.13, 0.03))
    b.cylinder(b.colour("brown"), (0, 0.26 - high, deep), 0.1, 0.06, rotate=(90, 0, 0))
    if b.chance(0.7):
        keep, rise = b.u(0.12, 0.19), b.u(0.3, 0.5)
        place = (b.u(-0.1, 0.1), rise, -deep * b.u(0.0, 0.5))
        b.box(b.main, place, (keep, rise, keep))
        b.cylinder(
            b.detail,
            np.add(place, (0, rise + 0.14, 0)),
            keep * 1.5,
            0.28,
            top=0.01,
            segments=4,
            rotate=(0, 45, 0),
        )
        b.box(
            b.colour("black"), np.add(place, (0, rise * 0.6, keep)), (0.03, 0.06, 0.01)
        )
    if b.chance(0.4):
        b.box(b.colour("green"), (0, -high - 0.04, 0), (half * 1.5, 0.05, deep * 1.5))


def lighthouse(b: Builder) -> None:
    """A lighthouse with bands, gallery, lantern, door, on rock at times."""
    if b.chance(0.5):
        b.main = stripes(b.rng, b.primary_colour, b.secondary_colour)
    wide, tall = b.u(0.17, 0.26), b.u(0.5, 0.65)
    top = wide * b.u(0.55, 0.75)
    white = b.colour("white")
    shaft(b, b.main, wide, top, tall)
    for y in (-0.5, 0.0, 0.5) if b.chance(0.5) else ():
        radius = wide + (top - wide) * (y + 1) / 2
        b.cylinder(
            white,
            (0, y * tall, 0),
            radius * 1.03,
            tall * 0.24,
            top=radius * 0.99,
            segments=24,
        )
    b.cylinder(b.detail, (0, tall, 0), top * 1.5, 0.05)
    b.torus(b.colour("black"), (0, tall + 0.09, 0), top * 1.4, 0.014)
    b.cylinder(b.colour("yellow"), (0, tall + 0.11, 0), top * 0.75, 0.2, segments=12)
    b.cylinder(b.detail, (0, tall + 0.28, 0), top * 1.0, 0.16, top=0.01)
    b.box(b.colour("brown"), (0, 0.12 - tall, wide * 0.95), (0.065, 0.12, 0.04))
    for y in (-0.2, 0.35):
        radius = wide + (top - wide) * (y + 1) / 2
        b.box(b.colour("black"), (0, y * tall, radius * 0.96), (0.035, 0.05, 0.03))
    if b.chance(0.5):
        rock = grainy(
            b.rng, np.array([0.42, 0.4, 0.38], np.float32), b.secondary_colour
        )
        for _ in range(3):
            place = (b.u(-0.12, 0.12), -tall - 0.02, b.u(-0.12, 0.12))
            b.ellipsoid(
                rock, place, (b.u(0.25, 0.4), 0.11, b.u(0.25, 0.4)), segments=12
            )
    if b.chance(0.4):
        side = wide * (1 if b.chance(0.5) else -1)
        b.box(white, (side * 1.6, 0.12 - tall, -0.05), (wide * 0.8, 0.12, wide * 0.7))
        roof = [(-wide * 0.85, 0), (wide * 0.85, 0), (0, 0.16)]
        b.prism(b.detail, roof, wide * 1.5, (side * 1.6, 0.24 - tall, -0.05))


def well(b: Builder) -> None:
    """A well: a round wall, two posts, a little roof, a bucket on its rope."""
    stone(b)
    wide, high = b.u(0.3, 0.4), b.u(0.16, 0.24)
    wall = [
        (0, -high),
        (wide, -high),
        (wide, high),
        (wide * 0.75, high),
        (wide * 0.75, 0),
        (0, 0),
    ]
    b.lathe(b.main, wall, segments=22)
    b.cylinder(b.colour("blue"), (0, 0.02, 0), wide * 0.76, 0.06)
    wood, tall = b.colour("brown"), b.u(0.55, 0.75)
    for side in (-1, 1):
        b.box(wood, (side * wide * 0.88, tall / 2, 0), (0.04, tall / 2, 0.04))
    beam = tall * 0.78
    b.cylinder(wood, (0, beam, 0), 0.05, wide * 2.2, rotate=(0, 0, 90), segments=10)
    crank = [
        (wide * 1.1, beam, 0),
        (wide * 1.2, beam, 0),
        (wide * 1.2, beam - 0.14, 0.06),
    ]
    b.tube(b.colour("gray"), crank, 0.022)
    gable = [(-wide * 0.85, 0), (wide * 0.85, 0), (0, b.u(0.22, 0.36))]
    b.prism(b.detail, gable, wide * 2.5, (0, tall - 0.02, 0), rotate=(0, 90, 0))
    drop = beam - b.u(0.15, 0.4)
    b.tube(b.colour("beige"), [(0, beam, 0), (0, drop, 0)], 0.015)
    b.cylinder(wood, (0, drop - 0.06, 0), 0.07, 0.13, top=0.09)


def bird_house(b: Builder) -> None:
    """A bird house or dog kennel: gable roof, a hole to the front, a perch."""
    wide, deep, high = b.u(0.2, 0.32), b.u(0.2, 0.36), b.u(0.2, 0.32)
    b.box(b.main, (0, 0, 0), (wide, high, deep))
    rise = b.u(0.15, 0.35)
    b.prism(b.main, [(-wide, 0), (wide, 0), (0, rise)], 2 * deep, (0, high, 0))
    slope = np.rad2deg(np.arctan2(rise, wide))
    half = np.hypot(rise, wide) / 2 * 1.2
    for side in (-1, 1):
        middle = (side * wide * 0.56, high + rise * 0.47, 0.02)
        b.box(b.detail, middle, (half, 0.025, deep * 1.2), rotate=(0, 0, -side * slope))
    black = b.colour("black")
    if b.chance(0.6):
        size = b.u(0.07, 0.12)
        b.cylinder(black, (0, high * 0.3, deep), size, 0.02, rotate=(90, 0, 0))
        perch = (0, high * 0.3 - size - 0.04, deep + 0.06)
        b.cylinder(b.colour("brown"), perch, 0.02, 0.16, rotate=(90, 0, 0), segments=8)
        if b.chance(0.5):
            b.box(b.colour("brown"), (0, -high - 0.4, 0), (0.05, 0.4, 0.05))
    else:
        b.box(black, (0, -high * 0.45, deep), (wide * 0.5, high * 0.55, 0.012))
        b.cylinder(black, (0, high * 0.1, deep), wide * 0.5, 0.024, rotate=(90, 0, 0))
        sign = picture(b.colour("white"), random_artwork(b.rng, b.secondary_colour))
        b.box(sign, (0, high * 0.95, deep), (wide * 0.5, 0.06, 0.02))
        b.box(b.detail, (0, -high - 0.02, 0), (wide * 1.15, 0.03, deep * 1.15))
