"""Vessels, furniture and other things of the house."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.builder import Builder, rotation_matrix
from realfusion.procedural.families.fittings import handle, printed, vessel
from realfusion.procedural.paint import mottled, picture, random_artwork


def mug(b: Builder) -> None:
    """A cup with a handle, often printed."""
    radius, height, flare = b.u(0.3, 0.45), b.u(0.6, 1.05), b.u(0.8, 1.1)
    half = height / 2
    printed(b)
    vessel(
        b,
        [(radius * flare, -half), (radius, half)],
        outside=b.main,
        inside=b.detail if b.chance(0.4) else b.main,
        wall=radius * 0.1,
    )
    handle(b, radius * 0.92, radius * b.u(0.5, 0.8), height * 0.3, b.u(0.04, 0.075))


def bowl(b: Builder) -> None:
    """An open bowl: thick or thin, deep or shallow."""
    depth, curve = b.u(0.25, 0.65), b.u(1.4, 3.0)
    radius = np.linspace(0.25, b.u(0.7, 0.9), 10)
    height = depth * ((radius - 0.25) / (radius[-1] - 0.25)) ** curve
    thick = b.u(0.03, 0.09)
    vessel(
        b,
        list(zip(radius, height, strict=True)),
        outside=b.main,
        inside=b.detail if b.chance(0.5) else b.main,
        wall=thick,
        segments=32,
    )
    b.cylinder(b.main, (0, -0.03, 0), 0.25, 0.08)


def bottle(b: Builder) -> None:
    """A bottle with cap, shoulder and label."""
    radius, height, neck = b.u(0.2, 0.34), b.u(0.5, 0.8), b.u(0.3, 0.55)
    shoulder = b.u(0.1, 0.45) * height
    printed(b, share=0.6)
    body = [(0, -height), (radius, -height), (radius * b.u(0.85, 1), shoulder)]
    collar = [(radius * neck, shoulder + 0.2), (radius * neck, height), (0, height)]
    if b.chance(0.4):
        b.ellipsoid(b.main, (0, -height / 3, 0), (radius * 1.3, height * 0.7, radius))
        b.lathe(b.main, [(radius * neck, 0), *collar[1:]])
    else:
        b.lathe(b.main, [*body, *collar])
    b.cylinder(b.detail, (0, height + 0.04, 0), radius * neck * 1.15, b.u(0.1, 0.25))
    if b.chance(0.25):
        nozzle = (0, height + 0.18, 0)
        b.cylinder(b.detail, nozzle, radius * neck * 0.8, 0.2, top=0.03)


def can(b: Builder) -> None:
    """A tin or jar with a wrapped label."""
    radius, half = b.u(0.3, 0.5), b.u(0.3, 0.7)
    b.main = picture(b.main, random_artwork(b.rng, b.primary_colour))
    b.cylinder(b.main, (0, 0, 0), radius, 2 * half, segments=28)
    for sign in (-1, 1):
        b.cylinder(b.colour("gray"), (0, sign * half, 0), radius * 1.03, 0.05)
    if b.chance(0.5):
        b.cylinder(b.detail, (0, half + 0.06, 0), radius * b.u(0.6, 1.02), 0.14)


def carton(b: Builder) -> None:
    """A box with printed sides (cereal, macaroni, medicine)."""
    half = np.array([b.u(0.25, 0.6), b.u(0.3, 0.8), b.u(0.1, 0.4)])
    artwork = random_artwork(b.rng, b.primary_colour)
    b.main = picture(b.main, artwork, azimuth_range=(-1.2, 1.2))
    back = random_artwork(b.rng, b.secondary_colour)
    wrapped = picture(b.main, back, azimuth_range=(1.25, 3.0))
    b.box(wrapped if b.chance(0.6) else b.main, (0, 0, 0), half)
    if b.chance(0.3):
        b.prism(
            b.detail,
            [(-half[2], 0), (half[2], 0), (0, b.u(0.15, 0.35))],
            2 * half[0],
            (0, half[1], 0),
            rotate=(0, 90, 0),
        )


def teapot(b: Builder) -> None:
    """A pot with spout (towards +x), handle and lid."""
    radius, height = b.u(0.38, 0.52), b.u(0.32, 0.5)
    b.ellipsoid(b.main, (0, 0, 0), (radius, height, radius))
    b.cylinder(b.detail, (0, height * 0.95, 0), radius * 0.42, 0.08)
    b.sphere(b.detail, (0, height + 0.1, 0), b.u(0.06, 0.1))
    b.cylinder(b.main, (0, -height * 0.92, 0), radius * 0.55, 0.1)
    rise = b.u(0.2, 0.45)
    x = radius * np.array([0.75, 1.15, 1.4, 1.65])
    spout = np.column_stack([x, [-0.08, 0.04, rise * 0.6, rise], np.zeros(4)])
    b.tube(b.main if b.chance(0.6) else b.detail, spout, [0.13, 0.1, 0.07, 0.05])
    angle = np.linspace(0, np.pi, 12)
    if b.chance(0.7):
        ear = [(-radius * 0.8 - np.sin(a) * 0.34, np.cos(a) * 0.26, 0) for a in angle]
    else:
        ear = [(np.cos(a) * radius, height * 0.8 + np.sin(a) * 0.5, 0) for a in angle]
    b.tube(b.detail if b.chance(0.5) else b.main, ear, b.u(0.04, 0.06))


def watering_can(b: Builder) -> None:
    """A can with a long spout and a hoop."""
    radius, half = b.u(0.3, 0.4), b.u(0.28, 0.42)
    b.cylinder(b.main, (0, 0, 0), radius, 2 * half, top=radius * b.u(0.8, 1.0))
    tip = (b.u(0.8, 1.0), half + b.u(0.0, 0.2), 0)
    b.tube(b.main, [(radius * 0.8, -half * 0.6, 0), tip], [0.09, 0.05])
    b.cylinder(b.detail, tip, 0.06, 0.12, top=0.16, rotate=(0, 0, -50))
    angle = np.linspace(-0.3, np.pi * 0.9, 12)
    hoop = [
        (-radius * 0.5 - np.sin(a) * 0.4, half * 0.7 + np.cos(a) * 0.4, 0)
        for a in angle
    ]
    b.tube(b.detail, hoop, 0.045)


def vase(b: Builder) -> None:
    """A vase of a random smooth profile, sometimes with ears."""
    height = np.linspace(-0.7, 0.7, 14)
    knots = [b.u(0.15, 0.3), b.u(0.25, 0.48), b.u(0.1, 0.3), b.u(0.16, 0.36)]
    radius = np.interp(height, [-0.7, -0.15, 0.4, 0.7], knots)
    radius = np.convolve(np.pad(radius, 1, "edge"), [0.25, 0.5, 0.25], "valid")
    profile = [(0.0, -0.7), *zip(radius, height, strict=True)]
    inner = [(radius[-1] * 0.82, 0.7), (radius[-2] * 0.75, 0.4), (0.0, 0.2)]
    printed(b, share=0.25)
    b.lathe(b.main, [*profile, *inner])
    if b.chance(0.3):
        for sign in (-1, 1):
            ear = [
                (sign * (0.15 + np.sin(a) * 0.3), 0.3 + np.cos(a) * 0.25, 0)
                for a in np.linspace(0, np.pi, 10)
            ]
            b.tube(b.detail, ear, 0.04)


def goblet(b: Builder) -> None:
    """A cup on a stem."""
    radius, stem = b.u(0.28, 0.42), b.u(0.2, 0.5)
    bowl_depth = b.u(0.35, 0.6)
    profile = [(0, -stem), (b.u(0.2, 0.35), -stem), (0.07, 0.06 - stem), (0.06, 0)]
    rise = [(radius * np.sin(a), bowl_depth * (1 - np.cos(a))) for a in (0.7, 1.2, 1.6)]
    depth = rise[-1][1]
    hollow = [(radius * 0.92, depth), (radius * 0.8, depth * 0.6), (0, 0.1)]
    b.lathe(b.main, [*profile, *rise, *hollow])
    if b.chance(0.5):
        b.lathe(b.detail, [(0, 0.08), (radius * 0.82, depth * 0.6), (0, depth * 0.6)])


def basket(b: Builder) -> None:
    """A woven basket with contents or a hoop handle."""
    radius, half, flare = b.u(0.4, 0.55), b.u(0.2, 0.4), b.u(1.0, 1.35)
    wicker = mottled(b.rng, b.primary_colour, b.secondary_colour)
    top = radius * flare
    wall = [(0, -half), (radius, -half), (top, half), (top * 0.9, half)]
    b.lathe(wicker, [*wall, (radius * 0.9, 0.06 - half), (0, 0.06 - half)])
    for level in np.linspace(-1, 1, int(b.rng.integers(2, 6))):
        ring = radius + (top - radius) * (level + 1) / 2
        b.torus(b.detail, (0, level * half, 0), ring * 1.01, 0.035)
    if b.chance(0.55):
        angle = np.linspace(0, np.pi, 16)
        rise = b.u(0.5, 0.9)
        hoop = [(np.cos(a) * top, half + np.sin(a) * rise, 0) for a in angle]
        b.tube(wicker, hoop, 0.045)
    for _ in range(int(b.rng.integers(0, 6))):
        place = b.rng.uniform(-0.45, 0.45, 2) * radius
        b.sphere(b.detail, (place[0], half * b.u(0.5, 1.0), place[1]), b.u(0.12, 0.2))


def lamp(b: Builder) -> None:
    """A table lamp."""
    b.cylinder(b.detail, (0, -0.7, 0), b.u(0.2, 0.34), 0.08)
    if b.chance(0.5):
        b.cylinder(b.detail, (0, -0.3, 0), 0.04, 0.8)
    else:
        b.ellipsoid(b.detail, (0, -0.35, 0), (b.u(0.12, 0.24), 0.34, 0.2))
    wide, top = b.u(0.32, 0.5), b.u(0.35, 0.8)
    rim = b.u(0.4, 0.6)
    b.lathe(b.main, [(0, 0.02), (wide, 0), (wide * top, rim), (0, rim)])


def chair(b: Builder) -> None:
    """A chair; its front is +z."""
    width, seat = b.u(0.3, 0.42), b.u(-0.1, 0.1)
    back = b.u(0.28, 0.45)
    b.box(b.main, (0, seat, 0), (width, 0.05, width))
    if b.chance(0.5):
        b.box(b.main, (0, seat + back, 0.04 - width), (width, back, 0.04))
    else:
        for x in np.linspace(-0.85, 0.85, int(b.rng.integers(2, 6))):
            b.box(b.detail, (x * width, seat + back, 0.04 - width), (0.04, back, 0.04))
        b.box(b.main, (0, seat + 2 * back, 0.04 - width), (width, 0.07, 0.045))
    leg = (0.7 + seat) / 2
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * width * 0.86, seat - leg, z * width * 0.86)
            b.box(b.detail, foot, (0.045, leg, 0.045))
        if b.chance(0.3):
            b.box(b.detail, (x * width, seat + 0.22, 0), (0.04, 0.04, width))


def table(b: Builder) -> None:
    """A table with legs or a foot, something standing on it."""
    depth, width = b.u(0.3, 0.5), b.u(0.45, 0.75)
    if b.chance(0.6):
        b.box(b.main, (0, 0.2, 0), (width, 0.05, depth))
        for x in (-1, 1):
            for z in (-1, 1):
                foot = (x * width * 0.88, -0.2, z * depth * 0.85)
                b.box(b.detail, foot, (0.05, 0.38, 0.05))
    else:
        b.cylinder(b.main, (0, 0.2, 0), width * 0.9, 0.09)
        b.cylinder(b.detail, (0, -0.15, 0), 0.07, 0.65)
        b.cylinder(b.detail, (0, -0.48, 0), width * 0.45, 0.06)
    if b.chance(0.5):
        place = (b.u(-0.3, 0.3), 0.36, b.u(-0.15, 0.15))
        b.cylinder(b.detail, place, b.u(0.06, 0.14), 0.22, top=b.u(0.05, 0.15))


def sofa(b: Builder) -> None:
    """A sofa or armchair."""
    width, depth = b.u(0.35, 0.8), 0.35
    b.box(b.main, (0, -0.2, 0), (width, 0.14, depth))
    b.ellipsoid(b.main, (0, 0.05, -depth), (width, 0.38, 0.13), squareness=(0.3, 0.3))
    for x in (-1, 1):
        arm = (x * width, -0.06, 0.02)
        b.ellipsoid(b.main, arm, (0.11, 0.27, depth), squareness=(0.3, 0.3))
        cushion = (x * width * 0.46, 0.0, 0.04)
        half = (width * 0.44, 0.1, depth * 0.9)
        b.ellipsoid(b.detail, cushion, half, squareness=(0.4, 0.4))


def bed(b: Builder) -> None:
    """A bed; its foot end is the front."""
    width = b.u(0.35, 0.5)
    b.box(b.detail, (0, -0.2, 0), (width, 0.1, 0.75))
    b.box(b.detail, (0, 0.05, -0.75), (width, b.u(0.25, 0.4), 0.05))
    blanket = (width * 0.98, 0.14, 0.6)
    b.ellipsoid(b.main, (0, -0.05, 0.15), blanket, squareness=(0.4, 0.4))
    pillow = (width * 0.7, 0.1, 0.14)
    b.ellipsoid(b.colour("white"), (0, 0.02, -0.55), pillow, squareness=(0.6, 0.6))


def clock(b: Builder) -> None:
    """A standing clock with a face and two hands."""
    radius = b.u(0.4, 0.55)
    b.cylinder(b.main, (0, 0, 0), radius, b.u(0.15, 0.4), rotate=(90, 0, 0))
    front = 0.21
    b.cylinder(
        b.colour("white"), (0, 0, front * 0.9), radius * 0.85, 0.04, rotate=(90, 0, 0)
    )
    for length, thick in ((0.35, 0.04), (0.65, 0.025)):
        angle = b.u(0, 6.3)
        reach = radius * length
        tip = (np.cos(angle) * reach, np.sin(angle) * reach, front + 0.02)
        b.tube(b.colour("black"), [(0, 0, front + 0.02), tip], thick)
    for x in (-1, 1):
        b.cylinder(b.detail, (x * radius * 0.6, -radius, 0), 0.06, 0.25)
        if b.chance(0.5):
            b.sphere(b.detail, (x * radius * 0.6, radius * 0.9, 0), 0.15)


def book(b: Builder) -> None:
    """A closed book, standing or lying, with a printed cover."""
    half = np.array([b.u(0.35, 0.5), b.u(0.5, 0.65), b.u(0.06, 0.16)])
    cover = picture(
        b.main, random_artwork(b.rng, b.primary_colour), azimuth_range=(-1.3, 1.3)
    )
    tilt = (b.u(-90, 0), b.u(-30, 30), 0)
    b.box(b.colour("white"), (0, 0, 0), half * (0.95, 0.96, 0.85), rotate=tilt)
    for sign in (-1, 1):
        from_middle = np.array([0, 0, sign * half[2]])
        place = _rotated(from_middle, tilt)
        b.box(cover, place, (half[0], half[1], 0.025), rotate=tilt)
    spine = _rotated(np.array([-half[0], 0, 0]), tilt)
    b.box(b.main, spine, (0.025, half[1], half[2]), rotate=tilt)


def _rotated(vector: np.ndarray, angles_deg: tuple[float, float, float]) -> np.ndarray:
    return rotation_matrix(angles_deg) @ vector


def television(b: Builder) -> None:
    """A set with a picture on its screen."""
    width, height = b.u(0.5, 0.7), b.u(0.33, 0.45)
    depth = b.u(0.05, 0.35)
    b.box(b.main, (0, 0, -depth), (width, height, depth))
    screen = picture(b.colour("black"), random_artwork(b.rng, b.secondary_colour))
    b.box(screen, (0, 0, 0.01), (width * 0.88, height * 0.84, 0.02))
    b.box(b.detail, (0, -height - 0.1, -depth), (width * 0.4, 0.03, 0.15))
    b.cylinder(b.detail, (0, -height - 0.04, -depth), 0.06, 0.14)
    if b.chance(0.3):
        for x in (-1, 1):
            antenna = [(0, height, -depth), (x * 0.3, height + 0.4, -depth)]
            b.tube(b.colour("gray"), antenna, 0.02)


def candle(b: Builder) -> None:
    """A candle on a holder."""
    radius, height = b.u(0.12, 0.28), b.u(0.5, 0.9)
    b.cylinder(b.main, (0, height / 2, 0), radius, height)
    b.tube(b.colour("black"), [(0, height, 0), (0.01, height + 0.08, 0)], 0.02)
    if b.chance(0.6):
        flame = (0, height + 0.17, 0)
        b.ellipsoid(b.colour("yellow"), flame, (0.06, 0.13, 0.06))
    b.lathe(
        b.detail, [(0, -0.06), (radius * 2, -0.06), (radius * 2.2, 0.06), (0, 0.02)]
    )
    if b.chance(0.6):
        b.torus(b.detail, (radius * 2.4, 0, 0), 0.12, 0.03, rotate=(90, 0, 0))
