"""Packages of food, soap and scent, printed in front and often at the back."""

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
    wrapper,
)
from realfusion.procedural.paint import picture, random_artwork


def milk_carton(b: Builder) -> None:
    """A drink carton with a gable, a slanted or a flat top."""
    plainly(b, 0.6)
    wide, tall = b.u(0.24, 0.34), b.u(0.35, 0.75)
    deep = wide * b.u(0.65, 1.0)
    half = (wide, tall, deep)
    b.box(wrapper(b, half), (0, 0, 0), half)
    top = b.main if b.chance(0.7) else b.detail
    cap = b.colour("white") if b.chance(0.5) else b.detail
    kind = b.rng.random()
    if kind < 0.65:
        rise = deep * b.u(0.7, 1.1)
        gable = [(-deep, 0), (deep, 0), (0, rise)]
        b.prism(top, gable, 2 * wide, (0, tall, 0), rotate=(0, 90, 0))
        b.box(top, (0, tall + rise, 0), (wide, b.u(0.05, 0.1), 0.025))
        if b.chance(0.5):
            slope = np.rad2deg(np.arctan2(rise, deep))
            place = (0, tall + rise * 0.5, deep * 0.5)
            b.cylinder(cap, place, wide * 0.35, 0.14, rotate=(slope, 0, 0))
    elif kind < 0.85:
        rise = b.u(0.1, 0.25)
        wedge = [(-deep, 0), (deep, 0), (deep, 0.03), (-deep, rise)]
        b.prism(top, wedge, 2 * wide, (0, tall, 0), rotate=(0, -90, 0))
        if b.chance(0.7):
            place = (0, tall + rise / 2 + 0.03, 0)
            b.cylinder(cap, place, wide * 0.32, 0.12)
    else:
        b.box(top, (0, tall + 0.02, 0), (wide, 0.02, deep))
        if b.chance(0.6):
            straw = [(wide * 0.5, tall, 0), (wide * 0.5, tall + 0.25, 0)]
            b.tube(cap, [*straw, (wide * 0.5 + 0.15, tall + 0.4, 0)], 0.03)


def squeeze_tube(b: Builder) -> None:
    """A tube of toothpaste, cream or paint, standing on its cap or lying."""
    plainly(b, 0.5)
    radius, tall = b.u(0.17, 0.26), b.u(0.45, 0.8)
    flat = radius * b.u(1.1, 1.45)
    half = (flat, tall, radius)
    art = random_artwork(b.rng, b.secondary_colour)
    paint = front_print(b.main, art, half, window=(-0.8, 0.8, -0.9, b.u(0.3, 0.9)))
    if b.chance(0.5):
        back = random_artwork(b.rng, b.primary_colour)
        window = (-0.8, 0.8, -0.8, 0.8)
        paint = front_print(paint, back, half, window=window, is_back=True)
    level = np.linspace(-1, 1, 8)
    grow = (level + 1) / 2
    sections = [
        (tall * y, radius + (flat - radius) * t, radius * (1 - t**1.6) + 0.012)
        for y, t in zip(level, grow, strict=True)
    ]
    loft(b, paint, sections)
    b.box(b.main, (0, tall * 1.03, 0), (flat, tall * 0.06, 0.014))
    cap, neck = b.u(0.1, 0.3), b.u(0.5, 1.0)
    lid = b.detail if b.chance(0.6) else b.colour("white")
    shoulder = [(0, 0), (radius, 0), (radius * 0.45, -0.08), (0, -0.08)]
    b.lathe(b.main, shoulder, (0, -tall, 0))
    place = (0, -tall - 0.04 - cap / 2, 0)
    b.cylinder(lid, place, radius * neck * 0.85, cap, top=radius * neck)
    if b.chance(0.45):
        b.turn((-90, b.u(-180, 180), 0))
    elif b.chance(0.3):
        b.turn((0, 0, 180))


def _flask(b: Builder, *, tall: float) -> tuple[float, float]:
    """A bottle's body, round or flat, standing on y = -tall; its neck's radius and
    height.
    """
    wide = b.u(0.24, 0.36)
    deep = wide * (1.0 if b.chance(0.4) else b.u(0.5, 0.85))
    neck, shoulder = b.u(0.09, 0.13), b.u(0.1, 0.35)
    top = b.u(0.6, 1.0)
    waist = b.u(0.8, 1.0)
    sections = [
        (-tall, wide * 0.95, deep * 0.95),
        (-tall + 0.04, wide, deep),
        (tall * b.u(-0.2, 0.2), wide * waist, deep * waist),
        (tall - shoulder, wide * top, deep * top),
        (tall - shoulder * 0.35, (wide * top + neck) / 2, (deep * top + neck) / 2),
        (tall, neck, neck),
    ]
    square = 1.0 if deep == wide and b.chance(0.5) else b.u(0.4, 0.9)
    loft(b, wrapper(b, (wide, tall, deep)), sections, squareness=square)
    return neck, tall


