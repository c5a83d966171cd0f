import json
import re
from html import unescape

import pytest

from realfusion.io.curves import Curve, curve_card, curves_of_history


def _points(card):
    data = re.search(r'data-curve="([^"]*)"', card).group(1)
    return json.loads(unescape(data))


def test_history_gives_a_curve_a_term_without_gaps():
    history = {
        "steps": [1, 2, 3, 4],
        "terms": {
            "entropy": [1.0, 1.0, 1.0, 1.0],
            "late": [None, None, 5.0, float("nan")],
            "image": [4.0, 3.0, 2.0, 1.0],
            "prior": [None, 2.0, 2.5, 2.0],
        },
    }
    curves = curves_of_history(history)
    assert [curve.name for curve in curves] == ["image", "prior", "entropy"]
    assert list(curves[1].steps) == [2, 3, 4]
    assert curves_of_history({}) == []


def test_positive_falling_curve_is_logarithmic():
    card = curve_card(Curve("image", [0, 1, 2], [1.0, 0.1, 0.01]))
    assert "logarithmic scale" in card
    heights = [point[3] for point in _points(card)]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert heights[0] < heights[1]  # down the page


def test_curve_with_other_signs_is_linear():
    card = curve_card(Curve("entropy", [0, 1, 2], [-1.0, 0.0, 1.0]))
    assert "linear scale" in card
    assert _points(card)[1][1] == 0


def test_constant_curves_are_drawn():
    for value in (0.0, 3.0, -1e-7):
        card = curve_card(Curve("flat", [1, 2], [value, value]))
        assert "nan" not in card
        assert "inf" not in card


def test_long_curves_are_thinned_but_keep_their_mean():
    values = [float(i % 7) + 1 for i in range(5000)]
    points = _points(curve_card(Curve("long", list(range(5000)), values)))
    assert len(points) <= 300
    mean = sum(point[1] for point in points) / len(points)
    assert mean == pytest.approx(4, abs=0.05)


def test_names_are_escaped():
    card = curve_card(Curve('<b>"', [1, 2], [1.0, 2.0]))
    assert "<b>" not in card
