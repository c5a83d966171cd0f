"""Points and triangles that the primitives of a builder start from.

Those that do not depend on random numbers are made once and shared: do not write to
them.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_SHARP_COSINE = 0.8


@functools.lru_cache(maxsize=512)
def quad_grid(num_u: int, num_v: int) -> NDArray[np.int32]:
    """Triangles of a grid that is closed along u; vertex index u * num_v + v."""
    u = np.arange(num_u)[:, None]
    v = np.arange(num_v - 1)[None]
    a, b = u * num_v + v, (u + 1) % num_u * num_v + v
    halves = [np.stack([a, b, b + 1], -1), np.stack([a, b + 1, a + 1], -1)]
    return np.stack(halves, 2).reshape(-1, 3).astype(np.int32)


def _signed_power(value: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    return np.sign(value) * np.abs(value) ** exponent


@functools.lru_cache(maxsize=512)
def unit_superquadric(
    segments: int, vertical: float, horizontal: float
) -> NDArray[np.float64]:
    """Points of a superquadric of radius 1 (see :meth:`Builder.ellipsoid`)."""
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)[:, None]
    up = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 3)[None]
    ring = _signed_power(np.cos(up), vertical)
    return np.stack(
        [
            ring * _signed_power(np.sin(around), horizontal),
            _signed_power(np.sin(up), vertical) + 0 * around,
            ring * _signed_power(np.cos(around), horizontal),
        ],
        axis=-1,
    ).reshape(-1, 3)


@functools.cache
def unit_box() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Corners, four a side, and triangles of a box of half size 1."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    points: list[NDArray[np.float64]] = []
    faces = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            side = np.zeros((4, 3))
            side[:, axis] = sign
            side[:, (axis + 1) % 3] = corners[:, 0]
            side[:, (axis + 2) % 3] = corners[:, 1]
            faces.append(np.array([[0, 1, 2], [0, 2, 3]]) + 4 * len(points))
            points.append(side)
    return np.concatenate(points), np.concatenate(faces)


def cross_rows(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products of rows (numpy's own spends most of its time on axes)."""
    product = np.empty(np.broadcast_shapes(a.shape, b.shape))
    for axis in range(3):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        product[..., axis] = a[..., i] * b[..., j] - a[..., j] * b[..., i]
    return product


def with_creases(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """Doubles the corners of a profile, so that smooth normals keep its edges."""
    steps = np.diff(profile, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True) + 1e-9
    sharp = (steps[1:] * steps[:-1]).sum(axis=1) < _SHARP_COSINE
    repeats = np.ones(len(profile), int)
    repeats[1:-1] += sharp
    return np.repeat(profile, repeats, axis=0)