def spray_bottle(b: Builder) -> None:
    """A cleaner's bottle with a trigger; it sprays towards +x."""
    plainly(b, 0.6)
    neck, top = _flask(b, tall=b.u(0.4, 0.6))
    head = b.detail if b.chance(0.6) else b.colour("white")
    b.cylinder(head, (0, top + 0.05, 0), neck * 1.25, 0.14)
    rise = top + b.u(0.2, 0.28)
    length = b.u(0.24, 0.34)
    body = [(-0.2, rise - 0.07), (-0.2, rise + 0.02), (0, rise + 0.1)]
    nose = [(length, rise + 0.1), (length, rise - 0.02), (0.05, rise - 0.06)]
    b.prism(head, [*body, *nose], b.u(0.13, 0.19))
    b.cylinder(head, (0, (top + rise) / 2, 0), neck * 0.9, rise - top)
    tip = pick(b, "red", "white", "blue", "yellow")
    b.cylinder(tip, (length + 0.03, rise + 0.04, 0), 0.055, 0.08, rotate=(0, 0, 90))
    sweep = [(0.12, rise - 0.04), (0.2, rise - 0.16), (0.17, rise - b.u(0.28, 0.36))]
    b.tube(tip if b.chance(0.4) else head, in_space(sweep), 0.035)


def soap_dispenser(b: Builder) -> None:
    """A bottle of soap or lotion with a pump; its nozzle points to +x."""
    plainly(b, 0.6)
    neck, top = _flask(b, tall=b.u(0.32, 0.55))
    pump = pick(b, "white", "black") if b.chance(0.5) else metal(b)
    b.cylinder(pump, (0, top + 0.05, 0), neck * 1.15, 0.12)
    rise = top + b.u(0.16, 0.34)
    b.cylinder(pump, (0, (top + rise) / 2, 0), 0.04, rise - top, segments=10)
    b.cylinder(pump, (0, rise, 0), b.u(0.07, 0.1), 0.07, segments=14)
    length = b.u(0.22, 0.36)
    path = [(0, rise, 0), (length, rise, 0), (length + 0.05, rise - b.u(0.02, 0.1), 0)]
    b.tube(pump, path, [0.04, 0.035, 0.03])


def perfume_bottle(b: Builder) -> None:
    """A flacon: a block, a disc or a drop of glass with a big stopper."""
    plainly(b, 0.8)
    wide, tall, deep = b.u(0.24, 0.42), b.u(0.28, 0.5), b.u(0.12, 0.26)
    half = (wide, tall, deep)
    art = random_artwork(b.rng, b.secondary_colour)
    size = b.u(0.3, 0.6)
    glass = b.main
    if b.chance(0.7):
        low = b.u(-0.5, -0.2)
        window = (-size, size, low, low + b.u(0.3, 0.8))
        glass = front_print(b.main, art, half, window=window)
    kind = b.rng.random()
    if kind < 0.4:
        b.box(glass, (0, 0, 0), half, taper=b.u(0.75, 1.0))
    elif kind < 0.65:
        sections = [(-tall, wide * 0.7, deep), (0, wide, deep), (tall, 0.1, 0.1)]
        loft(b, glass, sections, squareness=b.u(0.4, 1.0))
    elif kind < 0.85:
        tall = wide
        b.cylinder(glass, (0, 0, 0), wide, 2 * deep, rotate=(90, 0, 0), segments=28)
        b.box(glass, (0, -wide * 0.93, 0), (wide * 0.5, 0.07, deep * 0.9))
    else:
        b.ellipsoid(glass, (0, 0, 0), half, squareness=(0.6, 0.8))
    gold = metal(b)
    b.cylinder(gold, (0, tall + 0.03, 0), 0.09, 0.12)
    stopper = b.detail if b.chance(0.5) else gold
    rise = tall + 0.08
    if b.chance(0.5):
        high = b.u(0.12, 0.3)
        b.cylinder(stopper, (0, rise + high / 2, 0), b.u(0.1, 0.16), high)
    elif b.chance(0.5):
        b.sphere(stopper, (0, rise + 0.12, 0), b.u(0.12, 0.18))
    else:
        high = b.u(0.08, 0.16)
        b.box(stopper, (0, rise + high, 0), (b.u(0.1, 0.2), high, deep * 0.8))


