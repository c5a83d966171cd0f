"""Reconstruction quality on objects whose every side is known, variant by variant.

    python -m benchmarks.quality GROUND_TRUTH --out DIR --variants none bundled \\
        --seeds 1 --preset fast -- [options of realfusion-run]

`GROUND_TRUTH` is a folder of objects in the format of
`realfusion.evaluation.ground_truth`. Every run keeps its folder under `--out`; finished
runs are not repeated. Prints a table, and the paired differences to the first
variant, and writes both as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path

from realfusion import pipeline
from realfusion.cli.arguments import parse_run
from realfusion.listener import SilentListener

FIGURES = (
    "novel_view_mask_iou",
    "novel_view_psnr_db",
    "novel_view_ssim",
    "chamfer_distance",
    "f_score_at_0.05",
    "front_psnr_db",
    "front_mask_iou",
    "seconds",
)
SHORT = ("IoU", "PSNR", "SSIM", "Chamfer", "F@.05", "front dB", "front IoU", "s")


def measure(
    truth: Path, out: Path, variant: str, seed: int, preset: str, options: list[str]
) -> dict[str, float]:
    """Run one variant on one object, unless that is done, and return its figures."""
    words = [
        str(truth / "input.png"), "--out", str(out), "--preset", preset,
        "--prior", variant, "--no-recenter", "--seed", str(seed), "--device", "cpu",
        "--preview-interval", "0", *options,
    ]  # fmt: skip
    arguments = parse_run("benchmarks.quality", words)
    stored = out / "quality.json"
    if stored.exists():
        return json.loads(stored.read_text())
    listener = SilentListener()
    started = time.perf_counter()
    folder = pipeline.run(
        arguments.config(), arguments.options(), listener, until="field"
    )
    seconds = time.perf_counter() - started
    figures = pipeline.evaluate_run(out, truth, device="cpu", listener=listener)
    figures |= pipeline.measure_front_of(out, device="cpu")
    figures["seconds"] = seconds
    (folder.root / "quality.json").write_text(json.dumps(figures, indent=2))
    return figures


def table(results: dict[str, dict[str, float]]) -> str:
    """Figures of runs, a line each, and their mean."""
    lines = [f"{'':34s}" + "".join(f"{name:>10s}" for name in SHORT)]
    for name, figures in [*results.items(), ("mean", mean(list(results.values())))]:
        cells = "".join(f"{figures.get(key, math.nan):10.3f}" for key in FIGURES)
        lines.append(f"{name:34s}{cells}")
    return "\n".join(lines)


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of every figure that all rows have."""
    known = [key for key in FIGURES if all(key in row for row in rows)]
    return {key: statistics.fmean(row[key] for row in rows) for key in known}


def paired(first: dict, second: dict) -> str:
    """Mean differences of the second variant to the first, with standard errors."""
    lines = []
    for key, short in zip(FIGURES, SHORT, strict=True):
        if key not in mean([*first.values(), *second.values()]):
            continue
        gains = [second[name][key] - first[name][key] for name in first]
        error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
        better = sum(gain > 0 for gain in gains)
        lines.append(
            f"  {short:10s} {statistics.fmean(gains):+.3f} ± {error:.3f} "
            f"(higher in {better} of {len(gains)})"
        )
    return "\n".join(lines)


def main() -> None:
    """Run every variant on every object and compare."""
    words = sys.argv[1:]
    options: list[str] = []
    if "--" in words:
        options = words[words.index("--") + 1 :]
        words = words[: words.index("--")]
    parser = argparse.ArgumentParser(prog="benchmarks.quality")
    parser.add_argument("ground_truth", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", default=["none", "bundled"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--objects", nargs="+", default=None)
    given = parser.parse_args(words)
    names = given.objects or sorted(
        path.parent.name for path in given.ground_truth.glob("*/cameras.json")
    )
    results: dict[str, dict[str, dict[str, float]]] = {v: {} for v in given.variants}
    for name in names:
        for seed in range(given.seeds):
            for variant in given.variants:
                label = f"{name}-{Path(variant).name}-{seed}"
                figures = measure(
                    given.ground_truth / name,
                    given.out / label,
                    variant,
                    seed,
                    given.preset,
                    options,
                )
                results[variant][f"{name}-{seed}"] = figures
                print(f"{label:34s}", {k: round(v, 3) for k, v in figures.items()})
    first = given.variants[0]
    for variant in given.variants:
        print(f"\n{variant}\n{table(results[variant])}")
        if variant != first:
            print(
                f"{variant} minus {first}:\n{paired(results[first], results[variant])}"
            )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "quality.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
