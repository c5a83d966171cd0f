"""The three toys in the example pictures, as painted distance fields."""

import numpy as np
from tracer import (
    Colors,
    Model,
    Part,
    Points,
    capsule,
    ellipsoid,
    lathe,
    length,
    melt,
    paint,
    plain,
    ring,
    srgb,
    step_between,
    turned,
    value_noise,
    vector,
)


def teapot() -> Model:
    teal, cream, rust, ink = (
        srgb(c) for c in ("#16656b", "#f3e6cc", "#d1582c", "#123f4a")
    )

    def body(points: Points) -> np.ndarray:
        pot = lathe(
            points, [(-0.2, 0.13, 0.12), (-0.03, 0.17, 0.19), (0.12, 0.1, 0.13)], 0.12
        )
        foot = ring(points, vector(0, -0.315, 0), 0.19, 0.03)
        spout = capsule(
            points, vector(-0.25, -0.12, 0), vector(-0.41, 0.02, 0), (0.1, 0.058)
        )
        tip = capsule(
            points, vector(-0.41, 0.02, 0), vector(-0.49, 0.2, 0), (0.055, 0.038)
        )
        lip = capsule(
            points, vector(-0.49, 0.2, 0), vector(-0.53, 0.235, 0), (0.036, 0.044)
        )
        spout = melt(melt(spout, tip, 0.09), lip, 0.04)
        bore = capsule(
            points, vector(-0.5, 0.21, 0), vector(-0.58, 0.28, 0), (0.026, 0.036)
        )
        pot = melt(melt(pot, foot, 0.03), np.maximum(spout, -bore), 0.06)
        local = points - vector(0.34, 0.0, 0)
        around = np.hypot(local[:, 0] * 1.08, local[:, 1]) - 0.175
        handle = np.hypot(around, local[:, 2]) - 0.036
        return melt(pot, handle, 0.05)

    def body_albedo(points: Points) -> Colors:
        color = np.broadcast_to(teal, points.shape)
        pooled = value_noise(points * vector(9, 4, 9), 7)  # the glaze ran a little
        color = paint(color, ink, 0.4 * step_between(0.45, 0.9, pooled))
        speckle = value_noise(points * 110)
        color = paint(color, cream, 0.35 * step_between(0.86, 0.93, speckle))
        angle = np.arctan2(points[:, 2], points[:, 0])
        height = points[:, 1]
        across = np.hypot(points[:, 0], points[:, 2])
        on_pot = (across < 0.385) & (np.abs(height + 0.03) < 0.2)
        is_band = on_pot & ~((np.abs(points[:, 2]) < 0.1) & (across > 0.368))
        wave = 0.012 * np.sin(18 * angle)
        band = step_between(0.128, 0.122, np.abs(height + 0.035 + wave)) * is_band
        color = paint(color, cream, band)
        line = step_between(0.008, 0.005, np.abs(np.abs(height + 0.035 + wave) - 0.107))
        color = paint(color, ink, line * is_band)
        # Flowers of five petals, one every 45 degrees, with a dot between them.
        sector = np.pi / 4
        u = ((angle + sector / 2) % sector - sector / 2) * 0.36
        v = height + 0.035
        radius, phase = np.hypot(u, v), np.arctan2(v, u)
        petals = 0.052 + 0.017 * np.cos(5 * phase + 0.6)
        color = paint(color, rust, step_between(0.004, -0.002, radius - petals) * band)
        color = paint(color, cream, step_between(0.026, 0.022, radius) * band)
        color = paint(color, ink, step_between(0.014, 0.011, radius) * band)
        u2 = (angle % sector - sector / 2) * 0.36
        for offset in (-0.05, 0.0, 0.05):
            dot = np.hypot(u2, v - offset)
            color = paint(color, teal, step_between(0.014, 0.011, dot) * band)
        return color

    def lid(points: Points) -> np.ndarray:
        dome = ellipsoid(points, vector(0, 0.225, 0), vector(0.175, 0.085, 0.175))
        return melt(dome, ring(points, vector(0, 0.222, 0), 0.165, 0.022), 0.02)

    def lid_albedo(points: Points) -> Colors:
        color = np.broadcast_to(cream, points.shape)
        angle = np.arctan2(points[:, 2], points[:, 0])
        across = np.hypot(points[:, 0], points[:, 2])
        rays = step_between(0.0, 0.25, np.cos(12 * angle)) * (across < 0.135)
        color = paint(color, rust, rays * (across > 0.06))
        return paint(color, teal, step_between(0.14, 0.146, across))

    def knob(points: Points) -> np.ndarray:
        ball = ellipsoid(points, vector(0, 0.345, 0), vector(0.058, 0.048, 0.058))
        neck = capsule(points, vector(0, 0.28, 0), vector(0, 0.34, 0), (0.03, 0.024))
        return melt(ball, neck, 0.02)

    return Model(
        (
            Part(body, body_albedo, 0.55),
            Part(lid, lid_albedo, 0.55),
            Part(knob, plain("#d1582c"), 0.55),
        ),
        turn_deg=24,
        shift_x=0.08,
    )


