"""The prior as the command line takes it: which, with what, and asked for what."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realfusion.cli.main import main, run_main
from realfusion.priors import graphs, guidance
from realfusion.priors.random_weights import TINY, save_random_clip, save_random_model
from realfusion.priors.registry import PRIOR_KINDS
from realfusion.priors.stable_diffusion import StableDiffusionPrior

SMALL = (
    "--preset", "smoke", "--device", "cpu", "--offline", "--checkpoint-interval", "0",
    "--reconstruction.iterations", "4", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.prior-view-size", "16",
    "--reconstruction.initial-shape.kind", "silhouette", "--input.size", "32",
    "--export.turntable-views", "4", "--export.turntable-size", "32",
    "--export.mesh-resolution", "24", "--views-per-step", "2",
)  # fmt: skip


class Repeating:
    """A recorder whose replays compute again."""

    def __init__(self, run=None, place=None) -> None:
        self._run, self._place = run, place

    def warm_up(self, run) -> None:
        run()

    def record(self, run, after=None):
        place = run().clone()
        return Repeating(run, place), place

    def replay(self) -> None:
        self._place.copy_(self._run())


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


def test_steps_left_out_for_the_loss_scale_are_told(
    args: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_main(args) == 0
    assert "skipped_steps" not in metrics_of(args)
    encode = StableDiffusionPrior.encode
    monkeypatch.setattr(
        StableDiffusionPrior,
        "encode",
        lambda self, images: encode(self, images.half().float()),
    )
    flags = "--reconstruction.optimizer.loss-scaling dynamic --overwrite"
    weight = "--reconstruction.objective.prior.initial 1e6"
    assert run_main([*args, *flags.split(), *weight.split()]) == 0
    metrics = metrics_of(args)
    assert 1 <= metrics["skipped_steps"] <= 4
    assert metrics["loss_scale"] == 2.0 ** (16 - metrics["skipped_steps"])
    told = f"because a gradient overflowed: {metrics['skipped_steps']}"
    assert told in "".join(capsys.readouterr())


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


@pytest.mark.parametrize("is_on", [True, False])
def test_view_words_and_the_body_guide_can_be_left_out(
    args: list[str], monkeypatch: pytest.MonkeyPatch, is_on: bool
) -> None:
    condition = StableDiffusionPrior.condition
    guides, view_words = [], []

    def watch_condition(self, prompt, cameras):
        conditioning = condition(self, prompt, cameras)
        guides.append(conditioning.guide is not None)
        view_words.append(prompt.view_words)
        return conditioning

    monkeypatch.setattr(StableDiffusionPrior, "condition", watch_condition)
    args[args.index("--prior") + 1] = "bundled"
    nested = "--reconstruction.score-distillation"
    words = [] if is_on else [f"{nested}.no-view-words", f"{nested}.no-body-guide"]
    brief = ["--inversion.refinement-steps", "0", "--views-per-step", "1"]
    assert run_main([*args, *brief, *words]) == 0
    assert guides == view_words == [is_on] * 4


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
    monkeypatch.setattr(
        arrangement, "compile_networks", lambda _prior, mode: calls.append(mode)
    )
    monkeypatch.setattr(
        arrangement, "warm_up", lambda _prior, _prompt, views, _: calls.append(views)
    )
    assert run_main([*args, "--compile-prior"]) == 0
    assert calls == [None, 2, 2, 2]
    shown = "".join(capsys.readouterr())
    assert "[preparing the prior] 3 steps" in shown
    assert re.search(r"preparing the prior \(torch.compile\) took \d+\.\d s", shown)


def test_captures_are_a_stage_of_their_own_and_change_no_figure(
    args: list[str], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_main(args) == 0
    psnr = metrics_of(args)["front_psnr_db"]
    assert "preparing the prior" not in "".join(capsys.readouterr())
    use_graphs = graphs.use_graphs
    monkeypatch.setattr(
        graphs, "use_graphs", lambda prior: use_graphs(prior, Repeating())
    )
    assert run_main([*args, "--prior-cuda-graphs", "--overwrite"]) == 0
    assert metrics_of(args)["front_psnr_db"] == pytest.approx(psnr, rel=1e-3)
    shown = "".join(capsys.readouterr())
    assert "[preparing the prior] 3/3" in shown
    assert re.search(r"preparing the prior \(CUDA graphs\) took \d+\.\d s", shown)


def test_graphs_without_a_cuda_device_are_one_line(
    args: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert run_main([*args, "--prior-cuda-graphs"]) == 0
    shown = "".join(capsys.readouterr())
    assert shown.count("without CUDA graphs: they need a CUDA device") == 1
    assert "preparing the prior" not in shown


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "give one image"),
        (["--text", " "], "--text"),
        (["--text", "a mug", "--prior", "none"], "needs a prior"),
        (["--text", "a mug", "--prompt", "a cup"], "--prompt"),
        (["--text", "a <e>", "--prior", "bundled"], "--token"),
    ],
)
def test_unusable_words_are_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture, words: list[str], named: str
) -> None:
    assert run_main(["--out", str(tmp_path / "run"), *SMALL, *words]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("realfusion-run: error: ")
    assert named in error


def test_words_alone_make_everything_but_a_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DreamFusion: no photo, no figures of a front view, all outputs."""
    monkeypatch.chdir(tmp_path)
    words = ["--text", "a red mug, high", "--prior", "bundled", *SMALL]
    assert run_main(words) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == "a-red-mug-high"
    made = {path.name for path in folder.iterdir()}
    assert {"report.html", "mesh.glb", "turntable.mp4", "metrics.json"} <= made
    assert not {"input.png", "token.safetensors"} & made
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["prior"] == "bundled"
    assert not {"front_psnr_db", "matting"} & metrics.keys()
    page = (folder / "report.html").read_text()
    assert "from words alone" in page
    assert "a red mug, high" in page
    files = [path for path in (folder / "checkpoint").rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in files]
    assert before
    assert run_main(words) == 0, "the same words continue the same run"
    assert [path.read_bytes() for path in files] == before


