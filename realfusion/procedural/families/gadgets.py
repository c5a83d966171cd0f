"""Hand-held tools and small machines: drills, dryers, irons, watches, glasses."""

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
    ribbon,
)


def power_drill(b: Builder) -> None:
    """A cordless drill, its chuck towards +x, standing on its battery or lying."""
    plainly(b, 0.85)
    dark = b.colour("black") if b.chance(0.75) else b.detail
    radius, long = b.u(0.14, 0.19), b.u(0.36, 0.5)
    b.cylinder(b.main, (0, 0, 0), radius, 2 * long, rotate=(0, 0, 90), segments=20)
    b.cylinder(dark, (-long, 0, 0), radius * 0.95, 0.08, rotate=(0, 0, 90))
    nose = (long + 0.08, 0, 0)
    b.cylinder(dark, nose, radius * 0.85, 0.16, top=radius * 0.7, rotate=(0, 0, -90))
    chuck = (long + 0.22, 0, 0)
    b.cylinder(dark, chuck, radius * 0.6, 0.2, top=radius * 0.35, rotate=(0, 0, -90))
    if b.chance(0.7):
        bit = [(long + 0.3, 0, 0), (long + b.u(0.45, 0.8), 0, 0)]
        b.tube(metal(b), bit, [0.03, 0.02], segments=7)
    drop, slide = b.u(0.5, 0.65), b.u(-0.12, 0.05)
    root = b.u(-0.25, 0.0) * long
    sections = [
        (-drop, 0.11, 0.09, root + slide),
        (-drop * 0.5, 0.1, 0.085, root + slide * 0.4),
        (0, 0.14, radius * 0.85, root),
    ]
    grip = dark if b.chance(0.5) else b.main
    loft(b, grip, sections, squareness=0.8, segments=16)
    b.box(dark, (root + 0.12, -radius - 0.08, 0), (0.05, 0.07, 0.04))
    high = b.u(0.06, 0.12)
    pack = (b.u(0.18, 0.26), high, b.u(0.12, 0.17))
    place = (root + slide + 0.05, -drop - high * 0.8, 0)
    b.ellipsoid(dark, place, pack, squareness=(0.25, 0.3))
    if b.chance(0.6):
        band = (place[0], place[1] + high * 0.6, 0)
        b.box(b.detail, band, (pack[0] * 0.95, 0.025, pack[2] * 0.98))
    if b.chance(0.25):
        b.turn((90, b.u(-180, 180), 0))


def hair_dryer(b: Builder) -> None:
    """A dryer, blowing towards +x; its handle hangs down, or it lies."""
    plainly(b, 0.85)
    dark = b.colour("black") if b.chance(0.6) else b.detail
    radius, long = b.u(0.2, 0.28), b.u(0.4, 0.6)
    mouth = radius * b.u(0.55, 0.8)
    barrel = [
        (0, -0.3),
        (radius * 0.75, -0.3),
        (radius, -0.12),
        (radius * 0.95, 0.1),
        (mouth, long),
        (mouth * 0.85, long),
        (mouth * 0.8, long - 0.15),
        (0, long - 0.15),
    ]
    b.lathe(b.main, barrel, rotate=(0, 0, -90))
    b.cylinder(dark, (-0.3, 0, 0), radius * 0.7, 0.05, rotate=(0, 0, 90))
    if b.chance(0.45):
        slit = [(0, mouth * 1.05, mouth * 1.05), (0.1, mouth * 1.1, mouth * 0.7)]
        loft(
            b,
            dark,
            [*slit, (0.22, mouth * 1.4, mouth * 0.25)],
            (long - 0.02, 0, 0),
            rotate=(0, 0, -90),
            segments=20,
        )
    drop, lean = b.u(0.6, 0.85), b.u(-0.25, 0.15)
    thick = b.u(0.08, 0.11)
    sections = [
        (-drop, thick, thick * 0.85, lean),
        (-drop * 0.5, thick * 1.1, thick, lean * 0.4),
        (-0.05, thick * 1.3, thick * 1.1),
    ]
    loft(b, b.main if b.chance(0.6) else dark, sections, segments=16)
    for level in (-0.4, -0.52)[: int(b.rng.integers(1, 3))]:
        b.box(dark, (lean * 0.5 + thick, level * drop - 0.05, 0), (0.03, 0.05, 0.03))
    if b.chance(0.6):
        tail = [(lean, -drop, 0), (lean * 1.2, -drop - 0.15, 0)]
        b.tube(dark, tail, [0.045, 0.025])
    if b.chance(0.35):
        b.turn((90, b.u(-180, 180), 0))


