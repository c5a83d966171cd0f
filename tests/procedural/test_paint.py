"""Paints of given sides and grains."""

from __future__ import annotations

import numpy as np

from realfusion.procedural.paint import grainy, halves

_RED = np.array([0.8, 0.1, 0.1], np.float32)
_BLUE = np.array([0.1, 0.1, 0.8], np.float32)


def test_halves_divide_at_a_plane() -> None:
    paint = halves(_RED, _BLUE, (0, 1, 0), 0.2)
    points = np.array([(0.5, 0.0, 0), (0.5, 0.4, 0)], np.float32)
    np.testing.assert_allclose(paint(points), [_RED, _BLUE], atol=1e-6)


def test_a_grain_stays_near_its_colour_and_within_range() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (500, 3)).astype(np.float32)
    for _ in range(10):
        colours = grainy(rng, _RED, _RED)(points)
        assert colours.min() >= 0
        assert colours.max() <= 1
        assert colours.std(axis=0).max() > 0.005
        np.testing.assert_allclose(colours.mean(axis=0), _RED, atol=0.06)
