"""Finished runs are kept, others made anew; figures go to tables and a page."""

import dataclasses
import json

import numpy as np
import pytest

from realfusion import quality_benchmark as benchmark
from realfusion.cameras.camera import Camera
from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError, NonFiniteError
from realfusion.io.images import write_png
from realfusion.listener import RunInterruptedError
from realfusion.run_folder import open_run

CAMERA = {"azimuth_deg": 0.0, "elevation_deg": 20.0, "radius": 2.0, "fov_y_deg": 30.0}


class Watcher:
    """Remembers what became of the runs; asks to stop once so many are over."""

    def __init__(self, stop_after=None):
        self.states, self.shares, self.stop_after = [], [], stop_after

    def begin(self, name):
        pass

    def progress(self, name, share):
        self.shares.append(share)

    def end(self, outcome):
        self.states.append(outcome.state)

    def should_stop(self):
        return len(self.states) == self.stop_after


@pytest.fixture
def truth(tmp_path):
    """A folder of two objects."""
    for name in ("mug", "brick"):
        folder = tmp_path / "truth" / name
        folder.mkdir(parents=True)
        document = {"input": CAMERA, "views": [{**CAMERA, "azimuth_deg": 180.0}]}
        (folder / "cameras.json").write_text(json.dumps(document))
        for file in ("input.png", "view_00.png"):
            write_png(folder / file, np.ones((16, 16, 4), np.float32))
    return tmp_path / "truth"


@pytest.fixture
def stages(monkeypatch):
    """A stand-in for the pipeline: what it was asked for, and how it shall fail."""
    seen = []

    def run(config, options, listener, *, until):
        assert until == "field"
        seen.append((config.prior, options.out.parent.name, config.seed))
        folder = open_run(options.out, config, overwrite=options.overwrite).folder
        listener.stage("reconstruction", 4)
        listener.advance(2, {})
        if run.failure is not None:
            raise run.failure
        folder.metrics.write_text(json.dumps({"seconds": {"a": 1.5, "b": 2.0}}))
        return folder

    def evaluate_run(root, truth, *, device, listener):
        return {
            "novel_view_mask_iou": 0.6 if "bundled" in root.parts else 0.5,
            "novel_view_psnr_db": 15.0,
        }

    run.seen, run.failure = seen, None
    monkeypatch.setattr(benchmark.pipeline, "run", run)
    monkeypatch.setattr(benchmark.inspection, "evaluate_run", evaluate_run)
    return run


def plan(truth, out, **changes):
    """A run of both objects by both variants."""
    return [
        benchmark.QualityRun(
            truth=folder,
            variant=variant,
            config=RunConfig(image=folder / "input.png", prior=variant, **changes),
            options=RunOptions(out=out / variant / folder.name / "s", overwrite=True),
        )
        for folder in benchmark.find_objects(truth)
        for variant in ("none", "bundled")
    ]


def test_every_run_is_measured(truth, stages, tmp_path):
    watcher = Watcher()
    runs, outcomes = benchmark.run_benchmark(plan(truth, tmp_path / "out"), watcher)
    assert watcher.states == ["done"] * 4
    assert watcher.shares == [0.5] * 4
    assert list(runs) == ["none", "bundled"]
    assert set(runs["none"]) == {("brick", 0), ("mug", 0)}
    assert runs["bundled"]["mug", 0]["novel_view_mask_iou"] == 0.6
    assert runs["none"]["mug", 0]["seconds"] == 3.5
    assert str(outcomes[0]) == "done, PSNR 15.0 dB, mask IoU 0.500, 4 s"


def test_finished_runs_are_not_repeated(truth, stages, tmp_path):
    first, _ = benchmark.run_benchmark(plan(truth, tmp_path / "out"), Watcher())
    stages.seen.clear()
    watcher = Watcher()
    again, _ = benchmark.run_benchmark(plan(truth, tmp_path / "out"), watcher)
    assert stages.seen == []
    assert watcher.states == ["finished before"] * 4
    assert again == first


def test_other_settings_are_run_anew(truth, stages, tmp_path):
    out = tmp_path / "out"
    benchmark.run_benchmark(plan(truth, out), Watcher())
    stages.seen.clear()
    benchmark.run_benchmark(plan(truth, out, negative_prompt="blurred"), Watcher())
    assert len(stages.seen) == 4


