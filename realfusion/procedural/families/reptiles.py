"""Dinosaurs, dragons and crocodiles; they look to +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, Points, Vector
from realfusion.procedural.families.beasts import coat, side_eyes
from realfusion.procedural.paint import Paint


def _crest(b: Builder, paint: Paint, line: Points, size: float, number: int) -> None:
    """Plates or spikes along a polyline over the back."""
    path = np.asarray(line, float)
    place = np.linspace(0, len(path) - 1, number)
    is_plate = b.chance(0.5)
    for k, at in enumerate(place):
        centre = [np.interp(at, np.arange(len(path)), path[:, i]) for i in range(3)]
        high = size * (0.55 + 0.45 * np.sin(np.pi * (k + 0.5) / number))
        if is_plate:
            kite = np.array(
                [(-0.6, -0.4), (0.6, -0.4), (0.8, 0.3), (0, 1), (-0.8, 0.3)]
            )
            b.prism(paint, kite * high, 0.035, centre, rotate=(0, 90, 0), bevel=0.2)
        else:
            b.cylinder(paint, centre, high * 0.55, high * 2, top=0.005, segments=6)


def _reptile_head(b: Builder, centre: Vector, size: float, paint: Paint) -> None:
    """A long head with a lower jaw, teeth or nostrils and eyes."""
    half = (size * 0.75, size * 0.65, size * 1.3)
    b.ellipsoid(b.main, centre, half, squareness=(0.8, 0.8))
    jaw = np.add(centre, (0, -size * 0.55, size * 0.25))
    half = (size * 0.55, size * 0.22, size * 1.05)
    b.ellipsoid(paint, jaw, half, rotate=(b.u(0, 15), 0, 0), segments=12)
    side_eyes(b, np.add(centre, (0, size * 0.4, 0)), size * 0.55, size * 0.2)
    if b.chance(0.6):
        for side in (-1, 1):
            for z in (0.4, 0.8, 1.1):
                tooth = np.add(centre, (side * size * 0.4, -size * 0.4, z * size))
                b.cylinder(
                    b.detail, tooth, 0.005, size * 0.3, top=size * 0.11, segments=5
                )


def _hunter(b: Builder, long: float) -> list[tuple[float, float, float]]:
    """A body on two legs with small arms; the line of its back."""
    tilt = b.u(-40, -15)
    b.ellipsoid(b.main, (0, 0, 0), (0.2, 0.22, long), rotate=(tilt, 0, 0))
    head = np.array([0, b.u(0.4, 0.55), b.u(0.42, 0.52)])
    neck: list[Vector] = [(0, 0.08, 0.15), head * (1, 0.6, 0.9), head]
    b.tube(b.main, neck, [0.18, 0.14, 0.12])
    _reptile_head(b, np.add(head, (0, 0.02, 0.08)), b.u(0.16, 0.21), b.detail)
    for x in (-0.17, 0.17):
        b.ellipsoid(b.main, (x, -0.14, 0), (0.1, 0.2, 0.15), rotate=(-20, 0, 0))
        shin = [(x, -0.22, 0.05), (x, -0.4, -0.08), (x, -0.55, 0)]
        b.tube(b.main, shin, [0.08, 0.055, 0.05])
        b.ellipsoid(b.main, (x, -0.57, 0.08), (0.08, 0.045, 0.15), segments=10)
        hand = [(x * 0.9, 0.12, 0.25), (x, 0.0, 0.36), (x * 0.9, 0, 0.44)]
        b.tube(b.main, hand, [0.05, 0.035, 0.025])
    return [(0, 0.42, 0.32), (0, 0.24, 0), (0, 0.1, -long), (0, 0, -0.7)]


def _grazer(
    b: Builder, long: float, is_plated: bool
) -> list[tuple[float, float, float]]:
    """A body on four legs with a high or a low head; the line of its back."""
    b.ellipsoid(b.main, (0, 0, 0), (0.21, 0.24, long))
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * 0.15, b.u(-0.5, -0.46), z * long * 0.62)
            b.tube(b.main, [(x * 0.14, 0, z * long * 0.55), foot], [0.11, 0.075])
    low = b.u(-0.05, 0.1) if is_plated else b.u(0.35, 0.65)
    head = np.array([0, low, long + b.u(0.2, 0.35)])
    neck: list[Vector] = [(0, 0.02, long * 0.5), (0, low * 0.4, long + 0.12), head]
    b.tube(b.main, neck, [0.17, 0.11, 0.08])
    _reptile_head(b, np.add(head, (0, 0.02, 0.08)), b.u(0.1, 0.16), b.main)
    if is_plated and b.chance(0.5):
        frill = np.add(head, (0, 0.1, -0.05))
        b.ellipsoid(b.detail, frill, (0.3, 0.26, 0.05), rotate=(-25, 0, 0))
        white = b.colour("white")
        for lean, rise, front in (
            (-0.08, 0.12, 0.1),
            (0.08, 0.12, 0.1),
            (0, 0.06, 0.2),
        ):
            horn = np.add(head, (lean, rise, front))
            tip = np.add(horn, (lean, 0.12, 0.14))
            b.tube(white, [horn, tip], [0.035, 0.008])
        return []
    return [(0, 0.18, long * 0.8), (0, 0.27, 0), (0, 0.12, -long), (0, 0, -0.75)]


def dinosaur(b: Builder) -> None:
    """A dinosaur: a two-legged hunter, a long neck, plates or a frill with horns."""
    coat(b)
    kind, swing, long = int(b.rng.integers(3)), b.u(-0.25, 0.25), b.u(0.34, 0.44)
    back = -long * 0.7
    tail = [(0, 0, back), (swing * 0.3, -0.1, back - 0.3), (swing, -0.12, back - 0.65)]
    b.tube(b.main, tail, [0.17, 0.1, 0.02])
    line = _hunter(b, long) if kind == 0 else _grazer(b, long, kind == 2)
    if line and b.chance(0.8 if kind == 2 else 0.35):
        _crest(b, b.detail, line, b.u(0.06, 0.13), int(b.rng.integers(6, 11)))


def dragon(b: Builder) -> None:
    """A sitting or standing dragon with wings, horns and a curled tail."""
    coat(b)
    tilt = b.u(-70, -30)
    b.ellipsoid(b.main, (0, 0, 0), (0.2, 0.21, 0.36), rotate=(tilt, 0, 0))
    belly = (0, -0.02, 0.09)
    b.ellipsoid(b.detail, belly, (0.15, 0.15, 0.3), rotate=(tilt, 0, 0))
    head = np.array([0, b.u(0.5, 0.65), b.u(0.28, 0.42)])
    b.tube(b.main, [(0, 0.15, 0.1), head * (1, 0.65, 0.6), head], [0.15, 0.11, 0.09])
    size = b.u(0.12, 0.17)
    _reptile_head(b, np.add(head, (0, 0.02, 0.06)), size, b.detail)
    side = 1 if b.chance(0.5) else -1
    tail = [(0, -0.2, -0.15), (side * 0.1, -0.38, -0.4), (side * 0.4, -0.4, -0.45)]
    tip = np.array([side * 0.6, -0.4, b.u(-0.35, 0.0)])
    b.tube(b.main, [*tail, tip], [0.15, 0.1, 0.06, 0.02])
    b.ellipsoid(b.detail, tip, (0.07, 0.03, 0.1), squareness=(1, 1.6), segments=10)
    span, rise = b.u(0.35, 0.6), b.u(0.3, 0.55)
    points = [(0, -0.12), (0.3, -0.1), (0.6, -0.25), (0.75, 0.0), (1, 0.1), (0.6, 1)]
    wing = np.array([*points, (0.35, 0.9), (0, 0.2)]) * (span, rise)
    fold = b.u(10, 45)
    for x in (-1, 1):
        outline = wing * (x, 1)
        root = (x * 0.1, 0.12, -0.16)
        b.prism(b.detail, outline, 0.035, root, rotate=(0, x * fold, 0))
        b.ellipsoid(b.main, (x * 0.18, -0.28, 0.02), (0.1, 0.16, 0.19), segments=12)
        b.ellipsoid(b.main, (x * 0.2, -0.42, 0.16), (0.09, 0.05, 0.14), segments=10)
        arm = [(x * 0.16, 0.1, 0.16), (x * 0.2, -0.05, 0.3), (x * 0.14, -0.08, 0.4)]
        b.tube(b.main, arm, [0.06, 0.045, 0.04])
        horn = np.add(head, (x * size * 0.4, size * 0.5, -0.02))
        b.tube(b.detail, [horn, np.add(horn, (x * 0.05, 0.12, -0.1))], [0.035, 0.006])
    line = [
        np.add(head, (0, 0.04, -0.1)),
        (0, 0.3, 0.0),
        (0, 0, -0.24),
        (0, -0.2, -0.34),
    ]
    _crest(b, b.detail, line, b.u(0.04, 0.08), int(b.rng.integers(5, 9)))


def crocodile(b: Builder) -> None:
    """A crocodile or lizard flat on the ground."""
    coat(b)
    long, swing = b.u(0.4, 0.5), b.u(-0.3, 0.3)
    b.ellipsoid(b.main, (0, 0, 0), (b.u(0.17, 0.24), b.u(0.11, 0.15), long))
    tail = [
        (0, 0, -long * 0.6),
        (swing * 0.3, -0.02, -long - 0.2),
        (swing, -0.06, -1.1),
    ]
    b.tube(b.main, tail, [0.13, 0.09, 0.015])
    b.ellipsoid(b.main, (0, 0.03, long), (0.15, 0.1, 0.2))
    snout = b.u(0.2, 0.34)
    upper = (0, 0.02, long + 0.12 + snout / 2)
    b.ellipsoid(b.main, upper, (0.1, 0.05, snout), squareness=(0.7, 0.6))
    lower = (0, -0.06, long + 0.08 + snout / 2)
    b.ellipsoid(b.detail, lower, (0.09, 0.035, snout), rotate=(b.u(0, 14), 0, 0))
    white = b.colour("white")
    for x in (-1, 1):
        for z in np.linspace(0.3, 1.2, 5):
            tooth = (x * 0.07, -0.02, long + 0.1 + z * snout)
            b.cylinder(white, tooth, 0.004, 0.06, top=0.02, segments=5)
        for z in (-0.55, 0.5):
            knee = (x * 0.34, b.u(-0.02, 0.04), z * long - 0.04)
            foot = (x * 0.38, -0.14, z * long + 0.06)
            b.tube(b.main, [(x * 0.1, 0, z * long), knee, foot], [0.07, 0.06, 0.045])
            b.ellipsoid(b.main, foot, (0.07, 0.03, 0.1), segments=8)
    side_eyes(b, (0, 0.13, long + 0.06), 0.08, 0.035)
    line = [(0, 0.12, long * 0.5), (0, 0.12, -long * 0.4), (swing * 0.4, 0.08, -0.75)]
    _crest(b, b.detail if b.chance(0.5) else b.main, line, 0.045, 8)
