"""Furniture for sitting and storing; its front faces +z."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from realfusion.procedural.builder import Builder
from realfusion.procedural.families.fittings import metal, pick, plainly, wood


def stool(b: Builder) -> None:
    """A stool on three or four legs, or a bar stool on a post."""
    seat = b.main if b.chance(0.5) else wood(b)
    radius, tall, thick = b.u(0.28, 0.4), b.u(0.5, 1.1), b.u(0.04, 0.1)
    is_square = b.chance(0.25)
    if is_square:
        half = (radius, thick, radius * b.u(0.7, 1.0))
        b.ellipsoid(seat, (0, tall, 0), half, squareness=(0.3, 0.2))
    else:
        b.cylinder(seat, (0, tall, 0), radius, 2 * thick, segments=26)
        if b.chance(0.4):
            pad = (radius * 0.96, thick, radius * 0.96)
            b.ellipsoid(b.detail, (0, tall + thick, 0), pad, squareness=(0.7, 1.0))
    leg = b.detail if b.chance(0.5) else wood(b)
    if b.chance(0.25):
        steel = metal(b)
        b.cylinder(steel, (0, tall / 2, 0), 0.05, tall)
        b.cylinder(steel, (0, 0.03, 0), radius * b.u(0.8, 1.1), 0.06, segments=24)
        if b.chance(0.6):
            b.torus(steel, (0, tall * 0.35, 0), radius * 0.7, 0.025)
            bar = [(-radius * 0.7, tall * 0.35, 0), (radius * 0.7, tall * 0.35, 0)]
            b.tube(steel, bar, 0.025)
        return
    count = 4 if is_square else int(b.rng.integers(3, 5))
    splay, inset, gauge = b.u(0.9, 1.3), b.u(0.65, 0.85), b.u(0.03, 0.05)
    feet, knees = [], []
    for a in (np.arange(count) + 0.5) * 2 * np.pi / count:
        way = np.array([np.sin(a), 0, np.cos(a)]) * radius
        top, foot = way * inset + (0, tall, 0), way * inset * splay
        b.tube(leg, [top, foot], [gauge, gauge * b.u(0.6, 1.0)])
        feet.append(foot)
        knees.append(foot + (top - foot) * 0.35)
    if b.chance(0.65):
        for k in range(count):
            b.tube(leg, [knees[k], knees[(k + 1) % count]], gauge * 0.7, segments=7)


def armchair(b: Builder) -> None:
    """An easy chair on short legs: padded, winged or with wooden arms."""
    plainly(b, 0.4)
    wide, deep, seat = b.u(0.3, 0.38), b.u(0.32, 0.4), b.u(0.12, 0.18)
    leg = wood(b)
    lift = b.u(0.06, 0.22)
    for x in (-0.8, 0.8):
        for z in (-0.8, 0.8):
            foot = (x * wide, lift / 2, z * deep)
            b.cylinder(leg, foot, 0.03, lift, top=0.045, segments=10)
    soft = b.u(0.25, 0.5)
    square = (soft, soft)
    b.ellipsoid(
        b.main, (0, lift + seat, 0), (wide * 1.05, seat, deep), squareness=square
    )
    cushion = b.detail if b.chance(0.4) else b.main
    half = (wide * 0.92, 0.08, deep * 0.85)
    b.ellipsoid(cushion, (0, lift + 2 * seat, 0.06), half, squareness=square)
    back, lean = b.u(0.32, 0.5), -b.u(2, 18)
    middle = (0, lift + 2 * seat + back * 0.75, -deep * 0.9)
    half = (wide * b.u(0.85, 1.05), back, 0.11)
    b.ellipsoid(b.main, middle, half, squareness=square, rotate=(lean, 0, 0))
    arm = b.u(0.14, 0.26)
    is_wooden = b.chance(0.3)
    for sign in (-1, 1):
        x = sign * (wide + 0.06)
        level = lift + 2 * seat + arm * 0.6
        if is_wooden:
            b.box(leg, (x, level, 0), (0.05, 0.025, deep))
            for z in (-0.7, 0.7):
                b.box(leg, (x, level / 2, z * deep), (0.035, level / 2, 0.035))
        else:
            half = (0.09, (level - lift) / 2 + 0.04, deep)
            b.ellipsoid(b.main, (x, (level + lift) / 2, 0), half, squareness=square)
        if not is_wooden and b.chance(0.3):
            wing = (x, middle[1] + 0.05, -deep * 0.7)
            b.ellipsoid(b.main, wing, (0.06, back * 0.7, 0.16), squareness=square)
    if b.chance(0.35):
        pillow = (wide * 0.45, wide * 0.4, 0.09)
        place = (b.u(-0.08, 0.08), lift + 2 * seat + 0.22, -deep * 0.55)
        b.ellipsoid(b.detail, place, pillow, squareness=(0.5, 0.5), rotate=(-18, 0, 0))


def dresser(b: Builder) -> None:
    """A chest of drawers or a cupboard with doors, on legs or a plinth."""
    case = wood(b) if b.chance(0.5) else b.main
    wide, tall, deep = b.u(0.3, 0.62), b.u(0.3, 0.62), b.u(0.2, 0.3)
    front = case if b.chance(0.45) else b.detail
    knob = metal(b) if b.chance(0.6) else b.colour("black")
    b.box(case, (0, 0, 0), (wide, tall, deep))
    if b.chance(0.6):
        b.box(case, (0, tall + 0.02, 0.01), (wide * 1.05, 0.03, deep * 1.06))
    columns = 2 if wide > 0.42 and b.chance(0.7) else 1
    is_cupboard = b.chance(0.4)
    rows = 1 if is_cupboard else int(b.rng.integers(2, 5))
    levels = np.linspace(-1, 1, rows + 1) * tall * 0.95
    if is_cupboard and b.chance(0.5):
        levels = np.array([-0.95, 0.5, 0.95]) * tall
    cell = wide * 0.95 / columns
    long = b.chance(0.4)
    for column in range(columns):
        x = (2 * column + 1 - columns) * cell
        for low, high in pairwise(levels):
            half_tall = (high - low) / 2
            middle = (low + high) / 2
            b.box(front, (x, middle, deep), (cell * 0.94, half_tall * 0.92, 0.025))
            is_door = is_cupboard and half_tall > 0.3 * tall
            side = -np.sign(x) if columns == 2 else 1
            at = x + side * cell * 0.75 if is_door else x
            if long:
                size = (0.018, 0.1, 0.02) if is_door else (0.1, 0.018, 0.02)
                b.box(knob, (at, middle, deep + 0.045), size)
            else:
                b.sphere(knob, (at, middle, deep + 0.045), 0.032)
    if b.chance(0.7):
        rise = b.u(0.06, 0.25)
        leg = case if b.chance(0.5) else wood(b)
        for x in (-0.88, 0.88):
            for z in (-0.8, 0.8):
                foot = (x * wide, -tall - rise / 2, z * deep)
                b.cylinder(leg, foot, 0.025, rise, top=0.04, segments=10)
    else:
        b.box(case, (0, -tall - 0.04, -0.02), (wide * 0.95, 0.05, deep * 0.92))


def bookshelf(b: Builder) -> None:
    """Open shelves with rows of books and a few other things."""
    case = wood(b) if b.chance(0.55) else b.main
    wide, tall, deep = b.u(0.28, 0.5), b.u(0.4, 0.75), b.u(0.12, 0.18)
    rows, board = int(b.rng.integers(2, 5)), 0.025
    has_back = b.chance(0.7)
    if has_back:
        b.box(case, (0, 0, -deep), (wide, tall, 0.015))
    for sign in (-1, 1):
        b.box(case, (sign * wide, 0, 0), (board, tall, deep))
    levels = np.linspace(-tall + board, tall - board, rows + 1)
    room = levels[1] - levels[0]
    fill = b.u(0.4, 1.0)
    for k, level in enumerate(levels):
        b.box(case, (0, level, 0), (wide, board, deep))
        if k == rows:
            break
        x = -wide + board
        end = x + 2 * (wide - board) * min(1.0, fill * b.u(0.5, 1.2))
        while x < end - 0.1:
            half = min(b.u(0.025, 0.07), (wide - board - x) / 2)
            high = (room - 2 * board) * b.u(0.3, 0.47)
            cover = pick(b, "red", "blue", "green", "brown", "white", "black", "yellow")
            place = (x + half, level + board + high, -deep * 0.1)
            b.box(cover, place, (half * 0.96, high, deep * b.u(0.6, 0.85)))
            x += 2 * half
        if end < wide * 0.5 and b.chance(0.5):
            high = (room - 2 * board) * b.u(0.4, 0.7)
            place = (wide * 0.7, level + board + high / 2, 0)
            b.cylinder(b.detail, place, deep * 0.5, high, top=deep * 0.35)
