"""Luggage, cases, buckets, lanterns and other belongings; their front faces +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.fittings import (
    arc,
    in_space,
    loft,
    metal,
    pick,
    plainly,
    printed,
    ribbon,
    vessel,
    wood,
)
from realfusion.procedural.paint import mottled, stripes


def bucket(b: Builder) -> None:
    """A bucket or pail, its bail up or down, empty, full or upside down."""
    printed(b, share=0.35)
    shell = metal(b) if b.chance(0.25) else b.main
    foot, flare, tall = b.u(0.28, 0.38), b.u(1.15, 1.6), b.u(0.5, 0.8)
    rim = foot * flare
    inside = b.detail if b.chance(0.2) else None
    is_upturned = b.chance(0.1)
    vessel(b, [(foot, 0), (rim, tall)], outside=shell, inside=inside, wall=0.035)
    b.torus(shell, (0, tall, 0), rim, b.u(0.025, 0.045))
    if b.chance(0.85):
        rise, swing = rim * b.u(0.9, 1.1), b.u(-95, 95)
        if is_upturned:
            swing = 100.0
        elif b.chance(0.5):
            swing = float(b.rng.choice([-88, 0, 88]))
        bail = arc(rim * 1.02, rise, count=14)
        turn = np.deg2rad(swing)
        path = np.column_stack(
            [
                bail[:, 0],
                tall * 0.95 + bail[:, 1] * np.cos(turn),
                bail[:, 1] * np.sin(turn),
            ]
        )
        b.tube(metal(b) if b.chance(0.6) else b.detail, path, b.u(0.018, 0.03))
        if b.chance(0.5):
            b.tube(b.detail, path[6:8], 0.045)
    if is_upturned:
        b.turn((180, 0, 0))
    elif b.chance(0.35):
        content = pick(b, "blue", "brown", "beige", "gray", "white")
        brim = foot + (rim - foot) * 0.75 - 0.02
        b.cylinder(content, (0, tall * 0.4, 0), foot * 0.9, tall * 0.7, top=brim)


def barrel(b: Builder) -> None:
    """A cask of staves with hoops, or a steel drum; standing or on its side."""
    radius, tall = b.u(0.34, 0.46), b.u(0.45, 0.62)
    if b.chance(0.65):
        staves = wood(b) if b.chance(0.6) else b.main
        if b.chance(0.4):
            staves = mottled(b.rng, b.primary_colour, b.secondary_colour)
        end = radius * b.u(0.72, 0.88)
        level = np.linspace(-1, 1, 9)
        bulge = end + (radius - end) * (1 - level**2)
        inset = [(end * 0.9, tall), (end * 0.88, tall - 0.05), (0, tall - 0.05)]
        outline = [(0, -tall), *zip(bulge, level * tall, strict=True), *inset]
        b.lathe(staves, outline)
        hoop = metal(b) if b.chance(0.7) else b.detail
        for y in (-0.85, -0.4, 0.4, 0.85):
            size = end + (radius - end) * (1 - y * y)
            b.cylinder(hoop, (0, y * tall, 0), size * 1.025, b.u(0.05, 0.09))
        if b.chance(0.3):
            b.cylinder(wood(b), (0, -tall * 0.6, radius), 0.04, 0.3, rotate=(90, 0, 0))
    else:
        printed(b, share=0.4)
        b.cylinder(b.main, (0, 0, 0), radius, 2 * tall, segments=26)
        for y in (-0.97, -0.33, 0.33, 0.97):
            b.torus(b.main, (0, y * tall, 0), radius, 0.025)
        lid = metal(b) if b.chance(0.5) else b.detail
        b.cylinder(lid, (0, tall, 0), radius * 0.9, 0.02)
        b.cylinder(b.colour("black"), (radius * 0.55, tall, 0), 0.06, 0.07)
    if b.chance(0.2):
        b.turn((90, b.u(-180, 180), 0))


def toolbox(b: Builder) -> None:
    """A tool case with a lid, latches and a handle along its top."""
    plainly(b, 0.8)
    wide, deep, tall = b.u(0.5, 0.65), b.u(0.2, 0.3), b.u(0.16, 0.26)
    lid = b.detail if b.chance(0.6) else b.main
    high = b.u(0.06, 0.16)
    b.box(b.main, (0, 0, 0), (wide, tall, deep), taper=b.u(1.0, 1.08))
    slope = b.u(0.6, 0.95)
    b.box(lid, (0, tall + high, 0), (wide * 1.03, high, deep * 1.05), taper=slope)
    for x in (-0.55, 0.55):
        latch = (x * wide, tall * 0.9, deep * 1.03)
        b.box(metal(b), latch, (0.06, 0.1, 0.03))
    top = tall + 2 * high
    rise, reach = b.u(0.1, 0.18), wide * b.u(0.4, 0.6)
    bar = b.colour("black") if b.chance(0.6) else b.detail
    for sign in (-1, 1):
        post = (sign * reach, top + rise / 2, 0)
        b.box(bar, post, (0.03, rise / 2 + 0.02, 0.035))
    b.tube(bar, [(-reach * 1.1, top + rise, 0), (reach * 1.1, top + rise, 0)], 0.045)
    if b.chance(0.35):
        b.box(b.detail, (0, 0, deep), (wide * 0.3, tall * 0.4, 0.02))


def lantern(b: Builder) -> None:
    """A lantern: posts or glass around a candle, a roof and a ring or bail."""
    plainly(b, 0.8)
    frame = b.main if b.chance(0.7) else metal(b)
    wide, tall = b.u(0.24, 0.36), b.u(0.4, 0.65)
    is_square = b.chance(0.55)
    rise = b.u(0.12, 0.3)
    if is_square:
        b.box(frame, (0, 0, 0), (wide * 1.1, 0.05, wide * 1.1))
        b.box(frame, (0, tall, 0), (wide * 1.1, 0.04, wide * 1.1))
        for x in (-1, 1):
            for z in (-1, 1):
                post = (x * wide, tall / 2, z * wide)
                b.box(frame, post, (0.03, tall / 2, 0.03))
        roof = (wide * 1.15, rise / 2, wide * 1.15)
        b.box(frame, (0, tall + rise / 2, 0), roof, taper=b.u(0.2, 0.6))
        wax = b.colour("white") if b.chance(0.6) else b.detail
        high = tall * b.u(0.35, 0.65)
        b.cylinder(wax, (0, high / 2, 0), wide * b.u(0.3, 0.5), high)
        flame = (0, high + 0.06, 0)
        b.ellipsoid(b.colour("yellow"), flame, (0.035, 0.08, 0.035), segments=10)
    else:
        b.cylinder(frame, (0, -0.08, 0), wide * 1.15, 0.2, top=wide * 0.95)
        glass = pick(b, "yellow", "white", "orange", "gray")
        belly = wide * b.u(0.85, 1.1)
        bulb = [(0, 0), (wide * 0.6, 0), (belly, tall * 0.4), (wide * 0.5, tall)]
        b.lathe(glass, [*bulb, (0, tall)])
        cap = [(0, 0), (wide * 0.75, 0), (wide * 0.4, rise), (0, rise)]
        b.lathe(frame, cap, (0, tall, 0))
        for sign in (-1, 1):
            out = sign * wide * 1.15
            rod = [(out * 0.9, -0.05, 0), (out, tall * 0.5, 0)]
            rod.append((out * 0.6, tall + 0.05, 0))
            b.tube(frame, rod, 0.028)
    top = tall + rise
    if b.chance(0.5):
        b.torus(frame, (0, top + 0.07, 0), 0.08, 0.02, rotate=(90, 0, 0))
    else:
        bail = arc(wide, b.u(0.25, 0.5), centre=(0, tall + 0.03))
        b.tube(metal(b), in_space(bail), 0.018, segments=7)


def suitcase(b: Builder) -> None:
    """A hard case on wheels with a pull-out bar, or a flat one with a handle."""
    plainly(b, 0.6)
    dark = b.colour("black") if b.chance(0.6) else b.detail
    square = b.u(0.15, 0.35)
    if b.chance(0.55):
        wide, tall, deep = b.u(0.3, 0.4), b.u(0.44, 0.58), b.u(0.14, 0.22)
        half = (wide, tall, deep)
        b.ellipsoid(b.main, (0, 0, 0), half, squareness=(square, square), segments=24)
        if b.chance(0.7):
            for x in np.linspace(-0.7, 0.7, int(b.rng.integers(3, 7))) * wide:
                rib = (0.02, tall * 0.85, deep + 0.012)
                b.box(b.main, (x, 0, 0), rib)
        seam = (wide + 0.012, tall + 0.012, 0.02)
        b.ellipsoid(dark, (0, 0, 0), seam, squareness=(square, 0.2), segments=16)
        for x in (-0.75, 0.75):
            for z in (-0.7, 0.7):
                wheel = (x * wide, -tall - 0.05, z * deep)
                b.cylinder(dark, wheel, 0.06, 0.05, rotate=(0, 0, 90), segments=12)
                b.box(dark, (x * wide, -tall, z * deep), (0.045, 0.04, 0.04))
        rise = b.u(0.04, 0.5)
        bar, back = metal(b), -deep * 0.7
        for sign in (-1, 1):
            path = [(sign * wide * 0.4, tall - 0.1, back)]
            b.tube(bar, [*path, (sign * wide * 0.4, tall + rise, back)], 0.02)
        b.box(dark, (0, tall + rise, back), (wide * 0.48, 0.035, 0.035))
    else:
        wide, tall, deep = b.u(0.48, 0.62), b.u(0.3, 0.42), b.u(0.12, 0.18)
        half = (wide, tall, deep)
        b.ellipsoid(b.main, (0, 0, 0), half, squareness=(square, square), segments=24)
        seam = (wide + 0.012, tall + 0.012, 0.02)
        b.ellipsoid(dark, (0, 0, 0), seam, squareness=(square, 0.2), segments=16)
        if b.chance(0.5):
            for x in (-0.55, 0.55):
                belt = (0.045, tall + 0.015, deep + 0.012)
                place = (x * wide, 0, 0)
                b.ellipsoid(b.detail, place, belt, squareness=(square, square))
        for x in (-0.4, 0.4):
            b.box(metal(b), (x * wide, tall, 0), (0.05, 0.03, 0.06))
        grip = arc(wide * b.u(0.2, 0.3), b.u(0.08, 0.14), count=10, centre=(0, tall))
        b.tube(dark, in_space(grip), 0.028)
        if b.chance(0.6):
            for x in (-1, 1):
                for y in (-1, 1):
                    corner = (x * wide * 0.9, y * tall * 0.88, 0)
                    size = (wide * 0.11, tall * 0.13, deep * 1.02)
                    b.ellipsoid(dark, corner, size, squareness=(0.3, 0.3), segments=10)
        if b.chance(0.2):
            b.turn((-90, b.u(-180, 180), 0))


def backpack(b: Builder) -> None:
    """A rucksack: a rounded sack, a pocket in front, straps on its back (-z)."""
    plainly(b, 0.6)
    wide, tall, deep = b.u(0.3, 0.4), b.u(0.42, 0.58), b.u(0.16, 0.24)
    level = np.array([-1, -0.85, -0.2, 0.5, 0.85, 1.0])
    swell = np.array([0.85, 1.0, 1.0, 0.92, 0.7, 0.35])
    thick = np.array([0.85, 1.0, 1.0, 0.8, 0.55, 0.3])
    sections = [
        (y * tall, wide * s, deep * t, 0.0, -deep * (1 - t))
        for y, s, t in zip(level, swell, thick, strict=True)
    ]
    loft(b, b.main, sections, squareness=b.u(0.4, 0.65), segments=24)
    pocket = b.detail if b.chance(0.6) else b.main
    low = -tall * b.u(0.35, 0.5)
    half = (wide * b.u(0.65, 0.85), tall * b.u(0.32, 0.42), b.u(0.08, 0.14))
    b.ellipsoid(pocket, (0, low, deep * 0.95), half, squareness=(0.35, 0.4))
    dark = b.colour("black") if b.chance(0.5) else b.detail
    zip_line = (half[0] * 0.85, 0.015, half[2] * 0.9)
    b.box(dark, (0, low + half[1] * 0.5, deep * 0.95 + 0.012), zip_line)
    if b.chance(0.4):
        small = (half[0] * 0.7, tall * 0.16, 0.06)
        b.ellipsoid(pocket, (0, tall * 0.4, deep * 0.7), small, squareness=(0.4, 0.4))
    if b.chance(0.5):
        for sign in (-1, 1):
            side = (sign * wide, low, 0)
            size = (b.u(0.06, 0.1), tall * 0.35, deep * 0.7)
            b.ellipsoid(pocket, side, size, squareness=(0.4, 0.6))
    if b.chance(0.35):
        flap = (wide * 0.85, tall * 0.16, deep * 0.95)
        b.ellipsoid(pocket, (0, tall * 0.85, -deep * 0.1), flap, squareness=(0.6, 0.6))
    loop = arc(0.09, 0.11, count=9, centre=(0, tall * 0.97))
    b.tube(dark, in_space(loop, -deep * 0.7), 0.02)
    bulge = b.u(0.12, 0.22)
    for sign in (-1, 1):
        strap = arc(tall * 0.8, bulge, count=14)
        # The path's x runs down the back, its y away from it.
        place = (sign * wide * 0.5, 0, -deep * 0.9)
        ribbon(b, dark, strap, 0.1, 0.035, place, rotate=(-90, 0, 90))


def helmet(b: Builder) -> None:
    """A hollow helmet for bicycles, motorcycles or builders; its front is +z."""
    plainly(b, 0.5)
    wide, tall = b.u(0.36, 0.44), b.u(0.34, 0.46)
    angle = np.linspace(0, np.pi / 2 * 0.98, 9)
    thick = b.u(0.03, 0.07)
    kind = b.rng.random()
    drop = b.u(0.25, 0.4) if kind < 0.4 else b.u(0.0, 0.08)
    dome = [(wide * np.cos(a), tall * np.sin(a)) for a in angle]
    skirt = [(wide * b.u(0.88, 0.98), -drop)] if drop > 0.1 else []
    outside = [*skirt, *dome]
    lining = [(max(r - thick, 0.0), y - thick * (y > 0)) for r, y in outside[::-1]]
    b.lathe(b.main, [*outside, (0.0, tall), (0.0, tall - thick), *lining, outside[0]])
    dark = b.colour("black")
    if kind < 0.4:
        visor = dark if b.chance(0.6) else b.detail
        pane = (wide * 0.8, tall * 0.3, wide * 0.45)
        b.ellipsoid(visor, (0, 0.02, wide * 0.62), pane, squareness=(0.5, 0.8))
        chin = arc(wide * 0.98, wide * 1.08, arc_deg=(20, 160), count=12)
        guard = np.column_stack([chin[:, 0], 0 * chin[:, 0] - drop * 0.85, chin[:, 1]])
        b.tube(b.main, guard, b.u(0.08, 0.11))
    elif kind < 0.7:
        for x in np.linspace(-0.5, 0.5, int(b.rng.integers(2, 5))):
            rise = tall * (1 - 0.45 * (2 * x) ** 2 * 0.6)
            vent = (x * wide, rise * 0.82, wide * 0.12)
            b.ellipsoid(dark, vent, (0.035, tall * 0.22, wide * 0.5), segments=12)
        peak = (wide * 0.55, 0.025, 0.15)
        b.ellipsoid(b.detail, (0, 0.03, wide), peak, rotate=(12, 0, 0))
        for sign in (-1, 1):
            x = sign * (wide - thick)
            strap = [(x, 0.0, wide * 0.2), (sign * 0.06, -wide * 0.9, wide * 0.1)]
            b.tube(dark, strap, 0.02, segments=6)
    else:
        peak = (wide * 0.8, 0.025, wide * b.u(0.35, 0.5))
        b.ellipsoid(b.main, (0, 0.02, wide * 0.95), peak, squareness=(0.6, 0.9))
        b.cylinder(b.main, (0, 0.015, 0), wide * 1.07, 0.05)
        for x in (-0.25, 0, 0.25)[: int(b.rng.integers(1, 4))]:
            rib = (0.035, tall * 0.96, wide * 0.9)
            b.ellipsoid(b.main, (x * wide, 0.05, 0), rib, segments=14)
        if b.chance(0.6):
            b.box(b.detail, (0, tall * 0.45, wide * 0.9), (0.1, 0.07, 0.05))


def crate(b: Builder) -> None:
    """An open box of slats, empty or full of fruit or bottles."""
    wide, deep, tall = b.u(0.4, 0.58), b.u(0.28, 0.4), b.u(0.16, 0.32)
    plank = wood(b) if b.chance(0.55) else b.main
    thick = 0.025
    slats = int(b.rng.integers(2, 5))
    pitch = 2 * tall / slats
    for k in range(slats):
        y = -tall + pitch * (k + 0.5)
        for sign in (-1, 1):
            long, side = (wide, pitch * 0.4, thick), (thick, pitch * 0.4, deep)
            b.box(plank, (0, y, sign * deep), long)
            b.box(plank, (sign * wide, y, 0), side)
    for x in (-1, 1):
        for z in (-1, 1):
            post = (x * (wide - 0.05), 0, z * (deep - 0.05))
            b.box(plank, post, (0.04, tall, 0.04))
    b.box(plank, (0, -tall + thick, 0), (wide, thick, deep))
    if b.chance(0.5):
        fruit = pick(b, "red", "orange", "green", "yellow")
        size = b.u(0.11, 0.16)
        columns, rows = int(wide * 1.8 / size / 2), int(deep * 1.8 / size / 2)
        level = b.u(-0.2, 0.8) * tall
        b.box(
            fruit,
            (0, (level - tall) / 2, 0),
            (wide * 0.92, (level + tall) / 2, deep * 0.92),
        )
        for column in range(columns):
            for row in range(rows):
                place = (
                    wide * 1.7 * ((column + 0.5) / columns - 0.5),
                    level + b.u(-0.03, 0.05),
                    deep * 1.7 * ((row + 0.5) / rows - 0.5),
                )
                b.ellipsoid(fruit, place, (size,) * 3, segments=10)


def snare_drum(b: Builder) -> None:
    """A drum with two skins, hoops and lugs, perhaps with its sticks."""
    radius, tall = b.u(0.38, 0.5), b.u(0.16, 0.5)
    if b.chance(0.3):
        b.main = stripes(b.rng, b.primary_colour, b.secondary_colour)
    b.cylinder(b.main, (0, 0, 0), radius, 2 * tall, segments=28)
    hoop = metal(b) if b.chance(0.6) else b.detail
    skin = b.colour("white") if b.chance(0.7) else b.colour("beige")
    lugs = int(b.rng.integers(5, 10))
    for sign in (-1, 1):
        b.cylinder(hoop, (0, sign * tall, 0), radius * 1.05, 0.07, segments=28)
        b.cylinder(skin, (0, sign * (tall + 0.035), 0), radius * 0.97, 0.02)
    for a in np.arange(lugs) * 2 * np.pi / lugs:
        way = np.array([np.sin(a), 0, np.cos(a)]) * radius * 1.03
        rod = [np.add(way, (0, y, 0)) for y in (-tall, tall)]
        b.tube(hoop, rod, 0.025, segments=6)
    if b.chance(0.6):
        for _ in range(2):
            turn, slide = b.u(0, np.pi), b.u(-0.15, 0.15)
            way = np.array([np.cos(turn), 0, np.sin(turn)]) * b.u(0.5, 0.65)
            middle = np.array([slide, tall + 0.07, -slide])
            b.tube(wood(b), [middle - way, middle + way], [0.035, 0.022], segments=7)
