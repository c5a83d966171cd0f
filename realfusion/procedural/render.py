"""Renders textured meshes from orbit cameras with varied light, antialiased."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.builder import TexturedMesh
from realfusion.procedural.paint import Array
from realfusion.procedural.rasterizer import (
    NUM_PLANES,
    rasterize_occupancy,
    rasterize_triangles,
)


@dataclass(frozen=True, kw_only=True)
class ObjectView:
    """An orbit camera that looks at the origin."""

    azimuth_deg: float
    """Counter-clockwise seen from above; 0 stands on +z, 90 on +x."""
    elevation_deg: float
    """Above the horizontal."""
    radius: float = 1.8
    """Distance from the origin, world units."""
    fov_y_deg: float = 40.0
    """Vertical field of view."""

    def eye(self) -> NDArray[np.float64]:
        """World position of the camera."""
        azimuth, elevation = np.deg2rad([self.azimuth_deg, self.elevation_deg])
        direction = [
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ]
        return self.radius * np.array(direction)

    def axes(self) -> NDArray[np.float64]:
        """Rows: right, down and forward in world coordinates."""
        azimuth = np.deg2rad(self.azimuth_deg)
        forward = -self.eye() / self.radius
        right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
        return np.stack([right, np.cross(forward, right), forward])


@dataclass(frozen=True, kw_only=True)
class Light:
    """A directional light over an ambient one."""

    direction: tuple[float, float, float] = (0.3, 0.8, 0.5)
    """Towards the light; in camera axes (right, up, backward) if it follows it."""
    follows_camera: bool = False
    """Whether the light is attached to the camera instead of the world."""
    ambient: float = 0.6
    """Share of the light that comes from everywhere."""
    exposure: float = 1.0
    """Factor on the final colours."""
    gloss: float = 0.0
    """Strength of the highlight."""


def random_light(rng: np.random.Generator) -> Light:
    """A light from above, from a random side, of random contrast."""
    direction = np.array([0.0, 0.75, 0.35]) + rng.normal(0, 0.5, 3)
    return Light(
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        follows_camera=bool(rng.random() < 0.4),
        ambient=float(rng.uniform(0.45, 0.85)),
        exposure=float(rng.uniform(0.85, 1.12)),
        gloss=float(rng.uniform(0, 0.35) if rng.random() < 0.4 else 0.0),
    )


def render_views(
    mesh: TexturedMesh,
    views: list[ObjectView],
    light: Light,
    *,
    size: int = 64,
    supersampling: int = 2,
    from_behind: bool = False,
) -> NDArray[np.float32]:
    """Renders an object.

    Args:
        mesh: The object.
        views: The cameras.
        light: The light, the same in all views.
        size: Pixels a side.
        supersampling: Samples a pixel along each axis.
        from_behind: Show the last surface along each ray, lit as an eye behind it
            would see it, in place of the first.

    Returns:
        ``[num_views, size, size, 4]``: colour multiplied by alpha, alpha; in [0, 1].
    """
    fine = size * supersampling
    screen = np.stack([_project(mesh.vertices, view, fine) for view in views])
    raster = rasterize_triangles(
        screen, mesh.faces, fine, fine, keep_farthest=from_behind
    )
    # One index into all pixels: several at once, and numpy takes twice as long.
    pixel = np.flatnonzero(raster.face_index >= 0)
    view_index = pixel // fine**2
    face = raster.face_index.reshape(-1).take(pixel)
    weights = raster.weights.reshape(-1, 2).take(pixel, axis=0)
    attributes = np.concatenate([mesh.vertices, mesh.normals, mesh.own_coordinates], 1)
    vertex = mesh.faces.take(face, axis=0)
    corner = (1 - weights[:, :1] - weights[:, 1:], weights[:, :1], weights[:, 1:])
    values = attributes.take(vertex[:, 0], axis=0) * corner[0]
    values += attributes.take(vertex[:, 1], axis=0) * corner[1]
    values += attributes.take(vertex[:, 2], axis=0) * corner[2]
    colours = _paint(mesh, face, values[:, 6:])
    eyes = [_opposite(view) for view in views] if from_behind else views
    shaded = _shade(colours, values[:, :3], values[:, 3:6], eyes, view_index, light)
    image = np.zeros((len(views), fine, fine, 4), np.float32)
    pixels = image.reshape(-1, 4)
    pixels[pixel, :3] = shaded
    pixels[pixel, 3] = 1.0
    return _box_filter(image, supersampling)


def render_occupancy(
    mesh: TexturedMesh, views: list[ObjectView], *, size: int, extent: float
) -> NDArray[np.uint64]:
    """What the rays through the pixels meet inside an object.

    Args:
        mesh: The object.
        views: The cameras.
        size: Pixels a side.
        extent: The planes are the middles of equal slices of depths from ``extent``
            before the origin to ``extent`` behind it, world units.

    Returns:
        ``[num_views, size, size]``; bit k tells whether plane k is inside.
    """
    spacing = 2 * extent / NUM_PLANES
    occupancy = np.empty((len(views), size, size), np.uint64)
    for index, view in enumerate(views):
        occupancy[index] = rasterize_occupancy(
            _project(mesh.vertices, view, size)[None],
            mesh.faces,
            mesh.part_begin,
            size,
            size,
            first_depth=view.radius - extent + spacing / 2,
            spacing=spacing,
        )[0]
    return occupancy


def _opposite(view: ObjectView) -> ObjectView:
    return replace(
        view,
        azimuth_deg=view.azimuth_deg + 180.0,
        elevation_deg=-view.elevation_deg,
    )


def _box_filter(image: Array, factor: int) -> Array:
    """Means of ``factor`` x ``factor`` pixels (strided sums: faster than a reshape)."""
    parts = [
        image[:, row::factor, column::factor]
        for row in range(factor)
        for column in range(factor)
    ]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total / factor**2


def _project(points: Array, view: ObjectView, size: int) -> Array:
    """World points to pixel x, pixel y and depth."""
    local = (points - view.eye()) @ view.axes().T
    focal = 0.5 * size / np.tan(np.deg2rad(view.fov_y_deg) / 2)
    pixels = local[:, :2] / local[:, 2:] * focal + size / 2
    return np.column_stack([pixels, local[:, 2]]).astype(np.float32)


def _paint(mesh: TexturedMesh, face: NDArray[np.int32], points: Array) -> Array:
    """Colour of each hit from the paint of its face."""
    colours = np.empty_like(points)
    paint_index = mesh.face_paint[face]
    for index, paint in enumerate(mesh.paints):
        chosen = paint_index == index
        if chosen.any():
            colours[chosen] = paint(points[chosen])
    return colours


def _shade(
    colours: Array,
    points: Array,
    normals: Array,
    views: list[ObjectView],
    view_index: NDArray[np.int64],
    light: Light,
) -> Array:
    """Two-sided wrapped Lambertian shading with an optional highlight."""
    eyes = np.stack([view.eye() for view in views]).astype(np.float32)
    towards = np.stack([_light_direction(view, light) for view in views])
    to_eye = eyes.take(view_index, axis=0) - points
    to_eye /= np.sqrt(_dot(to_eye, to_eye))
    normals = normals / (np.sqrt(_dot(normals, normals)) + 1e-9)
    normals *= np.sign(_dot(to_eye, normals))
    to_light = towards.astype(np.float32).take(view_index, axis=0)
    wrapped = (0.5 + 0.5 * _dot(normals, to_light)) ** 1.5 * 1.35
    shaded = colours * (light.ambient + (1 - light.ambient) * wrapped)
    if light.gloss > 0:
        half = to_eye + to_light
        half /= np.sqrt(_dot(half, half)) + 1e-9
        shaded = shaded + light.gloss * _dot(normals, half).clip(0) ** 24
    return np.clip(shaded * light.exposure, 0, 1).astype(np.float32)


def _dot(a: Array, b: Array) -> Array:
    """Products of rows, one a row."""
    return np.einsum("ij,ij->i", a, b)[:, None]


def _light_direction(view: ObjectView, light: Light) -> NDArray[np.float64]:
    direction = np.array(light.direction, float)
    if light.follows_camera:
        right, down, forward = view.axes()
        direction = np.stack([right, -down, -forward]).T @ direction
    return direction / np.linalg.norm(direction)
