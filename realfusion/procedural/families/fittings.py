"""What many household things share: walls, handles, straps, labels and finishes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from realfusion.procedural.builder import Builder, Points, Vector
from realfusion.procedural.paint import (
    Array,
    Paint,
    blend,
    picture,
    plain,
    random_artwork,
)
from realfusion.procedural.unit_shapes import quad_grid, with_creases


def printed(b: Builder, *, share: float = 0.5) -> None:
    """Puts a printed picture on the main paint of some objects."""
    if not b.chance(share):
        return
    half, low = b.u(0.5, 1.2), b.u(-0.7, -0.2)
    b.main = picture(
        b.main,
        random_artwork(b.rng, b.secondary_colour),
        azimuth_range=(-half, half) if b.chance(0.6) else (-np.pi, np.pi),
        height_range=(low, b.u(0.15, 0.7)),
    )


def handle(b: Builder, x: float, reach: float, half: float, thick: float) -> None:
    """A handle in the plane z = 0 on the +x side."""
    angle = np.linspace(0, np.pi, 12)
    ear = np.column_stack([x + np.sin(angle) * reach, np.cos(angle) * half, 0 * angle])
    b.tube(b.detail if b.chance(0.5) else b.main, ear, thick)


def plainly(b: Builder, share: float = 0.7) -> None:
    """Takes the pattern off the main paint of most objects."""
    if b.chance(share):
        b.main = plain(b.primary_colour)


def pick(b: Builder, *names: str) -> Paint:
    """A plain paint near one of the named colours."""
    return b.colour(str(b.rng.choice(names)))


def metal(b: Builder) -> Paint:
    """A plain metal: steel or aluminium, seldom dark, brass or copper."""
    if b.chance(0.75):
        level = b.u(0.45, 0.85)
        tint = np.array([level, level, level * b.u(0.97, 1.06)])
    else:
        tint = np.array([(0.2, 0.2, 0.22), (0.75, 0.6, 0.28), (0.7, 0.42, 0.28)])[
            int(b.rng.integers(3))
        ]
    return plain(tint.clip(0, 1).astype(np.float32))


def wood(b: Builder) -> Paint:
    """A plain wood, from pale to dark."""
    tone = np.array([0.72, 0.5, 0.3]) * b.u(0.45, 1.2) + b.u(0, 0.08)
    return plain(tone.clip(0, 0.95).astype(np.float32))


def front_print(
    base: Paint,
    artwork: Array,
    half: Vector,
    *,
    window: tuple[float, float, float, float] = (-1.0, 1.0, -1.0, 1.0),
    is_back: bool = False,
) -> Paint:
    """Prints a flat picture on the front (or back) of a part over another paint.

    Args:
        base: Paint of the rest.
        artwork: ``[rows, columns, 3]``, row 0 at the top.
        half: Half extents of the part, which is centred in its own frame.
        window: Left, right, bottom and top of the picture, in half extents.
        is_back: On the side of -z.
    """
    sides = np.asarray(half, float)
    sides = sides / sides.max()
    rows, columns = artwork.shape[:2]
    left, right, low, high = window
    facing = -1.0 if is_back else 1.0

    def paint(points: Array) -> Array:
        colours = np.array(base(points), np.float32)
        u = (points[:, 0] * facing / sides[0] - left) / (right - left)
        v = (points[:, 1] / sides[1] - low) / (high - low)
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        inside &= points[:, 2] * facing > 0.3 * sides[2]
        row = ((1 - v[inside]) * rows).astype(np.int32).clip(0, rows - 1)
        column = (u[inside] * columns).astype(np.int32).clip(0, columns - 1)
        colours[inside] = artwork[row, column]
        return colours

    return paint


def wrapper(b: Builder, half: Vector) -> Paint:
    """The main paint with a print in front and often another at the back."""
    art = random_artwork(b.rng, b.primary_colour)
    window = (-b.u(0.6, 1.0), b.u(0.6, 1.0), -b.u(0.3, 1.0), b.u(0.3, 1.0))
    paint = front_print(b.main, art, half, window=window)
    if b.chance(0.6):
        back = random_artwork(b.rng, b.secondary_colour)
        paint = front_print(paint, back, half, window=window, is_back=True)
    return paint


def vessel(
    b: Builder,
    outline: Sequence[tuple[float, float]],
    *,
    outside: Paint,
    inside: Paint | None = None,
    wall: float = 0.04,
    centre: Vector = (0, 0, 0),
    lip: float = 0.0,
    segments: int = 24,
) -> None:
    """An open vessel with a wall and a floor, one closed part.

    Args:
        b: Where it is added.
        outline: ``(radius, height)`` of the outside, from the foot's edge to the rim;
            the heights increase.
        outside: Paint of the outside.
        inside: Paint of the inside; as the outside where missing.
        wall: Thickness of the wall and the floor.
        centre: Of the frame of the outline.
        lip: How far a pouring lip reaches towards +x.
        segments: Corners around.
    """
    outer = np.array(outline, float)
    floor = outer[0, 1] + wall
    heights = np.concatenate([[floor], outer[1:, 1][outer[1:, 1] > floor + 1e-6]])
    radii = np.interp(heights, outer[:, 1], outer[:, 0]) - wall
    inner = np.column_stack([radii, heights])[::-1]
    ends = np.array([[0, outer[0, 1]]]), np.array([[0, floor]])
    profile = with_creases(np.concatenate([ends[0], outer, inner, ends[1]]))
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
    radius, height = profile[None, :, 0], profile[None, :, 1] + 0 * around
    points = np.stack([np.sin(around) * radius, height, np.cos(around) * radius], -1)
    if lip:
        top = ((height - floor) / (outer[-1, 1] - floor)).clip(0) ** 4
        points[..., 0] += lip * top * np.sin(around).clip(0) ** 8
    points = points.reshape(-1, 3)
    paint = outside
    if inside is not None and inside is not outside:
        scale = np.abs(points).max()
        paint = _lined(outside, inside, outer / scale, wall / scale)
    b.add(points, quad_grid(segments, len(profile)), paint, centre)


def _lined(outside: Paint, inside: Paint, outer: Array, wall: float) -> Paint:
    """One paint outside a vessel's wall, another inside it."""
    floor = outer[0, 1]

    def paint(points: Array) -> Array:
        middle = np.interp(points[:, 1], outer[:, 1], outer[:, 0]) - wall / 2
        radius = np.hypot(points[:, 0], points[:, 2])
        is_inside = (radius < middle) & (points[:, 1] > floor + wall / 2)
        weight = is_inside.astype(np.float32)
        return blend(weight, outside(points), inside(points))

    return paint