def duck() -> Model:
    yellow, amber, red, white = (
        srgb(c) for c in ("#f6bf1e", "#e8901c", "#c22f36", "#f5efe4")
    )

    def body(points: Points) -> np.ndarray:
        belly = ellipsoid(points, vector(-0.02, -0.2, 0), vector(0.37, 0.235, 0.28))
        tail = capsule(
            points, vector(-0.2, -0.17, 0), vector(-0.43, 0.0, 0), (0.17, 0.03)
        )
        head = length(points - vector(0.16, 0.2, 0)) - 0.2
        neck = capsule(
            points, vector(0.12, -0.05, 0), vector(0.16, 0.16, 0), (0.17, 0.15)
        )
        tuft = capsule(
            points, vector(0.1, 0.38, 0), vector(0.03, 0.45, 0.01), (0.04, 0.014)
        )
        mirrored = points * vector(1, 1, 0) + np.abs(points) * vector(0, 0, 1)
        wing = ellipsoid(mirrored, vector(-0.07, -0.15, 0.25), vector(0.2, 0.12, 0.06))
        tip = capsule(
            mirrored,
            vector(-0.08, -0.14, 0.26),
            vector(-0.3, -0.06, 0.25),
            (0.085, 0.025),
        )
        shape = melt(melt(belly, tail, 0.16), melt(head, neck, 0.05), 0.09)
        return melt(melt(shape, tuft, 0.04), melt(wing, tip, 0.1), 0.025)

    def body_albedo(points: Points) -> Colors:
        color = np.broadcast_to(yellow, points.shape)
        shade = step_between(-0.2, -0.45, points[:, 1]) * 0.5
        shade += 0.5 * step_between(0.28, 0.46, -points[:, 0])
        cheek = length(
            (points * vector(1, 1, 0) + np.abs(points) * vector(0, 0, 1))
            - vector(0.27, 0.13, 0.17)
        )
        color = paint(color, amber, np.clip(shade, 0, 1))
        return paint(color, srgb("#ee7f33"), 0.55 * step_between(0.09, 0.02, cheek))

    def beak(points: Points) -> np.ndarray:
        upper = ellipsoid(points, vector(0.37, 0.17, 0), vector(0.11, 0.035, 0.1))
        lower = ellipsoid(points, vector(0.355, 0.125, 0), vector(0.085, 0.028, 0.08))
        ridge = ellipsoid(points, vector(0.33, 0.195, 0), vector(0.06, 0.035, 0.05))
        return np.minimum(melt(upper, ridge, 0.04), lower)

    def eyes(points: Points) -> np.ndarray:
        mirrored = points * vector(1, 1, 0) + np.abs(points) * vector(0, 0, 1)
        return length(mirrored - vector(0.293, 0.262, 0.125)) - 0.034

    def scarf(points: Points) -> np.ndarray:
        tilted = points + points[:, :1] * vector(0, 0.12, 0)
        wrap = ring(tilted, vector(0.13, 0.035, 0), 0.175, 0.048)
        knot = length(points - vector(0.2, 0.0, 0.205)) - 0.052
        end = capsule(
            points, vector(0.2, -0.02, 0.215), vector(0.14, -0.2, 0.275), (0.03, 0.05)
        )
        return melt(wrap, melt(knot, end, 0.02), 0.02)

    def scarf_albedo(points: Points) -> Colors:
        angle = np.arctan2(points[:, 2], points[:, 0] - 0.13)
        on_end = points[:, 1] < -0.035
        phase = np.where(on_end, points[:, 1] * 62, angle * 9)
        color = np.broadcast_to(red, points.shape)
        color = paint(color, white, step_between(0.45, 0.6, np.sin(phase)))
        wool = value_noise(points * vector(160, 60, 160)) - 0.5
        return color * (1 + 0.35 * wool[:, None])

    return Model(
        (
            Part(body, body_albedo, 0.3),
            Part(beak, plain("#e2601f"), 0.3),
            Part(eyes, plain("#15120f"), 0.8),
            Part(scarf, scarf_albedo, 0.0),
        ),
        turn_deg=-40,
    )


