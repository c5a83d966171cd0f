"""Whole commands: a tiny run, its steps, and runs that are stopped and go on."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from realfusion import pipeline
from realfusion.cli.arguments import parse_run
from realfusion.cli.commands import _stages_of
from realfusion.cli.display import PlainDisplay
from realfusion.cli.main import main, run_main
from realfusion.listener import RunInterruptedError, SilentListener


def test_run_makes_every_output(finished):
    for name in (
        "config.json", "input.png", "turntable.mp4", "turntable.png", "mesh.glb",
        "metrics.json", "report.html", "checkpoint/checkpoint.json",
    ):  # fmt: skip
        assert (finished / name).stat().st_size > 0, name
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["iterations"] == 4
    assert metrics["prior"] == "none"
    assert {"front_psnr_db", "front_mask_iou", "seconds"} <= set(metrics)


def test_run_says_what_it_made(image, finished, capsys, tiny):
    assert run_main([str(image), "--out", str(finished), *tiny]) == 0
    out = capsys.readouterr().out
    assert "PSNR" in out
    assert str(finished / "report.html") in out
    assert out.endswith(f"run folder: {finished}\n")


def test_export_makes_the_outputs_anew(finished):
    before = (finished / "turntable.png").read_bytes()
    (finished / "turntable.png").unlink()
    assert main(["export", str(finished), "--device", "cpu"]) == 0
    assert (finished / "turntable.png").read_bytes() == before


def test_render_writes_the_views(finished, tmp_path):
    cameras = tmp_path / "cameras.json"
    views = [
        {"azimuth_deg": azimuth, "elevation_deg": 15, "radius": 1.8, "fov_y_deg": 40}
        for azimuth in (0, 120)
    ]
    cameras.write_text(json.dumps({"views": views}))
    out = tmp_path / "views"
    words = ["--cameras", str(cameras), "--size", "24", "--out", str(out)]
    assert main(["render", str(finished), *words, "--device", "cpu"]) == 0
    for name in ("view_00.png", "view_01.png"):
        with Image.open(out / name) as view:
            assert (view.mode, view.size) == ("RGBA", (24, 24))


@pytest.mark.parametrize("text", ["[1]", "3", "{", ""])
def test_damaged_metrics_are_made_anew(image, finished, tmp_path, text, tiny):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "metrics.json").write_text(text)
    assert run_main([str(image), "--out", str(out), *tiny]) == 0
    assert json.loads((out / "metrics.json").read_text())["prior"] == "none"


def test_reconstruct_stops_before_the_outputs(image, tmp_path, tiny):
    out = tmp_path / "run"
    assert main(["reconstruct", str(image), "--out", str(out), *tiny]) == 0
    assert (out / "checkpoint" / "checkpoint.json").exists()
    assert not (out / "mesh.glb").exists()


def test_frames_of_an_animation_are_a_note_in_one_line(image, tmp_path, capsys, tiny):
    with Image.open(image) as picture:
        other = Image.new("RGBA", picture.size)
        path = tmp_path / "two.webp"
        picture.save(path, save_all=True, append_images=[other], lossless=True)
    args = ["reconstruct", str(path), "--out", str(tmp_path / "run"), *tiny]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(args) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "warning: two.webp has 2 frames; the first is used" in lines
    assert not any("UserWarning" in line for line in lines)


def test_sigterm_saves_and_the_same_command_goes_on(image, tmp_path, tiny):
    out = tmp_path / "run"
    program = Path(sys.executable).with_name("realfusion-run")
    command = [program, image, "--out", out, *tiny]
    command += ["--reconstruction.iterations", "60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("[reconstruction] 60"):
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "the same command continues" in rest
    assert "--reconstruction.iterations 60" in rest
    saved = json.loads((out / "checkpoint" / "checkpoint.json").read_text())["step"]
    assert 0 < saved < 60
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"continuing at step {saved}" in result.stderr
    assert json.loads((out / "metrics.json").read_text())["iterations"] == 60


def test_view_without_viser_names_the_command_that_installs_it(
    finished, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view", str(finished)]) == 2
    assert capsys.readouterr().err == (
        "realfusion view: error: the viewer needs viser, which is not installed: "
        "pip install 'realfusion[viewer]'\n"
    )


class StopAt:
    """A listener that wants to stop from the nth stage of a name on."""

    def __init__(self, name: str) -> None:
        self.name, self.stopping, self.notes = name, False, []

    def stage(self, name, total=None):
        self.stopping = self.stopping or name == self.name

    def advance(self, done, values):
        pass

    def note(self, message):
        self.notes.append(message)

    def should_stop(self):
        return self.stopping


@pytest.mark.parametrize(
    "stage", ["input", "prior", "reconstruction", "turntable", "mesh"]
)
def test_a_run_stops_in_every_stage_and_goes_on_to_the_same_bits(
    stage, image, finished, tmp_path, tiny
):
    arguments = parse_run("run", [str(image), "--out", str(tmp_path / "run"), *tiny])
    config, options = arguments.config(), arguments.options()
    with pytest.raises(RunInterruptedError, match="the same command continues"):
        pipeline.run(config, options, StopAt(stage))
    assert (tmp_path / "run").exists() == (stage != "input")
    assert not (tmp_path / "run" / "report.html").exists()
    folder = pipeline.run(config, options, SilentListener())
    for name in ("input.png", "mesh.glb", "turntable.mp4", "turntable.png"):
        assert (folder.root / name).read_bytes() == (finished / name).read_bytes()


def test_a_run_that_auto_began_goes_on_with_its_prior_and_reason(
    image, tmp_path, monkeypatch, small
):
    words = [str(image), "--out", str(tmp_path / "run"), *small, "--prior", "auto"]
    words += ["--inversion.refinement-steps", "0"]
    arguments = parse_run("run", words)
    config, options = arguments.config(), arguments.options()
    listener = StopAt("")
    for _ in range(2):
        pipeline.run(config, options, listener, until="token")
    said = [note for note in listener.notes if note.startswith("prior ")]
    assert (
        said
        == ["prior bundled: computing on cpu, where Stable Diffusion is very slow"] * 2
    )


def test_a_short_run_has_a_preview(finished):
    assert [path.name for path in (finished / "previews").iterdir()] == [
        "step_000004.png"
    ]


def test_stages_of_a_training_reach_the_display():
    stream = io.StringIO()
    listener = PlainDisplay(stream)
    report = _stages_of(listener)
    report("data", 1, 2, {})
    report("data", 2, 2, {"objects": 8.0})
    report("denoiser", 1, 5, {})
    assert [line.split(" · ")[0] for line in stream.getvalue().splitlines()] == [
        "[data] 2 steps", "[data] 2/2", "[denoiser] 5 steps"
    ]  # fmt: skip
    listener.interruption.requested = True
    with pytest.raises(RunInterruptedError, match="step 2 of 5 of denoiser"):
        report("denoiser", 2, 5, {})
