"""Many images by one command: what fails, what is kept, what goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from realfusion.cli.main import main


def test_batch_does_all_it_can_and_keeps_what_is_finished(
    tmp_path, capsys, tiny, write_disc, digests
):
    images, out = tmp_path / "images", tmp_path / "runs"
    images.mkdir()
    write_disc(images / "big.png")
    write_disc(images / "small.png", size=40)
    (images / "junk.png").write_text("no image")
    command = ["batch", str(images), "--out", str(out), "--jobs", "1", *tiny]
    assert main(command) == 1
    table, progress = capsys.readouterr()
    assert [line.split()[0] for line in table.splitlines()[1:4]] == [
        "big", "junk", "small"
    ]  # fmt: skip
    assert "failed: " in table
    assert "[3/3] small: done" in progress
    page = (out / "index.html").read_text()
    for name in ("big", "small"):
        assert (out / name / "report.html").exists()
        assert f"./{name}/report.html" in page
    before = digests(out / "big")
    (images / "junk.png").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.count("finished before") == 2
    assert digests(out / "big") == before


def test_batch_refuses_bad_arguments_before_anything_is_done(
    image, tmp_path, capsys, tiny
):
    out = tmp_path / "runs"
    for words in (["missing.png"], [], [str(image), "--jobs", "0"]):
        assert main(["batch", *words, "--out", str(out), *tiny]) == 2
        assert capsys.readouterr().err.count("realfusion batch: error: ") == 1
    assert not out.exists()


def test_batch_that_was_stopped_goes_on(image, tmp_path, tiny):
    out = tmp_path / "runs"
    program = Path(sys.executable).with_name("realfusion")
    command = [program, "batch", image, "--out", out, "--jobs", "1", *tiny]
    command += ["--reconstruction.iterations", "300", "--preview-interval", "5"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not (out / "disc" / "previews").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "stopped after 0 of 1 images; the same command continues" in rest
    saved = json.loads((out / "disc/checkpoint/checkpoint.json").read_text())["step"]
    assert 0 < saved < 300
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads((out / "disc/metrics.json").read_text())["iterations"] == 300
