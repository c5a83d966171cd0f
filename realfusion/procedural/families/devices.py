"""Electric things: for listening, working and playing; their front faces +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.fittings import (
    arc,
    front_print,
    in_space,
    loft,
    metal,
    pick,
    plainly,
    ribbon,
)
from realfusion.procedural.paint import Paint, random_artwork


def _shell(b: Builder) -> Paint:
    """What devices are made of: mostly black, white or gray, else any colour."""
    plainly(b, 0.85)
    return pick(b, "black", "white", "gray") if b.chance(0.45) else b.main


def headphones(b: Builder) -> None:
    """Headphones standing on their cups, or hanging on a stand."""
    shell, pad = _shell(b), pick(b, "black", "gray", "brown", "beige")
    radius, rise = b.u(0.36, 0.46), b.u(0.4, 0.55)
    wide, cup, thick = b.u(0.08, 0.18), b.u(0.2, 0.28), b.u(0.06, 0.1)
    band = arc(radius + 0.04, rise, count=18)
    ribbon(b, shell, band, wide, b.u(0.03, 0.06))
    if b.chance(0.6):
        inner = arc(radius, rise - 0.05, arc_deg=(30, 150))
        ribbon(b, pad, inner, wide * 1.1, 0.06)
    tall = b.u(1.0, 1.3)
    for sign in (-1, 1):
        x = sign * radius
        lean = sign * b.u(0, 12)
        b.tube(metal(b), [(x * 1.08, 0.05, 0), (x * 1.1, -0.2, 0)], 0.03)
        b.ellipsoid(
            shell if b.chance(0.8) else b.detail,
            (x + sign * thick * 0.8, -0.25, 0),
            (thick, cup * tall, cup),
            squareness=(0.9, 0.5),
            rotate=(0, 0, lean),
        )
        inside = (x - sign * thick * 0.7, -0.25, 0)
        soft = (thick * 0.8, cup * tall * 0.92, cup * 0.92)
        b.ellipsoid(pad, inside, soft, squareness=(0.9, 0.4), rotate=(0, 0, lean))
    if b.chance(0.35):
        post = metal(b) if b.chance(0.5) else b.detail
        low = -0.25 - cup * tall - b.u(0.05, 0.3)
        top = rise - 0.08
        b.cylinder(post, (0, (top + low) / 2, 0), 0.04, top - low)
        b.box(post, (0, top, 0), (0.15, 0.035, wide * 0.5))
        b.cylinder(post, (0, low, 0), b.u(0.25, 0.38), 0.06, segments=24)
    elif b.chance(0.3):
        b.turn((-90, b.u(-180, 180), 0))


def game_controller(b: Builder) -> None:
    """A game pad with two grips, lying or held up; buttons on its face (+y)."""
    shell, dark = _shell(b), pick(b, "black", "gray")
    wide, deep = b.u(0.36, 0.46), b.u(0.2, 0.28)
    high = b.u(0.07, 0.11)
    b.ellipsoid(shell, (0, 0, 0), (wide, high, deep), squareness=(0.6, 0.5))
    reach, spread = b.u(0.22, 0.4), b.u(0.02, 0.16)
    for sign in (-1, 1):
        root = (sign * wide * 0.72, 0, deep * 0.15)
        middle = (sign * (wide * 0.8 + spread / 2), -0.02, deep * 0.3 + reach / 2)
        tip = (sign * (wide * 0.8 + spread), -0.06, deep * 0.3 + reach)
        grip = b.u(0.09, 0.12)
        b.tube(shell, [root, middle, tip], [high * 1.3, grip, grip * 0.7])
        b.sphere(shell, tip, grip * 0.72)
        stick = (sign * wide * b.u(0.3, 0.4), high, deep * 0.45)
        b.cylinder(dark, stick, 0.06, 0.1, top=0.075, segments=14)
        shoulder = (sign * wide * 0.62, high * 0.2, -deep * 0.9)
        b.ellipsoid(dark, shoulder, (0.09, 0.04, 0.06), segments=12)
    left, right = -wide * 0.64, wide * 0.64
    b.box(dark, (left, high, -0.04), (0.08, 0.035, 0.027))
    b.box(dark, (left, high, -0.04), (0.027, 0.035, 0.08))
    colours = ("red", "blue", "green", "yellow")
    is_coloured = b.chance(0.6)
    for k, name in enumerate(colours):
        x, z = right + 0.065 * np.sin(k * np.pi / 2), 0.065 * np.cos(k * np.pi / 2)
        button = b.colour(name) if is_coloured else dark
        b.cylinder(button, (x, high, z - 0.04), 0.03, 0.08, segments=10)
    if b.chance(0.5):
        b.box(b.detail, (0, high, -0.05), (wide * 0.25, 0.02, 0.07))
    if b.chance(0.5):
        b.turn((b.u(30, 80), 0, 0))


def laptop(b: Builder) -> None:
    """An open portable computer with a picture on its screen."""
    shell = metal(b) if b.chance(0.5) else _shell(b)
    wide, deep, thick = b.u(0.5, 0.6), b.u(0.33, 0.42), b.u(0.015, 0.035)
    b.box(shell, (0, 0, 0), (wide, thick, deep))
    keys = b.colour("black") if b.chance(0.7) else b.detail
    b.box(keys, (0, thick, -deep * 0.25), (wide * 0.86, 0.008, deep * 0.42))
    pad = b.colour("gray")
    b.box(pad, (0, thick, deep * 0.55), (wide * 0.28, 0.006, deep * 0.25))
    lean = b.u(0, 35)
    way = np.array([0, np.cos(np.deg2rad(lean)), -np.sin(np.deg2rad(lean))])
    ahead = np.array([0, -way[2], way[1]])
    tilt = (-lean, 0, 0)
    half = (wide, deep, thick * 0.7)
    lid = (0, thick, -deep) + way * deep
    logo = b.detail if b.chance(0.6) else shell
    mark = b.rng.choice([0.08, 0.12])
    b.box(shell, lid, half, rotate=tilt)
    b.box(logo, lid - ahead * half[2], (mark, mark, 0.006), rotate=tilt)
    b.box(keys, lid + ahead * half[2], (wide * 0.97, deep * 0.95, 0.006), rotate=tilt)
    pane = (wide * 0.92, deep * 0.88, 0.006)
    art = random_artwork(b.rng, b.secondary_colour)
    screen = front_print(b.colour("black"), art, pane)
    b.box(screen, lid + ahead * (half[2] + 0.006), pane, rotate=tilt)


def telephone(b: Builder) -> None:
    """A desk telephone with its receiver across the top."""
    plainly(b, 0.9)
    wide, deep, tall = b.u(0.34, 0.44), b.u(0.34, 0.46), b.u(0.16, 0.3)
    front = tall * b.u(0.25, 0.5)
    side = [(-deep, 0), (deep, 0), (deep, tall), (deep * 0.2, tall), (-deep, front)]
    b.prism(b.main, side, 2 * wide, rotate=(0, 90, 0))
    slope = np.rad2deg(np.arctan2(tall - front, deep * 1.2))
    middle = np.array([0, (tall + front) / 2, deep * 0.4])
    up = np.array([0, np.cos(np.deg2rad(slope)), np.sin(np.deg2rad(slope))])
    along = np.array([0, -up[2], up[1]])
    if b.chance(0.5):
        dial = min(wide, deep) * 0.6
        b.cylinder(
            metal(b), middle + up * 0.02, dial, 0.05, rotate=(slope, 0, 0), segments=24
        )
        for k in range(10):
            a = k * 0.52
            hole = np.array([np.sin(a), 0, 0]) + along * np.cos(a)
            place = middle + up * 0.045 + hole * dial * 0.75
            b.cylinder(
                b.colour("black"), place, 0.035, 0.02, rotate=(slope, 0, 0), segments=8
            )
        b.cylinder(
            b.colour("white"),
            middle + up * 0.04,
            dial * 0.4,
            0.03,
            rotate=(slope, 0, 0),
        )
    else:
        key = b.colour("white") if b.chance(0.6) else b.detail
        for row in range(4):
            for column in range(3):
                place = middle + along * (row - 1.5) * 0.12 + up * 0.01
                place[0] = (column - 1) * 0.14
                b.box(key, place, (0.05, 0.02, 0.04), rotate=(slope, 0, 0))
    piece = b.main if b.chance(0.6) else b.detail
    rest, z = tall + b.u(0.07, 0.12), -deep * 0.5
    long = wide * b.u(1.05, 1.25)
    path = arc(long, b.u(0.08, 0.16), arc_deg=(15, 165), count=9, centre=(0, rest))
    b.tube(piece, in_space(path, z), 0.06)
    for sign in (-1, 1):
        end = (sign * long * 0.9, rest - 0.01, z)
        b.cylinder(piece, end, 0.13, 0.12, top=0.1, segments=14)
        b.box(b.main, (sign * wide * 0.6, tall, z), (0.06, 0.05, 0.12))


def radio(b: Builder) -> None:
    """A radio with a loudspeaker cloth, a scale, knobs, perhaps a handle."""
    shell = _shell(b) if b.chance(0.6) else b.main
    wide, tall, deep = b.u(0.42, 0.6), b.u(0.26, 0.42), b.u(0.12, 0.24)
    square = b.u(0.1, 0.35)
    half = (wide, tall, deep)
    b.ellipsoid(shell, (0, 0, 0), half, squareness=(square, square), segments=24)
    cloth = pick(b, "beige", "gray", "black", "brown")
    side = 1 if b.chance(0.5) else -1
    if b.chance(0.5):
        size = tall * b.u(0.55, 0.75)
        for sign in (-1, 1) if b.chance(0.4) else (side,):
            place = (sign * wide * 0.52, -tall * 0.1, deep)
            b.cylinder(cloth, place, size, 0.04, rotate=(90, 0, 0), segments=24)
            b.cylinder(
                b.detail,
                np.add(place, (0, 0, 0.015)),
                size * 0.3,
                0.03,
                rotate=(90, 0, 0),
            )
    else:
        grille = (wide * 0.4, tall * 0.7, 0.02)
        b.box(cloth, (side * wide * 0.48, 0, deep), grille)
    scale = (-side * wide * 0.42, tall * 0.45, deep)
    art = random_artwork(b.rng, b.secondary_colour)
    pane = (wide * 0.42, tall * 0.28, 0.02)
    b.box(front_print(b.colour("white"), art, pane), scale, pane)
    for x in (0.22, 0.62)[: int(b.rng.integers(1, 3))]:
        knob = (-side * wide * x, -tall * 0.4, deep)
        b.cylinder(metal(b), knob, b.u(0.06, 0.1), 0.12, rotate=(90, 0, 0))
    if b.chance(0.5):
        grip = arc(wide * 0.8, b.u(0.14, 0.25), centre=(0, tall * 0.9))
        ribbon(b, b.detail, grip, 0.08, 0.035)
    if b.chance(0.45):
        root = (side * wide * 0.85, tall * 0.95, -deep * 0.6)
        tip = np.add(root, (side * b.u(0, 0.35), b.u(0.3, 0.6), 0))
        b.tube(metal(b), [root, tip], 0.016, segments=6)
    for sign in (-1, 1):
        foot = (sign * wide * 0.6, -tall, 0)
        b.cylinder(b.colour("black"), foot, 0.06, 0.08, segments=10)


def computer_mouse(b: Builder) -> None:
    """A mouse with keys and a wheel, its cable towards -z."""
    shell = _shell(b)
    wide, deep, tall = b.u(0.26, 0.36), b.u(0.44, 0.56), b.u(0.18, 0.3)
    level = np.linspace(0, 1, 7)
    swell = np.sqrt(1 - level**2)
    sections = [
        (
            tall * y,
            wide * (0.25 + 0.75 * s) * (1 if s else 0.6),
            deep * s + 0.02,
            0.0,
            0.06 * y,
        )
        for y, s in zip(level, swell, strict=True)
    ]
    loft(b, shell, sections, squareness=b.u(0.7, 1.0))
    dark = b.colour("black") if b.chance(0.6) else b.detail
    loft(b, dark, [(-0.03, wide * 0.9, deep * 0.92), (0.01, wide * 0.97, deep * 0.98)])
    wheel = (0, tall * 0.86, -deep * 0.42)
    b.cylinder(dark, wheel, 0.07, 0.05, rotate=(0, 0, 90), segments=14)
    b.tube(
        dark,
        [(0, tall * 0.5, -deep * 0.88), (0, tall * 1.0, -deep * 0.1)],
        0.012,
        segments=6,
    )
    if b.chance(0.5):
        b.box(b.detail, (-wide * 0.85, tall * 0.45, -0.05), (0.05, 0.03, 0.13))
    if b.chance(0.6):
        sway = b.u(-0.2, 0.2)
        cable = [(0, 0.06, -deep * 0.9), (sway / 2, 0.04, -deep * 1.3)]
        b.tube(dark, [*cable, (sway, 0.03, -deep * b.u(1.5, 1.9))], 0.025)


def loudspeaker(b: Builder) -> None:
    """A box with one to three cones, or a wireless roll."""
    shell = _shell(b) if b.chance(0.6) else b.main
    dark, ring = b.colour("black"), metal(b)
    if b.chance(0.3):
        radius, long = b.u(0.16, 0.24), b.u(0.35, 0.55)
        cloth = b.detail if b.chance(0.5) else shell
        b.cylinder(cloth, (0, 0, 0), radius, 2 * long, rotate=(0, 0, 90), segments=22)
        for sign in (-1, 1):
            end = (sign * long, 0, 0)
            b.cylinder(dark, end, radius * 1.06, 0.08, rotate=(0, 0, 90), segments=22)
        b.box(dark, (0, radius, 0), (long * 0.5, 0.025, 0.06))
        if b.chance(0.4):
            b.turn((0, 0, 90))
        return
    wide, tall, deep = b.u(0.24, 0.36), b.u(0.4, 0.7), b.u(0.2, 0.36)
    b.box(shell, (0, 0, 0), (wide, tall, deep))
    if b.chance(0.3):
        b.box(b.detail, (0, 0, deep), (wide * 0.95, tall * 0.96, 0.02))
    levels = [(-0.35, 0.8), (0.5, 0.45), (0.82, 0.2)][: int(b.rng.integers(1, 4))]
    if len(levels) == 1:
        levels = [(b.u(-0.3, 0.1), 0.85)]
    cone = dark if b.chance(0.6) else b.detail
    for level, size in levels:
        place = (0, level * tall, deep)
        rim = size * wide
        b.cylinder(ring, place, rim, 0.08, rotate=(90, 0, 0), segments=24)
        front = np.add(place, (0, 0, 0.03))
        b.cylinder(cone, front, rim * 0.85, 0.04, rotate=(90, 0, 0), segments=24)
        b.sphere(ring if b.chance(0.5) else dark, front, rim * 0.3)
    for x in (-0.7, 0.7):
        b.box(dark, (x * wide, -tall - 0.02, 0), (0.06, 0.03, deep * 0.8))
