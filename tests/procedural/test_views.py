"""Random views of procedural objects."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.views import (
    REFERENCE_VIEW,
    generate_views,
    random_views,
)


def test_views_are_deterministic_bytes_with_premultiplied_colour() -> None:
    first, again = generate_views(3, size=32), generate_views(3, size=32)
    assert first.images.shape == (6, 32, 32, 4)
    assert first.images.dtype == np.uint8
    np.testing.assert_array_equal(first.images, again.images)
    pixels = first.images.astype(int)
    assert (pixels[..., :3] <= pixels[..., 3:] + 1).all()


def test_views_go_all_around_and_the_reference_looks_from_a_little_above() -> None:
    for seed in range(20):
        views = random_views(np.random.default_rng(seed), 6)
        azimuths = np.sort([view.azimuth_deg for view in views])
        gaps = np.diff(np.append(azimuths, azimuths[0] + 360))
        assert gaps.max() <= 120
        assert 0 <= views[REFERENCE_VIEW].elevation_deg <= 35
        for view in views:
            assert 1.6 <= view.radius <= 2.0
            assert 36 <= view.fov_y_deg <= 45
