"""Pots, pans, tableware and machines of the kitchen; spouts point towards +x."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.fittings import (
    arc,
    front_print,
    handle,
    in_space,
    metal,
    pick,
    plainly,
    printed,
    vessel,
    wood,
)
from realfusion.procedural.paint import Paint, random_artwork


def kettle(b: Builder) -> None:
    """A kettle with a handle over its lid, or an electric one on its base."""
    plainly(b)
    shell = b.main if b.chance(0.6) else metal(b)
    dark = b.colour("black") if b.chance(0.6) else b.detail
    wide, tall = b.u(0.38, 0.5), b.u(0.45, 0.65)
    if b.chance(0.5):
        shoulder, neck = tall * b.u(0.5, 0.8), wide * b.u(0.4, 0.6)
        outline = [(0, 0), (wide, 0), (wide, tall * 0.2), (wide * 0.93, shoulder)]
        b.lathe(shell, [*outline, (neck, tall), (0, tall)])
        rise = b.u(0.3, 0.45)
        bail = arc(wide * 0.75, rise, arc_deg=(-10, 190), centre=(0, tall * 0.95))
        b.tube(dark, in_space(bail), b.u(0.035, 0.055))
        reach = wide * b.u(1.4, 1.7)
        spout = [(wide * 0.8, tall * 0.35, 0), (reach, tall * b.u(0.75, 1.1), 0)]
        b.tube(shell, spout, [0.11, 0.06])
    else:
        tall *= b.u(1.4, 1.9)
        top = wide * b.u(0.6, 0.85)
        b.lathe(shell, [(0, 0), (wide, 0), (top, tall), (0, tall + 0.04)])
        b.cylinder(dark, (0, -0.05, 0), wide * 1.04, 0.1)
        beak = [(top * 0.5, tall * 0.78, 0), (top * 1.5, tall * 0.97, 0)]
        b.tube(shell, beak, [0.12, 0.05])
        low, high = b.u(0.1, 0.3) * tall, tall * 0.97
        ear = [
            (-top * 0.8, high, 0),
            (-wide - b.u(0.15, 0.25), high, 0),
            (-wide - b.u(0.15, 0.25), (low + high) / 2, 0),
            (-wide * 0.85, low, 0),
        ]
        b.tube(dark, ear, b.u(0.045, 0.07))
        neck = top * 0.8
    b.cylinder(dark, (0, tall + 0.03, 0), neck * 0.9, 0.06)
    b.sphere(dark, (0, tall + 0.1, 0), b.u(0.05, 0.08))


def _pot_lid(b: Builder, radius: float, level: float) -> None:
    rise = b.u(0.06, 0.2)
    shell = b.main if b.chance(0.6) else metal(b)
    b.lathe(
        shell,
        [
            (0, level),
            (radius * 1.03, level),
            (radius * 1.03, level + 0.03),
            (radius * 0.6, level + rise * 0.8),
            (0, level + rise),
        ],
    )
    b.cylinder(b.detail, (0, level + rise + 0.04, 0), 0.04, 0.1, top=0.09)


def saucepan(b: Builder) -> None:
    """A deep pan with one long handle, open or with a lid."""
    plainly(b)
    shell = b.main if b.chance(0.5) else metal(b)
    radius, tall = b.u(0.36, 0.5), b.u(0.3, 0.55)
    foot = radius * b.u(0.8, 1.0)
    lining = metal(b) if b.chance(0.5) else None
    outline = [(foot * 0.95, 0), (foot, 0.03), (radius, tall)]
    lip = b.u(0.05, 0.1) if b.chance(0.3) else 0.0
    vessel(b, outline, outside=shell, inside=lining, wall=0.03, lip=lip, segments=32)
    length, rise = b.u(0.55, 0.9), b.u(-0.05, 0.2)
    level = tall * b.u(0.65, 0.95)
    side = b.chance(0.5)
    way = (0, -90)[side]
    grip = b.detail if b.chance(0.5) else pick(b, "black", "brown", "gray")
    along = np.array([np.cos(np.deg2rad(way)), 0, -np.sin(np.deg2rad(way))])
    stations = np.array([radius * 0.97, radius + length * 0.3, radius + length])
    climb = np.array([0, rise * 0.4, rise]) + level
    path = stations[:, None] * along + np.outer(climb, (0, 1, 0))
    b.tube(grip, path, [0.03, 0.045, b.u(0.04, 0.06)])
    if b.chance(0.4):
        _pot_lid(b, radius, tall)


def frying_pan(b: Builder) -> None:
    """A shallow pan, sometimes with an egg or pancakes in it."""
    plainly(b)
    dark = pick(b, "black", "black", "gray")
    shell = b.main if b.chance(0.45) else dark
    radius, tall, flare = b.u(0.45, 0.6), b.u(0.08, 0.2), b.u(0.7, 0.92)
    foot = radius * flare
    outline = [(foot, 0), (radius * 0.96, tall * 0.6), (radius, tall)]
    vessel(b, outline, outside=shell, inside=dark, wall=0.03, segments=32)
    length, rise = b.u(0.7, 1.1), b.u(0.0, 0.2)
    sign = 1 if b.chance(0.5) else -1
    path = [
        (sign * radius * 0.96, tall * 0.8, 0),
        (sign * (radius + length * 0.35), tall * 0.8 + rise * 0.6, 0),
        (sign * (radius + length), tall * 0.8 + rise, 0),
    ]
    b.tube(b.detail if b.chance(0.5) else dark, path, [0.03, 0.05, 0.055])
    if b.chance(0.25):
        white = (foot * b.u(0.5, 0.75), 0.02, foot * b.u(0.45, 0.7))
        place = (b.u(-0.1, 0.1), 0.045, b.u(-0.1, 0.1))
        b.ellipsoid(b.colour("white"), place, white)
        b.ellipsoid(b.colour("yellow"), place, (0.12, 0.07, 0.12))
    elif b.chance(0.2):
        for layer in range(int(b.rng.integers(1, 4))):
            level = 0.06 + 0.05 * layer
            b.cylinder(b.colour("beige"), (0, level, 0), foot * b.u(0.7, 0.85), 0.05)


def cooking_pot(b: Builder) -> None:
    """A pot or casserole with two ears, often with its lid on."""
    plainly(b)
    shell = b.main if b.chance(0.65) else metal(b)
    radius, tall, belly = b.u(0.4, 0.55), b.u(0.3, 0.75), b.u(0.85, 1.1)
    outline = [(radius * 0.8, 0), (radius * belly, tall * 0.35), (radius, tall)]
    lining = pick(b, "white", "gray", "black") if b.chance(0.5) else None
    vessel(b, outline, outside=shell, inside=lining, segments=32)
    ears = b.detail if b.chance(0.6) else shell
    reach, level = b.u(0.12, 0.2), tall * b.u(0.7, 0.92)
    for sign in (-1, 1):
        ear = arc(reach, b.u(0.12, 0.18), arc_deg=(-90, 90), count=9)
        path = np.column_stack(
            [sign * (radius * 0.95 + ear[:, 0]), np.full(len(ear), level), ear[:, 1]]
        )
        b.tube(ears, path, b.u(0.03, 0.045))
    if b.chance(0.6):
        _pot_lid(b, radius, tall)
    elif b.chance(0.5):
        soup = pick(b, "orange", "red", "green", "yellow", "beige")
        b.cylinder(soup, (0, tall * 0.4, 0), radius * 0.84, tall * 0.5)


def jug(b: Builder) -> None:
    """An open jug: slim or bellied, with a lip and a handle opposite to it."""
    printed(b, share=0.3)
    foot, belly, neck = b.u(0.2, 0.34), b.u(0.3, 0.46), b.u(0.18, 0.36)
    tall, middle = b.u(0.75, 1.3), b.u(0.2, 0.5)
    level = np.linspace(0, 1, 10)
    radius = np.interp(level, [0, middle, 0.8, 1], [foot, belly, neck, neck * 1.15])
    radius = np.convolve(np.pad(radius, 1, "edge"), [0.25, 0.5, 0.25], "valid")
    outline = list(zip(radius, level * tall, strict=True))
    inside = b.detail if b.chance(0.3) else None
    lip = b.u(0.08, 0.22)
    vessel(b, outline, outside=b.main, inside=inside, lip=lip, segments=28)
    grip = b.main if b.chance(0.7) else b.detail
    half = tall * b.u(0.25, 0.36)
    top = tall * b.u(0.82, 0.93)
    reach = b.u(0.2, 0.34)
    angle = np.linspace(0, np.pi, 11)
    path = np.column_stack([np.sin(angle) * reach, np.cos(angle) * half])
    root = np.interp(top - half + path[:, 1], level * tall, radius) * 0.95
    base = np.linspace(root[0], root[-1], 11)
    ear = np.column_stack([-base - path[:, 0], top - half + path[:, 1], 0 * base])
    b.tube(grip, ear, b.u(0.035, 0.06))


def thermos(b: Builder) -> None:
    """A vacuum flask or travel cup with its beaker on top."""
    plainly(b, 0.5)
    printed(b, share=0.35)
    radius, tall = b.u(0.17, 0.28), b.u(0.8, 1.2)
    steel = metal(b)
    b.cylinder(steel if b.chance(0.5) else b.detail, (0, 0.05, 0), radius * 1.02, 0.1)
    b.cylinder(b.main, (0, tall / 2, 0), radius, tall, segments=24)
    top = radius * b.u(0.75, 1.02)
    b.cylinder(steel, (0, tall + 0.03, 0), radius, 0.08, top=top)
    cap, lid = b.u(0.15, 0.35), steel if b.chance(0.5) else b.detail
    b.cylinder(lid, (0, tall + 0.06 + cap / 2, 0), top, cap, top=top * b.u(0.8, 1))
    if b.chance(0.35):
        b.cylinder(lid, (0, tall + 0.08 + cap, 0), top * 0.4, 0.08)
    if b.chance(0.35):
        ear = arc(b.u(0.18, 0.28), tall * 0.3, arc_deg=(-90, 90)) * (-1, 1)
        b.tube(b.detail, in_space(np.add(ear, (-radius * 0.95, tall * 0.5))), 0.04)
    if b.chance(0.12):
        b.turn((0, b.u(-180, 180), 90))


def jar(b: Builder) -> None:
    """A jam or storage jar: its contents, its lid, a label in front."""
    radius, tall, neck = b.u(0.28, 0.42), b.u(0.4, 1.0), b.u(0.7, 0.95)
    plainly(b)
    contents = b.main
    label = b.rng.uniform(0.8, 0.95, 3).astype(np.float32)
    size = max(radius, tall / 2)
    if b.chance(0.7):
        art = random_artwork(b.rng, label)
        half = (radius, tall / 2, radius)
        wide, low = b.u(0.5, 0.8), b.u(-0.7, -0.3)
        window = (-wide, wide, low, b.u(0.1, 0.5))
        contents = front_print(contents, art, half, window=window)
    shoulder = tall * b.u(0.72, 0.9)
    half_tall = tall / 2
    outline = [
        (0, -half_tall),
        (radius * 0.95, -half_tall),
        (radius, 0.05 - half_tall),
        (radius, shoulder - half_tall),
        (radius * neck, half_tall),
        (0, half_tall),
    ]
    segments = int(b.rng.choice([24, 24, 24, 6, 8]))
    b.lathe(contents, outline, segments=segments)
    lid = b.detail if b.chance(0.6) else metal(b)
    cap = b.u(0.08, 0.18)
    b.cylinder(lid, (0, half_tall + cap / 2, 0), radius * neck * 1.06, cap)
    if b.chance(0.3):
        b.sphere(lid, (0, half_tall + cap + 0.04, 0), b.u(0.07, 0.1) * size * 2)
    elif b.chance(0.25):
        cloth = [(0, 0.02), (radius * neck, 0.02), (radius * 1.15, -0.14), (0, -0.1)]
        b.lathe(b.main, cloth[::-1], (0, half_tall + cap, 0), segments=14)


def toaster(b: Builder) -> None:
    """A toaster with two slots, a lever and sometimes the toast."""
    plainly(b)
    shell = b.main if b.chance(0.6) else metal(b)
    wide, tall, deep = b.u(0.42, 0.6), b.u(0.26, 0.38), b.u(0.2, 0.34)
    dark = b.colour("black")
    half = (wide, tall, deep)
    square = (b.u(0.2, 0.5), b.u(0.2, 0.4))
    b.ellipsoid(shell, (0, tall, 0), half, squareness=square, segments=24)
    base = b.detail if b.chance(0.5) else dark
    b.box(base, (0, 0.03, 0), (wide * 0.95, 0.05, deep * 0.92))
    has_toast = b.chance(0.35)
    bread = b.colour("beige")
    for sign in (-1, 1):
        z = sign * deep * 0.36
        b.box(dark, (0, 2 * tall, z), (wide * 0.7, 0.012, deep * 0.14))
        if has_toast:
            place = (0, 2 * tall - 0.02, z)
            size = (wide * 0.55, b.u(0.12, 0.22), deep * 0.1)
            b.ellipsoid(bread, place, size, squareness=(0.4, 0.3))
    b.box(dark, (wide, tall * 1.1, 0), (0.015, tall * 0.55, 0.02))
    b.box(base, (wide + 0.05, tall * b.u(0.7, 1.6), 0), (0.05, 0.025, deep * 0.3))
    if b.chance(0.6):
        knob = (wide, tall * 0.35, deep * 0.4)
        b.cylinder(base, knob, 0.06, 0.08, rotate=(0, 0, 90), segments=12)


def _plate(
    b: Builder, paint: Paint, level: float, radius: float, rise: float, well: float
) -> None:
    b.lathe(
        paint,
        [
            (0, level),
            (radius * well, level),
            (radius, level + rise),
            (radius, level + rise + 0.02),
            (radius * well, level + 0.03),
            (0, level + 0.03),
        ],
        segments=32,
    )


def cup_and_saucer(b: Builder) -> None:
    """A cup on its saucer, full or empty, with or without a spoon."""
    printed(b, share=0.3)
    plate = b.main if b.chance(0.5) else b.detail
    wide = b.u(0.48, 0.62)
    _plate(b, plate, 0, wide, b.u(0.04, 0.09), b.u(0.45, 0.6))
    radius, tall, curve = b.u(0.26, 0.38), b.u(0.28, 0.48), b.u(0.35, 0.8)
    level = np.linspace(0, 1, 7)
    outer = radius * (0.5 + 0.5 * level**curve)
    outline = list(zip(outer, 0.03 + tall * level, strict=True))
    inside = pick(b, "white", "white", "beige") if b.chance(0.5) else None
    vessel(b, outline, outside=b.main, inside=inside, wall=0.025)
    if b.chance(0.65):
        drink = pick(b, "brown", "black", "beige", "orange")
        depth = b.u(0.6, 0.85)
        brim = radius * (0.5 + 0.5 * depth**curve) - 0.015
        floor = 0.045
        level_y = 0.03 + tall * depth
        middle = (floor + level_y) / 2
        b.cylinder(
            drink, (0, middle, 0), radius * 0.45, level_y - floor, top=brim, segments=24
        )
    ear = arc(
        b.u(0.14, 0.2),
        tall * b.u(0.25, 0.34),
        arc_deg=(-100, 100),
        centre=(radius * 0.82, tall * 0.62),
    )
    b.tube(b.main, in_space(ear), b.u(0.022, 0.035))
    if b.chance(0.4):
        z = wide * 0.72
        b.tube(metal(b), [(-0.25, 0.08, z), (0.3, 0.09, z * 0.9)], 0.018, segments=6)
        b.ellipsoid(metal(b), (-0.28, 0.08, z), (0.09, 0.02, 0.055), segments=12)


def plates(b: Builder) -> None:
    """One plate or a stack of them, sometimes with bowls on top."""
    radius, rise, well = b.u(0.5, 0.62), b.u(0.05, 0.12), b.u(0.55, 0.75)
    count = int(b.rng.integers(1, 7))
    step = b.u(0.045, 0.08)
    is_mixed = b.chance(0.3)
    for k in range(count):
        paint = b.detail if is_mixed and k % 2 else b.main
        _plate(b, paint, k * step, radius * b.u(0.97, 1.0), rise, well)
    level = (count - 1) * step + 0.03
    if b.chance(0.3):
        high, brim = b.u(0.2, 0.32), b.u(0.28, 0.42)
        outline = [(0.16, 0.0), (brim * 0.9, high * 0.5), (brim, high)]
        vessel(b, outline, outside=b.detail, centre=(0, level, 0))
    elif b.chance(0.4):
        for _ in range(int(b.rng.integers(1, 5))):
            spread = radius * well * 0.55
            place = (b.u(-spread, spread), level + 0.06, b.u(-spread, spread))
            food = pick(b, "brown", "green", "red", "yellow", "orange", "beige")
            b.ellipsoid(food, place, b.rng.uniform(0.07, 0.18, 3), segments=12)


def egg_cup(b: Builder) -> None:
    """An egg in its cup."""
    radius, stem, tall = b.u(0.25, 0.34), b.u(0.05, 0.3), b.u(0.2, 0.34)
    foot = b.u(0.18, 0.32)
    profile = [(0, 0), (foot, 0), (foot * 0.9, 0.05), (foot * b.u(0.4, 0.7), stem)]
    rim = [(radius * 0.85, stem + tall * 0.45), (radius, stem + tall)]
    bed = [(radius * 0.86, stem + tall), (0, stem + tall * 0.4)]
    b.lathe(b.main, [*profile, *rim, *bed])
    shell = pick(b, "white", "beige", "beige", "brown")
    shell = b.detail if b.chance(0.2) else shell
    wide, high = radius * b.u(0.8, 0.88), radius * b.u(1.1, 1.3)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 12)
    egg = [(wide * np.cos(a) * (1 - 0.14 * np.sin(a)), high * np.sin(a)) for a in angle]
    b.lathe(shell, egg, (0, stem + tall * 0.4 + high * 0.82, 0))
    if b.chance(0.15):
        handle(b, radius * 0.85, 0.14, tall * 0.4, 0.03)


def pepper_mill(b: Builder) -> None:
    """A mill: a waisted wooden or metal body, a dome and a nut or a crank."""
    body = wood(b) if b.chance(0.55) else b.main
    radius, tall, waist = b.u(0.17, 0.26), b.u(0.6, 1.1), b.u(0.55, 0.95)
    shoulder = tall * b.u(0.7, 0.85)
    outline = [
        (0, 0),
        (radius, 0),
        (radius, 0.1),
        (radius * waist, tall * b.u(0.3, 0.5)),
        (radius * b.u(0.8, 1.0), shoulder),
        (radius * 0.7, tall),
        (0, tall),
    ]
    b.lathe(body, outline)
    steel = metal(b)
    b.cylinder(steel, (0, tall + 0.02, 0), radius * 0.75, 0.06)
    dome = radius * b.u(0.85, 1.05)
    cap = body if b.chance(0.6) else b.detail
    top = tall + b.u(0.16, 0.28)
    b.lathe(cap, [(0, tall + 0.04), (dome, tall + 0.06), (dome * 0.8, top), (0, top)])
    if b.chance(0.3):
        arm = [(0, top, 0), (0, top + 0.08, 0), (b.u(0.22, 0.34), top + 0.1, 0)]
        b.tube(steel, arm, 0.025)
        b.sphere(body, np.add(arm[-1], (0, 0.06, 0)), 0.06)
    else:
        b.cylinder(steel, (0, top + 0.03, 0), 0.045, 0.07, segments=10)
    if b.chance(0.1):
        b.turn((0, b.u(-180, 180), 90))


def salt_shaker(b: Builder) -> None:
    """A shaker with a metal head; sometimes a pair of them."""
    plainly(b)
    radius, tall, top = b.u(0.18, 0.3), b.u(0.35, 0.7), b.u(0.6, 0.95)
    segments = int(b.rng.choice([6, 8, 20, 20]))
    steel = metal(b) if b.chance(0.8) else b.detail
    rise, is_pair = b.u(0.08, 0.2), b.chance(0.35)
    for k in range(1 + is_pair):
        x = radius * 2.3 * k
        body = b.main if k == 0 else b.detail
        neck = radius * top
        outline = [(0, 0), (radius, 0), (neck, tall), (0, tall)]
        b.lathe(body, outline, (x, 0, 0), segments=segments)
        dome = [(0, tall), (neck * 1.05, tall), (neck * 1.05, tall + rise * 0.4)]
        crest = [(neck * 0.6, tall + rise), (0, tall + rise * 1.05)]
        b.lathe(steel, [*dome, *crest], (x, 0, 0), segments=18)
        for a in np.arange(5) * 2 * np.pi / 5:
            spot = (x + np.sin(a) * neck * 0.4, tall + rise, np.cos(a) * neck * 0.4)
            b.box(b.colour("black"), spot, (0.018, 0.012, 0.018))
