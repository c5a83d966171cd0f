"""A small ray tracer of signed distance fields, in numpy: it makes the examples."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

Points = np.ndarray  # [N, 3] float32
Colors = np.ndarray  # [N, 3] linear RGB
Distance = Callable[[Points], np.ndarray]

# ------------------------------------------------------------------ distance fields


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def length(points: Points) -> np.ndarray:
    return np.sqrt(np.einsum("...c,...c->...", points, points))


def ellipsoid(points: Points, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """First-order distance (Quilez): exact on the surface, safe to march."""
    scaled = (points - centre) / radii
    near = length(scaled)
    return near * (near - 1) / np.maximum(length(scaled / radii), 1e-6)


def capsule(
    points: Points, start: np.ndarray, end: np.ndarray, radii: tuple[float, float]
) -> np.ndarray:
    """A rod whose radius goes from one value to the other."""
    axis = end - start
    along = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
    radius = radii[0] + along * (radii[1] - radii[0])
    return length(points - start - along[:, None] * axis) - radius


def ring(
    points: Points, centre: np.ndarray, radius: float, thickness: float
) -> np.ndarray:
    """A torus about the vertical axis."""
    local = points - centre
    across = np.hypot(local[:, 0], local[:, 2]) - radius
    return np.hypot(across, local[:, 1]) - thickness


def lathe(
    points: Points, profile: list[tuple[float, float, float]], soft: float
) -> np.ndarray:
    """A body of revolution: spheres (height, radius of the ring, thickness) melted."""
    across = np.hypot(points[:, 0], points[:, 2])
    result = np.full(len(points), 1e3, np.float32)
    for height, radius, thickness in profile:
        outside = np.maximum(across - radius, 0)
        part = np.hypot(outside, points[:, 1] - height) - thickness
        result = melt(result, part, soft)
    return result


def melt(first: np.ndarray, second: np.ndarray, softness: float) -> np.ndarray:
    """Union with a rounded seam (polynomial smooth minimum)."""
    blend = np.maximum(softness - np.abs(first - second), 0) / softness
    return np.minimum(first, second) - blend * blend * softness / 4


def turned(points: Points, degrees: float) -> Points:
    """Points in the frame of an object turned about the vertical axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    x, y, z = points.T
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z], -1).astype(
        np.float32
    )


# ------------------------------------------------------------------ noise and colours