def spray_can(b: Builder) -> None:
    """A can of paint, foam or deodorant, with or without its cap."""
    radius, tall = b.u(0.16, 0.26), b.u(0.4, 0.6)
    art = random_artwork(b.rng, b.primary_colour)
    half, low = b.u(0.8, 3.1), b.u(-0.95, -0.5)
    shell = picture(
        b.main, art, azimuth_range=(-half, half), height_range=(low, b.u(0.2, 0.9))
    )
    b.cylinder(shell, (0, 0, 0), radius, 2 * tall, segments=24)
    steel = metal(b)
    b.cylinder(steel, (0, -tall, 0), radius * 1.04, 0.04)
    dome = [(0, 0), (radius, 0), (radius * 0.8, 0.07), (radius * 0.5, 0.12), (0, 0.12)]
    b.lathe(steel if b.chance(0.6) else b.main, dome, (0, tall, 0))
    if b.chance(0.55):
        high = b.u(0.16, 0.3)
        cap = b.detail if b.chance(0.7) else b.colour("white")
        place = (0, tall + high / 2, 0)
        b.cylinder(cap, place, radius * b.u(0.85, 1.02), high, top=radius * 0.8)
    else:
        head = b.colour("white") if b.chance(0.6) else b.detail
        b.cylinder(head, (0, tall + 0.18, 0), radius * 0.4, 0.14)
        nozzle = (radius * 0.4, tall + 0.2, 0)
        b.cylinder(b.colour("black"), nozzle, 0.02, 0.03, rotate=(0, 0, 90))
    if b.chance(0.1):
        b.turn((0, b.u(-180, 180), 90))


def detergent_bottle(b: Builder) -> None:
    """A big flat bottle with a grip on one side and a measuring cap."""
    plainly(b)
    wide, tall, deep = b.u(0.34, 0.46), b.u(0.45, 0.65), b.u(0.18, 0.27)
    half = (wide, tall, deep)
    paint = wrapper(b, half)
    slide, square = b.u(0.0, 0.2), b.u(0.35, 0.7)
    middle = tall * b.u(0.0, 0.25)
    neck = b.u(0.12, 0.16)
    sections = [
        (-tall, wide * 0.94, deep * 0.94),
        (-tall + 0.05, wide, deep),
        (middle, wide * 0.92, deep, -0.02),
        (tall * 0.7, wide * 0.5, deep * 0.8, -slide),
        (tall, neck, neck, -slide),
    ]
    loft(b, paint, sections, squareness=square)
    cap = b.detail if b.chance(0.7) else b.colour("white")
    high = b.u(0.16, 0.3)
    b.cylinder(cap, (-slide, tall + high / 2, 0), neck * 1.3, high, top=neck * 1.15)
    if b.chance(0.75):
        start = (wide * 0.5 - slide - 0.04, tall * 0.72)
        out = wide * b.u(0.9, 1.05)
        path = [start, (out, tall * 0.7), (out, middle + 0.02), (wide * 0.8, middle)]
        b.tube(b.main, in_space(path), b.u(0.055, 0.08))


def crisp_packet(b: Builder) -> None:
    """A filled bag, standing or lying: crisps, coffee, sweets or flour."""
    wide, tall, deep = b.u(0.3, 0.45), b.u(0.42, 0.6), b.u(0.12, 0.26)
    half = (wide, tall, deep)
    paint = wrapper(b, half)
    is_pillow = b.chance(0.6)
    level = np.linspace(-1, 1, 9)
    if is_pillow:
        thick = deep * (1 - np.abs(level) ** 2.5) + 0.015
        width = wide * (1 - 0.1 * (1 - level**2))
    else:
        thick = deep * np.clip(1.6 * (1 - level), 0.1, 1.0) ** 0.7
        width = wide * (0.93 + 0.07 * level)
    sections = list(zip(level * tall, width, thick, strict=True))
    loft(b, paint, sections, squareness=b.u(0.5, 0.9) if is_pillow else 0.4)
    seam = b.main if b.chance(0.6) else metal(b)
    b.box(seam, (0, tall + 0.03, 0), (wide, 0.04, 0.015 if is_pillow else 0.03))
    if is_pillow:
        b.box(seam, (0, -tall - 0.03, 0), (wide, 0.04, 0.015))
    elif b.chance(0.4):
        b.box(b.detail, (0, tall + 0.05, 0), (wide * 1.04, 0.04, 0.05))
    if b.chance(0.3):
        b.turn((-90, b.u(-180, 180), 0))


