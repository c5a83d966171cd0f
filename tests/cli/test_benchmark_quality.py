"""`realfusion benchmark-quality`: a whole tiny benchmark, and what can be got wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from realfusion.cli.arguments import parse_benchmark
from realfusion.cli.main import main
from realfusion.io.images import write_png

TINY = (
    "--reconstruction.iterations", "4", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.initial-shape.steps",
    "150", "--input.size", "32", "--export.mesh-resolution", "24",
)  # fmt: skip


@pytest.fixture
def truth(tmp_path) -> Path:
    """A folder with one object, a red ball, of which everything is known."""
    folder = tmp_path / "truth" / "ball"
    axis = np.linspace(-1, 1, 32)
    inside = axis[:, None] ** 2 + axis[None] ** 2 < 0.3
    rgba = np.zeros((32, 32, 4), np.float32)
    rgba[inside] = (0.8, 0.1, 0.1, 1.0)
    for name in ("input.png", "view_00.png", "view_01.png"):
        write_png(folder / name, rgba)
    cameras = [
        {"azimuth_deg": a, "elevation_deg": 15, "radius": 1.8, "fov_y_deg": 40}
        for a in (0, 90, 180)
    ]
    document = {"input": cameras[0], "views": cameras[1:]}
    (folder / "cameras.json").write_text(json.dumps(document))
    ball = trimesh.creation.icosphere(3, radius=0.36)
    np.savez(
        folder / "surface.npz",
        points=ball.vertices, vertices=ball.vertices, faces=ball.faces,
    )  # fmt: skip
    return folder.parent


def command(truth: Path, out: Path, *words: str) -> list[str]:
    return ["benchmark-quality", str(truth), "--out", str(out), *words]


def test_a_benchmark_measures_everything_and_keeps_it(truth, tmp_path, capsys):
    out = tmp_path / "out"
    words = command(
        truth, out, "--seeds", "2", "--variants", "none", "--preset", "smoke",
        "--device", "cpu", "--", *TINY,
    )  # fmt: skip
    assert main(words) == 0
    printed, progress = capsys.readouterr()
    assert "[2/2] ball none 1: done" in progress
    assert "| volume IoU" in printed
    assert str(out / "quality.html") in printed
    assert (out / "quality.md").exists()
    stored = json.loads((out / "quality.json").read_text())
    assert stored["settings"]["run_options"] == list(TINY)
    assert [row["seed"] for row in stored["runs"]] == [0, 1]
    figures = stored["runs"][0]["figures"]
    assert {
        "novel_view_mask_iou", "volume_iou", "watertight_body_fraction", "janus_score",
        "depth_to_width_error", "opacity_entropy_bits", "front_psnr_db", "seconds",
    } <= set(figures)  # fmt: skip
    assert figures["volume_iou"] > 0.5
    assert main(words) == 0
    assert "[2/2] ball none 1: finished before" in capsys.readouterr().err
    # Another setting, by which there is no body: measured anew, as far as it goes.
    assert main([*words, "--export.mesh-threshold", "1e9"]) == 0
    printed, progress = capsys.readouterr()
    assert "[2/2] ball none 1: done" in progress
    stored = json.loads((out / "quality.json").read_text())["runs"][0]["figures"]
    assert (stored["watertight_body_fraction"], stored["volume_iou"]) == (0, 0)
    assert "chamfer_distance" not in stored
    assert stored["novel_view_mask_iou"] == figures["novel_view_mask_iou"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds must be positive, got 0"),
        (["--variants", ","], "--variants must name different priors"),
        (["--variants", "none,none"], "--variants must name different priors"),
        (["--preset", "quick"], "preset"),
        (["--objects", "cup"], "has no 'cup'; choose from ball"),
        (["--", "--seed", "3"], "--seed cannot stand after --"),
        (["--", "--prior=none"], "--prior cannot stand after --"),
        (["--", "--no-such-option", "1"], "no-such-option"),
    ],
)
def test_bad_input_is_one_line(truth, tmp_path, capsys, words, message):
    assert main(command(truth, tmp_path / "out", *words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("realfusion benchmark-quality: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_objects_is_refused(tmp_path, capsys):
    assert main(command(tmp_path, tmp_path / "out")) == 2
    assert "holds no objects" in capsys.readouterr().err


def test_every_run_has_a_folder_of_its_own(truth, tmp_path):
    given = parse_benchmark(
        "b", [str(truth), "--out", str(tmp_path), "--variants", "none, me/prior"]
    )
    assert given.variant_names() == ["none", "me/prior"]
    config, options = given.run_of("b", truth / "ball", "me/prior", 2)
    assert options.out == tmp_path / "me-prior" / "ball" / "seed_2"
    assert (config.prior, config.seed, config.input.recenter) == ("me/prior", 2, False)
    assert options.overwrite


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(truth, tmp_path):
    out = tmp_path / "out"
    program = Path(sys.executable).with_name("realfusion")
    words = command(
        truth, out, "--seeds", "1", "--variants", "none", "--preset", "smoke"
    )
    words += ["--device", "cpu", "--", *TINY, "--reconstruction.iterations", "300"]
    words += ["--checkpoint-interval", "5"]
    folder = out / "none" / "ball" / "seed_0"
    with subprocess.Popen([program, *words], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        while not (folder / "checkpoint" / "checkpoint.json").exists():
            assert run.poll() is None
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        rest = run.stderr.read()
    assert run.returncode == 130, rest
    assert "stopped after 0 of 1 runs; the same command continues" in rest
    index = folder / "checkpoint" / "checkpoint.json"
    assert 0 < json.loads(index.read_text())["step"] < 300
    assert not (folder / "quality.json").exists()
    assert main(words) == 0
    assert json.loads(index.read_text())["step"] == 300
    assert (folder / "quality.json").exists()
