"""Things that roll on wheels or tracks; their front is +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, Vector
from realfusion.procedural.families.vehicles import wheels
from realfusion.procedural.paint import Paint, cloudy


def _wheel(b: Builder, centre: Vector, size: float, thick: float, hub: Paint) -> None:
    """An upright wheel that rolls along z, with a rim and a few spokes."""
    b.torus(b.colour("black"), centre, size - thick, thick, rotate=(0, 0, 90))
    b.cylinder(hub, centre, size * 0.25, thick * 2.4, rotate=(0, 0, 90), segments=10)
    for turn in (0, 60, 120):
        long = (thick * 0.35, size - thick, thick * 0.5)
        b.box(hub, centre, long, rotate=(turn, 0, 0))


def _rider(b: Builder, seat: Vector, grip: Vector) -> None:
    """A small figure on a seat with its hands on the bar."""
    seat = np.asarray(seat, float)
    chest = np.add(seat, (0, 0.2, 0.05))
    b.ellipsoid(b.detail, chest, (0.12, 0.22, 0.1), rotate=(12, 0, 0), segments=12)
    skin = b.colour("beige" if b.chance(0.6) else "brown")
    head = np.add(seat, (0, 0.5, 0.12))
    b.ellipsoid(skin, np.add(head, (0, -0.01, 0.02)), (0.1, 0.12, 0.11), segments=12)
    b.ellipsoid(b.main, np.add(head, (0, 0.04, -0.02)), (0.12, 0.12, 0.13), segments=12)
    for side in (-1, 1):
        hand = np.asarray(grip, float) * (side, 1, 1)
        b.tube(b.detail, [np.add(chest, (side * 0.1, 0.14, 0)), hand], [0.055, 0.04])
        knee = np.add(seat, (side * 0.13, -0.08, 0.26))
        b.tube(
            b.colour("blue"),
            [seat, knee, np.add(seat, (side * 0.13, -0.36, 0.14))],
            0.065,
        )


def motorcycle(b: Builder) -> None:
    """A motorcycle with tank, engine, exhaust; sometimes ridden."""
    size, thick, base = b.u(0.2, 0.25), b.u(0.05, 0.075), b.u(0.42, 0.52)
    steel, black = b.colour("gray"), b.colour("black")
    for z in (-base, base):
        _wheel(b, (0, size, z), size, thick, steel)
    b.box(steel, (0, size + 0.06, 0), (0.09, 0.13, 0.16))
    for y in (0.0, 0.06, 0.12):
        b.box(black, (0, size + y, 0.02), (0.11, 0.015, 0.15))
    high = size + b.u(0.24, 0.32)
    b.ellipsoid(b.main, (0, high, 0.1), (0.11, 0.1, 0.22), squareness=(0.8, 0.8))
    b.ellipsoid(black, (0, high - 0.02, -0.2), (0.1, 0.06, 0.24), squareness=(0.6, 0.6))
    b.ellipsoid(b.main, (0, high - 0.06, -0.42), (0.09, 0.07, 0.16))
    b.ellipsoid(
        b.colour("red"), (0, high - 0.04, -0.57), (0.05, 0.03, 0.03), segments=8
    )
    neck, bar = (0, high + 0.05, 0.3), high + b.u(0.14, 0.3)
    for side in (-1, 1):
        b.tube(
            steel, [(side * 0.08, size, base), np.add(neck, (side * 0.07, 0, 0))], 0.028
        )
        b.tube(
            steel, [(side * 0.07, size, -base), (side * 0.07, high - 0.06, -0.3)], 0.025
        )
    grip = (b.u(0.2, 0.3), bar, b.u(0.12, 0.26))
    path = [np.multiply(grip, (-1, 1, 1)), (0, bar - 0.05, 0.3), grip]
    b.tube(black, path, 0.026)
    b.tube(steel, [neck, (0, bar - 0.05, 0.3)], 0.05)
    lamp = (0, high + 0.08, 0.4)
    b.ellipsoid(b.colour("yellow"), lamp, (0.08, 0.08, 0.07), segments=10)
    for z in (-base, base):
        arc = (-70, 50) if z > 0 else (-60, 90)
        guard = (0, size, z)
        b.torus(b.main, guard, size + 0.04, 0.045, arc_deg=arc, rotate=(0, 90, 90))
    pipe = [(0.11, size - 0.04, 0.14), (0.13, size - 0.1, -0.1), (0.14, size, -0.6)]
    b.tube(steel, pipe, [0.03, 0.04, 0.055])
    if b.chance(0.35):
        _rider(b, (0, high + 0.02, -0.14), grip)


def bicycle(b: Builder) -> None:
    """A bicycle or tricycle with a thick toy-like frame."""
    size, base, thick = b.u(0.26, 0.34), b.u(0.4, 0.48), b.u(0.03, 0.055)
    steel, black = b.colour("gray"), b.colour("black")
    pipe, is_tricycle = b.u(0.025, 0.045), b.chance(0.35)
    rear = size * b.u(0.55, 0.8) if is_tricycle else size
    for x in (-0.24, 0.24) if is_tricycle else (0.0,):
        _wheel(b, (x, rear, -base), rear, thick, steel)
    if is_tricycle:
        b.tube(steel, [(-0.24, rear, -base), (0.24, rear, -base)], pipe)
    _wheel(b, (0, size, base), size, thick, steel)
    crank, saddle = (0, size * 0.95, -0.03), (0, size + b.u(0.3, 0.42), -0.2)
    neck = (0, size + b.u(0.28, 0.4), base * 0.7)
    frame: list[tuple[Vector, Vector]] = [
        (crank, saddle),
        (crank, neck),
        (np.multiply(saddle, (1, 0.93, 1)), neck),
    ]
    for side in (-1, 1):
        x = side * (thick + pipe)
        frame.append(((x, rear, -base), np.add(crank, (x, 0, 0))))
        frame.append(((x, rear, -base), np.add(saddle, (x, -0.06, 0))))
        frame.append(((x, size, base), np.add(neck, (x * 0.6, -0.02, 0))))
    for start, end in frame:
        b.tube(b.main, [start, end], pipe, segments=7)
    bar = np.add(neck, (0, b.u(0.08, 0.2), -0.02))
    b.tube(b.main, [neck, bar], pipe)
    reach = b.u(0.2, 0.28)
    b.tube(
        steel,
        [np.add(bar, (-reach, 0.02, -0.1)), bar, np.add(bar, (reach, 0.02, -0.1))],
        pipe,
    )
    for side in (-1, 1):
        b.sphere(b.detail, np.add(bar, (side * reach, 0.02, -0.1)), 0.045)
        pedal = np.add(crank, (side * 0.12, side * 0.12, 0))
        b.box(black, pedal, (0.06, 0.02, 0.04))
    b.cylinder(steel, crank, 0.09, 0.06, rotate=(0, 0, 90), segments=12)
    b.tube(
        steel, [np.add(crank, (-0.1, -0.12, 0)), np.add(crank, (0.1, 0.12, 0))], 0.02
    )
    b.ellipsoid(b.detail, np.add(saddle, (0, 0.03, 0)), (0.08, 0.04, 0.14), segments=10)
    if b.chance(0.4):
        b.box(
            b.colour("brown"),
            np.add(bar, (0, -0.02, 0.16)),
            (0.15, 0.1, 0.11),
            taper=1.2,
        )


def scooter(b: Builder) -> None:
    """A motor scooter with a leg shield, or a kick scooter."""
    size, black, steel = b.u(0.11, 0.16), b.colour("black"), b.colour("gray")
    if b.chance(0.5):
        long = b.u(0.4, 0.5)
        for z in (-long, long):
            _wheel(b, (0, size * 0.7, z), size * 0.7, 0.035, steel)
        b.box(b.main, (0, size * 0.8, -0.02), (0.1, 0.025, long * 0.85))
        top = np.array([0, b.u(0.75, 0.95), long - 0.14])
        b.tube(b.main, [(0, size * 0.7, long), top], 0.035)
        b.tube(b.detail, [top - (0.22, 0, 0), np.add(top, (0.22, 0, 0))], 0.035)
        b.ellipsoid(b.main, (0, size * 1.5, -long), (0.05, 0.02, 0.12), segments=8)
        return
    for z in (-0.4, 0.44):
        _wheel(b, (0, size, z), size, 0.055, steel)
    b.ellipsoid(
        b.main, (0, size + 0.14, -0.36), (0.17, 0.17, 0.3), squareness=(0.8, 0.8)
    )
    b.box(b.main, (0, size + 0.02, 0.05), (0.15, 0.03, 0.26))
    b.ellipsoid(
        black, (0, size + 0.33, -0.3), (0.13, 0.06, 0.28), squareness=(0.6, 0.6)
    )
    high = size + b.u(0.5, 0.62)
    shield = [
        (-0.17, 0.05),
        (0.17, 0.05),
        (0.2, 0.3),
        (0.1, 0.48),
        (-0.1, 0.48),
        (-0.2, 0.3),
    ]
    b.prism(b.main, shield, 0.05, (0, size - 0.02, 0.32), rotate=(-8, 0, 0), bevel=0.1)
    b.ellipsoid(b.main, (0, size + 0.06, 0.45), (0.09, 0.12, 0.2), segments=12)
    b.tube(steel, [(0, size, 0.44), (0, high, 0.25)], 0.045)
    b.ellipsoid(b.main, (0, high, 0.27), (0.11, 0.08, 0.1), segments=12)
    b.ellipsoid(b.colour("yellow"), (0, high, 0.36), (0.06, 0.06, 0.03), segments=10)
    b.tube(black, [(-0.24, high + 0.03, 0.2), (0.24, high + 0.03, 0.2)], 0.028)
    b.ellipsoid(b.colour("red"), (0, size + 0.2, -0.65), (0.06, 0.04, 0.03), segments=8)
    if b.chance(0.4):
        b.box(b.detail, (0, size + 0.48, -0.55), (0.15, 0.12, 0.12))


def skateboard(b: Builder) -> None:
    """A skateboard or roller on four small wheels, upright or on its side."""
    long, wide, rise = b.u(0.62, 0.78), b.u(0.15, 0.2), b.u(0.02, 0.12)
    z = np.linspace(-1, 1, 9)
    lift = rise * np.clip((np.abs(z) - 0.6) / 0.4, 0, 1)
    for k in range(8):
        middle = (0, (lift[k] + lift[k + 1]) / 2, (z[k] + z[k + 1]) / 2 * long)
        tilt = -np.rad2deg(np.arctan2(lift[k + 1] - lift[k], long / 4))
        half = long / 8 + 0.012
        narrow = wide * (0.8 if k in (0, 7) else 1.0)
        b.box(b.main, middle, (narrow, 0.018, half), rotate=(tilt, 0, 0))
        b.box(
            b.detail,
            np.add(middle, (0, -0.022, 0)),
            (narrow, 0.012, half),
            rotate=(tilt, 0, 0),
        )
    for end in (-1, 1):
        tip = (0, rise, end * long)
        b.cylinder(b.main, tip, wide * 0.8, 0.036, segments=14)
    steel = b.colour("gray")
    tyre = b.colour(str(b.rng.choice(["white", "black", "red", "yellow", "green"])))
    size = b.u(0.05, 0.08)
    for axle in (-0.58 * long, 0.58 * long):
        b.box(steel, (0, -0.06, axle), (0.06, 0.05, 0.06))
        low = (0, -0.04 - size, axle)
        b.cylinder(steel, low, 0.022, wide * 1.9, rotate=(0, 0, 90), segments=8)
        for side in (-1, 1):
            place = np.add(low, (side * wide * 0.85, 0, 0))
            b.cylinder(tyre, place, size, 0.08, rotate=(0, 0, 90), segments=12)


def tractor(b: Builder) -> None:
    """A tractor: big rear wheels, small front ones, cab, exhaust."""
    big, small = b.u(0.28, 0.36), b.u(0.15, 0.2)
    black, rim = b.colour("black"), b.colour("yellow" if b.chance(0.5) else "red")
    long = b.u(0.4, 0.55)
    b.box(b.main, (0, big + 0.04, long * 0.5), (0.15, 0.15, long * 0.62))
    b.box(black, (0, big + 0.02, long * 1.12), (0.12, 0.1, 0.02))
    b.box(b.main, (0, big, -0.18), (0.18, 0.12, 0.2))
    for side in (-1, 1):
        for z, size, wide in ((-0.22, big, 0.17), (long * 0.9, small, 0.11)):
            place = (side * 0.28, size, z)
            b.cylinder(black, place, size, wide, rotate=(0, 0, 90), segments=16)
            hub = (side * (0.28 + wide * 0.12), size, z)
            b.cylinder(rim, hub, size * 0.55, wide, rotate=(0, 0, 90), segments=12)
        guard = (side * 0.27, big, -0.22)
        b.torus(b.main, guard, big + 0.05, 0.05, arc_deg=(-20, 110), rotate=(0, 90, 90))
        lamp = (side * 0.1, big + 0.12, long * 1.13)
        b.ellipsoid(b.colour("white"), lamp, (0.04, 0.04, 0.03), segments=8)
    b.cylinder(black, (0.08, big + 0.3, long * 0.6), 0.03, 0.32, segments=8)
    if b.chance(0.65):
        cab, tall = (0, big + 0.32, -0.2), b.u(0.18, 0.25)
        b.box(b.colour("cyan"), cab, (0.19, tall, 0.19))
        b.box(b.detail, np.add(cab, (0, tall, 0)), (0.23, 0.035, 0.23))
        for x in (-1, 1):
            for z in (-1, 1):
                b.box(
                    b.main, np.add(cab, (x * 0.18, 0, z * 0.18)), (0.025, tall, 0.025)
                )
    else:
        b.box(black, (0, big + 0.16, -0.24), (0.12, 0.05, 0.1))
        b.box(black, (0, big + 0.3, -0.35), (0.12, 0.14, 0.03))
        b.torus(black, (0, big + 0.3, -0.02), 0.1, 0.02, rotate=(60, 0, 0))
    if b.chance(0.35):
        b.box(b.detail, (0, 0.14, long * 1.35), (0.34, 0.13, 0.05), rotate=(-15, 0, 0))
        for side in (-1, 1):
            b.tube(
                b.detail,
                [(side * 0.16, big, 0.2), (side * 0.2, 0.16, long * 1.32)],
                0.035,
            )


def tank(b: Builder) -> None:
    """A tank or a crawler with a gun or a digger's arm."""
    long, wide, high = b.u(0.5, 0.65), b.u(0.26, 0.34), b.u(0.12, 0.17)
    if b.chance(0.4):
        b.main = cloudy(b.rng, b.primary_colour, b.secondary_colour)
    black, steel = b.colour("black"), b.colour("gray")
    for side in (-1, 1):
        x = side * wide
        b.ellipsoid(black, (x, high, 0), (0.1, high, long), squareness=(0.6, 0.2))
        for z in np.linspace(-0.68, 0.68, 5) * long:
            hub = (x + side * 0.06, high * 0.9, z)
            b.cylinder(steel, hub, high * 0.6, 0.1, rotate=(0, 0, 90), segments=10)
    b.box(b.main, (0, high * 1.6, 0), (wide, high * 0.7, long * 0.85))
    b.box(
        b.main,
        (0, high * 1.5, long * 0.84),
        (wide * 0.9, high * 0.4, 0.1),
        rotate=(-30, 0, 0),
    )
    top, turn = high * 2.3, b.u(-40, 40)
    way = np.array([np.sin(np.deg2rad(turn)), 0, np.cos(np.deg2rad(turn))])
    if b.chance(0.65):
        half = (wide * 0.8, b.u(0.11, 0.16), long * 0.45)
        b.ellipsoid(
            b.main,
            (0, top + 0.08, -0.05),
            half,
            squareness=(0.5, 0.6),
            rotate=(0, turn, 0),
        )
        root = way * 0.2 + (0, top + 0.1, -0.05)
        tip = way * (long + b.u(0.2, 0.5)) + (0, top + b.u(0.08, 0.25), 0)
        b.tube(b.main, [root, tip], [0.055, 0.04])
        b.cylinder(b.detail, (0.06, top + 0.22, -0.12), 0.09, 0.06)
        b.tube(black, [(-0.12, top + 0.1, -0.25), (-0.12, top + 0.55, -0.28)], 0.012)
        return
    cab = (-0.08, top + 0.18, 0.08)
    b.box(b.main, cab, (0.15, 0.22, 0.18))
    b.box(b.colour("cyan"), np.add(cab, (0, 0.05, 0.01)), (0.155, 0.12, 0.18))
    b.box(b.main, (0.02, top + 0.05, -0.25), (wide * 0.9, 0.12, 0.2))
    elbow = np.array([0.14, top + b.u(0.45, 0.65), long + 0.1])
    wrist = np.add(elbow, (0, -b.u(0.3, 0.5), b.u(0.1, 0.3)))
    b.tube(b.detail, [(0.14, top, 0.15), elbow, wrist], [0.07, 0.06, 0.045])
    b.box(
        steel,
        np.add(wrist, (0, -0.06, -0.03)),
        (0.13, 0.1, 0.09),
        rotate=(25, 0, 0),
        taper=1.3,
    )


