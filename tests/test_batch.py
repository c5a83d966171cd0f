"""A failure costs one image; what is finished is kept; stopping keeps the rest."""

import gc
import json
import sys

import pytest
import torch

from realfusion import batch
from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError, NonFiniteError
from realfusion.listener import RunInterruptedError
from realfusion.run_folder import open_run

CPU = torch.device("cpu")


class Watcher:
    """Remembers what it is told; asks to stop once a run of a given name is over."""

    def __init__(self, stop_after: str = ""):
        self.events, self.stop_after, self.stops = [], stop_after, False

    def begin(self, name):
        self.events.append(("begin", name))

    def progress(self, name, share):
        self.events.append((name, share))

    def end(self, outcome):
        self.events.append(("end", outcome.name))
        self.stops = self.stops or outcome.name == self.stop_after

    def should_stop(self):
        return self.stops


@pytest.fixture
def jobs(tmp_path):
    """Jobs of the images a, b and c."""
    found = []
    for name in "abc":
        image = tmp_path / "images" / f"{name}.png"
        image.parent.mkdir(exist_ok=True)
        image.write_bytes(name.encode())
        options = RunOptions(out=tmp_path / "runs" / name)
        found.append(batch.Job(RunConfig(image=image), options))
    return found


@pytest.fixture
def runs(monkeypatch):
    """A stand-in for the pipeline: which images it was given, and how b shall fail."""
    seen = []

    def run(config, options, listener):
        name = options.out.name
        seen.append(name)
        folder = open_run(options.out, config).folder
        listener.stage("input")
        listener.stage("reconstruction", 4)
        listener.advance(1, {})
        if name == "b" and run.failure is not None:
            raise run.failure
        metrics = {"front_psnr_db": 20.0, "front_mask_iou": 0.9, "seconds": {"all": 3}}
        folder.metrics.write_text(json.dumps(metrics))
        folder.report.write_text("report")

    run.seen, run.failure = seen, None
    monkeypatch.setattr(batch.pipeline, "run", run)
    return run


def run_all(jobs, watcher=None):
    return batch.run_batch(
        jobs,
        jobs[0].options.out.parent,
        num_workers=1,
        device=CPU,
        watcher=watcher or Watcher(),
    )


def test_every_image_is_done_and_told(jobs, runs):
    watcher = Watcher()
    outcomes = run_all(jobs, watcher)
    assert [str(each) for each in outcomes] == [
        "done, PSNR 20.0 dB, mask IoU 0.900, 3 s"
    ] * 3
    assert watcher.events[:3] == [("begin", "a"), ("a", 0.25), ("end", "a")]
    page = (jobs[0].options.out.parent / "index.html").read_text()
    assert page.count("report.html") == 3


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (InputError("the image is\nempty"), "the image is empty"),
        (NonFiniteError("the loss is NaN"), "the loss is NaN"),
        (OSError(28, "No space left"), "OSError: [Errno 28] No space left"),
        (RuntimeError("a defect\nand more"), "RuntimeError: a defect"),
    ],
)
def test_a_failure_does_not_touch_the_others(jobs, runs, failure, reason):
    runs.failure = failure
    outcomes = run_all(jobs)
    assert [each.state for each in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].reason == reason
    assert reason in (jobs[0].options.out.parent / "index.html").read_text()


def test_what_is_finished_is_kept(jobs, runs):
    runs.failure = InputError("it is dark")
    run_all(jobs)
    runs.failure = None
    runs.seen.clear()
    outcomes = run_all(jobs)
    assert runs.seen == ["b"]
    assert [each.state for each in outcomes] == [
        "finished before", "done", "finished before"
    ]  # fmt: skip
    assert outcomes[0].psnr_db == 20.0


def test_stopping_within_a_run_ends_the_batch(jobs, runs):
    runs.failure = RunInterruptedError("stopped at step 1")
    watcher = Watcher(stop_after="b")
    with pytest.raises(RunInterruptedError, match="after 1 of 3 images"):
        run_all(jobs, watcher)
    assert runs.seen == ["a", "b"]
    page = (jobs[0].options.out.parent / "index.html").read_text()
    assert "stopped" in page
    assert "waiting" in page


def test_stopping_between_two_runs_ends_the_batch(jobs, runs):
    with pytest.raises(RunInterruptedError, match="after 1 of 3 images"):
        run_all(jobs, Watcher(stop_after="a"))
    assert runs.seen == ["a"]


def test_output_that_cannot_be_written_is_named(jobs, runs):
    out = jobs[0].options.out.parent
    out.write_text("a file")
    with pytest.raises(InputError, match="runs cannot be written"):
        run_all(jobs)
    assert runs.seen == []


def test_images_come_from_files_and_folders_once_each(tmp_path):
    for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    found = batch.collect_images([tmp_path / "b.png", tmp_path])
    assert [path.name for path in found] == ["b.png", "a.JPG"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: [], "at least one image"),
        (lambda folder: [folder / "missing.png"], "does not exist"),
        (lambda folder: [folder], "holds no image"),
    ],
)
def test_paths_without_images_are_refused(tmp_path, make, words):
    with pytest.raises(InputError, match=words):
        batch.collect_images(make(tmp_path))


def test_images_of_the_same_stem_are_refused(tmp_path):
    (tmp_path / "cat.png").touch()
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(InputError, match="share the run folder cat; rename"):
        batch.collect_images([tmp_path])


def test_several_at_a_time_need_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert batch.choose_num_workers("auto", 5, CPU) == 1
    assert batch.choose_num_workers(4, 1, CPU) == 1
    with pytest.raises(InputError, match=r"pip install 'realfusion\[batch\]'"):
        batch.choose_num_workers(4, 5, CPU)


def test_workers_are_one_a_gpu_and_never_more_than_images(monkeypatch):
    monkeypatch.setattr(batch, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert batch.choose_num_workers("auto", 9, torch.device("cuda")) == 4
    assert batch.choose_num_workers("auto", 3, torch.device("cuda")) == 3
    assert batch.choose_num_workers("auto", 9, CPU) == 1
    assert batch.choose_num_workers(8, 9, CPU) == 8
    with pytest.raises(InputError, match="positive"):
        batch.choose_num_workers(0, 9, CPU)


@pytest.mark.filterwarnings("default")  # ray's own
def test_ray_runs_several_and_a_failure_does_not_touch_the_others(jobs):
    """Real worker processes; these images are none, which each run says for itself."""
    pytest.importorskip("ray")
    watcher = Watcher()
    outcomes = batch.run_batch(
        jobs,
        jobs[0].options.out.parent,
        num_workers=2,
        device=CPU,
        watcher=watcher,
    )
    assert [each.state for each in outcomes] == ["failed"] * 3
    for name, outcome in zip("abc", outcomes, strict=True):
        assert f"{name}.png is not an image" in outcome.reason
    assert sorted(name for kind, name in watcher.events if kind == "end") == list("abc")
    gc.collect()  # ray leaves processes to be warned about; here, not in later tests