def test_a_changed_truth_is_measured_anew(truth, stages, tmp_path):
    out = tmp_path / "out"
    benchmark.run_benchmark(plan(truth, out), Watcher())
    stages.seen.clear()
    write_png(truth / "mug" / "view_00.png", np.zeros((16, 16, 4), np.float32))
    watcher = Watcher()
    benchmark.run_benchmark(plan(truth, out), watcher)
    assert watcher.states == ["finished before"] * 2 + ["done"] * 2


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"fingerprint": 1}'])
def test_damaged_figures_are_measured_anew(truth, stages, tmp_path, text):
    runs = plan(truth, tmp_path / "out")
    benchmark.run_benchmark(runs, Watcher())
    stages.seen.clear()
    runs[1].figures.write_text(text)
    benchmark.run_benchmark(runs, Watcher())
    assert stages.seen == [("bundled", "brick", 0)]


def test_stopping_between_runs_keeps_what_is_finished(truth, stages, tmp_path):
    runs = plan(truth, tmp_path / "out")
    with pytest.raises(
        RunInterruptedError, match="after 3 of 4 runs; the same command"
    ):
        benchmark.run_benchmark(runs, Watcher(stop_after=3))
    watcher = Watcher()
    benchmark.run_benchmark(runs, watcher)
    assert watcher.states == ["finished before"] * 3 + ["done"]


def test_a_run_that_stopped_ends_the_benchmark(truth, stages, tmp_path):
    stages.failure = RunInterruptedError("stopped at step 2")
    watcher = Watcher()
    with pytest.raises(RunInterruptedError, match="after 0 of 4 runs"):
        benchmark.run_benchmark(plan(truth, tmp_path / "out"), watcher)
    assert watcher.states == ["stopped"]


def test_divergence_costs_one_run_and_is_named(truth, stages, tmp_path):
    runs, out = plan(truth, tmp_path / "out"), tmp_path / "out"
    benchmark.run_benchmark(runs[:3], Watcher())
    stages.failure = NonFiniteError("the loss\nis NaN")
    figures, outcomes = benchmark.run_benchmark(runs, Watcher())
    assert set(figures["bundled"]) == {("brick", 0)}
    text = benchmark.write_results(out, figures, outcomes, title="t", settings={})
    assert "mug bundled 0 failed and is left out: the loss is NaN" in text
    stored = json.loads((out / "quality.json").read_text())
    assert stored["failed"] == {"mug bundled 0": "the loss is NaN"}


def test_results_are_written(truth, stages, tmp_path):
    out = tmp_path / "out"
    runs, outcomes = benchmark.run_benchmark(plan(truth, out), Watcher())
    text = benchmark.write_results(
        out, runs, outcomes, title="two objects", settings={"preset": "fast"}
    )
    stored = json.loads((out / "quality.json").read_text())
    assert stored["settings"] == {"preset": "fast"}
    gain = stored["differences"]["bundled"]["novel_view_mask_iou"]
    assert gain["mean"] == pytest.approx(0.1)
    assert gain["num_better"] == 2
    assert (out / "quality.md").read_text() == f"# two objects\n\n{text}"
    page = (out / "quality.html").read_text()
    assert "bundled − none: +0.100 [+0.100, +0.100]" in page


def test_objects_are_chosen_by_name(truth):
    assert [path.name for path in benchmark.find_objects(truth)] == ["brick", "mug"]
    assert benchmark.find_objects(truth, ["mug"]) == [truth / "mug"]
    with pytest.raises(InputError, match="no 'cup'; choose from brick, mug"):
        benchmark.find_objects(truth, ["cup"])
    with pytest.raises(InputError, match="holds no objects"):
        benchmark.find_objects(truth / "mug")
    (truth / "mug" / "input.png").unlink()
    with pytest.raises(InputError, match=r"no input\.png"):
        benchmark.find_objects(truth)


def test_runs_take_the_camera_of_the_photo(truth):
    camera = benchmark.photo_camera(truth / "mug")
    config = benchmark.seen_from(RunConfig(image=truth / "mug" / "input.png"), camera)
    reference = config.reconstruction.reference_camera
    assert (reference.elevation_deg, reference.radius, reference.fov_y_deg) == (
        20, 2, 30
    )  # fmt: skip
    assert camera == Camera(**CAMERA)


def test_a_photo_from_elsewhere_is_refused(truth):
    document = {"input": {**CAMERA, "azimuth_deg": 30.0}, "views": [CAMERA]}
    (truth / "mug" / "cameras.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="azimuth_deg 0, got 30"):
        benchmark.photo_camera(truth / "mug")


def test_the_seed_names_the_run(truth, tmp_path):
    run = plan(truth, tmp_path)[0]
    other = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=7))
    assert (run.name, other.name) == ("brick none 0", "brick none 7")
    assert run.identity() != other.identity()
