"""Builds textured triangle meshes from solid primitives.

The world is right-handed with +y up; an object's canonical front faces +z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.paint import Array, Paint, colour_near, plain, random_pattern
from realfusion.procedural.unit_shapes import (
    cross_rows,
    quad_grid,
    unit_box,
    unit_superquadric,
    with_creases,
)

Vector: TypeAlias = Sequence[float] | NDArray[Any]
"""Three numbers: x, y, z."""
Points: TypeAlias = Sequence[Vector] | NDArray[Any]
"""A list of points."""


@dataclass(frozen=True, kw_only=True)
class TexturedMesh:
    """A triangle mesh whose faces carry paints."""

    vertices: Array
    """``[num_vertices, 3]`` world positions."""
    normals: Array
    """``[num_vertices, 3]`` unit normals (of either orientation)."""
    own_coordinates: Array
    """``[num_vertices, 3]``: where the paint is evaluated (see :mod:`paint`)."""
    faces: NDArray[np.int32]
    """``[num_faces, 3]`` vertex indices."""
    face_paint: NDArray[np.int32]
    """``[num_faces]`` index into ``paints``."""
    part_begin: NDArray[np.int64]
    """``[num_parts + 1]``: first face of each closed part, then ``num_faces``."""
    paints: tuple[Paint, ...]


def rotation_matrix(angles_deg: Vector) -> NDArray[np.float64]:
    """Rotation about x, then y, then z, by angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = (
        f(np.deg2rad(np.asarray(angles_deg, float))) for f in (np.cos, np.sin)
    )
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def vertex_normals(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """Area-weighted vertex normals."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                faces[:, corner], face_normals[:, axis], len(vertices)
            )
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


class Builder:
    """Collects painted primitives of one object.

    Args:
        rng: Source of all randomness.
        primary: Name of the main colour.
        secondary: Name of the colour of the details.
        is_patterned: Whether ``main`` and ``detail`` may carry patterns.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        primary: str,
        secondary: str,
        *,
        is_patterned: bool = True,
    ) -> None:
        self.rng = rng
        self.primary_colour = colour_near(rng, primary)
        self.secondary_colour = colour_near(rng, secondary)
        self.main: Paint = plain(self.primary_colour)
        self.detail: Paint = plain(self.secondary_colour)
        if is_patterned:
            self.main = random_pattern(rng, self.primary_colour, self.secondary_colour)
        self._paints: list[Paint] = []
        self._vertices: list[NDArray[np.float64]] = []
        self._own: list[NDArray[np.float64]] = []
        self._faces: list[NDArray[np.int32]] = []
        self._face_paint: list[NDArray[np.int32]] = []
        self._count = 0

    def u(self, low: float, high: float) -> float:
        """A uniform random number."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self.rng.random() < probability)

    def colour(self, name: str) -> Paint:
        """A plain paint near a named colour."""
        return plain(colour_near(self.rng, name, 0.04))

    def add(
        self,
        points: NDArray[np.float64],
        faces: NDArray[np.integer[Any]],
        paint: Paint,
        centre: Vector = (0, 0, 0),
        rotate: Vector = (0, 0, 0),
    ) -> None:
        """Adds a mesh given in its own frame, then rotated and moved to ``centre``."""
        points = np.asarray(points, float)
        if paint not in self._paints:
            self._paints.append(paint)
        self._own.append(points / (np.abs(points).max() + 1e-9))
        if any(rotate):
            points = points @ rotation_matrix(rotate).T
        self._vertices.append(points + np.asarray(centre))
        self._faces.append(np.asarray(faces, np.int32) + self._count)
        index = self._paints.index(paint)
        self._face_paint.append(np.full(len(faces), index, np.int32))
        self._count += len(points)

    def ellipsoid(
        self,
        paint: Paint,
        centre: Vector,
        radii: Vector,
        *,
        squareness: tuple[float, float] = (1.0, 1.0),
        rotate: Vector = (0, 0, 0),
        segments: int = 18,
    ) -> None:
        """A superquadric; ``squareness`` (vertical, horizontal): 1 round, 0.2 boxy."""
        unit = unit_superquadric(segments, *squareness)
        grid = quad_grid(segments, segments // 2 + 3)
        self.add(unit * np.asarray(radii), grid, paint, centre, rotate)

    def sphere(self, paint: Paint, centre: Vector, radius: float) -> None:
        """A ball."""
        segments = 10 if radius < 0.09 else 18
        self.ellipsoid(paint, centre, (radius,) * 3, segments=segments)

    def box(
        self,
        paint: Paint,
        centre: Vector,
        half: Vector,
        *,
        rotate: Vector = (0, 0, 0),
        taper: float = 1.0,
    ) -> None:
        """A box by its half extents; ``taper`` scales its top."""
        corners, faces = unit_box()
        vertices = corners.copy()
        vertices[vertices[:, 1] > 0] *= (taper, 1, taper)
        self.add(vertices * np.asarray(half), faces, paint, centre, rotate)

    def lathe(
        self,
        paint: Paint,
        profile: Sequence[tuple[float, float]],
        centre: Vector = (0, 0, 0),
        *,
        rotate: Vector = (0, 0, 0),
        segments: int = 24,
    ) -> None:
        """A surface of revolution about y from ``(radius, height)`` points."""
        creased = with_creases(np.array(profile, float))
        around = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
        radius, height = creased[None, :, 0], creased[None, :, 1]
        points = np.stack(
            [np.sin(around) * radius, height + 0 * around, np.cos(around) * radius], -1
        ).reshape(-1, 3)
        self.add(points, quad_grid(segments, len(creased)), paint, centre, rotate)

    def cylinder(
        self,
        paint: Paint,
        centre: Vector,
        radius: float,
        height: float,
        *,
        top: float | None = None,
        rotate: Vector = (0, 0, 0),
        segments: int = 18,
    ) -> None:
        """A cylinder or truncated cone about y, closed at both ends."""
        top = radius if top is None else top
        half = height / 2
        profile = [(0.0, -half), (radius, -half), (top, half), (0.0, half)]
        self.lathe(paint, profile, centre, rotate=rotate, segments=segments)

    def tube(
        self,
        paint: Paint,
        points: Points,
        radius: float | Sequence[float] | NDArray[Any],
        *,
        segments: int = 9,
    ) -> None:
        """A round tube along a polyline, with a radius that may vary; closed ends."""
        path = np.asarray(points, float)
        radii = np.broadcast_to(np.asarray(radius, float), (len(path),))
        path = np.concatenate([path[:1], path, path[-1:]])
        radii = np.concatenate([[1e-4], radii, [1e-4]])
        tangent = np.gradient(path[1:-1], axis=0)
        tangent = np.concatenate([tangent[:1], tangent, tangent[-1:]])
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
        across = cross_rows(tangent, np.array([0.31, 0.93, 0.17]))
        across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-9
        upward = cross_rows(tangent, across)
        angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None, None]
        ring = np.cos(angle) * across[None] + np.sin(angle) * upward[None]
        vertices = (path[None] + radii[None, :, None] * ring).reshape(-1, 3)
        self.add(vertices, quad_grid(segments, len(path)), paint)

    def torus(
        self,
        paint: Paint,
        centre: Vector,
        radius: float,
        thickness: float,
        *,
        arc_deg: tuple[float, float] = (0.0, 360.0),
        rotate: Vector = (0, 0, 0),
        flatten: float = 1.0,
    ) -> None:
        """A ring (or an arc of one) about y; angle 0 at +z, growing towards +x."""
        angle = np.deg2rad(np.linspace(*arc_deg, 20))
        path = np.stack(
            [np.sin(angle) * radius, 0 * angle, np.cos(angle) * radius * flatten], -1
        )
        placed = path @ rotation_matrix(rotate).T + np.asarray(centre)
        self.tube(paint, placed, thickness)

    def prism(
        self,
        paint: Paint,
        outline: Points,
        depth: float,
        centre: Vector = (0, 0, 0),
        *,
        rotate: Vector = (0, 0, 0),
        bevel: float = 0.0,
    ) -> None:
        """A star-shaped outline in (x, y), extruded by ``depth`` along z.

        ``bevel`` shrinks the front and back outlines towards their centre.
        """
        flat = np.asarray(outline, float)
        count, middle = len(flat), flat.mean(axis=0)
        index = np.arange(count)
        after = (index + 1) % count
        cap = middle + (flat - middle) * (1 - bevel)
        points, faces, start = [], [], 0
        for sign in (-1.0, 1.0):
            ring = np.concatenate([cap, middle[None]])
            points.append(np.column_stack([ring, np.full(count + 1, sign * depth / 2)]))
            fan = np.stack([np.full(count, count), index, after], -1)
            faces.append(fan + start)
            start += count + 1
        layers = [cap, flat, cap] if bevel else [flat, flat]
        levels = np.linspace(-depth / 2, depth / 2, len(layers))
        for k in range(len(layers) - 1):
            low = np.column_stack([layers[k], np.full(count, levels[k])])
            high = np.column_stack([layers[k + 1], np.full(count, levels[k + 1])])
            side = np.concatenate([low, low[after], high, high[after]])
            quads = np.stack([index, index + count, index + 3 * count], -1)
            rest = np.stack([index, index + 3 * count, index + 2 * count], -1)
            points.append(side)
            faces.append(np.concatenate([quads, rest]) + start)
            start += len(side)
        self.add(np.concatenate(points), np.concatenate(faces), paint, centre, rotate)

    def turn(self, rotate: Vector) -> None:
        """Rotates all parts added so far about the origin, as when a thing lies."""
        matrix = rotation_matrix(rotate).T
        self._vertices = [points @ matrix for points in self._vertices]

    def finish(self, radius: float, warp: Warp | None = None) -> TexturedMesh:
        """Centres the object and scales it into a sphere of the given radius.

        Args:
            radius: Of the bounding sphere around the centre of the bounding box.
            warp: A deformation of space applied to the unit-size object first.
        """
        unit = _centred(np.concatenate(self._vertices))
        if warp is not None:
            unit = _centred(warp(unit))
        vertices: Array = (unit * radius).astype(np.float32)
        faces = np.concatenate(self._faces)
        return TexturedMesh(
            vertices=vertices,
            normals=vertex_normals(vertices, faces),
            own_coordinates=np.concatenate(self._own).astype(np.float32),
            faces=faces,
            face_paint=np.concatenate(self._face_paint),
            part_begin=np.cumsum([0, *(len(part) for part in self._faces)]),
            paints=tuple(self._paints),
        )


class Warp:
    """A smooth random deformation: stretch, bend, twist and ripple.

    Args:
        rng: Source of randomness.
        strength: 0 is none, 1 is strong.
    """

    def __init__(self, rng: np.random.Generator, strength: float) -> None:
        self._stretch = np.exp(rng.normal(0, 0.25 * strength, 3))
        self._bend = rng.normal(0, 0.35 * strength)
        self._twist = rng.normal(0, 0.5 * strength)
        self._waves = rng.normal(size=(3, 3)) * rng.uniform(1.0, 5.0)
        self._phases = rng.uniform(0, 2 * np.pi, 3)
        self._ripple = 0.06 * strength * rng.random()

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Deforms ``[num_points, 3]`` points of an object of about unit size."""
        moved = points * self._stretch
        angle = self._twist * moved[:, 1]
        cos, sin = np.cos(angle), np.sin(angle)
        moved = np.column_stack(
            [
                cos * moved[:, 0] + sin * moved[:, 2],
                moved[:, 1],
                cos * moved[:, 2] - sin * moved[:, 0],
            ]
        )
        moved[:, 0] += self._bend * moved[:, 1] ** 2
        return moved + self._ripple * np.sin(points @ self._waves.T + self._phases)


def _centred(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moves the bounding box's centre to the origin and scales to radius 1."""
    moved = vertices - (vertices.max(axis=0) + vertices.min(axis=0)) / 2
    return moved / (np.linalg.norm(moved, axis=1).max() + 1e-12)