def test_words_that_the_embedded_prior_does_not_know_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["--text", "a red wug", "--prior", "bundled", *SMALL]
    assert main(["invert", *words, "--out", str(tmp_path / "run")]) == 0
    assert "was not taught wug: what" in capsys.readouterr().err


def test_several_priors_judge_together(args: list[str]) -> None:
    folder = args[4]
    words = ["--prior", "bundled:0.5", "--inversion.refinement-steps", "0"]
    assert main(["reconstruct", *args, *words]) == 0
    metrics = metrics_of(args)
    assert metrics["prior"] == f"{folder}:1+bundled:0.5"
    assert [each["name"] for each in metrics["priors"]] == [folder, "bundled"]
    made = {path.name for path in Path(args[2]).iterdir()}
    assert {"token.safetensors", "token_2.safetensors"} <= made


def test_perpendicular_guidance_is_reached_from_the_command_line(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    genuine = guidance.perpendicularly_guided

    def watched(unconditional, negative, positive, scale, weight):
        weights.append(weight)
        return genuine(unconditional, negative, positive, scale, weight)

    monkeypatch.setattr(guidance, "perpendicularly_guided", watched)
    option = "--reconstruction.score-distillation"
    words = [f"{option}.negative-guidance", "perpendicular"]
    words += [f"{option}.perpendicular-weight", "0.5"]
    assert main(["reconstruct", *args, *words]) == 0
    assert weights == [0.5] * 4


@pytest.mark.parametrize("with_photo", [True, False])
def test_clip_judges_a_photo_or_words(
    args: list[str], tmp_path: Path, with_photo: bool
) -> None:
    save_random_clip(tmp_path / "clip")
    subject = [args[0]] if with_photo else ["--text", "a red disc"]
    words = ["--prior", f"clip:{tmp_path / 'clip'}:0.1", *SMALL]
    assert main(["reconstruct", *subject, "--out", args[2], *words]) == 0
    assert metrics_of(args)["prior"] == f"clip:{tmp_path / 'clip'}:0.1"
    assert not (Path(args[2]) / "token.safetensors").exists()


DOCUMENTATION = Path(__file__).parents[2] / "docs" / "priors.md"


def test_a_new_kind_of_prior_is_one_file_and_one_line(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example of docs/priors.md, alone and beside another."""
    page = DOCUMENTATION.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(class Likes:.*?)```", page, re.DOTALL)
    (tmp_path / "likes_of_docs.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PRIOR_KINDS, "likes", "likes_of_docs")
    alone = [args[0], "--out", f"{args[2]}-alone", *SMALL, "--prior", "likes"]
    assert main(["reconstruct", *alone]) == 0
    assert metrics_of(alone)["prior"] == "likes-grey"
    assert main(["reconstruct", *args, "--prior", "likes:0.1"]) == 0
    assert metrics_of(args)["prior"] == f"{args[4]}:1+likes-grey:0.1"
