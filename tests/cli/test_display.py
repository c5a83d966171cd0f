"""What a run shows while it works."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from realfusion.cli.display import (
    LiveDisplay,
    Pace,
    PlainDisplay,
    display,
    format_duration,
    format_values,
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pace_measures_rate_and_time_left():
    clock = Clock()
    pace = Pace(100, clock)
    assert pace.rate is None
    assert pace.seconds_left is None
    pace.update(20)  # a resumed run: these were not done now
    clock.now += 4.0
    pace.update(30)
    assert pace.rate == pytest.approx(2.5)
    assert pace.seconds_left == pytest.approx(28.0)
    assert str(pace) == "30/100 · 2.50 it/s · 0:28 left"


def test_pace_forgets_what_is_long_ago():
    clock = Clock()
    pace = Pace(1000, clock)
    for done in range(0, 100, 10):  # slow at first: 1 it/s
        pace.update(done)
        clock.now += 10.0
    for done in range(100, 400, 10):  # then 10 it/s
        pace.update(done)
        clock.now += 1.0
    assert pace.rate == pytest.approx(10.0)


def test_pace_without_a_total():
    clock = Clock()
    pace = Pace(None, clock)
    pace.update(0)
    clock.now += 1.0
    pace.update(30)
    assert str(pace) == "30 · 30 it/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (62.6, "1:03"), (3723.0, "1:02:03")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_values_in_one_line():
    assert format_values({"image": 0.01234, "mask": 2.0}) == "image 0.0123  mask 2"


def test_plain_display_writes_seldom_but_always_at_the_end():
    clock, stream = Clock(), io.StringIO()
    shown = PlainDisplay(stream, clock, interval=10.0)
    shown.stage("reconstruction", 40)
    for step in range(1, 41):
        clock.now += 1.0
        shown.advance(step, {"image": 1.0 / step})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "[reconstruction] 40 steps"
    assert [line.split()[1] for line in lines[1:]] == [
        "10/40", "20/40", "30/40", "40/40",
    ]  # fmt: skip
    assert lines[-1] == "[reconstruction] 40/40 · 1.00 it/s · 0:00 left | image 0.025"


def test_plain_display_passes_notes_on():
    stream = io.StringIO()
    PlainDisplay(stream).note("prior bundled: asked for")
    assert stream.getvalue() == "prior bundled: asked for\n"


def test_live_display_shows_stages_figures_hint_and_notes():
    clock, stream = Clock(), io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    shown = LiveDisplay(console, "previews in runs/x/previews", clock)
    with shown.live:
        shown.stage("input")
        shown.stage("reconstruction", 20)
        shown.advance(5, {})
        clock.now += 2.0
        shown.advance(10, {"image": 0.5})
        shown.note("a [note] with brackets")
        shown.live.refresh()
    text = stream.getvalue()
    for words in (
        "input",
        "reconstruction",
        "10/20 · 2.50 it/s · 0:04 left",
        "0:00:02",
        "image 0.5",
        "previews in runs/x/previews",
        "a [note] with brackets",
    ):
        assert words in text, words


def test_display_is_plain_where_there_is_no_terminal(capsys):
    with display() as listener:
        listener.stage("input")
        assert isinstance(listener, PlainDisplay)
        assert listener.should_stop() is False
    assert capsys.readouterr().err == "[input]\n"
