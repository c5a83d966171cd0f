"""Command-line words become configurations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from realfusion.cli.arguments import (
    RenderArguments,
    TrainPriorArguments,
    parse_batch,
    parse_run,
)
from realfusion.cli.parsing import parse
from realfusion.config import RunConfig
from realfusion.errors import InputError
from realfusion.presets import PRESETS
from realfusion.prior_training.config import PriorTrainingConfig


def run_arguments(*words: str):
    return parse_run("realfusion-run", ["photo.png", *words])


def leaf_options(config: object, prefix: str = "") -> list[str]:
    """The option of every field in a nested dataclass."""
    found = []
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        name = f"{prefix}{field.name.replace('_', '-')}"
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found += leaf_options(value, f"{name}.")
        else:
            found.append(f"--{name}")
    return found


def test_no_options_give_the_default_run():
    arguments = run_arguments()
    preset = PRESETS["default"]
    assert arguments.config() == RunConfig(
        image=Path("photo.png"),
        inversion=preset.inversion,
        reconstruction=preset.reconstruction,
    )
    assert arguments.options().out == Path("runs/photo")


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("form", ["two words", "one word"])
def test_preset_sets_the_defaults(name, form):
    words = ["--preset", name] if form == "two words" else [f"--preset={name}"]
    assert run_arguments(*words).config().reconstruction == PRESETS[name].reconstruction


def test_options_win_over_the_preset():
    arguments = run_arguments(
        "--reconstruction.iterations", "7", "--preset", "smoke", "--seed", "3"
    )
    config = arguments.config()
    assert config.reconstruction == dataclasses.replace(
        PRESETS["smoke"].reconstruction, iterations=7
    )
    assert config.seed == 3


def test_short_forms_reach_the_nested_fields():
    arguments = run_arguments(
        "--elevation-deg", "30", "--radius", "2.5", "--fov-y-deg", "35", "--no-recenter"
    )
    config = arguments.config()
    camera = config.reconstruction.reference_camera
    assert (camera.elevation_deg, camera.radius, camera.fov_y_deg) == (30.0, 2.5, 35.0)
    assert config.input.recenter is False


def test_perp_neg_is_short_for_perpendicular_negative_guidance():
    nested = "--reconstruction.score-distillation"
    config = run_arguments("--perp-neg", "--preset", "fast").config()
    distillation = config.reconstruction.score_distillation
    assert distillation == dataclasses.replace(
        PRESETS["fast"].reconstruction.score_distillation,
        negative_guidance="perpendicular",
    )
    kept = run_arguments(f"{nested}.negative-guidance", "perpendicular").config()
    assert kept.reconstruction.score_distillation.negative_guidance == "perpendicular"


def test_nested_form_is_kept_where_the_short_one_is_absent():
    arguments = run_arguments(
        "--reconstruction.reference-camera.radius", "2.2", "--input.no-recenter"
    )
    config = arguments.config()
    assert config.reconstruction.reference_camera.radius == 2.2
    assert config.input.recenter is False


def test_options_of_the_run_stay_out_of_its_identity():
    arguments = run_arguments("--out", "there", "--device", "cpu", "--overwrite")
    options = arguments.options()
    assert (options.out, options.device, options.overwrite) == (
        Path("there"),
        "cpu",
        True,
    )
    assert arguments.config() == run_arguments().config()


def test_every_field_of_the_configuration_is_an_option(capsys):
    with pytest.raises(SystemExit):
        run_arguments("--help")
    shown = capsys.readouterr().out
    config = RunConfig(image=Path("photo.png"))
    options = [name for name in leaf_options(config) if name != "--image"]
    assert len(options) > 80
    for option in options:
        assert f"{option} " in shown or f"{option}," in shown, option


def test_help_of_the_short_forms_says_where_their_default_comes_from(capsys):
    with pytest.raises(SystemExit):
        run_arguments("--help")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for option in ("elevation-deg", "radius", "fov-y-deg"):
        short = (
            f"`--reconstruction.reference-camera.{option}`). (default: the preset's)"
        )
        assert short in shown


def test_render_arguments():
    arguments = parse(
        RenderArguments,
        "realfusion render",
        ["run", "--cameras", "c.json", "--size", "64", "--out", "views"],
    )
    assert arguments.run_dir == Path("run")
    assert arguments.cameras == Path("c.json")
    assert arguments.size == 64


def test_prior_training_arguments_give_its_configuration():
    arguments = parse(
        TrainPriorArguments, "realfusion train-prior", ["--out", "x", "--seed", "5"]
    )
    assert arguments.config() == PriorTrainingConfig(seed=5)


def test_error_of_the_parser_is_an_input_error():
    with pytest.raises(InputError, match=r"--cameras PATH.*realfusion render --help"):
        parse(RenderArguments, "realfusion render", ["run"])


def test_every_image_of_a_batch_has_the_configuration_of_its_own_run():
    words = ("--preset", "smoke", "--radius", "2", "--no-recenter", "--seed", "3")
    batch = parse_batch("realfusion batch", ["a.png", "b.png", "--out", "o", *words])
    assert batch.images == (Path("a.png"), Path("b.png"))
    for image in batch.images:
        config, options = batch.run_of(image)
        alone = parse_run("realfusion-run", [str(image), *words])
        assert config == alone.config()
        assert options == dataclasses.replace(
            alone.options(), out=Path("o", image.stem)
        )


@pytest.mark.parametrize(("word", "jobs"), [("3", 3), ("auto", "auto")])
def test_jobs_of_a_batch(word, jobs):
    words = ["a.png", "--jobs", word]
    assert parse_batch("realfusion batch", words).jobs == jobs
