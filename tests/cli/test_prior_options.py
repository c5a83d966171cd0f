"""Memory, views and autoencoder of the prior, as the command line takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realfusion.cli.main import run_main
from realfusion.priors.random_weights import TINY, save_random_model
from realfusion.priors.stable_diffusion import StableDiffusionPrior

SMALL = (
    "--preset", "smoke", "--device", "cpu", "--offline", "--checkpoint-interval", "0",
    "--reconstruction.iterations", "4", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.prior-view-size", "16",
    "--reconstruction.initial-shape.kind", "silhouette", "--input.size", "32",
    "--export.turntable-views", "4", "--export.turntable-size", "32",
    "--export.mesh-resolution", "24", "--views-per-step", "2",
)  # fmt: skip


@pytest.fixture
def args(tmp_path: Path) -> list[str]:
    """A tiny run with a prior of random weights."""
    axis = np.linspace(-1.0, 1.0, 48)
    rgba = np.zeros((48, 48, 4), np.uint8)
    rgba[axis[:, None] ** 2 + axis[None] ** 2 < 0.5] = (220, 40, 30, 255)
    Image.fromarray(rgba).save(tmp_path / "disc.png")
    save_random_model(tmp_path / "prior", TINY)
    out, prior = str(tmp_path / "out"), str(tmp_path / "prior")
    return [str(tmp_path / "disc.png"), "--out", out, "--prior", prior, *SMALL]


def metrics_of(args: list[str]) -> dict:
    return json.loads((Path(args[2]) / "metrics.json").read_text())


def test_memory_that_runs_out_costs_no_step_and_names_the_flag(
    args: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, batches = StableDiffusionPrior.noise_residual, []

    def judge_until_full(self, latents, *rest, **options):
        batches.append((len(latents), self.max_batch))
        if len(batches) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")
        return judge(self, latents, *rest, **options)

    monkeypatch.setattr(StableDiffusionPrior, "noise_residual", judge_until_full)
    assert run_main(args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "realfusion-run: error: CUDA out of memory; the state is saved, and the same "
        "command continues; try --memory low"
    )
    assert metrics_of(args)["iterations"] == 2
    assert run_main([*args, "--memory", "low"]) == 0
    shown = "".join(capsys.readouterr())
    assert "continuing at step 2 of 4" in shown
    assert "(--memory low; estimated from shapes, not measured)" in shown
    assert batches == [(2, None)] * 3 + [(2, 1)] * 2
    assert metrics_of(args)["iterations"] == 4
    assert metrics_of(args)["clipped_latents"] == 0


def test_memory_that_runs_out_before_the_first_step_is_one_line(
    args: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr(StableDiffusionPrior, "from_pretrained", fail)
    assert run_main([*args, "--memory", "low"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith("CUDA out of memory; try --views-per-step 1")


def test_every_option_of_guidance_reaches_the_prior(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, condition = (
        StableDiffusionPrior.noise_residual,
        StableDiffusionPrior.condition,
    )
    modes, prompts = [], []

    def watch_judge(self, latents, conditioning, **options):
        modes.append(options["mode"])
        assert isinstance(conditioning.perpendicular_weight, torch.Tensor)
        return judge(self, latents, conditioning, **options)

    def watch_condition(self, prompt, cameras):
        prompts.append(prompt)
        return condition(self, prompt, cameras)

    monkeypatch.setattr(StableDiffusionPrior, "noise_residual", watch_judge)
    monkeypatch.setattr(StableDiffusionPrior, "condition", watch_condition)
    nested = "--reconstruction.score-distillation"
    words = ["--perp-neg", "--class-word", "disc", f"{nested}.mode", "csd"]
    words += [f"{nested}.guidance-rescale", "0", f"{nested}.interpolate-views"]
    words += [f"{nested}.token-blending", "0.25"]
    words += [f"{nested}.perpendicular-weighting", "by_azimuth"]
    words += [f"{nested}.negative-view-words", "True"]
    assert run_main([*args, *words]) == 0
    assert modes == ["csd"] * 4
    prompt = prompts[0]
    assert (prompt.class_word, prompt.token_blending) == ("disc", 0.25)
    assert prompt.interpolate_views
    assert prompt.negative_view_words
    assert prompt.negative_guidance == "perpendicular"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt", "a disc"], "token blending needs <e> in the prompt"),
        (["--class-word", ""], "token blending needs a class word"),
    ],
)
def test_blending_of_a_token_that_is_not_there_is_one_line_and_code_2(
    args: list[str], capsys: pytest.CaptureFixture, words: list[str], message: str
) -> None:
    blending = ["--reconstruction.score-distillation.token-blending", "0.5"]
    assert run_main([*args, *blending, *words]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_missing_autoencoder_is_one_line_and_code_2(
    args: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache")
    )
    assert run_main([*args, "--vae", "tiny"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the autoencoder madebyollin/taesd" in error


def test_compilation_is_a_stage_of_its_own_with_a_warm_up(
    args: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from realfusion.priors import arrangement

    calls = []
    monkeypatch.setattr(arrangement, "compile_networks", lambda _prior: calls.append(0))
    monkeypatch.setattr(
        arrangement, "warm_up", lambda _prior, _prompt, views: calls.append(views)
    )
    assert run_main([*args, "--compile-prior"]) == 0
    assert calls == [0, 2]
    assert "compiling the prior" in "".join(capsys.readouterr())
