"""Reconstruction quality on objects whose every side is known, variant by variant.

Every object is reconstructed with every seed by every variant of the prior, in a folder
a run, and measured against its ground truth. What was finished before is kept, what was
interrupted continues, and what was made with other settings is made anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from realfusion import inspection, pipeline
from realfusion.batch import BatchWatcher, Outcome, StepsListener
from realfusion.cameras.camera import Camera
from realfusion.config import RunConfig, RunOptions, fingerprint
from realfusion.errors import InputError, NonFiniteError
from realfusion.evaluation.comparison import (
    PairedDifference,
    Runs,
    known_figures,
    markdown,
    not_measured,
    object_means,
    paired_difference,
    to_json,
)
from realfusion.evaluation.ground_truth import load_ground_truth
from realfusion.io.atomic import write_text
from realfusion.io.quality_page import Chart, write_quality_page
from realfusion.listener import RunInterruptedError, RunListener
from realfusion.run_folder import digest_file, digest_subject
from realfusion.run_metrics import git_commit, read_metrics, versions

FIGURES_NAME, TABLES_NAME, PAGE_NAME = "quality.json", "quality.md", "quality.html"
EVALUATION_VERSION = 2
"""Raised when a figure changes its meaning: stored runs are then measured anew."""


@dataclass(frozen=True, kw_only=True)
class QualityRun:
    """One object, variant and seed."""

    truth: Path
    variant: str
    config: RunConfig
    options: RunOptions

    @property
    def name(self) -> str:
        """Object, variant and seed."""
        return f"{self.truth.name} {self.variant} {self.config.seed}"

    @property
    def figures(self) -> Path:
        """Where the figures are kept."""
        return self.options.out / FIGURES_NAME

    def identity(self) -> dict[str, Any]:
        """What the figures depend on."""
        digest = hashlib.sha256()
        for path in sorted(self.truth.iterdir()):
            if path.suffix in (".json", ".png", ".npz"):
                digest.update(f"{path.name} {digest_file(path)}\n".encode())
        return {
            "fingerprint": fingerprint(self.config, digest_subject(self.config)),
            "ground_truth": digest.hexdigest(),
            "evaluation_version": EVALUATION_VERSION,
        }


def find_objects(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """The ground-truth objects in a folder.

    Args:
        folder: A folder an object, each with cameras.json and input.png.
        names: Those to take; all if none are given.

    Returns:
        Their folders, by name.

    Raises:
        InputError: There are none, one that was asked for is missing, or one has no
            photo.
    """
    found = {path.parent.name: path.parent for path in folder.glob("*/cameras.json")}
    if not found:
        raise InputError(
            f"{folder} holds no objects; give a folder with a folder an object, each "
            f"with cameras.json, input.png and views"
        )
    for name in names:
        if name not in found:
            raise InputError(
                f"--objects: {folder} has no {name!r}; choose from "
                f"{', '.join(sorted(found))}"
            )
    chosen = [found[name] for name in sorted(names or found)]
    for truth in chosen:
        if not (truth / "input.png").is_file():
            raise InputError(f"{truth} has no input.png to reconstruct from")
    return chosen


def photo_camera(truth: Path) -> Camera:
    """The camera that took an object's photo.

    Args:
        truth: Folder of the object.

    Returns:
        The camera, at azimuth 0.

    Raises:
        InputError: The ground truth cannot be read, or does not face the photo.
    """
    camera = load_ground_truth(truth).input_camera
    if camera.azimuth_deg != 0.0:
        raise InputError(
            f"the input camera in {truth / 'cameras.json'} must have azimuth_deg 0, "
            f"got {camera.azimuth_deg:g}"
        )
    return camera


def seen_from(config: RunConfig, camera: Camera) -> RunConfig:
    """The configuration with the camera that took the photo."""
    reconstruction = config.reconstruction
    reference = replace(
        reconstruction.reference_camera,
        elevation_deg=camera.elevation_deg,
        radius=camera.radius,
        fov_y_deg=camera.fov_y_deg,
    )
    return replace(
        config, reconstruction=replace(reconstruction, reference_camera=reference)
    )


def run_benchmark(
    runs: Sequence[QualityRun], watcher: BatchWatcher
) -> tuple[Runs, list[Outcome]]:
    """Do and measure every run, one after the other.

    Args:
        runs: In the order to do them.
        watcher: Told what happens; may ask to stop.

    Returns:
        The figures of all runs that did not fail, and what became of each.

    Raises:
        RunInterruptedError: The watcher asked to stop; everything is saved.
        InputError: A run cannot be done as it is asked for.
    """
    measured: dict[str, dict[tuple[str, int], dict[str, float]]] = {
        run.variant: {} for run in runs
    }
    outcomes: list[Outcome] = []
    for run in runs:
        if watcher.should_stop():
            raise _stopped(len(outcomes), len(runs))
        watcher.begin(run.name)
        figures, outcome = _run_one(run, StepsListener(run.name, watcher))
        watcher.end(outcome)
        if outcome.state == "stopped":
            raise _stopped(len(outcomes), len(runs))
        outcomes.append(outcome)
        if figures is not None:
            measured[run.variant][run.truth.name, run.config.seed] = figures
    return measured, outcomes


def _stopped(finished: int, total: int) -> RunInterruptedError:
    return RunInterruptedError(
        f"stopped after {finished} of {total} runs; the same command continues from "
        f"there"
    )


def _run_one(
    run: QualityRun, listener: RunListener
) -> tuple[dict[str, float] | None, Outcome]:
    """The figures of a run: as stored, or measured now."""
    identity = run.identity()
    figures = _stored_figures(run.figures, identity)
    if figures is not None:
        return figures, _outcome(run, "finished before", figures)
    started = time.perf_counter()
    try:
        folder = pipeline.run(run.config, run.options, listener, until="field")
    except RunInterruptedError:
        return None, Outcome(name=run.name, state="stopped")
    except NonFiniteError as error:
        return None, Outcome(
            name=run.name,
            state="failed",
            reason=" ".join(str(error).split()),
            seconds=time.perf_counter() - started,
        )
    figures = inspection.evaluate_run(
        run.options.out, run.truth, device=run.options.device, listener=listener
    )
    # What the stages took, also before an interruption.
    figures["seconds"] = float(sum(read_metrics(folder)["seconds"].values()))
    write_text(
        run.figures, json.dumps(identity | {"figures": figures}, indent=2) + "\n"
    )
    return figures, _outcome(run, "done", figures)


def _stored_figures(path: Path, identity: dict[str, Any]) -> dict[str, float] | None:
    """What an earlier call measured, if it was this very run."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        is_same = all(stored[name] == value for name, value in identity.items())
        return dict(stored["figures"]) if is_same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _outcome(run: QualityRun, state: Any, figures: Mapping[str, float]) -> Outcome:
    return Outcome(
        name=run.name,
        state=state,
        seconds=figures["seconds"],
        psnr_db=figures["novel_view_psnr_db"],
        mask_iou=figures["novel_view_mask_iou"],
    )


