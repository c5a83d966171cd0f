"""Makes the example pictures of this folder: a small ray tracer of distance fields.

    python examples/make_examples.py [teapot] [duck] [rocket]

`teapot.png` and `rocket.png` are RGBA, seen by RealFusion's own reference camera (15°
above the horizontal). `duck.jpg` is a "photo": a table, a blurred room, a lens with
depth of field, sensor noise. Deterministic; needs numpy, scipy and Pillow; about a
minute a picture.
"""

import sys
from pathlib import Path

import numpy as np
from objects import duck, rocket, teapot
from PIL import Image
from tracer import (
    STUDIO,
    WINDOW,
    Colors,
    Lens,
    Model,
    Points,
    lit_by_key,
    march,
    openness,
    paint,
    picture,
    shade,
    srgb,
    step_between,
    to_display,
    unit,
    value_noise,
    vector,
)


def cut_out(model: Model) -> Image.Image:
    """The object alone, 512 x 512 RGBA, as RealFusion's reference camera sees it."""
    lens = Lens(15.0, 1.8, 40.0, 0.0, vector(0, 0, 0))

    def trace(origins, directions, generator):
        result = np.zeros((len(origins), 4), np.float32)
        t = march(model, origins, directions, is_exact=True)
        seen = np.flatnonzero(np.isfinite(t))
        points = origins[seen] + t[seen, None] * directions[seen]
        result[seen, :3] = to_display(
            shade(model, points, directions[seen], STUDIO, generator)
        )
        result[seen, 3] = 1
        return result

    summed = picture((512, 512), 4, trace, lens)
    alpha = summed[..., 3:]
    colour = np.where(alpha > 0, summed[..., :3] / np.maximum(alpha, 1e-6), 1)
    rgba = np.concatenate([colour, alpha], -1)
    return Image.fromarray(np.rint(np.clip(rgba, 0, 1) * 255).astype(np.uint8))


FLOOR = -0.435


def table_albedo(points: Points) -> Colors:
    """Washed oak planks that run away from the camera."""
    plank = np.floor(points[:, 0] / 0.42 + 0.3)
    along = points[:, 2] + 0.37 * plank
    grain_at = np.stack([points[:, 0] * 55, plank * 9.7, along * 3.2], -1)
    grain = value_noise(grain_at, 3) + 0.5 * value_noise(
        grain_at * vector(2.3, 1, 3), 5
    )
    rings = np.sin(30 * points[:, 0] + 5 * value_noise(grain_at * 0.2, 9))
    tone = 0.5 * value_noise(np.stack([plank * 3.1, plank, 0 * plank], -1), 11)
    light = 0.72 + 0.2 * (grain - 0.75) + 0.05 * rings + 0.25 * (tone - 0.25)
    gap = np.abs((points[:, 0] / 0.42 + 0.3) % 1 - 0.5)
    light *= 1 - 0.75 * step_between(0.488, 0.497, gap)
    return srgb("#c3c7cb") * light[:, None] ** 1.4


def room(directions: np.ndarray) -> Colors:
    """A far wall out of focus: dusk blue, with blurred lamps."""
    u = directions[:, 0] / -directions[:, 2]
    v = directions[:, 1] / -directions[:, 2]
    fade = step_between(-0.35, 0.25, v)[:, None]
    wall = srgb("#56707d") * (1 - fade) + srgb("#2f4553") * fade
    shelf = step_between(-0.02, 0.03, v + 0.06 * np.sin(2 * u))
    wall = paint(wall, srgb("#3b5d63"), 0.5 * shelf)
    lamps = [
        (-0.4, -0.09, 0.035, "#ffd9a0"),
        (-0.33, -0.03, 0.027, "#ffe7c4"),
        (-0.22, -0.12, 0.022, "#ffcf8f"),
        (-0.14, -0.04, 0.03, "#cfe6f2"),
        (0.26, -0.1, 0.03, "#ffd29a"),
        (0.34, -0.03, 0.036, "#ffe1b5"),
        (0.42, -0.12, 0.026, "#bcd8e8"),
        (0.05, -0.01, 0.024, "#ffcf8f"),
    ]
    for x, y, radius, color in lamps:
        disc = step_between(radius * 1.25, radius * 0.8, np.hypot(u - x, v - y))
        wall = wall + 0.4 * disc[:, None] * srgb(color)
    return wall


def photo(model: Model) -> Image.Image:
    """The object on a table, 720 x 540, through a lens and onto a noisy sensor."""
    lens = Lens(17.0, 2.15, 36.0, 0.03, vector(0.05, -0.06, 0))
    light = WINDOW

    def trace(origins, directions, generator):
        color = room(directions)
        t = march(model, origins, directions, is_exact=True)
        with np.errstate(divide="ignore"):
            t_floor = (FLOOR - origins[:, 1]) / directions[:, 1]
        t_floor[(t_floor < 0) | (t_floor > 4.6)] = np.inf
        seen = np.flatnonzero(np.isfinite(t_floor) & (t_floor < t))
        points = origins[seen] + t_floor[seen, None] * directions[seen]
        up = np.broadcast_to(vector(0, 1, 0), points.shape)
        lit = lit_by_key(model, points + 2e-3 * up, light, generator)
        facing = lit * unit(light.direction)[1]
        open_ = openness(model, points, up)
        brightness = (
            0.5 * light.sky * open_[:, None] + 0.4 * light.key * facing[:, None]
        )
        fog = step_between(2.4, 4.6, t_floor[seen])
        color[seen] = paint(
            table_albedo(points) * brightness, color[seen], np.clip(fog, 0, 1)
        )
        seen = np.flatnonzero(np.isfinite(t) & (t <= t_floor))
        points = origins[seen] + t[seen, None] * directions[seen]
        color[seen] = shade(model, points, directions[seen], light, generator)
        return color

    linear = picture((540, 720), 4, trace, lens)
    y, x = np.mgrid[-1:1:540j, -1:1:720j]
    linear *= 1 - 0.22 * ((x**2 + y**2) / 2)[..., None]
    generator = np.random.default_rng(1)
    display = to_display(linear) + generator.normal(0, 0.008, linear.shape)
    return Image.fromarray(np.rint(np.clip(display, 0, 1) * 255).astype(np.uint8))


def main(names: list[str]) -> None:
    folder = Path(__file__).resolve().parent
    for name in names or ["teapot", "duck", "rocket"]:
        if name == "duck":
            photo(duck()).save(folder / "duck.jpg", quality=92, subsampling=0)
        else:
            model = {"teapot": teapot, "rocket": rocket}[name]()
            cut_out(model).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
