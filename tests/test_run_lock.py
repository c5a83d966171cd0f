"""Two commands never write to one run folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from realfusion.errors import InputError
from realfusion.run_lock import exclusive

HOLDER = """
import sys
from pathlib import Path
from realfusion.run_lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_another_process_holds_is_refused(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match="another command is writing"),
            exclusive(tmp_path / "run"),
        ):
            pass
        process.kill()
    with exclusive(tmp_path / "run"):  # a killed process leaves no lock behind
        assert list((tmp_path / "run").iterdir()) == []


def test_the_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), exclusive(tmp_path):
        raise RuntimeError
    with exclusive(tmp_path):
        pass


def test_places_that_cannot_be_folders_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        with pytest.raises(InputError, match="--out"), exclusive(root):
            pass