def loft(
    b: Builder,
    paint: Paint,
    sections: Sequence[Sequence[float]],
    centre: Vector = (0, 0, 0),
    *,
    squareness: float = 1.0,
    rotate: Vector = (0, 0, 0),
    segments: int = 24,
) -> None:
    """A solid through superelliptic sections, closed at both ends.

    Args:
        b: Where it is added.
        paint: Its paint.
        sections: ``(height, half_x, half_z)`` of each, then optionally the ``x`` and
            ``z`` of its middle.
        centre: Of its own frame.
        squareness: 1 is elliptic, 0.2 boxy.
        rotate: Angles in degrees.
        segments: Corners around.
    """
    rows = np.array([(*s, *(0.0,) * (5 - len(s))) for s in sections], float)
    ends = rows[[0, -1]] * (1, 0, 0, 1, 1)
    rows = with_creases(np.concatenate([ends[:1], rows, ends[1:]]))
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
    sine, cosine = (
        np.sign(wave) * np.abs(wave) ** squareness
        for wave in (np.sin(angle), np.cos(angle))
    )
    height, half_x, half_z, x, z = rows.T[:, None]
    points = np.stack(
        [x + half_x * sine, height + 0 * sine, z + half_z * cosine], -1
    ).reshape(-1, 3)
    b.add(points, quad_grid(segments, len(rows)), paint, centre, rotate)


def ribbon(
    b: Builder,
    paint: Paint,
    path: Points,
    width: float,
    thick: float,
    centre: Vector = (0, 0, 0),
    *,
    rotate: Vector = (0, 0, 0),
    is_loop: bool = False,
) -> None:
    """A flat strap of the given width along z that follows a path in (x, y).

    Args:
        b: Where it is added.
        paint: Its paint.
        path: ``(x, y)`` of the points of its middle line.
        width: Along z.
        thick: Across the path.
        centre: Of its own frame.
        rotate: Angles in degrees.
        is_loop: Whether the last point joins the first.
    """
    line = np.asarray(path, float)
    count = len(line)
    if is_loop:
        tangent = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    else:
        tangent = np.gradient(line, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    across = np.column_stack([-tangent[:, 1], tangent[:, 0]]) * thick / 2
    near, far = (
        [np.column_stack([edge, np.full(count, z)]) for z in (-width / 2, width / 2)]
        for edge in (line - across, line + across)
    )
    ring = [near[0], near[1], far[1], far[0]]
    index = np.arange(count if is_loop else count - 1)
    after = (index + 1) % count
    points, faces, start = [], [], 0
    for side in range(4):
        points += [ring[side], ring[(side + 1) % 4]]
        quads = np.stack([index, after, after + count], -1)
        rest = np.stack([index, after + count, index + count], -1)
        faces.append(np.concatenate([quads, rest]) + start)
        start += 2 * count
    if not is_loop:
        for end in (0, -1):
            points.append(np.stack([corner[end] for corner in ring]))
            faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + start)
            start += 4
    b.add(np.concatenate(points), np.concatenate(faces), paint, centre, rotate)


def arc(
    radius_x: float,
    radius_y: float,
    *,
    arc_deg: tuple[float, float] = (0.0, 180.0),
    count: int = 14,
    centre: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """``[count, 2]`` points of an elliptic arc, from +x towards +y."""
    angle = np.deg2rad(np.linspace(*arc_deg, count))
    x, y = np.cos(angle) * radius_x, np.sin(angle) * radius_y
    return np.column_stack([x, y]) + np.asarray(centre)


def in_space(path: Points, z: float = 0.0) -> Array:
    """Points (x, y) placed in the plane of a given z."""
    flat = np.asarray(path, float)
    return np.column_stack([flat, np.full(len(flat), z)])
