"""A run compared with the truth, with the networks that are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from realfusion import pipeline
from realfusion.cli.arguments import parse_run
from realfusion.inspection import evaluate_run
from realfusion.io.images import write_png
from realfusion.listener import SilentListener

TINY = (
    "--preset", "smoke", "--prior", "none", "--device", "cpu",
    "--reconstruction.iterations", "2", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.prior-view-size", "16",
    "--reconstruction.initial-shape.steps", "5", "--input.size", "32",
    "--export.mesh-resolution", "16",
)  # fmt: skip
CAMERA = {"azimuth_deg": 0.0, "elevation_deg": 15.0, "radius": 1.8, "fov_y_deg": 40.0}


class Notes(SilentListener):
    """Remembers notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def run_and_truth(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a tiny run and one of ground truth."""
    axis = np.linspace(-1.0, 1.0, 32)
    rgba = np.zeros((32, 32, 4), np.float32)
    rgba[axis[:, None] ** 2 + axis[None] ** 2 < 0.5] = (0.9, 0.2, 0.1, 1.0)
    truth = tmp_path / "truth"
    truth.mkdir()
    cameras = [{**CAMERA, "azimuth_deg": 90.0 * index} for index in range(2)]
    text = json.dumps({"input": CAMERA, "views": cameras})
    (truth / "cameras.json").write_text(text)
    for name in ("input.png", "view_00.png", "view_01.png"):
        write_png(truth / name, rgba)
    words = [str(truth / "input.png"), "--out", str(tmp_path / "run"), *TINY]
    arguments = parse_run("run", words)
    pipeline.run(
        arguments.config(), arguments.options(), SilentListener(), until="field"
    )
    return tmp_path / "run", truth


def test_clip_similarity_appears_where_a_clip_is_cached(
    run_and_truth: tuple[Path, Path], request: pytest.FixtureRequest
) -> None:
    run, truth = run_and_truth
    listener = Notes()
    figures = evaluate_run(run, truth, device="cpu", listener=listener)
    assert "clip_similarity" not in figures
    said = [note for note in listener.notes if "left out" in note]
    assert len(said) == 1
    assert "CLIP similarity is left out" in said[0]
    assert "LPIPS is left out" in said[0]

    request.getfixturevalue("cached_clip_folder")
    figures = evaluate_run(run, truth, device="cpu", listener=Notes())
    assert -1.0 <= figures["clip_similarity"] <= 1.0
    stored = json.loads((run / "metrics.json").read_text())["evaluation"]
    assert stored["clip_similarity"] == figures["clip_similarity"]
    assert len(stored["perceptual"]["clip_similarity"]) == 2
    assert stored["perceptual"]["clip_model"] == "openai/clip-vit-base-patch32"