def iron(b: Builder) -> None:
    """A flat iron; its tip points to +x, its sole lies down or stands on its heel."""
    plainly(b, 0.8)
    long, wide = b.u(0.5, 0.62), b.u(0.2, 0.28)
    around = np.linspace(-1, 1, 12)
    sole = np.column_stack(
        [long * (1 - 1.85 * np.abs(around) ** 1.8), wide * np.sin(around * np.pi / 2)]
    )
    b.prism(metal(b), sole[::-1], 0.04, rotate=(-90, 0, 0))
    skirt = b.detail if b.chance(0.5) else b.colour("white")
    b.prism(skirt, sole[::-1] * (0.96, 0.96), 0.1, (0, 0.06, 0), rotate=(-90, 0, 0))
    high = b.u(0.2, 0.32)
    sections = [
        (0.1, long * 0.86, wide * 0.85, -0.02),
        (high * 0.7, long * 0.68, wide * 0.6, -long * 0.12),
        (high, long * 0.55, wide * 0.42, -long * 0.2),
    ]
    loft(b, b.main, sections, squareness=0.85)
    grip = high + b.u(0.16, 0.24)
    path = [
        (long * 0.32, high * 0.85, 0),
        (long * 0.22, grip * 0.95, 0),
        (-long * 0.1, grip, 0),
        (-long * 0.6, grip * 0.95, 0),
        (-long * 0.7, high * 0.5, 0),
    ]
    b.tube(b.main if b.chance(0.5) else b.detail, path, b.u(0.05, 0.075))
    knob = (-long * 0.18, high + 0.02, 0)
    b.cylinder(b.colour("gray"), knob, 0.09, 0.06, segments=16)
    if b.chance(0.5):
        cable = [(-long * 0.72, grip * 0.7, 0), (-long * 1.1, grip * 0.6, 0.1)]
        b.tube(b.colour("black"), [*cable, (-long * 1.3, grip * 0.2, 0.2)], 0.025)
    if b.chance(0.25):
        b.turn((0, 0, 80))


def stapler(b: Builder) -> None:
    """A desk stapler, a little open; its mouth is at +x."""
    plainly(b, 0.85)
    long, wide = b.u(0.5, 0.65), b.u(0.07, 0.12)
    steel = metal(b)
    base = b.main if b.chance(0.6) else b.colour("black")
    b.box(base, (0, 0.02, 0), (long, 0.03, wide))
    b.box(steel, (long * 0.8, 0.055, 0), (0.06, 0.012, wide * 0.7))
    lean = b.u(4, 14)
    slope = np.deg2rad(lean)
    hinge = np.array([-long * 0.85, 0.12, 0])
    way = np.array([np.cos(slope), np.sin(slope), 0])
    up = np.array([-way[1], way[0], 0])
    reach = long * 0.9
    b.box(steel, hinge + way * reach, (reach, 0.045, wide * 0.7), rotate=(0, 0, lean))
    arm = b.u(0.06, 0.1)
    half = (reach * 1.04, arm, wide)
    b.ellipsoid(
        b.main,
        hinge + way * reach + up * (arm + 0.01),
        half,
        squareness=(0.5, 0.25),
        rotate=(0, 0, lean),
    )
    if b.chance(0.5):
        pad = hinge + way * reach * 1.5 + up * (2 * arm)
        half = (reach * 0.4, 0.03, wide * 0.8)
        b.ellipsoid(b.detail, pad, half, squareness=(0.4, 0.3), rotate=(0, 0, lean))
    b.box(base, (-long * 0.85, 0.1, 0), (0.1, 0.1, wide * 1.05))


