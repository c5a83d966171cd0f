"""Images with the bodies behind their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from realfusion.procedural.bodies import framed, generate_bodies
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import Light, ObjectView, render_views


def test_the_same_seed_gives_the_same_views() -> None:
    first, second, other = (generate_bodies(seed, size=32) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.occupancy, second.occupancy)
    assert not np.array_equal(first.images, other.images)


def test_bodies_lie_behind_the_pixels_that_show_them() -> None:
    bodies = [generate_bodies(seed, size=48) for seed in range(12)]
    alpha = np.concatenate([each.images[..., 3] for each in bodies])
    filled = np.concatenate([each.occupancy for each in bodies]) != 0
    assert not (filled & (alpha == 0)).any()
    # But for parts thinner than a slice, and open ones (an umbrella's canopy).
    assert filled[alpha == 255].mean() > 0.9


@pytest.mark.parametrize("fraction", [0.5, 0.8])
def test_framing_puts_the_bounding_box_where_it_is_asked(fraction: float) -> None:
    mesh = generate_object(5).mesh
    view = ObjectView(azimuth_deg=40, elevation_deg=30)
    moved = framed(mesh, view, fraction, np.array([0.1, -0.05]))
    image = render_views(moved, [view], Light(), size=200)[0]
    rows, columns = np.nonzero(image[..., 3] > 0.5)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert max(height, width) / 200 == pytest.approx(fraction, abs=0.02)
    middle = (columns.max() + columns.min() + 1) / 200 - 1
    assert middle == pytest.approx(0.1, abs=0.02)
    middle = (rows.max() + rows.min() + 1) / 200 - 1
    assert middle == pytest.approx(-0.05, abs=0.02)
