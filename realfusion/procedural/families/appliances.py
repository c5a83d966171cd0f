"""Coffee makers, mortars, blocks of knives and machines of the kitchen."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.fittings import (
    arc,
    in_space,
    metal,
    pick,
    plainly,
    vessel,
    wood,
)


def moka_pot(b: Builder) -> None:
    """A faceted stove-top coffee maker."""
    shell = metal(b) if b.chance(0.7) else b.main
    dark = b.colour("black") if b.chance(0.7) else b.detail
    foot, waist, tall = b.u(0.32, 0.4), b.u(0.22, 0.28), b.u(0.4, 0.55)
    brim = b.u(0.28, 0.38)
    sides = int(b.rng.choice([8, 8, 10, 24]))
    b.lathe(
        shell,
        [(0, 0), (foot, 0), (foot * 0.97, tall * 0.55), (waist, tall), (0, tall)],
        segments=sides,
    )
    b.cylinder(shell, (0, tall, 0), waist * 1.12, 0.07)
    top = 2 * tall * b.u(0.95, 1.1)
    upper = [(0, tall), (waist, tall), (brim, top), (brim * 0.5, top + 0.06)]
    b.lathe(shell, [*upper, (0, top + 0.07)], segments=sides)
    b.sphere(dark, (0, top + 0.13, 0), b.u(0.05, 0.07))
    beak = [(waist, tall + 0.2 * top, 0), (brim * 1.3, top * 0.98, 0)]
    b.tube(shell, beak, [0.05, 0.08], segments=6)
    out = -brim - b.u(0.16, 0.26)
    grip = [(-brim * 0.9, top * 0.93, 0), (out, top * 0.93, 0), (out * 0.95, tall, 0)]
    b.tube(dark, grip, b.u(0.04, 0.055))


def coffee_machine(b: Builder) -> None:
    """A filter or espresso machine with a jug or a cup on its tray."""
    plainly(b)
    shell = b.main if b.chance(0.7) else metal(b)
    dark = b.colour("black")
    wide, deep, tall = b.u(0.28, 0.42), b.u(0.3, 0.42), b.u(0.8, 1.15)
    back = deep * 0.45
    b.box(shell, (0, 0.05, 0), (wide, 0.05, deep))
    square = (0.25, 0.25)
    half = (wide, tall / 2, deep - back)
    b.ellipsoid(shell, (0, tall / 2, -back), half, squareness=square)
    head = b.u(0.14, 0.22)
    crown = (wide, head, deep * 0.97)
    b.ellipsoid(
        b.detail if b.chance(0.4) else shell,
        (0, tall - head * 0.8, 0),
        crown,
        squareness=square,
    )
    room = tall - 1.8 * head - 0.1
    front = deep * 0.45
    if b.chance(0.6):
        pot = min(wide * 0.75, deep * 0.6)
        high = room * b.u(0.65, 0.85)
        glass = b.colour("brown") if b.chance(0.6) else b.colour("gray")
        outline = [(0, 0.1), (pot * 0.9, 0.1), (pot, 0.1 + high * 0.4)]
        neck = [(pot * 0.6, 0.1 + high), (0, 0.1 + high)]
        b.lathe(glass, [*outline, *neck], (0, 0, front))
        b.cylinder(dark, (0, 0.12 + high, front), pot * 0.62, 0.06)
        ear = arc(0.16, high * 0.32, arc_deg=(-90, 90), count=9)
        way = in_space(np.add(ear, (pot * 0.8, 0.1 + high * 0.55)))
        b.tube(dark, np.add(way, (0, 0, front)), 0.035)
    else:
        b.box(dark, (0, 0.12, front), (wide * 0.8, 0.025, deep * 0.5))
        cup = [(0.08, 0.0), (0.13, b.u(0.15, 0.22))]
        vessel(b, cup, outside=b.colour("white"), wall=0.02, centre=(0, 0.145, front))
        b.cylinder(metal(b), (0, tall - 1.8 * head, front), 0.1, 0.14)
        if b.chance(0.6):
            arm = (0, tall - 1.85 * head, front)
            b.tube(dark, [arm, np.add(arm, (0, -0.02, deep * 0.9))], 0.035)
    for k in range(int(b.rng.integers(1, 4))):
        knob = (wide * (-0.5 + 0.5 * k), tall - head * 0.7, deep * 0.96)
        b.cylinder(metal(b), knob, 0.045, 0.06, rotate=(90, 0, 0), segments=12)


def mortar(b: Builder) -> None:
    """A mortar with its pestle."""
    stone = wood(b) if b.chance(0.3) else b.main
    radius, tall, thick = b.u(0.38, 0.5), b.u(0.4, 0.7), b.u(0.07, 0.12)
    foot = radius * b.u(0.55, 0.85)
    outline = [(foot, 0), (foot * 0.95, 0.08), (radius * 0.92, tall * 0.55)]
    vessel(b, [*outline, (radius, tall)], outside=stone, wall=thick, segments=28)
    lean, turn = b.u(0.25, 0.6), b.u(0, 2 * np.pi)
    foot_place = np.array([0.05, thick + 0.07, 0.0])
    length = b.u(0.8, 1.1)
    way = np.array([np.sin(turn) * lean, 1.0, np.cos(turn) * lean])
    tip = foot_place + way / np.linalg.norm(way) * length
    middle = foot_place * 0.6 + tip * 0.4
    pestle = stone if b.chance(0.6) else b.detail
    b.tube(pestle, [foot_place, middle, tip], [0.09, 0.045, b.u(0.05, 0.075)])


def knife_block(b: Builder) -> None:
    """A slanted block of wood with the handles of knives."""
    block = wood(b) if b.chance(0.65) else b.main
    wide, tall, deep = b.u(0.18, 0.32), b.u(0.4, 0.55), b.u(0.2, 0.3)
    slant = b.u(10, 30)
    tilt = (-slant, 0, 0)
    lean = np.array([0, np.cos(np.deg2rad(slant)), -np.sin(np.deg2rad(slant))])
    ahead = np.array([0, -lean[2], lean[1]])
    b.box(block, (0, 0, 0), (wide, tall, deep), rotate=tilt)
    floor = -tall * lean[1] - deep * ahead[1]
    b.box(block, (0, floor + 0.06, -0.05), (wide, 0.06, deep * 1.35))
    grip = b.colour("black") if b.chance(0.6) else b.detail
    columns = int(b.rng.integers(2, 4))
    for row in range(int(b.rng.integers(1, 4))):
        for column in range(columns):
            x = wide * 1.4 * ((column + 0.5) / columns - 0.5)
            z = deep * (-0.55 + 0.5 * row)
            length = b.u(0.12, 0.26)
            place = (0, 0, 0) + lean * (tall + length * 0.9) + ahead * z
            place[0] = x
            b.box(grip, place, (0.035, length, 0.055), rotate=tilt)


def blender(b: Builder) -> None:
    """A mixer jug on its motor."""
    plainly(b)
    base = b.main if b.chance(0.7) else metal(b)
    wide, tall = b.u(0.28, 0.36), b.u(0.3, 0.45)
    neck = wide * b.u(0.65, 0.85)
    sides = int(b.rng.choice([6, 8, 24]))
    b.lathe(base, [(0, 0), (wide, 0), (wide, 0.06), (neck, tall), (0, tall)])
    glass = pick(b, "gray", "white", "cyan") if b.chance(0.5) else b.detail
    high, brim = b.u(0.5, 0.8), neck * b.u(1.1, 1.45)
    bottom = neck * 0.85
    cup = [(0, tall), (bottom, tall), (brim, tall + high), (0, tall + high)]
    if b.chance(0.3):
        outline = [(bottom, 0.0), (brim, high)]
        vessel(b, outline, outside=glass, centre=(0, tall, 0), segments=sides)
    else:
        b.lathe(glass, cup, segments=sides)
        lid = b.colour("black") if b.chance(0.6) else base
        b.cylinder(lid, (0, tall + high + 0.03, 0), brim * 0.9, 0.08)
        b.cylinder(lid, (0, tall + high + 0.1, 0), brim * 0.4, 0.08)
    if b.chance(0.7):
        ear = arc(b.u(0.16, 0.24), high * 0.34, arc_deg=(-90, 90), count=10)
        root = (brim + bottom) / 2 * (0.85 if sides == 6 else 0.95)
        b.tube(base, in_space(np.add(ear, (root, tall + high * 0.55))), 0.04)
    knob = (0, tall * 0.4, wide * 0.85)
    b.cylinder(metal(b), knob, b.u(0.06, 0.09), 0.12, rotate=(80, 0, 0), segments=14)


def microwave(b: Builder) -> None:
    """An oven box with a dark window, a handle and a row of knobs."""
    plainly(b, 0.9)
    shell = b.main if b.chance(0.5) else pick(b, "white", "gray", "black")
    wide, tall, deep = b.u(0.5, 0.65), b.u(0.28, 0.42), b.u(0.3, 0.45)
    b.box(shell, (0, 0, 0), (wide, tall, deep))
    panel = b.u(0.2, 0.32) * wide
    door = b.detail if b.chance(0.3) else shell
    x = -panel
    b.box(door, (x, 0, deep), (wide - panel, tall * 0.95, 0.025))
    window = ((wide - panel) * 0.8, tall * b.u(0.55, 0.75), 0.01)
    b.box(b.colour("black"), (x, 0, deep + 0.025), window)
    dark = b.colour("black") if b.chance(0.5) else b.detail
    if b.chance(0.6):
        grip = wide - 2 * panel - 0.03
        path = [(grip, -tall * 0.7, deep + 0.08), (grip, tall * 0.7, deep + 0.08)]
        b.tube(metal(b), path, 0.025)
    b.box(b.colour("cyan"), (wide - panel, tall * 0.7, deep), (panel * 0.6, 0.04, 0.02))
    for y in np.linspace(0.35, -0.7, int(b.rng.integers(2, 4))) * tall:
        knob = (wide - panel, y, deep)
        b.cylinder(dark, knob, min(panel * 0.5, 0.08), 0.09, rotate=(90, 0, 0))
    for sign in (-1, 1):
        foot = (sign * wide * 0.8, -tall - 0.02, 0)
        b.box(b.colour("black"), foot, (0.05, 0.03, deep * 0.8))


def kitchen_scale(b: Builder) -> None:
    """Scales with a dial or a display, and a bowl or a plate on top."""
    plainly(b)
    wide, deep = b.u(0.3, 0.42), b.u(0.26, 0.36)
    tall = b.u(0.1, 0.55)
    b.box(b.main, (0, tall / 2, 0), (wide, tall / 2, deep), taper=b.u(0.7, 1.0))
    if tall > 0.25:
        face, front = tall * 0.4, deep * 0.9
        dial = (0, tall * 0.5, front)
        b.cylinder(b.colour("white"), dial, face, 0.12, rotate=(90, 0, 0))
        angle = b.u(-2, 2)
        tip = np.add(dial, (np.sin(angle) * face * 0.8, np.cos(angle) * face * 0.8, 0))
        needle = [np.add(dial, (0, 0, 0.065)), np.add(tip, (0, 0, 0.065))]
        b.tube(b.colour("red"), needle, 0.015, segments=6)
    else:
        show = (0, tall * 0.55, deep * 0.98)
        b.box(b.colour("black"), show, (wide * 0.4, tall * 0.25, 0.03))
    b.cylinder(metal(b), (0, tall + 0.04, 0), 0.07, 0.1)
    shell = b.detail if b.chance(0.5) else metal(b)
    brim, high = wide * b.u(0.95, 1.3), b.u(0.04, 0.3)
    outline = [(brim * 0.5, 0.0), (brim * 0.9, high * 0.5), (brim, high)]
    vessel(b, outline, outside=shell, wall=0.025, centre=(0, tall + 0.07, 0))