def write_results(
    out: Path,
    runs: Runs,
    outcomes: Sequence[Outcome],
    *,
    title: str,
    settings: Mapping[str, Any],
) -> str:
    """Write quality.json, quality.md and quality.html.

    Args:
        out: Folder they are written to.
        runs: Figures of the runs.
        outcomes: What became of each.
        title: Heading.
        settings: What was asked for, for the record.

    Returns:
        The tables as Markdown.

    Raises:
        OSError: A file cannot be written.
    """
    failed = [each for each in outcomes if each.state == "failed"]
    tables = markdown(runs)
    for each in failed:
        tables += f"\n{each.name} failed and is left out: {each.reason}\n"
    document = {
        "settings": dict(settings),
        "versions": versions(),
        "git_commit": git_commit(),
        **to_json(runs),
        "failed": {each.name: each.reason for each in failed},
    }
    write_text(out / FIGURES_NAME, json.dumps(document, indent=2) + "\n")
    write_text(out / TABLES_NAME, f"# {title}\n\n{tables}")
    write_quality_page(
        out / PAGE_NAME,
        title=title,
        variants=list(runs),
        charts=_charts(runs),
        note=f"In brackets: 95 % confidence over the objects. {not_measured(runs)}",
    )
    return tables


def _charts(runs: Runs) -> list[Chart]:
    first, *others = runs
    charts = []
    for figure in known_figures(runs):
        better = f" ({figure.better} is better)" if figure.better else ""
        caption = [
            f"{variant} − {first}: {_in_words(difference, figure.digits)}"
            for variant in others
            if (difference := paired_difference(runs[first], runs[variant], figure))
        ]
        values = {name: object_means(each, figure.key) for name, each in runs.items()}
        charts.append(
            Chart(
                title=f"{figure.title}{better}",
                digits=figure.digits,
                values=values,
                caption=caption,
            )
        )
    return charts


def _in_words(difference: PairedDifference, digits: int) -> str:
    mean = f"{difference.mean:+.{digits}f}"
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} [{difference.low:+.{digits}f}, {difference.high:+.{digits}f}]"