def value_noise(points: Points, seed: int = 0) -> np.ndarray:
    """Smooth noise in [0, 1] with one feature a unit."""
    cell = np.floor(points).astype(np.int64)
    part = (points - cell).astype(np.float32)
    part = part * part * (3 - 2 * part)
    total = np.zeros(len(points), np.float32)
    for corner in range(8):
        offset = np.array([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        key = (cell + offset) @ np.array([374761393, 668265263, 2147483647]) + seed
        key = (key ^ (key >> 13)) * 1274126177 & 0xFFFFFFFF
        value = ((key ^ (key >> 16)) & 0xFFFF).astype(np.float32) / 65535
        total += value * np.prod(np.where(offset, part, 1 - part), axis=1)
    return total


def srgb(text: str) -> np.ndarray:
    """A web colour as linear light."""
    value = np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value < 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def step_between(low: float, high: float, values: np.ndarray) -> np.ndarray:
    position = np.clip((values - low) / (high - low), 0, 1)
    return position * position * (3 - 2 * position)


def paint(base: Colors, coat: np.ndarray, amount: np.ndarray) -> Colors:
    return base + (coat - base) * amount[:, None]


# ------------------------------------------------------------------ scenes


@dataclass(frozen=True)
class Part:
    """Something of one material."""

    distance: Distance
    albedo: Callable[[Points], Colors]
    gloss: float
    """Strength of the clear coat, in [0, 1]."""


class Model:
    """An object: parts in a frame turned about the vertical axis."""

    reach = 0.75
    """Nothing is outside the ball of this radius."""

    def __init__(
        self, parts: tuple[Part, ...], turn_deg: float, shift_x: float = 0.0
    ) -> None:
        self.parts, self.turn_deg = parts, turn_deg
        self.shift = vector(shift_x, 0, 0)
        axis = np.linspace(-self.reach, self.reach, 144, dtype=np.float32)
        self.spacing = axis[1] - axis[0]
        slabs = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
        shape = slabs.shape[1:3]
        self.baked = np.stack(
            [self.distance(slab.reshape(-1, 3)).reshape(shape) for slab in slabs]
        )

    def distance(self, points: Points) -> np.ndarray:
        """Exact, slow."""
        local = turned(points - self.shift, self.turn_deg)
        return np.min([part.distance(local) for part in self.parts], axis=0)

    def distance_fast(self, points: Points) -> np.ndarray:
        """Interpolated from a grid: for marching, shadows and occlusion."""
        at = (points.T + self.reach) / self.spacing
        return map_coordinates(self.baked, at, order=1, mode="nearest")

    def surface(self, points: Points) -> tuple[Colors, np.ndarray]:
        """Albedo and gloss at points of the surface."""
        local = turned(points - self.shift, self.turn_deg)
        nearest = np.argmin([part.distance(local) for part in self.parts], axis=0)
        albedo, gloss = np.zeros_like(points), np.zeros(len(points), np.float32)
        for index, part in enumerate(self.parts):
            chosen = nearest == index
            if chosen.any():
                albedo[chosen] = part.albedo(local[chosen])
                gloss[chosen] = part.gloss
        return albedo, gloss


def plain(color: str) -> Callable[[Points], Colors]:
    value = srgb(color).astype(np.float32)
    return lambda points: np.broadcast_to(value, points.shape)


# ------------------------------------------------------------------ light transport


@dataclass(frozen=True)
class Light:
    """A soft key light and a sky, in linear light."""

    direction: np.ndarray
    size: float
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


STUDIO = Light(
    vector(-0.5, 0.75, 0.6),
    0.25,
    vector(2.1, 2.0, 1.85),
    vector(0.75, 0.8, 0.88),
    vector(0.5, 0.46, 0.42),
)
WINDOW = Light(
    vector(-0.75, 0.7, 0.25),
    0.22,
    vector(2.3, 2.15, 1.9),
    vector(0.62, 0.68, 0.76),
    vector(0.3, 0.28, 0.26),
)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(length(vectors), 1e-9)[..., None]


def march(
    model: Model, origins: Points, directions: Points, *, is_exact: bool
) -> np.ndarray:
    """Sphere tracing: distances travelled, infinity where nothing is hit.

    On the grid first; `is_exact` then settles the hit on the true surface.
    """
    travelled = np.full(len(origins), np.inf, np.float32)
    # Only what crosses a ball about the object is marched at all.
    nearest = -np.einsum("nc,nc->n", origins, directions)
    offset = length(origins + nearest[:, None] * directions)
    half = np.sqrt(np.maximum(model.reach**2 - offset**2, 0))
    active = np.flatnonzero((offset < model.reach) & (nearest + half > 0))
    t, end = np.maximum(nearest - half, 0)[active], (nearest + half)[active]
    for phase in range(1 + is_exact):
        distance = model.distance if phase else model.distance_fast
        close = 4e-4 if phase else (6e-3 if is_exact else 2e-3)
        landed, t_landed, end_landed = [], [], []
        for _ in range(80):
            if len(active) == 0:
                break
            gap = distance(origins[active] + t[:, None] * directions[active])
            hit = gap < close
            landed.append(active[hit])
            t_landed.append(t[hit])
            end_landed.append(end[hit])
            t = t + 0.9 * gap
            going = ~hit & (t < end)
            active, t, end = active[going], t[going], end[going]
        if not landed:
            return travelled
        active, t = np.concatenate(landed), np.concatenate(t_landed)
        end = np.concatenate(end_landed)
    travelled[active] = t
    return travelled


def normals_of(distance: Distance, points: Points) -> np.ndarray:
    """Gradient by a tetrahedron of samples."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)
    return unit(sum(c * distance(points + 1e-3 * c)[:, None] for c in corners))


def openness(model: Model, points: Points, normals: np.ndarray) -> np.ndarray:
    """Ambient occlusion from a few samples along the normal."""
    closed = np.zeros(len(points), np.float32)
    for index, reach in enumerate((0.02, 0.05, 0.1, 0.18)):
        gap = model.distance_fast(points + reach * normals)
        closed += np.maximum(reach - gap, 0) / reach * 0.6**index
    return np.clip(1 - 0.5 * closed, 0.2, 1)


def lit_by_key(
    model: Model, points: Points, light: Light, generator: np.random.Generator
) -> np.ndarray:
    """1 where a random point of the key light is seen, else 0: soft when averaged."""
    wobble = generator.normal(0, light.size, points.shape).astype(np.float32)
    towards = unit(unit(light.direction) + wobble)
    return np.isinf(march(model, points, towards, is_exact=False)).astype(np.float32)


def reflected_room(directions: np.ndarray, light: Light) -> Colors:
    """What a glaze mirrors: sky over ground, a large softbox and a strip light."""
    up = step_between(-0.3, 0.7, directions[:, 1])[:, None]
    room = light.ground * (1 - up) + light.sky * up
    key = unit(light.direction)
    side = unit(np.cross(key, vector(0, 1, 0)))
    above = np.cross(side, key)
    facing = directions @ key
    u, v = directions @ side, directions @ above
    box = step_between(0.3, 0.25, np.abs(u)) * step_between(0.3, 0.25, np.abs(v))
    strip = directions @ unit(vector(0.9, 0.25, 0.35))
    glow = 5.0 * box * (facing > 0) + 1.2 * step_between(0.93, 0.97, strip)
    return room + glow[:, None]


def shade(
    model: Model,
    points: Points,
    directions: np.ndarray,
    light: Light,
    generator: np.random.Generator,
) -> Colors:
    normals = normals_of(model.distance, points)
    lifted = points + 8e-3 * normals
    albedo, gloss = model.surface(points)
    facing = np.maximum(normals @ unit(light.direction), 0)
    facing = facing * lit_by_key(model, lifted, light, generator)
    open_ = openness(model, points, normals)[:, None]
    up = (0.5 + 0.5 * normals[:, 1])[:, None]
    ambient = (light.sky * up + light.ground * (1 - up)) * open_
    diffuse = albedo * (0.55 * ambient + 0.42 * light.key * facing[:, None])
    cosine = np.einsum("nc,nc->n", normals, directions)
    mirrored = directions - 2 * cosine[:, None] * normals
    fresnel = 0.04 + 0.96 * np.clip(1 + cosine, 0, 1) ** 5
    coat = (gloss * np.minimum(fresnel, 0.45))[:, None] * open_
    return diffuse * (1 - coat) + coat * reflected_room(mirrored, light)


def to_display(linear: Colors) -> Colors:
    """A gentle shoulder, then sRGB."""
    linear = np.maximum(linear, 0)
    toned = np.where(linear < 0.6, linear, 1 - 0.4 * np.exp(-(linear - 0.6) / 0.4))
    low = toned <= 0.0031308
    return np.where(
        low, 12.92 * toned, 1.055 * np.maximum(toned, 1e-6) ** (1 / 2.4) - 0.055
    )


# ------------------------------------------------------------------ taking pictures


@dataclass(frozen=True)
class Lens:
    """A camera on the orbit; `aperture` 0 is a pinhole."""

    elevation_deg: float
    radius: float
    fov_y_deg: float
    aperture: float
    target: np.ndarray

    def rays(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        shape: tuple[int, int],
        generator: np.random.Generator,
    ) -> tuple[Points, Points]:
        """One ray for each (fractional) pixel position."""
        elevation = np.radians(self.elevation_deg)
        back = vector(0, np.sin(elevation), np.cos(elevation))
        up = vector(0, np.cos(elevation), -np.sin(elevation))
        right = vector(1, 0, 0)
        slope = 2 * np.tan(np.radians(self.fov_y_deg) / 2) / shape[0]
        x = ((columns - shape[1] / 2) * slope)[:, None]
        y = (-(rows - shape[0] / 2) * slope)[:, None]
        eye = self.target + self.radius * back
        focus = eye + self.radius * (x * right + y * up - back)
        angle = generator.uniform(0, 2 * np.pi, len(rows))
        reach = self.aperture * np.sqrt(generator.uniform(0, 1, len(rows)))
        shift = (reach * np.cos(angle))[:, None] * right
        origins = eye + shift + (reach * np.sin(angle))[:, None] * up
        return origins.astype(np.float32), unit(focus - origins).astype(np.float32)


def picture(
    shape: tuple[int, int],
    samples: int,
    trace: Callable[[Points, Points, np.random.Generator], np.ndarray],
    lens: Lens,
) -> np.ndarray:
    """Averages `samples`² jittered rays a pixel; [H, W, channels] of linear light."""
    bands = []
    for top in range(0, shape[0], 16):
        generator = np.random.default_rng(top)
        rows, columns = np.mgrid[top : min(top + 16, shape[0]), 0 : shape[1]]
        rows, columns = rows.ravel(), columns.ravel()
        total: np.ndarray = np.zeros(())
        for index in range(samples**2):
            y = rows + (index // samples + generator.random(len(rows))) / samples
            x = columns + (index % samples + generator.random(len(rows))) / samples
            total = total + trace(*lens.rays(y, x, shape, generator), generator)
        bands.append((total / samples**2).reshape(-1, shape[1], total.shape[-1]))
    return np.concatenate(bands)