def wrist_watch(b: Builder) -> None:
    """A watch: its strap closed and standing, or stretched out flat."""
    strap = pick(b, "black", "brown") if b.chance(0.4) else b.main
    strap = metal(b) if b.chance(0.25) else strap
    case, radius, thick = metal(b), b.u(0.22, 0.3), b.u(0.04, 0.08)
    wide = radius * b.u(0.9, 1.4)
    loop, is_closed = b.u(0.4, 0.5), b.chance(0.65)
    if is_closed:
        # The watch faces +y at the top of its loop and is turned afterwards.
        path = arc(loop, loop * b.u(0.75, 1.0), arc_deg=(90, 450), count=29)[:-1]
        ribbon(
            b,
            strap,
            path - (0, path[0, 1]),
            wide,
            0.05,
            is_loop=True,
            rotate=(0, 90, 0),
        )
    else:
        long = b.u(0.7, 0.95)
        flat = [(-long, -0.06), (-0.3, -0.03), (0, -0.02), (0.3, -0.03), (long, -0.06)]
        ribbon(b, strap, flat, wide, 0.04, rotate=(0, 90, 0))
        b.box(case, (0, -0.06, long), (wide * 0.6, 0.03, 0.05))
    face = pick(b, "white", "white", "black", "blue") if b.chance(0.8) else b.detail
    top = thick + 0.01
    if b.chance(0.7):
        b.cylinder(case, (0, 0, 0), radius, 2 * thick, segments=26)
        b.cylinder(face, (0, top, 0), radius * 0.85, 0.02, segments=26)
    else:
        half = (radius * 0.9, thick, radius)
        b.ellipsoid(case, (0, 0, 0), half, squareness=(0.25, 0.35))
        b.box(face, (0, thick, 0), (radius * 0.72, 0.012, radius * 0.82))
    b.cylinder(case, (radius, 0, 0), 0.035, 0.09, rotate=(0, 0, 90), segments=10)
    hand = b.colour("black") if b.chance(0.6) else b.colour("red")
    for length in (0.5, 0.72):
        turn = b.u(0, 2 * np.pi)
        reach = radius * length
        tip = (np.sin(turn) * reach, top + 0.015, -np.cos(turn) * reach)
        b.tube(hand, [(0, top + 0.015, 0), tip], 0.014, segments=5)
    if is_closed:
        b.turn((b.u(20, 95), 0, 0))
    elif b.chance(0.3):
        b.turn((90, 0, 0))


def desk_fan(b: Builder) -> None:
    """A fan: blades in a cage of wires on a stand, blowing to the front."""
    plainly(b, 0.8)
    radius, blades = b.u(0.42, 0.52), int(b.rng.integers(3, 6))
    wire = metal(b) if b.chance(0.5) else b.main
    deep = b.u(0.08, 0.13)
    for z, size in ((-deep, 0.88), (0.0, 1.0), (deep, 0.85)):
        b.torus(wire, (0, 0, z), radius * size, 0.02, rotate=(90, 0, 0))
    count = int(b.rng.integers(3, 6))
    for k in range(count):
        turn = k * np.pi / count
        out = np.array([np.sin(turn), np.cos(turn), 0]) * radius
        bend, middle = np.array([0, 0, deep]), np.array([0, 0, deep * 1.3])
        across = [out, out * 0.85 + bend, middle, bend - out * 0.85, -out]
        b.tube(wire, across, 0.012, segments=5)
    b.cylinder(wire, (0, 0, deep * 1.3), radius * 0.2, 0.03, rotate=(90, 0, 0))
    for k in range(blades):
        a = np.rad2deg(2 * np.pi * k / blades)
        way = np.deg2rad(a)
        place = (-np.sin(way) * radius * 0.45, np.cos(way) * radius * 0.45, 0)
        half = (radius * 0.26, radius * 0.4, 0.02)
        b.ellipsoid(b.detail, place, half, rotate=(0, 25, a), segments=12)
    b.cylinder(b.detail, (0, 0, 0), radius * 0.16, 0.12, rotate=(90, 0, 0))
    motor = (0, 0, -deep - 0.12)
    b.ellipsoid(b.main, motor, (0.14, 0.14, b.u(0.16, 0.24)), squareness=(0.8, 0.8))
    drop = radius + b.u(0.12, 0.6)
    post = [(0, -0.05, -deep - 0.15), (0, -drop, -deep - 0.08)]
    b.tube(b.main, post, [0.06, 0.05])
    b.cylinder(b.main, (0, -drop, -0.05), b.u(0.28, 0.4), 0.07, segments=24)
    b.box(b.detail, (0, -drop + 0.04, 0.12), (0.12, 0.03, 0.05))


