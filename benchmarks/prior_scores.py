"""Prints what a prior can do before any reconstruction, on objects that it never saw.

    python -m benchmarks.prior_scores [PRIOR] --objects 128 --first-seed 0

Size, time of a sample, the autoencoder, then how well views of held-out objects are
painted from one image of each: estimates in one step, the picture of the guessed body
that guides them, samples if asked for, and what repeating the image would get. PRIOR is
`bundled` or a folder that `realfusion train-prior` exported. One core takes about eight
minutes for 128 objects a split.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from realfusion.errors import InputError
from realfusion.prior_training.autoencoder import reconstruction_psnr_db
from realfusion.prior_training.export import folder_size_mb
from realfusion.prior_training.initialisation import (
    initial_autoencoder,
    initial_prior_folder,
)
from realfusion.prior_training.scoring import (
    DISTILLED_TIMESTEP,
    NOISIEST_TIMESTEP,
    Conditions,
    HeldOutViews,
    PriorScores,
    guessed_views,
    held_out_views,
    orbit_cameras,
    score_prior,
    score_views,
)
from realfusion.priors.config import Prompt
from realfusion.priors.sampling import sample_views
from realfusion.priors.stable_diffusion import StableDiffusionPrior

SPLITS = {
    "held_out_instances": "new instances",
    "held_out_families": "new families",
}
ESTIMATES: tuple[tuple[Conditions, int], ...] = (
    ("all", NOISIEST_TIMESTEP),
    ("all", DISTILLED_TIMESTEP),
    ("without guide", NOISIEST_TIMESTEP),
    ("nothing", NOISIEST_TIMESTEP),
)
COLUMNS = (
    "objects",
    "what",
    "PSNR (dB)",
    "mask IoU",
    "identity (of 32)",
    "view (of 8)",
    "of distinct objects",
    "at most one step off",
)


def seconds_a_sample(prior: StableDiffusionPrior, views: HeldOutViews) -> float:
    """One view, 25 steps of DDIM with guidance, decoded."""
    prior.set_token(prior.encode_image_token(views.references[0].permute(1, 2, 0)))
    start = time.perf_counter()
    sample_views(
        prior,
        Prompt(subject=prior.metadata.subject),
        orbit_cameras()[:1],
        generator=torch.Generator().manual_seed(0),
    )
    return time.perf_counter() - start


def autoencoder_psnr_db(folder: Path, views: HeldOutViews) -> float:
    """Of the true views, encoded and decoded."""
    images = 2.0 * views.truth.flatten(0, 1) - 1.0
    with torch.no_grad():
        return reconstruction_psnr_db(initial_autoencoder(folder), images)


def scored_rows(
    folder: Path,
    split: str,
    views: HeldOutViews,
    *,
    first_seed: int,
    has_samples: bool,
) -> Iterator[tuple[str, PriorScores]]:
    """What is painted of the objects, and its scores."""
    count = len(views.references)
    for conditions, timestep in ESTIMATES:
        scores = score_prior(
            folder,
            split=split,
            num_objects=count,
            first_seed=first_seed,
            conditions=conditions,
            timestep=timestep,
        )
        told = {"all": "", "nothing": ', told "an object" alone'}
        yield f"estimate, t = {timestep}{told.get(conditions, ', no guide')}", scores
    if has_samples:
        yield (
            "sample, 12 steps, guidance 3",
            score_prior(folder, split=split, num_objects=count, first_seed=first_seed),
        )
    prior = StableDiffusionPrior.from_pretrained(folder)
    guesses = [guessed_views(prior, reference) for reference in views.references]
    guessed = torch.stack(guesses).cpu()
    yield "the guessed body", score_views(guessed, views.truth, guidance_scale=1.0)
    copies = views.truth[:, :1].expand_as(views.truth)
    yield "a copy of the image", score_views(copies, views.truth, guidance_scale=1.0)


def table_row(objects: str, what: str, scores: PriorScores) -> str:
    distinct = scores.view_top1_distinct
    shown = "" if distinct is None else f"{distinct:.3f} ({scores.num_distinct})"
    values = (
        f"{scores.psnr_db:.2f}",
        f"{scores.mask_iou:.3f}",
        f"{scores.identity_top1:.3f}",
        f"{scores.view_top1:.3f}",
        shown,
        f"{scores.view_within_one:.3f}",
    )
    return f"| {' | '.join((objects, what, *values))} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prior_scores")
    parser.add_argument("prior", nargs="?", default="bundled")
    parser.add_argument("--objects", type=int, default=128, help="of each split")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--samples", action="store_true", help="some minutes more")
    arguments = parser.parse_args()
    if arguments.objects < 1:
        parser.error(f"--objects must be at least 1, got {arguments.objects}")
    try:
        folder = initial_prior_folder(arguments.prior)
        prior = StableDiffusionPrior.from_pretrained(folder)
    except InputError as error:
        parser.error(str(error).replace("`initial_prior`", "PRIOR"))
    views = {
        split: held_out_views(
            split,
            arguments.objects,
            size=prior.image_size,
            first_seed=arguments.first_seed,
        )
        for split in SPLITS
    }
    seconds = seconds_a_sample(prior, views["held_out_instances"])
    print(f"- size: {folder_size_mb(folder):.2f} MB")
    print(f"- a sample: {seconds:.1f} s on {torch.get_num_threads()} thread(s)")
    for split, name in SPLITS.items():
        psnr = autoencoder_psnr_db(folder, views[split])
        print(f"- autoencoder, {name}: {psnr:.2f} dB")
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for split, name in SPLITS.items():
        rows = scored_rows(
            folder,
            split,
            views[split],
            first_seed=arguments.first_seed,
            has_samples=arguments.samples,
        )
        for what, scores in rows:
            print(table_row(name, what, scores), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
