"""What each command does; heavy modules are imported where they are used.

Every function takes the program's name and its arguments, and returns the exit code.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from realfusion.cli.arguments import (
    BenchmarkQualityArguments,
    DoctorArguments,
    EvaluateArguments,
    ExportArguments,
    RenderArguments,
    TrainPriorArguments,
    ViewArguments,
    parse_batch,
    parse_benchmark,
    parse_run,
)
from realfusion.cli.parsing import parse
from realfusion.listener import RunInterruptedError, RunListener

if TYPE_CHECKING:
    from pathlib import Path

    from realfusion.pipeline import Stage
    from realfusion.quality_benchmark import QualityRun
    from realfusion.run_folder import RunFolder


def run(program: str, args: Sequence[str]) -> int:
    """Everything: an image in, a run folder out."""
    return _run(program, args, "outputs")


def invert(program: str, args: Sequence[str]) -> int:
    """Up to the learned token."""
    return _run(program, args, "token")


def reconstruct(program: str, args: Sequence[str]) -> int:
    """Up to the fitted field and its checkpoint."""
    return _run(program, args, "field")


def _run(program: str, args: Sequence[str], until: Stage) -> int:
    arguments = parse_run(program, args)
    config, options = arguments.config(), arguments.options()

    from realfusion import pipeline
    from realfusion.cli.display import display

    previews = options.out / "previews" if options.preview_interval else None
    try:
        with display(previews) as listener:
            folder = pipeline.run(config, options, listener, until=until)
    except RunInterruptedError as error:
        raise _with_command(error, program, args) from error
    print(summary(folder))
    return 0


def _with_command(
    error: RunInterruptedError, program: str, args: Sequence[str]
) -> RunInterruptedError:
    """The same error with the command that continues."""
    command = shlex.join([*program.split(), *args])
    return RunInterruptedError(f"{error}:\n  {command}")


def summary(folder: RunFolder) -> str:
    """What a run has made, and its main figures."""
    lines = []
    if folder.metrics.exists():
        metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
        if "front_psnr_db" in metrics:
            lines.append(
                f"input view: PSNR {metrics['front_psnr_db']:.1f} dB, mask IoU "
                f"{metrics['front_mask_iou']:.3f}"
            )
    made = [path for path in folder.outputs() if path.exists()]
    shown = (folder.report, folder.mesh, folder.turntable_video, folder.turntable_sheet)
    lines += [f"  {path}" for path in shown if path in made]
    return "\n".join([*lines, f"run folder: {folder.root}"])


def batch(program: str, args: Sequence[str]) -> int:
    """Everything for many images; 1 if one of them failed."""
    arguments = parse_batch(program, args)

    from realfusion import batch as batches
    from realfusion.cli.batch_display import batch_display, summary_table
    from realfusion.devices import choose_device

    device = choose_device(arguments.device)
    images = batches.collect_images(arguments.images)
    num_workers = batches.choose_num_workers(arguments.jobs, len(images), device)
    jobs = [batches.Job(*arguments.run_of(image)) for image in images]
    try:
        with batch_display(len(jobs)) as watcher:
            outcomes = batches.run_batch(
                jobs,
                arguments.out,
                num_workers=num_workers,
                device=device,
                watcher=watcher,
            )
    except RunInterruptedError as error:
        raise _with_command(error, program, args) from error
    print(summary_table(outcomes))
    print(f"\n  {arguments.out / batches.INDEX_NAME}")
    return 1 if any(each.state == "failed" for each in outcomes) else 0


def export(program: str, args: Sequence[str]) -> int:
    """Turntable, mesh, figures and report of a run anew."""
    arguments = parse(ExportArguments, program, args)

    from realfusion import pipeline
    from realfusion.cli.display import display

    with display() as listener:
        folder = pipeline.export_run(arguments.run_dir, arguments.device, listener)
    print(summary(folder))
    return 0


def render(program: str, args: Sequence[str]) -> int:
    """Views of a run from the cameras of a file."""
    arguments = parse(RenderArguments, program, args)

    from realfusion import inspection
    from realfusion.cli.display import display

    with display() as listener:
        paths = inspection.render_run(
            arguments.run_dir,
            arguments.cameras,
            arguments.out,
            size=arguments.size,
            device=arguments.device,
            listener=listener,
        )
    print(f"{len(paths)} views in {arguments.out}")
    return 0


def view(program: str, args: Sequence[str]) -> int:
    """A run in the browser, until Ctrl-C."""
    arguments = parse(ViewArguments, program, args)

    from realfusion.viewer import page

    if arguments.export is not None:
        page.export_page(arguments.run_dir, arguments.export)
        print(f"page: {arguments.export}")
        return 0
    page.view_run(
        arguments.run_dir,
        host=arguments.host,
        port=arguments.port,
        size=arguments.size,
        device=arguments.device,
        ready=lambda address: print(f"{address} (Ctrl-C ends)", flush=True),
    )
    return 0


def evaluate(program: str, args: Sequence[str]) -> int:
    """A run against ground truth."""
    arguments = parse(EvaluateArguments, program, args)

    from realfusion import inspection
    from realfusion.cli.display import display

    with display() as listener:
        figures = inspection.evaluate_run(
            arguments.run_dir,
            arguments.ground_truth,
            device=arguments.device,
            listener=listener,
        )
    print(json.dumps(figures, indent=2))
    return 0


def benchmark_quality(program: str, args: Sequence[str]) -> int:
    """Variants of the prior compared on ground truth; 1 if a run failed."""
    arguments = parse_benchmark(program, args)

    from realfusion import quality_benchmark as benchmark
    from realfusion.cli.batch_display import batch_display

    objects = benchmark.find_objects(arguments.ground_truth, arguments.object_names())
    runs = _benchmark_runs(program, arguments, objects)
    try:
        with batch_display(len(runs), "runs") as watcher:
            figures, outcomes = benchmark.run_benchmark(runs, watcher)
    except RunInterruptedError as error:
        raise _with_command(error, program, args) from error
    title = (
        f"{arguments.ground_truth.resolve().name}: objects {len(objects)}, "
        f"seeds {arguments.seeds}, preset {arguments.preset}"
    )
    tables = benchmark.write_results(
        arguments.out,
        figures,
        outcomes,
        title=title,
        settings={
            "preset": arguments.preset,
            "seeds": arguments.seeds,
            "device": arguments.device,
            "run_options": list(arguments.run_options),
        },
    )
    print(f"{tables}\n  {arguments.out / benchmark.PAGE_NAME}")
    return 1 if any(each.state == "failed" for each in outcomes) else 0


def _benchmark_runs(
    program: str, arguments: BenchmarkQualityArguments, objects: Sequence[Path]
) -> list[QualityRun]:
    """Every object, seed and variant; those to be compared follow one another."""
    from realfusion.quality_benchmark import QualityRun, photo_camera, seen_from

    runs = []
    for truth in objects:
        camera = photo_camera(truth)
        for seed in range(arguments.seeds):
            for variant in arguments.variant_names():
                config, options = arguments.run_of(program, truth, variant, seed)
                config = seen_from(config, camera)
                runs.append(
                    QualityRun(
                        truth=truth, variant=variant, config=config, options=options
                    )
                )
    return runs


def doctor(program: str, args: Sequence[str]) -> int:
    """What is installed here and what is missing; 1 if something needed is."""
    parse(DoctorArguments, program, args)

    from realfusion.cli.doctor import examine, report

    findings = examine()
    print(report(findings))
    return 1 if any(each.state == "missing" for each in findings) else 0


def train_prior(program: str, args: Sequence[str]) -> int:
    """The embedded prior from nothing."""
    arguments = parse(TrainPriorArguments, program, args)

    from realfusion.cli.display import display
    from realfusion.prior_training.train import train_prior

    with display() as listener:
        prior = train_prior(
            arguments.config(), arguments.out, progress=_stages_of(listener)
        )
    print(f"prior: {prior}")
    return 0


def _stages_of(
    listener: RunListener,
) -> Callable[[str, int, int, Mapping[str, float]], None]:
    """Calls of (stage, step, total, figures) as stages of a listener."""
    present = ""

    def report(stage: str, step: int, total: int, figures: Mapping[str, float]) -> None:
        nonlocal present
        if stage != present:
            present = stage
            listener.stage(stage, total)
        listener.advance(step, figures)
        if listener.should_stop():
            raise RunInterruptedError(
                f"stopped at step {step} of {total} of {stage}; the same command "
                f"continues from the last checkpoint"
            )

    return report