def rocket() -> Model:
    white, red, blue, grey = (
        srgb(c) for c in ("#f1ece2", "#cf3a2f", "#2b5c9e", "#8b929b")
    )

    def hull(points: Points) -> np.ndarray:
        return lathe(
            points,
            [
                (-0.22, 0.03, 0.13),
                (-0.02, 0.04, 0.16),
                (0.2, 0.0, 0.13),
                (0.4, 0, 0.02),
            ],
            0.2,
        )

    def hull_albedo(points: Points) -> Colors:
        height = points[:, 1]
        angle = np.arctan2(points[:, 2], points[:, 0])
        color = np.broadcast_to(white, points.shape)
        color = paint(color, red, step_between(0.2, 0.206, height))
        color = paint(color, blue, step_between(0.018, 0.014, np.abs(height + 0.19)))
        checks = np.sign(np.sin(10 * angle) * np.sin(60 * (height + 0.13)))
        belt = (np.abs(height + 0.13) < 0.0524) & (height < -0.0776)
        color = paint(color, blue, (checks > 0) * belt * 1.0)
        return color

    def fins(points: Points) -> np.ndarray:
        angle = np.arctan2(points[:, 2], points[:, 0]) - 0.4
        sector = 2 * np.pi / 3
        folded = (angle + sector / 2) % sector - sector / 2
        across = np.hypot(points[:, 0], points[:, 2])
        local = np.stack(
            [across * np.cos(folded), points[:, 1], across * np.sin(folded)], -1
        )
        upper = capsule(
            local, vector(0.13, -0.12, 0), vector(0.3, -0.3, 0), (0.03, 0.034)
        )
        lower = capsule(
            local, vector(0.3, -0.3, 0), vector(0.32, -0.42, 0), (0.034, 0.022)
        )
        web = ellipsoid(local, vector(0.2, -0.26, 0), vector(0.11, 0.1, 0.022))
        return melt(melt(upper, lower, 0.05), web, 0.03)

    def nozzle(points: Points) -> np.ndarray:
        across = np.hypot(points[:, 0], points[:, 2])
        radius = 0.085 + 0.25 * np.maximum(-0.34 - points[:, 1], 0)
        shell = np.abs(across - radius) - 0.014
        return np.maximum(shell, np.abs(points[:, 1] + 0.37) - 0.06) * 0.9

    def window(points: Points) -> np.ndarray:
        local = turned(points, 66) - vector(0.0, 0.08, 0.185)
        across = np.hypot(local[:, 0], local[:, 1]) - 0.07
        return np.hypot(across, local[:, 2]) - 0.02

    def glass(points: Points) -> np.ndarray:
        local = turned(points, 66)
        return ellipsoid(local, vector(0.0, 0.08, 0.18), vector(0.068, 0.068, 0.03))

    return Model(
        (
            Part(hull, hull_albedo, 0.4),
            Part(fins, plain("#cf3a2f"), 0.4),
            Part(nozzle, lambda p: np.broadcast_to(grey, p.shape), 0.2),
            Part(window, plain("#e0b23c"), 0.6),
            Part(glass, plain("#7fb7d8"), 0.9),
        ),
        turn_deg=-52,
        shift_x=0.02,
    )
