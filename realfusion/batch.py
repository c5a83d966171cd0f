"""Many images, a run folder each: one after the other, or several at a time by ray.

A failure costs one image, never the batch. What was finished before is kept, what was
interrupted is continued, so the same command can be given again and again.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from realfusion import pipeline
from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError, NonFiniteError
from realfusion.io.index_page import IndexEntry, write_index
from realfusion.listener import RunInterruptedError, RunListener, SilentListener
from realfusion.run_folder import RunFolder, is_finished
from realfusion.run_metrics import read_metrics

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff",
    ".bmp", ".gif", ".ppm",
)  # fmt: skip
INDEX_NAME = "index.html"
MAX_RETRIES = 2
POLL_S = 0.5
OBJECT_STORE_BYTES = 80 * 2**20
"""ray's shared memory: only settings and outcomes go through it."""


@dataclass(frozen=True)
class Job:
    """One image of a batch."""

    config: RunConfig
    options: RunOptions

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self.options.out.name


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one image.

    Attributes:
        name: Name of the run folder.
        state: Done now, finished before, failed, or stopped with its state saved.
        seconds: Time the run took altogether; of a failure, until it failed.
        psnr_db: PSNR of the input view; in a benchmark, of novel views.
        mask_iou: Mask IoU of the same.
        reason: Why it failed, in one line.
    """

    name: str
    state: Literal["done", "finished before", "failed", "stopped"]
    seconds: float = 0.0
    psnr_db: float | None = None
    mask_iou: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        """State and figures, or the reason."""
        if self.state in ("failed", "stopped"):
            return ": ".join(filter(None, (self.state, self.reason)))
        figures = ""
        if self.psnr_db is not None and self.mask_iou is not None:
            figures = f", PSNR {self.psnr_db:.1f} dB, mask IoU {self.mask_iou:.3f}"
        return f"{self.state}{figures}, {self.seconds:.0f} s"


class BatchWatcher(Protocol):
    """Told what happens to a batch; asked whether to go on."""

    def begin(self, name: str) -> None:
        """The run `name` begins."""
        ...

    def progress(self, name: str, share: float) -> None:
        """So much of the steps of the run `name` is done, within [0, 1]."""
        ...

    def end(self, outcome: Outcome) -> None:
        """A run is over."""
        ...

    def should_stop(self) -> bool:
        """Whether to save and stop as soon as possible."""
        ...


def collect_images(paths: Sequence[Path]) -> list[Path]:
    """The images named by files and folders, each once.

    Args:
        paths: Images, and folders of images (not of folders).

    Returns:
        The images, those of a folder by name.

    Raises:
        InputError: A path does not exist, a folder holds no image, there are none at
            all, or two would have the same run folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        for image in _images_in(path) if path.is_dir() else [path]:
            found.setdefault(image.resolve(), image)
    by_stem: dict[str, Path] = {}
    for image in found.values():
        if not image.is_file():
            raise InputError(f"{image} does not exist; give images or folders of them")
        other = by_stem.setdefault(image.stem, image)
        if other is not image:
            raise InputError(
                f"{other} and {image} would share the run folder {image.stem}; rename "
                f"one of them"
            )
    if not by_stem:
        raise InputError("give at least one image, or a folder of images")
    return list(by_stem.values())


def _images_in(folder: Path) -> list[Path]:
    images = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not images:
        raise InputError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return images


def choose_num_workers(
    requested: int | Literal["auto"], num_jobs: int, device: torch.device
) -> int:
    """How many runs go on at the same time.

    Args:
        requested: A number, or "auto": one a CUDA device, one altogether on a CPU,
            whose cores a single run uses already.
        num_jobs: Images there are.
        device: Where the runs are computed.

    Returns:
        The number, at most one an image.

    Raises:
        InputError: The number is not positive, or needs ray, which is missing.
    """
    has_ray = find_spec("ray") is not None
    if requested == "auto":
        return min(max(_num_gpus(device), 1), num_jobs) if has_ray else 1
    if requested < 1:
        raise InputError(f"--jobs must be positive or auto, got {requested}")
    num_workers = min(requested, num_jobs)
    if num_workers > 1 and not has_ray:
        raise InputError(
            f"--jobs {requested} needs ray, which is not installed: "
            f"pip install 'realfusion[batch]'"
        )
    return num_workers


def run_batch(
    jobs: Sequence[Job],
    out: Path,
    *,
    num_workers: int,
    device: torch.device,
    watcher: BatchWatcher,
) -> list[Outcome]:
    """Do every job; keep a page that links the reports up to date.

    Args:
        jobs: The images, with run folders within `out`.
        out: Folder of the page.
        num_workers: Runs at the same time; more than one needs ray.
        device: Where the runs are computed.
        watcher: Told what happens; may ask to stop.

    Returns:
        The outcomes, in the order of the jobs.

    Raises:
        RunInterruptedError: The watcher asked to stop; everything is saved.
        InputError: `out` cannot be written, or ray does not start.
    """
    done: dict[str, Outcome] = {}
    _write_page(out, jobs, done)
    if num_workers == 1:
        outcomes = _one_by_one(jobs, watcher)
    else:
        outcomes = _in_parallel(jobs, num_workers, device, watcher)
    for outcome in outcomes:
        done[outcome.name] = outcome
        _write_page(out, jobs, done)
        watcher.end(outcome)
    finished = sum(outcome.state != "stopped" for outcome in done.values())
    if finished < len(jobs):
        raise RunInterruptedError(
            f"stopped after {finished} of {len(jobs)} images; the same command "
            f"continues from there"
        )
    return [done[job.name] for job in jobs]


