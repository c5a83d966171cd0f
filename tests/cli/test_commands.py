"""Whole commands: a tiny run, its steps, and everything a user can get wrong."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfusion import pipeline, run_folder
from realfusion.cli.arguments import parse_run
from realfusion.cli.commands import _stages_of
from realfusion.cli.display import PlainDisplay
from realfusion.cli.main import main, run_main
from realfusion.listener import RunInterruptedError, SilentListener
from realfusion.run_lock import exclusive

# Small enough for a second or two.
SMALL = (
    "--preset", "smoke", "--device", "cpu",
    "--reconstruction.iterations", "4", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.prior-view-size", "16",
    "--reconstruction.initial-shape.steps", "30", "--input.size", "32",
    "--export.turntable-views", "8", "--export.turntable-size", "32",
    "--export.mesh-resolution", "24",
)  # fmt: skip
TINY = (*SMALL, "--prior", "none")


def write_disc(path: Path, size: int = 48) -> Path:
    """A red disc on nothing."""
    axis = np.linspace(-1.0, 1.0, size)
    inside = axis[:, None] ** 2 + axis[None] ** 2 < 0.5
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[inside] = (220, 40, 30, 255)
    Image.fromarray(rgba).save(path)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    return write_disc(tmp_path_factory.mktemp("image") / "disc.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, image) -> Path:
    """The folder of a finished tiny run."""
    out = tmp_path_factory.mktemp("runs") / "disc"
    assert run_main([str(image), "--out", str(out), *TINY]) == 0
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def expect_input_error(capsys, args: list[str], *words: str) -> None:
    """The run must end with code 2 and one line that has all the words."""
    capsys.readouterr()
    assert run_main(args) == 2
    errors = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("realfusion-run: error: ")
    ]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0], errors[0]


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


def test_run_says_what_it_made(image, finished, capsys):
    assert run_main([str(image), "--out", str(finished), *TINY]) == 0
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


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"views": []}',
        '{"views": null}',
        '{"views": [{"radius": 1}]}',
        "[" * 10**5,
    ],
)
def test_render_refuses_bad_cameras(finished, tmp_path, capsys, text):
    cameras, out = tmp_path / "cameras.json", tmp_path / "views"
    cameras.write_text(text)
    words = ["--cameras", str(cameras), "--out", str(out)]
    assert main(["render", str(finished), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("text", ["[1]", "3", "{", ""])
def test_damaged_metrics_are_made_anew(image, finished, tmp_path, text):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    (out / "metrics.json").write_text(text)
    assert run_main([str(image), "--out", str(out), *TINY]) == 0
    assert json.loads((out / "metrics.json").read_text())["prior"] == "none"


def test_reconstruct_stops_before_the_outputs(image, tmp_path):
    out = tmp_path / "run"
    assert main(["reconstruct", str(image), "--out", str(out), *TINY]) == 0
    assert (out / "checkpoint" / "checkpoint.json").exists()
    assert not (out / "mesh.glb").exists()


@pytest.mark.parametrize("command", ["export", "render", "view", "evaluate"])
def test_commands_on_a_run_refuse_other_folders(command, tmp_path, capsys):
    extra = {
        "export": [],
        "render": ["--cameras", str(tmp_path / "c.json"), "--out", str(tmp_path / "o")],
        "view": [],
        "evaluate": ["--ground-truth", str(tmp_path)],
    }[command]
    assert main([command, str(tmp_path), *extra]) == 2
    assert capsys.readouterr().err.count(f"realfusion {command}: error: ") == 1


def test_run_folder_of_other_settings_is_left_alone(image, finished, capsys):
    before = digests(finished)
    args = [str(image), "--out", str(finished), *TINY, "--seed", "7"]
    expect_input_error(capsys, args, "seed", "--overwrite")
    assert digests(finished) == before


def test_run_folder_of_another_image_is_left_alone(finished, tmp_path, capsys):
    before = digests(finished)
    other = write_disc(tmp_path / "other.png", size=40)
    args = [str(other), "--out", str(finished), *TINY]
    expect_input_error(capsys, args, "another image")
    assert digests(finished) == before


def missing(folder: Path) -> Path:
    return folder / "missing.png"


def a_folder(folder: Path) -> Path:
    return folder


def no_image(folder: Path) -> Path:
    path = folder / "text.png"
    path.write_text("not an image")
    return path


def truncated(folder: Path) -> Path:
    path = folder / "half.png"
    whole = write_disc(folder / "whole.png", size=200).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def empty_mask(folder: Path) -> Path:
    path = folder / "empty.png"
    Image.new("RGBA", (64, 64), (200, 10, 10, 0)).save(path)
    return path


def one_colour(folder: Path) -> Path:
    path = folder / "wall.png"
    Image.new("RGB", (64, 64), (120, 120, 120)).save(path)
    return path


def one_pixel(folder: Path) -> Path:
    path = folder / "pixel.png"
    Image.new("RGBA", (1, 1), (200, 10, 10, 255)).save(path)
    return path


def gigantic(folder: Path) -> Path:
    path = folder / "gigantic.png"
    Image.new("1", (20000, 20000)).save(path)
    return path


@pytest.mark.parametrize(
    "make",
    [
        missing, a_folder, no_image, truncated, empty_mask, one_colour, one_pixel,
        gigantic,
    ],
)  # fmt: skip
def test_unusable_images(make, tmp_path, capsys):
    path, out = make(tmp_path), tmp_path / "run"
    expect_input_error(capsys, [str(path), "--out", str(out), *TINY])
    assert not out.exists()


@pytest.mark.parametrize(
    "extra",
    [
        ["--prior", "no/such-prior", "--offline"],
        ["--prior", "nonsense"],
        ["--prior", "none", "--prior", "bundled"],
        ["--prior", "bundled:-1"],
        ["--text", "a mug"],
        ["--device", "cuda"],
    ],
)
def test_unusable_settings(extra, image, tmp_path, capsys):
    import torch

    if "cuda" in extra and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    args = [str(image), "--out", str(tmp_path / "run"), *SMALL, *extra]
    expect_input_error(capsys, args, extra[0] if "--text" in extra else extra[1])


def test_frames_of_an_animation_are_a_note_in_one_line(image, tmp_path, capsys):
    with Image.open(image) as picture:
        other = Image.new("RGBA", picture.size)
        path = tmp_path / "two.webp"
        picture.save(path, save_all=True, append_images=[other], lossless=True)
    args = ["reconstruct", str(path), "--out", str(tmp_path / "run"), *TINY]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(args) == 0
    lines = capsys.readouterr().err.splitlines()
    assert "warning: two.webp has 2 frames; the first is used" in lines
    assert not any("UserWarning" in line for line in lines)


def test_output_that_is_a_file(image, tmp_path, capsys):
    out = tmp_path / "taken"
    out.write_text("mine")
    expect_input_error(capsys, [str(image), "--out", str(out), *TINY], "taken")
    assert out.read_text() == "mine"


def test_sigterm_saves_and_the_same_command_goes_on(image, tmp_path):
    out = tmp_path / "run"
    program = Path(sys.executable).with_name("realfusion-run")
    command = [program, image, "--out", out, *TINY]
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


def test_batch_does_all_it_can_and_keeps_what_is_finished(tmp_path, capsys):
    images, out = tmp_path / "images", tmp_path / "runs"
    images.mkdir()
    write_disc(images / "big.png")
    write_disc(images / "small.png", size=40)
    (images / "junk.png").write_text("no image")
    command = ["batch", str(images), "--out", str(out), "--jobs", "1", *TINY]
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


def test_batch_refuses_bad_arguments_before_anything_is_done(image, tmp_path, capsys):
    out = tmp_path / "runs"
    for words in (["missing.png"], [], [str(image), "--jobs", "0"]):
        assert main(["batch", *words, "--out", str(out), *TINY]) == 2
        assert capsys.readouterr().err.count("realfusion batch: error: ") == 1
    assert not out.exists()


def test_batch_that_was_stopped_goes_on(image, tmp_path):
    out = tmp_path / "runs"
    program = Path(sys.executable).with_name("realfusion")
    command = [program, "batch", image, "--out", out, "--jobs", "1", *TINY]
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
    stage, image, finished, tmp_path
):
    arguments = parse_run("run", [str(image), "--out", str(tmp_path / "run"), *TINY])
    config, options = arguments.config(), arguments.options()
    with pytest.raises(RunInterruptedError, match="the same command continues"):
        pipeline.run(config, options, StopAt(stage))
    assert (tmp_path / "run").exists() == (stage != "input")
    assert not (tmp_path / "run" / "report.html").exists()
    folder = pipeline.run(config, options, SilentListener())
    for name in ("input.png", "mesh.glb", "turntable.mp4", "turntable.png"):
        assert (folder.root / name).read_bytes() == (finished / name).read_bytes()


def test_a_run_that_auto_began_goes_on_with_its_prior_and_reason(
    image, tmp_path, monkeypatch
):
    words = [str(image), "--out", str(tmp_path / "run"), *SMALL, "--prior", "auto"]
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


def test_a_damaged_token_names_the_remedy(image, tmp_path, capsys):
    args = [str(image), "--out", str(tmp_path / "run"), *SMALL, "--prior", "bundled"]
    arguments = parse_run("run", args)
    run_folder.open_run(tmp_path / "run", arguments.config())
    (tmp_path / "run" / "token.safetensors").write_bytes(b"junk")
    expect_input_error(capsys, args, "token.safetensors", "delete it")


def test_a_short_run_has_a_preview(finished):
    assert [path.name for path in (finished / "previews").iterdir()] == [
        "step_000004.png"
    ]


def test_two_runs_at_once_do_not_share_a_folder(image, tmp_path, capsys):
    with exclusive(tmp_path / "run"):
        args = [str(image), "--out", str(tmp_path / "run"), *TINY]
        expect_input_error(capsys, args, "another command")
    assert list((tmp_path / "run").iterdir()) == []


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


def test_prior_training_refuses_impossible_sizes(tmp_path, capsys):
    words = ["--out", str(tmp_path / "x"), "--data.num-objects", "7"]
    assert main(["train-prior", *words]) == 2
    assert "num_objects" in capsys.readouterr().err