def tissue_box(b: Builder) -> None:
    """A box of tissues, long or a cube, with one pulled out."""
    wide, tall = b.u(0.32, 0.6), b.u(0.16, 0.38)
    deep = b.u(0.28, 0.34)
    half = (wide, tall, deep)
    b.box(wrapper(b, half), (0, 0, 0), half)
    oval = (wide * 0.55, 0.015, deep * 0.4)
    b.ellipsoid(b.colour("white"), (0, tall, 0), oval, segments=20)
    paper = b.colour("white") if b.chance(0.85) else b.detail
    rise, slide = b.u(0.15, 0.35), b.u(-0.08, 0.08)
    sections = [
        (tall - 0.02, wide * 0.35, 0.03),
        (tall + rise * 0.4, wide * 0.3, 0.09, 0.0, slide),
        (tall + rise, wide * b.u(0.2, 0.5), 0.02, slide, slide * 2),
    ]
    loft(b, paper, sections, segments=18)


def egg_box(b: Builder) -> None:
    """A box of eggs, its lid open at the back, or a tray."""
    columns, rows = int(b.rng.integers(2, 6)), int(b.rng.integers(2, 4))
    pitch = 0.24
    wide, deep = columns * pitch / 2 + 0.04, rows * pitch / 2 + 0.04
    pulp = pick(b, "gray", "beige") if b.chance(0.6) else b.main
    b.box(pulp, (0, 0, 0), (wide, 0.12, deep), taper=1.06)
    shell = pick(b, "white", "beige", "brown")
    spare = shell if b.chance(0.6) else pick(b, "white", "beige", "brown")
    missing = b.u(0.0, 0.35)
    for column in range(columns):
        for row in range(rows):
            if b.chance(missing):
                continue
            x = (column - (columns - 1) / 2) * pitch
            z = (row - (rows - 1) / 2) * pitch
            paint = shell if b.chance(0.7) else spare
            egg = (0.095, 0.135, 0.095)
            b.ellipsoid(paint, (x, 0.13, z), egg, segments=12)
    if b.chance(0.6):
        lean = b.u(5, 50)
        rise = np.deg2rad(lean)
        reach = deep * 0.95
        middle = (0, 0.1 + reach * np.cos(rise), -deep - reach * np.sin(rise))
        art = random_artwork(b.rng, b.primary_colour)
        lid_half = (wide, reach, 0.05)
        lid = front_print(pulp, art, lid_half, is_back=True)
        b.box(lid, middle, lid_half, rotate=(-lean, 0, 0))


def shopping_bag(b: Builder) -> None:
    """A paper carrier bag with two loops, sometimes with things that look out."""
    wide, tall = b.u(0.32, 0.5), b.u(0.4, 0.62)
    deep = wide * b.u(0.35, 0.6)
    if b.chance(0.4):
        b.main = b.colour("beige")
    wall = 0.015
    front = (wide, tall, wall)
    for sign in (-1, 1):
        b.box(
            wrapper(b, front) if b.chance(0.5) else b.main, (0, 0, sign * deep), front
        )
        b.box(b.main, (sign * wide, 0, 0), (wall, tall, deep))
        loop = arc(wide * b.u(0.3, 0.45), b.u(0.15, 0.35), centre=(0, tall - 0.03))
        if b.chance(0.5):
            b.tube(b.detail, in_space(loop, sign * deep), 0.02, segments=6)
        else:
            ribbon(b, b.detail, loop, 0.02, 0.06, (0, 0, sign * deep))
    b.box(b.main, (0, -tall + wall, 0), (wide, wall, deep))
    if b.chance(0.45):
        for x in (-0.5, 0.1, 0.55):
            top = b.u(0.1, 0.5)
            thing = pick(b, "red", "green", "white", "brown", "yellow")
            high = (tall + top + 0.1) / 2
            b.cylinder(thing, (x * wide, tall + top - high, 0), deep * 0.4, 2 * high)