def binoculars(b: Builder) -> None:
    """Field glasses, lying with their large lenses to the front or standing."""
    plainly(b, 0.6)
    skin = b.colour("black") if b.chance(0.5) else b.main
    dark, glass = b.colour("black"), pick(b, "blue", "cyan", "purple")
    big, small, long = b.u(0.17, 0.24), b.u(0.1, 0.14), b.u(0.4, 0.6)
    apart = big + b.u(0.02, 0.08)
    spread = b.u(0.0, 0.1)
    for sign in (-1, 1):
        x = sign * apart
        barrel = [
            (0, -long),
            (small, -long),
            (small, -long * 0.5),
            (big * 0.8, -long * 0.2),
            (big, long * 0.4),
            (big, long),
            (big * 0.86, long),
            (big * 0.84, long - 0.08),
            (0, long - 0.08),
        ]
        b.lathe(skin, barrel, (x, 0, 0), rotate=(90, 0, 0))
        lens = (x, 0, long - 0.07)
        b.cylinder(glass, lens, big * 0.83, 0.03, rotate=(90, 0, 0))
        back = (x, 0, -long - 0.04)
        b.cylinder(dark, back, small * 1.1, 0.12, rotate=(90, 0, 0))
        ring = (x, 0, long * 0.85)
        b.cylinder(b.detail, ring, big * 1.03, 0.05, rotate=(90, 0, 0))
        block = (x * 0.75, 0.02, -long * 0.25)
        half = (apart * 0.45, big * 0.6, long * 0.25)
        b.ellipsoid(skin, block, half, squareness=(0.4, 0.4), segments=14)
    b.cylinder(dark, (0, spread, 0), 0.06, long * 1.3, rotate=(90, 0, 0))
    b.cylinder(b.detail, (0, spread + 0.02, -long * 0.4), 0.09, 0.14, rotate=(90, 0, 0))
    b.box(skin, (0, spread * 0.5, long * 0.3), (apart * 0.7, 0.05, 0.1))
    if b.chance(0.35):
        b.turn((-90, b.u(-40, 40), 0))


def flashlight(b: Builder) -> None:
    """A torch, standing on its head or lying; a lantern head or a slim one."""
    plainly(b, 0.8)
    slim, head, long = b.u(0.1, 0.16), b.u(0.18, 0.28), b.u(0.4, 0.7)
    flare = b.u(0.15, 0.35)
    shell = b.main if b.chance(0.7) else metal(b)
    bulb = [
        (0, -long),
        (slim, -long),
        (slim, long),
        (head, long + flare),
        (head, long + flare + 0.12),
        (head * 0.88, long + flare + 0.12),
        (slim * 0.7, long + flare * 0.6),
        (0, long + flare * 0.6),
    ]
    b.lathe(shell, bulb)
    lens = pick(b, "yellow", "white", "cyan")
    b.cylinder(lens, (0, long + flare + 0.08, 0), head * 0.87, 0.03)
    ring = b.detail
    b.cylinder(ring, (0, long + flare + 0.05, 0), head * 1.04, 0.06)
    b.cylinder(ring, (0, -long, 0), slim * 1.1, 0.1)
    b.box(b.detail, (0, long * 0.5, slim), (0.04, 0.09, 0.03))
    for level in np.linspace(-0.7, 0.1, int(b.rng.integers(0, 5))):
        b.cylinder(ring, (0, level * long, 0), slim * 1.06, 0.04)
    if b.chance(0.4):
        strap = arc(0.12, 0.16, arc_deg=(-180, 90), count=10, centre=(0, -long - 0.12))
        b.tube(b.colour("black"), in_space(strap), 0.018)
    if b.chance(0.75):
        b.turn((90, b.u(-180, 180), 0))


def scissors(b: Builder) -> None:
    """Scissors, half open: lying, or held up with their tips upwards."""
    steel, grip = metal(b), b.detail if b.chance(0.5) else b.main
    half, long = b.u(4, 28), b.u(0.6, 0.8)
    loop, thick = b.u(0.14, 0.2), b.u(0.03, 0.05)
    for sign in (-1, 1):
        turn = (0, 0, sign * half)
        z = sign * 0.018
        s, c = np.sin(np.deg2rad(sign * half)), np.cos(np.deg2rad(sign * half))
        blade = [(-0.055, -0.25), (0.055, -0.25), (0.06, 0.1), (0.02 * sign, long)]
        b.prism(steel, [(x * 1.0, y) for x, y in blade], 0.03, (0, 0, z), rotate=turn)
        stretch = b.u(1.0, 1.5)
        ring = arc(loop, loop * stretch, arc_deg=(0, 360), count=18)
        middle = np.array([-sign * loop * 0.5, -0.25 - loop * stretch])
        path = (ring + middle) @ np.array([[c, s], [-s, c]])
        b.tube(grip, in_space(path, z), thick, segments=8)
        neck = np.array([[0, -0.1], np.add(middle, (0, loop * stretch))])
        path = neck @ np.array([[c, s], [-s, c]])
        b.tube(grip, in_space(path, z), thick * 1.1, segments=8)
    b.cylinder(b.colour("gray"), (0, 0, 0), 0.04, 0.1, rotate=(90, 0, 0), segments=12)
    if b.chance(0.6):
        b.turn((-90, b.u(-180, 180), 0))
