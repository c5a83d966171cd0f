"""What a batch shows while it works, and at the end."""

import io

import pytest
from rich.console import Console

from realfusion.batch import Outcome
from realfusion.cli.batch_display import BatchDisplay, summary_table


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def display_in(clock, *, is_terminal):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=100)
    return BatchDisplay(console, 4, clock), stream


def done(name, state="done"):
    return Outcome(name=name, state=state, seconds=8.0, psnr_db=21.5, mask_iou=0.95)


def test_a_log_gets_lines_only(clock):
    display, stream = display_in(clock, is_terminal=False)
    with display.progress_bars:
        display.begin("[red]cat")
        display.progress("[red]cat", 0.5)
        clock.now = 10.0
        display.end(done("[red]cat"))
    assert stream.getvalue().splitlines() == [
        "[red]cat ...",
        "[1/4] [red]cat: done, PSNR 21.5 dB, mask IoU 0.950, 8 s; about 0:30 left",
    ]


def test_a_run_that_was_stopped_promises_no_end(clock):
    display, stream = display_in(clock, is_terminal=False)
    display.begin("cat")
    clock.now = 10.0
    display.progress("cat", 0.5)
    display.end(Outcome(name="cat", state="stopped"))
    assert stream.getvalue().splitlines()[1:] == ["[1/4] cat: stopped"]


def test_a_terminal_shows_the_bar_of_what_is_on_its_way(clock):
    display, stream = display_in(clock, is_terminal=True)
    with display.progress_bars:
        display.begin("cat")
        clock.now = 10.0
        display.progress("cat", 0.5)
    assert "about 1:10 left" in stream.getvalue()
    assert "cat" in stream.getvalue()


def test_time_left_counts_shares_but_not_what_was_finished_before(clock):
    display, _ = display_in(clock, is_terminal=False)
    assert display.seconds_left() is None
    display.begin("old")
    display.end(done("old", "finished before"))
    assert display.seconds_left() is None
    display.begin("a")
    display.begin("b")
    clock.now = 30.0
    display.progress("a", 0.25)
    display.progress("b", 0.25)
    assert display.seconds_left() == pytest.approx(30.0 * 2.5 / 0.5)


def test_summary_has_a_row_an_image():
    failed = Outcome(name="a-long-name", state="failed", reason="it is empty")
    assert summary_table([done("cat"), failed]).splitlines() == [
        "image        PSNR dB  mask IoU  seconds",
        "cat             21.5     0.950        8  done",
        "a-long-name        -         -        0  failed: it is empty",
    ]


def test_runs_are_counted_in_what_they_are(clock):
    console = Console(file=io.StringIO(), force_terminal=True)
    display = BatchDisplay(console, 6, clock, unit="runs")
    assert display.progress_bars.tasks[0].description == "6 runs"
