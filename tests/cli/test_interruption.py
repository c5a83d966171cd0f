"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from realfusion.cli.display import PlainDisplay
from realfusion.cli.interruption import Interruption

SCRIPT = """
import sys, time
from realfusion.cli.display import display
with display() as listener:
    print("ready", flush=True)
    while not listener.should_stop():
        time.sleep(0.01)
    print("saving", flush=True)
    time.sleep(float(sys.argv[1]))
print("saved", flush=True)
sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_a_request(number):
    messages: list[str] = []
    before = signal.getsignal(number)
    with Interruption(messages.append) as interruption:
        assert not interruption.requested
        os.kill(os.getpid(), number)
        assert interruption.requested
    assert len(messages) == 1
    assert "saving" in messages[0]
    assert signal.getsignal(number) is before


def start(seconds_of_saving: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, seconds_of_saving],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_one_signal_lets_the_work_be_saved():
    process = start("0")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == "saving\nsaved\n"
    assert "once more stops at once" in err


def test_second_signal_stops_at_once():
    process = start("60")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "saving\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - begun < 20.0
    assert process.returncode == 130
    assert "saved" not in out
    assert "stopped at once" in err


class Stream(io.StringIO):
    """Gets a signal amid a write, and like a real buffer cannot be entered twice."""

    busy = False

    def write(self, text: str) -> int:
        assert not self.busy, "reentrant call"
        self.busy = True
        if "\n" not in text:
            os.kill(os.getpid(), signal.SIGTERM)
        self.busy = False
        return super().write(text)


def test_a_signal_amid_a_print_is_heard(capfd):
    listener = PlainDisplay(Stream())
    with listener.interruption:
        listener.note("a line that a signal interrupts")
        assert listener.should_stop()
    assert "once more stops at once" in capfd.readouterr().err