def run_job(job: Job, listener: RunListener) -> Outcome:
    """One run; what a user can mend becomes an outcome, defects are raised.

    Args:
        job: The image.
        listener: Watches; may ask to stop.

    Returns:
        The outcome.
    """
    started = time.perf_counter()
    try:
        if is_finished(job.options.out, job.config):
            return _success(job, "finished before")
        pipeline.run(job.config, job.options, listener)
    except RunInterruptedError:
        return Outcome(name=job.name, state="stopped")
    except (InputError, NonFiniteError) as error:
        return _failure(job, str(error), time.perf_counter() - started)
    return _success(job, "done")


def _success(job: Job, state: Literal["done", "finished before"]) -> Outcome:
    metrics = read_metrics(RunFolder(job.options.out))
    return Outcome(
        name=job.name,
        state=state,
        seconds=sum(metrics.get("seconds", {}).values()),
        psnr_db=metrics.get("front_psnr_db"),
        mask_iou=metrics.get("front_mask_iou"),
    )


def _failure(job: Job, reason: str, seconds: float) -> Outcome:
    line = " ".join(reason.split())
    return Outcome(name=job.name, state="failed", reason=line, seconds=seconds)


def _defect(job: Job, error: BaseException, seconds: float) -> Outcome:
    first = (str(error).splitlines() or [""])[0]
    return _failure(job, f"{type(error).__name__}: {first}", seconds)


def _one_by_one(jobs: Iterable[Job], watcher: BatchWatcher) -> Iterator[Outcome]:
    for job in jobs:
        if watcher.should_stop():
            return
        watcher.begin(job.name)
        started = time.perf_counter()
        try:
            outcome = run_job(job, StepsListener(job.name, watcher))
        except Exception as error:  # whatever it was, the others have their turn
            outcome = _defect(job, error, time.perf_counter() - started)
        yield outcome


class StepsListener(SilentListener):
    """Passes the steps of one run on to who watches the batch, and no notes."""

    def __init__(self, name: str, watcher: BatchWatcher) -> None:
        """Prepare.

        Args:
            name: Of the run.
            watcher: Told of its steps.
        """
        self._name, self._watcher = name, watcher
        self._total: int | None = None

    def stage(self, name: str, total: int | None = None) -> None:
        """Steps of the reconstruction are counted, other stages are short."""
        self._total = total if name == "reconstruction" else None

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        """Pass on the share that is done."""
        if self._total:
            self._watcher.progress(self._name, done / self._total)

    def should_stop(self) -> bool:
        """Whether the batch is to stop."""
        return self._watcher.should_stop()


def _in_parallel(
    jobs: Sequence[Job],
    num_workers: int,
    device: torch.device,
    watcher: BatchWatcher,
) -> Iterator[Outcome]:
    """Several runs at a time, each in a process of ray's."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    num_gpus = _num_gpus(device)
    num_threads = max(torch.get_num_threads() // num_workers, 1)
    try:
        ray.init(
            address="local",
            num_cpus=num_workers,
            num_gpus=num_gpus,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # ray raises no narrower one, as on a busy machine
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"ray does not start ({reason}); use --jobs 1") from error
    # A retry continues from the last checkpoint. The runs' own failures are outcomes
    # and not retried; what is left is memory, disks and processes that die.
    work = ray.remote(
        num_cpus=1,
        num_gpus=1 / math.ceil(num_workers / num_gpus) if num_gpus else 0,
        max_retries=MAX_RETRIES,
        retry_exceptions=[RuntimeError, OSError, MemoryError],
    )(_work)
    try:
        with tempfile.TemporaryDirectory() as folder:
            # Other processes hear no signal of ours; they look for this file.
            stop = Path(folder, "stop")
            waiting, running = deque(jobs), dict[Any, Job]()
            while waiting or running:
                if watcher.should_stop():
                    waiting.clear()
                    stop.touch()
                while waiting and len(running) < num_workers:
                    job = waiting.popleft()
                    watcher.begin(job.name)
                    running[work.remote(job, stop, num_threads)] = job
                ready, _ = (
                    ray.wait(list(running), timeout=POLL_S) if running else ([], [])
                )
                for reference in ready:
                    job = running.pop(reference)
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayError as error:
                        yield _defect(job, getattr(error, "cause", None) or error, 0.0)
                for job in running.values():
                    watcher.progress(job.name, _share_done(job))
    finally:
        ray.shutdown()


def _work(job: Job, stop: Path, num_threads: int) -> Outcome:
    """One run, in a process of its own."""
    torch.set_num_threads(num_threads)
    return run_job(job, _StopFileListener(stop))


class _StopFileListener(SilentListener):
    """Stops when a file appears."""

    def __init__(self, stop: Path) -> None:
        self._stop = stop

    def should_stop(self) -> bool:
        return self._stop.exists()


def _share_done(job: Job) -> float:
    """Steps in the last checkpoint, as a share of all."""
    steps = read_metrics(RunFolder(job.options.out)).get("iterations", 0)
    return steps / job.config.reconstruction.iterations


def _num_gpus(device: torch.device) -> int:
    return torch.cuda.device_count() if device.type == "cuda" else 0


def _write_page(out: Path, jobs: Sequence[Job], done: Mapping[str, Outcome]) -> None:
    entries = []
    for job in jobs:
        folder, outcome = RunFolder(job.options.out), done.get(job.name)
        is_shown = outcome is not None and outcome.state in ("done", "finished before")
        entries.append(
            IndexEntry(
                name=job.name,
                caption="waiting" if outcome is None else str(outcome),
                report=folder.report.name if is_shown else None,
                thumbnail=folder.turntable_sheet.name if is_shown else None,
            )
        )
    try:
        write_index(out / INDEX_NAME, out.resolve().name, entries)
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be written ({error.strerror}); choose another folder"
        ) from error
