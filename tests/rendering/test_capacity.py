"""Room for samples follows the need, seldom and with some to spare."""

import random

from realfusion.rendering.capacity import (
    HEADROOM,
    REMEMBERED,
    RenderCapacity,
    SampleCapacity,
    SampleCounts,
)


def test_nothing_is_known_at_first():
    assert SampleCapacity().rows is None


def test_what_was_wanted_fits_with_headroom():
    for wanted in (0, 1, 1000, 123_456, 2**22):
        capacity = SampleCapacity()
        capacity.observe(wanted)
        assert HEADROOM * wanted < capacity.rows <= 1.15 * HEADROOM * wanted + 1024


def test_it_grows_before_it_overflows_where_the_need_creeps_up():
    capacity = SampleCapacity()
    for wanted in range(10_000, 50_000, 100):
        capacity.observe(wanted)
        assert capacity.rows > wanted + 100


def test_an_overflow_is_cured_at_once():
    capacity = SampleCapacity()
    capacity.observe(1000)
    capacity.observe(100_000)
    assert capacity.rows > 100_000


def test_it_shrinks_only_when_the_need_is_long_gone():
    capacity = SampleCapacity()
    capacity.observe(100_000)
    large = capacity.rows
    for _ in range(REMEMBERED - 1):
        capacity.observe(10_000)
    assert capacity.rows == large
    capacity.observe(10_000)
    assert capacity.rows < large / 2


def test_an_unsteady_need_changes_the_size_seldom():
    capacity, draws, sizes = SampleCapacity(), random.Random(0), []
    for _ in range(1000):
        capacity.observe(draws.randint(50_000, 100_000))
        sizes.append(capacity.rows)
    assert len(set(sizes)) <= 3


def test_both_kinds_of_samples_have_room_of_their_own():
    capacity = RenderCapacity()
    assert capacity.room is None
    capacity.observe(SampleCounts(100_000, 30_000))
    assert 100_000 < capacity.room.marched < 150_000
    assert 30_000 < capacity.room.visible < 45_000


def test_visible_samples_that_overflow_are_given_room_alone():
    capacity = RenderCapacity()
    capacity.observe(SampleCounts(100_000, 30_000))
    marched = capacity.room.marched
    capacity.observe(SampleCounts(100_000, 90_000))
    assert capacity.room.visible > 90_000
    assert capacity.room.marched == marched


def test_a_march_that_overflows_counts_too_few_visible_samples():
    capacity = RenderCapacity()
    capacity.observe(SampleCounts(100_000, 30_000))
    capacity.observe(SampleCounts(300_000, 1000))
    assert capacity.room.marched > 300_000
    assert 90_000 < capacity.room.visible < 200_000


def test_more_samples_than_were_marched_are_never_visible():
    capacity = RenderCapacity()
    capacity.observe(SampleCounts(100_000, 100_000))
    capacity.marched.rows = 64
    capacity.observe(SampleCounts(100_000, 0))
    assert capacity.room.visible < 150_000