def fire_engine(b: Builder) -> None:
    """A fire engine or crane lorry: cab, body with lockers, a ladder, a blue lamp."""
    long, wide = b.u(0.65, 0.8), b.u(0.24, 0.3)
    b.box(b.main, (0, 0.04, long * 0.68), (wide, 0.25, long * 0.27))
    glass = b.colour("black" if b.chance(0.5) else "cyan")
    b.box(glass, (0, 0.14, long * 0.7), (wide * 1.01, 0.09, long * 0.2))
    b.box(glass, (0, 0.13, long * 0.93), (wide * 0.85, 0.11, 0.04))
    high = b.u(0.14, 0.24)
    b.box(b.main, (0, high - 0.2, -long * 0.3), (wide, high, long * 0.68))
    steel, white = b.colour("gray"), b.colour("white")
    for z in np.linspace(-0.8, 0.15, 4) * long:
        b.box(steel, (0, high - 0.16, z), (wide * 1.01, high * 0.55, 0.07))
    b.box(white, (0, -0.2, 0), (wide * 1.02, 0.03, long * 0.96))
    b.box(b.colour("blue"), (0, 0.32, long * 0.7), (wide * 0.7, 0.04, 0.05))
    lift, top = b.u(0.02, 0.4), 2 * high - 0.18
    root, tip = (
        np.array([0, top, -long * 0.8]),
        np.array([0, top + lift, long * b.u(0.6, 1.0)]),
    )
    rail = b.detail if b.chance(0.5) else white
    for side in (-0.09, 0.09):
        b.tube(
            rail,
            [np.add(root, (side, 0.05, 0)), np.add(tip, (side, 0.05, 0))],
            0.022,
            segments=6,
        )
    for share in np.linspace(0.05, 0.95, 9):
        step = root + (tip - root) * share + (0, 0.05, 0)
        b.tube(
            rail, [step - (0.09, 0, 0), np.add(step, (0.09, 0, 0))], 0.014, segments=5
        )
    b.cylinder(steel, np.add(root, (0, 0, 0.12)), 0.12, 0.12)
    wheels(b, [-long * 0.62, long * 0.6], wide, -0.26, b.u(0.12, 0.16))
