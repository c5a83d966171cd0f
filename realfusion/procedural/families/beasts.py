"""Four-legged animals that stand, sit or lie; they look to +z."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, Vector
from realfusion.procedural.families.creatures import eyes
from realfusion.procedural.paint import Paint, grainy, halves, panels, spots


def coat(b: Builder) -> None:
    """Gives the main paint a grain, a pale belly or leaves it as it is."""
    draw = b.rng.random()
    if draw < 0.25:
        b.main = grainy(b.rng, b.primary_colour, b.secondary_colour)
    elif draw < 0.5:
        level = b.u(-0.5, -0.1)
        up = (0, 1, 0)
        b.main = halves(b.secondary_colour, b.primary_colour, up, level, 6.0)


def side_eyes(b: Builder, centre: Vector, apart: float, size: float) -> None:
    """Eyes at the sides of a head that look outwards and a little to the front."""
    ball, black = b.colour("white" if b.chance(0.6) else "yellow"), b.colour("black")
    for side in (-1, 1):
        place = np.add(centre, (side * apart, 0, 0))
        b.ellipsoid(ball, place, (size,) * 3, segments=8)
        pupil = np.add(place, (side * size * 0.5, 0, size * 0.5))
        b.ellipsoid(black, pupil, (size * 0.65,) * 3, segments=8)


def _paw(b: Builder, paint: Paint, centre: Vector, size: float) -> None:
    half = (size, size * 0.7, size * 1.6)
    b.ellipsoid(paint, centre, half, segments=10)


def trunk(
    b: Builder, pose: str, girth: float, socks: Paint, limbs: Paint | None = None
) -> tuple[Vector, Vector]:
    """Trunk and legs of an animal that stands, sits or lies.

    Args:
        b: The builder.
        pose: ``"stands"``, ``"sits"`` or ``"lies"``.
        girth: Half the width of the trunk.
        socks: Paint of the paws.
        limbs: Paint of the legs; that of the trunk by default.

    Returns:
        The places of the head's middle and of the root of the tail.
    """
    limbs = limbs or b.main
    head: Vector
    long, thick = b.u(0.34, 0.48), girth * b.u(0.28, 0.4)
    if pose == "stands":
        tall, pace = b.u(0.34, 0.55), b.u(0.0, 0.12)
        b.ellipsoid(b.main, (0, 0, 0), (girth, girth * 1.1, long))
        for x in (-1, 1):
            for z in (-1, 1):
                hip = (x * girth * 0.6, -0.02, z * long * 0.65)
                foot = np.add(hip, (0, -tall, x * z * pace))
                b.tube(limbs, [hip, foot], [thick * 1.5, thick])
                _paw(b, socks, np.add(foot, (0, 0, thick * 0.4)), thick * 1.15)
        head = (0, b.u(0.2, 0.38), long * b.u(1.0, 1.2))
        b.tube(b.main, [(0, 0.02, long * 0.6), head], [girth * 0.7, girth * 0.55])
        return head, (0, girth * 0.5, -long * 0.92)
    if pose == "sits":
        b.ellipsoid(b.main, (0, -0.08, 0), (girth, girth, 0.42), rotate=(-58, 0, 0))
        for x in (-1, 1):
            haunch = (x * girth * 0.8, -0.32, -0.12)
            b.ellipsoid(limbs, haunch, (girth * 0.55, 0.17, 0.2), segments=12)
            _paw(b, socks, (x * girth * 1.05, -0.46, 0.1), thick)
            foot = (x * girth * 0.5, -0.46, 0.26)
            b.tube(limbs, [(x * girth * 0.5, 0.05, 0.18), foot], thick)
            _paw(b, socks, np.add(foot, (0, 0, 0.04)), thick)
        head = (0, b.u(0.36, 0.46), b.u(0.2, 0.28))
        b.tube(b.main, [(0, 0.1, 0.12), head], girth * 0.62)
        return head, (0, -0.44, -0.24)
    b.ellipsoid(b.main, (0, 0, 0), (girth * 1.1, girth * 0.95, long))
    bottom = -girth * 0.8
    for x in (-1, 1):
        haunch = (x * girth * 0.9, bottom * 0.3, -long * 0.55)
        b.ellipsoid(limbs, haunch, (girth * 0.5, girth * 0.8, 0.19), segments=12)
        _paw(b, socks, (x * girth * 1.3, bottom, -long * 0.25), thick * 1.1)
        elbow, foot = (x * girth * 0.65, bottom, long * 0.55), long * b.u(1.15, 1.4)
        b.tube(limbs, [elbow, (x * girth * 0.7, bottom, foot)], thick)
        _paw(b, socks, (x * girth * 0.7, bottom, foot), thick * 1.1)
    head = (b.u(-0.08, 0.08), b.u(0.0, 0.32), long * b.u(0.95, 1.1))
    b.tube(b.main, [(0, 0.02, long * 0.6), head], [girth * 0.75, girth * 0.55])
    return head, (0, bottom * 0.2, -long * 0.95)


def _pose(b: Builder) -> str:
    return str(b.rng.choice(["stands", "sits", "lies"]))


def _muzzle(b: Builder, head: Vector, size: float, long: float, paint: Paint) -> None:
    """A snout with a nose, a mouth and eyes, in front of a head of a given size."""
    half = (size * 0.5, size * 0.42, long)
    b.ellipsoid(paint, np.add(head, (0, -size * 0.3, size * 0.7)), half, segments=12)
    black = b.colour("black")
    nose = np.add(head, (0, -size * 0.12, size * 0.7 + long * 0.9))
    b.ellipsoid(black, nose, (size * 0.2, size * 0.15, size * 0.15), segments=8)
    eyes(b, size * 0.45, head[1] + size * 0.25, head[2] + size * 0.75, size * 0.17)


def _ears(b: Builder, head: Vector, size: float, kind: str, paint: Paint) -> None:
    for side in (-1, 1):
        if kind == "hanging":
            place = np.add(head, (side * size, -size * 0.1, -size * 0.1))
            half = (size * 0.2, size * 0.8, size * 0.42)
            b.ellipsoid(paint, place, half, rotate=(0, 0, side * 12), segments=12)
        elif kind == "pointed":
            place = np.add(head, (side * size * 0.55, size * 1.1, -size * 0.1))
            b.cylinder(paint, place, size * 0.36, size * 0.9, top=0.005, segments=8)
        else:
            place = np.add(head, (side * size * 0.75, size * 0.75, -size * 0.1))
            b.ellipsoid(
                paint, place, (size * 0.36, size * 0.38, size * 0.2), segments=10
            )


def lion(b: Builder) -> None:
    """A lion with mane and tufted tail, or a lioness; it stands, sits or lies."""
    coat(b)
    head, root = trunk(b, _pose(b), b.u(0.16, 0.22), b.main)
    size = b.u(0.16, 0.21)
    if b.chance(0.85):
        mane = grainy(b.rng, b.secondary_colour, b.primary_colour)
        full = size * b.u(1.4, 1.8)
        b.ellipsoid(mane, np.add(head, (0, -0.03, -0.1)), (full, full * 1.1, 0.2))
        if b.chance(0.5):
            for angle in np.arange(10) * np.pi / 5:
                way = np.array([np.sin(angle), np.cos(angle), 0]) * full * 0.85
                b.sphere(mane, way + head - (0, 0.03, 0.06), full * 0.32)
    b.ellipsoid(b.main, head, (size, size, size * 0.95))
    _muzzle(b, head, size, size * 0.5, b.colour("beige"))
    _ears(b, head, size, "round", b.main)
    swing = b.u(-0.25, 0.25)
    end = np.add(root, (swing, b.u(-0.05, 0.2), -0.32))
    b.tube(b.main, [root, np.add(root, (swing * 0.4, 0, -0.2)), end], 0.03)
    b.ellipsoid(b.detail, end, (0.06, 0.06, 0.09), segments=10)


def lying_dog(b: Builder) -> None:
    """A dog at rest, its head up or between its paws."""
    coat(b)
    socks = b.main if b.chance(0.6) else b.detail
    head, root = trunk(b, "lies", b.u(0.17, 0.26), socks)
    size = b.u(0.14, 0.2)
    b.ellipsoid(b.main, head, (size, size * 0.95, size * 1.05))
    _muzzle(b, head, size, size * b.u(0.5, 1.0), b.detail)
    kind = "hanging" if b.chance(0.6) else "pointed"
    _ears(b, head, size, kind, b.detail if b.chance(0.6) else b.main)
    swing = b.u(-0.3, 0.3)
    tail = [root, np.add(root, (swing, -0.04, -0.15))]
    b.tube(b.main, tail, [0.05, b.u(0.03, 0.06)])
    if b.chance(0.4):
        b.torus(b.colour("red"), np.add(head, (0, -size * 0.9, -0.06)), 0.11, 0.03)
    if b.chance(0.4):
        cushion = (0.5, 0.07, 0.7)
        low = (0, -0.29, 0.1)
        b.ellipsoid(b.detail, low, cushion, squareness=(0.6, 0.6))


def fox(b: Builder) -> None:
    """A fox or wolf: pointed ears and muzzle, bushy tail with another tip."""
    coat(b)
    socks = b.colour("black") if b.chance(0.5) else b.main
    head, root = trunk(b, _pose(b), b.u(0.13, 0.19), socks)
    size = b.u(0.14, 0.18)
    b.ellipsoid(b.main, head, (size * 1.1, size * 0.95, size))
    _muzzle(b, head, size, size * b.u(0.8, 1.1), b.colour("white"))
    _ears(b, head, size, "pointed", socks if b.chance(0.5) else b.main)
    swing, thick = b.u(-0.25, 0.25), b.u(0.08, 0.12)
    middle = np.add(root, (swing * 0.6, 0.02, -0.22))
    end = np.add(root, (swing, b.u(-0.05, 0.15), -0.42))
    b.tube(b.main, [root, middle, end], [0.04, thick, thick * 0.9])
    b.ellipsoid(b.detail, end, (thick, thick, thick * 1.7), segments=12)


def bear(b: Builder) -> None:
    """A bear, brown, white or a panda, on all fours, sitting or lying."""
    coat(b)
    is_panda = b.chance(0.3)
    limbs = b.colour("black") if is_panda else b.main
    if is_panda:
        b.main, b.detail = b.colour("white"), limbs
    pose = _pose(b)
    head, root = trunk(b, pose, b.u(0.24, 0.31), limbs, limbs)
    size = b.u(0.18, 0.23)
    b.ellipsoid(b.main, head, (size, size * 0.95, size))
    if is_panda:
        for side in (-1, 1):
            patch = np.add(head, (side * size * 0.45, size * 0.25, size * 0.72))
            b.ellipsoid(
                limbs, patch, (size * 0.28, size * 0.32, size * 0.2), segments=10
            )
    muzzle = b.main if is_panda else b.colour("beige")
    _muzzle(b, head, size, size * b.u(0.35, 0.65), muzzle)
    _ears(b, head, size, "round", limbs)
    b.ellipsoid(b.main, root, (0.07, 0.06, 0.07), segments=10)


def giraffe(b: Builder) -> None:
    """A giraffe: long legs, long neck, net or spots."""
    if b.chance(0.5):
        b.main = panels(b.rng, b.primary_colour, b.secondary_colour)
    else:
        b.main = spots(b.rng, b.primary_colour, b.secondary_colour)
    long, tall = b.u(0.26, 0.34), b.u(0.4, 0.6)
    b.ellipsoid(b.main, (0, 0, 0), (0.15, 0.17, long), rotate=(-12, 0, 0))
    hoof = b.colour("brown")
    for x in (-1, 1):
        for z in (-1, 1):
            foot = np.array([x * 0.1, -tall, z * long * 0.75 + b.u(-0.06, 0.06)])
            b.tube(b.main, [(x * 0.09, 0, z * long * 0.65), foot], [0.06, 0.035])
            b.cylinder(hoof, foot, 0.045, 0.07, segments=8)
    top = np.array([0, b.u(0.6, 0.9), long + b.u(0.08, 0.25)])
    b.tube(b.main, [(0, 0, long * 0.7), top * (1, 0.5, 0.92), top], [0.14, 0.085, 0.07])
    mane: list[Vector] = [
        (0, 0.15, long * 0.55),
        top * (1, 0.5, 0.92) - (0, 0, 0.07),
        top - (0, 0, 0.07),
    ]
    b.tube(b.detail, mane, 0.035)
    b.ellipsoid(b.main, np.add(top, (0, 0, 0.05)), (0.085, 0.08, 0.12))
    b.ellipsoid(
        b.detail, np.add(top, (0, -0.03, 0.16)), (0.06, 0.055, 0.09), segments=10
    )
    side_eyes(b, np.add(top, (0, 0.03, 0.08)), 0.075, 0.025)
    for side in (-1, 1):
        horn = np.add(top, (side * 0.04, 0.06, 0))
        b.tube(
            b.detail, [horn, np.add(horn, (0, 0.1, -0.01))], [0.016, 0.024], segments=7
        )
        ear = np.add(top, (side * 0.12, 0.04, -0.02))
        b.ellipsoid(b.main, ear, (0.07, 0.035, 0.02), segments=8)
    b.tube(b.detail, [(0, 0.05, -long), (0, -0.25, -long * 1.15)], [0.018, 0.035])
