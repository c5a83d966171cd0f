from __future__ import annotations

import itertools
import math

import pytest

from realfusion.priors.azimuth_weights import (
    neighbouring_centres,
    perpendicular_strength,
    token_blending_share,
)


@pytest.mark.parametrize(
    ("azimuth_deg", "width_deg", "expected"),
    [
        (0.0, 90.0, ((0.0, 1.0), (90.0, 0.0))),
        (22.5, 90.0, ((0.0, 0.75), (90.0, 0.25))),
        (-45.0, 90.0, ((270.0, 0.5), (0.0, 0.5))),
        (180.0, 90.0, ((180.0, 1.0), (270.0, 0.0))),
        (350.0, 45.0, ((315.0, 2.0 / 9.0), (0.0, 7.0 / 9.0))),
        (725.0, 45.0, ((0.0, 8.0 / 9.0), (45.0, 1.0 / 9.0))),
    ],
)
def test_shares_are_linear_between_two_centres(
    azimuth_deg: float, width_deg: float, expected: tuple
) -> None:
    found = neighbouring_centres(azimuth_deg, width_deg)
    for (centre, share), (wanted_centre, wanted_share) in zip(
        found, expected, strict=True
    ):
        assert centre == wanted_centre
        assert share == pytest.approx(wanted_share)


def test_no_share_jumps_anywhere_around_the_object() -> None:
    before = dict(neighbouring_centres(-0.01, 90.0))
    for step in range(36_000):
        now = dict(neighbouring_centres(0.01 * step, 90.0))
        assert sum(now.values()) == pytest.approx(1.0)
        for centre in before.keys() | now.keys():
            assert abs(now.get(centre, 0.0) - before.get(centre, 0.0)) < 2e-4
        before = now


def test_the_token_gives_way_by_the_cosine() -> None:
    assert token_blending_share(0.0, 0.6) == 0.0
    assert token_blending_share(90.0, 0.6) == pytest.approx(0.3)
    assert token_blending_share(-90.0, 0.6) == pytest.approx(0.3)
    assert token_blending_share(180.0, 0.6) == pytest.approx(0.6)
    assert token_blending_share(60.0, 1.0) == pytest.approx(0.25)
    assert token_blending_share(5.0, 1.0) < 2e-3


def test_the_push_from_the_front_grows_from_nothing_to_the_back() -> None:
    """a exp(-b r) + c with r = 1 at the front, and anew r = 1 at the side."""
    assert perpendicular_strength(0.0) == pytest.approx(0.0, abs=2e-4)
    assert perpendicular_strength(45.0) == pytest.approx(4.0 * math.exp(-0.25) - 2.426)
    assert perpendicular_strength(135.0) == pytest.approx(math.exp(-0.25) + 0.967)
    assert perpendicular_strength(180.0) == pytest.approx(1.967)
    assert perpendicular_strength(-135.0) == perpendicular_strength(225.0)
    values = [perpendicular_strength(float(azimuth)) for azimuth in range(181)]
    rises = [after - before for before, after in itertools.pairwise(values)]
    # The two curves miss each other by 5e-4 at the side.
    assert min(rises) > -1e-3
    assert max(rises) < 0.05
