"""The options of every command as dataclasses.

The configuration's own dataclasses are inherited, so that each of their fields is an
option and its docstring the help; only short forms are added here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from realfusion.cli.parsing import parse
from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError
from realfusion.presets import PRESETS
from realfusion.prior_training.config import PriorTrainingConfig
from realfusion.training.presets import for_text

PresetName = Literal["paper", "default", "fast", "smoke"]
DEFAULT_OUT = Path("runs", "NAME")
OptionalFloat = Annotated[
    float | None,
    tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: the preset's)"),
]


@dataclass(frozen=True, kw_only=True)
class RunArguments(RunConfig, RunOptions):
    """A full 360° model of an object from one image of it, or from words alone."""

    image: Annotated[
        tyro.conf.Positional[Path | None],
        tyro.conf.arg(metavar="PATH", help_behavior_hint="(or --text instead)"),
    ] = None
    """The photo: PNG, JPEG, WebP, AVIF, TIFF, BMP or GIF."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = DEFAULT_OUT
    """The run folder, NAME being the image's. A run that was stopped continues
    there."""
    preset: PresetName = "default"
    """Defaults of the options below: the paper's figures, a quiet half hour on a CPU,
    minutes on a CPU, or seconds that only prove that it works."""
    elevation_deg: OptionalFloat = None
    """Degrees above the horizontal from which the photo looks at the object (short for
    `--reconstruction.reference-camera.elevation-deg`)."""
    radius: OptionalFloat = None
    """Distance of the photo's camera (short for
    `--reconstruction.reference-camera.radius`)."""
    fov_y_deg: OptionalFloat = None
    """Vertical field of view of the photo's camera, in degrees (short for
    `--reconstruction.reference-camera.fov-y-deg`)."""
    views_per_step: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help_behavior_hint="(default: the preset's)"),
    ] = None
    """Random views that the prior judges in one batch (short for
    `--reconstruction.prior-views`)."""
    perp_neg: bool = False
    """Push each view away from another one, only where that does not contradict the
    prompt (short for `--reconstruction.score-distillation.negative-guidance
    perpendicular`)."""
    recenter: bool = True
    """Move and scale the object to the middle of the frame (short for
    `--input.recenter`)."""

    def __post_init__(self) -> None:
        """Check both halves: each has a check of its own."""
        RunConfig.__post_init__(self)
        RunOptions.__post_init__(self)

    def check_subject(self) -> None:
        """Refuse a run of nothing, or of two things; InputError."""
        if (self.image is None) == (self.text is None):
            raise InputError('give one image, or --text "..." instead')
        if self.text is None:
            return
        if not self.text.strip():
            raise InputError("--text must say what the object is, got nothing")
        if self.prior == "none":
            raise InputError("--text needs a prior: only it knows the object")
        if self.prompt is not None:
            raise InputError("--prompt is for a photo; --text is the prompt itself")

    def config(self) -> RunConfig:
        """What decides the result; InputError where a short form is out of range."""
        self.check_subject()
        values = _fields_of(RunConfig, self)
        camera = self.reconstruction.reference_camera
        given = {
            name: value
            for name in ("elevation_deg", "radius", "fov_y_deg")
            if (value := getattr(self, name)) is not None
        }
        num_views = self.views_per_step
        if num_views is None:
            num_views = self.reconstruction.prior_views
        distillation = self.reconstruction.score_distillation
        if self.perp_neg:
            distillation = dataclasses.replace(
                distillation, negative_guidance="perpendicular"
            )
        try:
            values["reconstruction"] = dataclasses.replace(
                self.reconstruction,
                reference_camera=dataclasses.replace(camera, **given),
                prior_views=num_views,
                score_distillation=distillation,
            )
        except ValueError as error:
            raise InputError(str(error)) from error
        if not self.recenter:
            values["input"] = dataclasses.replace(self.input, recenter=False)
        return RunConfig(**values)

    def options(self) -> RunOptions:
        """Where and how it is computed."""
        values = _fields_of(RunOptions, self)
        if self.out == DEFAULT_OUT:
            name = self.subject_name
            if self.image is None:
                name = folder_name(name)[:64]
            values["out"] = DEFAULT_OUT.with_name(name)
        return RunOptions(**values)


@dataclass(frozen=True, kw_only=True)
class BatchArguments(RunArguments):
    """Models of many images, a run folder each. What is finished is kept, what was
    stopped continues, and a failure does not touch the others."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Photos, and folders of photos."""
    image: Annotated[Path, tyro.conf.Suppress] = Path()
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Folder of the run folders, each with its image's name, and of index.html."""
    jobs: Annotated[int | Literal["auto"], tyro.conf.arg(metavar="N|auto")] = "auto"
    """Images at the same time; more than one needs ray. `auto`: as many as there are
    CUDA devices if ray is installed, else one after the other."""

    def run_of(self, image: Path) -> tuple[RunConfig, RunOptions]:
        """Configuration and options of the run of one of the images."""
        single = dataclasses.replace(self, image=image, out=self.out / image.stem)
        return single.config(), single.options()


@dataclass(frozen=True, kw_only=True)
class ExportArguments:
    """Make turntable, mesh, figures and report of a run anew."""

    run_dir: tyro.conf.Positional[Path]
    """A run folder with a checkpoint."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""


@dataclass(frozen=True, kw_only=True)
class RenderArguments:
    """Render a run from given cameras to view_00.png, ... (RGBA, straight alpha)."""

    run_dir: tyro.conf.Positional[Path]
    """A run folder with a checkpoint."""
    cameras: Path
    """JSON: {"views": [{"azimuth_deg": 0, "elevation_deg": 15, "radius": 1.8,
    "fov_y_deg": 40}, ...]}."""
    out: Path
    """Folder the views are written to."""
    size: int = 128
    """Pixels along an edge."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""


@dataclass(frozen=True, kw_only=True)
class ViewArguments:
    """Show a run in the browser, also while it trains; Ctrl-C ends."""

    run_dir: tyro.conf.Positional[Path]
    """A run folder with a mesh or a checkpoint."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other machines look."""
    port: int = 8080
    """Port to listen at; 0 takes a free one."""
    size: int = 256
    """Pixels along the longer edge of the rendered field."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to render the field."""
    export: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write mesh and cameras to one HTML file instead, and listen nowhere."""


@dataclass(frozen=True, kw_only=True)
class EvaluateArguments:
    """Compare a run with ground truth; figures are printed and stored in the run."""

    run_dir: tyro.conf.Positional[Path]
    """A run folder with a checkpoint."""
    ground_truth: Path
    """Folder with cameras.json, views and surface points of the true object."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkQualityArguments:
    """Reconstruct every object of a folder of ground truth with every variant of the
    prior and every seed, and compare: tables with confidence intervals and a page of
    plots. The same command continues what was stopped, keeps what is finished, and
    makes anew what was made with other settings. Options after `--` are those of
    `realfusion-run`, for every run."""

    ground_truth: tyro.conf.Positional[Path]
    """A folder of objects, each a folder with input.png, cameras.json, views and
    surface points, as `realfusion evaluate` takes it."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """Folder of the run folders and of quality.json, quality.md and quality.html."""
    seeds: Annotated[int, tyro.conf.arg(metavar="N")] = 3
    """Runs of every object and variant, with the seeds 0 to N - 1."""
    variants: Annotated[str, tyro.conf.arg(metavar="PRIOR,PRIOR")] = "none,bundled"
    """Priors to compare, as `--prior` takes them; the others are compared with the
    first."""
    objects: Annotated[str, tyro.conf.arg(metavar="NAME,NAME")] = ""
    """Only these objects."""
    preset: PresetName = "fast"
    """As `realfusion-run` takes it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
    run_options: Annotated[tuple[str, ...], tyro.conf.Suppress] = ()

    def __post_init__(self) -> None:
        """Refuse what compares nothing, or what every run sets by itself."""
        if self.seeds < 1:
            raise InputError(f"--seeds must be positive, got {self.seeds}")
        names = self.variant_names()
        if len(set(map(folder_name, names))) < len(names) or not names:
            raise InputError(
                f"--variants must name different priors, got {self.variants!r}"
            )
        for word in self.run_options:
            name = word.split("=")[0].replace("_", "-")
            if name in OPTIONS_OF_BENCHMARK:
                raise InputError(f"{name} cannot stand after --: the benchmark sets it")

    def variant_names(self) -> list[str]:
        """The priors, in order."""
        return _listed(self.variants)

    def object_names(self) -> list[str]:
        """The objects that were asked for."""
        return _listed(self.objects)

    def run_of(
        self, program: str, truth: Path, variant: str, seed: int
    ) -> tuple[RunConfig, RunOptions]:
        """Configuration and options of the run of an object, a variant and a seed."""
        folder = self.out / folder_name(variant) / truth.name / f"seed_{seed}"
        words = [
            str(truth / "input.png"), "--out", str(folder), "--preset", self.preset,
            "--prior", variant, "--no-recenter", "--seed", str(seed),
            "--device", self.device, "--preview-interval", "0", "--overwrite",
        ]  # fmt: skip
        arguments = parse_run(program, [*words, *self.run_options])
        return arguments.config(), arguments.options()


OPTIONS_OF_BENCHMARK = (
    "--out", "--preset", "--prior", "--seed", "--device", "--elevation-deg", "--radius",
    "--fov-y-deg", "--recenter", "--no-recenter", "--overwrite", "--no-overwrite",
)  # fmt: skip


def folder_name(variant: str) -> str:
    """Name of the folder of a prior's runs: the Hub's ids and paths have slashes."""
    return re.sub(r"[^\w.-]+", "-", variant).strip("-.")


def _listed(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


@dataclass(frozen=True, kw_only=True)
class DoctorArguments:
    """Show what is installed here, and what to do about what is missing."""


@dataclass(frozen=True, kw_only=True)
class TrainPriorArguments(PriorTrainingConfig):
    """Train the embedded prior from nothing on procedural objects."""

    out: Path
    """Folder of the data, the checkpoints and the finished prior. A training that was
    stopped continues there."""

    def config(self) -> PriorTrainingConfig:
        """What decides the result."""
        return PriorTrainingConfig(**_fields_of(PriorTrainingConfig, self))


def _fields_of(kind: type, instance: Any) -> dict[str, Any]:
    names = [item.name for item in dataclasses.fields(kind)]
    return {name: getattr(instance, name) for name in names}


def parse_run(program: str, args: Sequence[str]) -> RunArguments:
    """The options of `realfusion-run`; `--preset` sets the defaults of the others."""
    default = RunArguments(**_preset_values(args))
    return parse(RunArguments, program, _with_one_prior(args), default=default)


def parse_benchmark(program: str, args: Sequence[str]) -> BenchmarkQualityArguments:
    """The options of `realfusion benchmark-quality`, and those of a run after `--`."""
    words = list(args)
    end = words.index("--") if "--" in words else len(words)
    given = parse(BenchmarkQualityArguments, program, words[:end])
    return dataclasses.replace(given, run_options=tuple(words[end + 1 :]))


def parse_batch(program: str, args: Sequence[str]) -> BatchArguments:
    """The options of `realfusion batch`: those of a run, for many images."""
    default = BatchArguments(images=tyro.MISSING, **_preset_values(args))
    return parse(BatchArguments, program, _with_one_prior(args), default=default)


def _with_one_prior(args: Sequence[str]) -> list[str]:
    """The words with all their `--prior` in one, at the end, joined by `+`."""
    others, priors = [], []
    words = iter(args)
    for word in words:
        if word == "--prior":
            priors.append(next(words, ""))
        elif word.startswith("--prior="):
            priors.append(word.removeprefix("--prior="))
        else:
            others.append(word)
    return [*others, "--prior", "+".join(priors)] if len(priors) > 1 else list(args)


def _preset_values(args: Sequence[str]) -> dict[str, Any]:
    """The preset named in `args`, and what it sets."""
    name = _preset_in(args)
    preset = PRESETS[name]
    has_text = any(word.split("=")[0] == "--text" for word in args)
    reconstruction = preset.reconstruction
    return {
        "preset": name,
        "reconstruction": for_text(reconstruction) if has_text else reconstruction,
        "inversion": preset.inversion,
        "export": preset.export,
    }


def _preset_in(args: Sequence[str]) -> PresetName:
    """The preset named in `args`; a wrong name is left to the parser proper."""
    preset: Any = "default"
    for index, word in enumerate(args):
        if word == "--preset" and index + 1 < len(args):
            preset = args[index + 1]
        elif word.startswith("--preset="):
            preset = word.removeprefix("--preset=")
    return preset if preset in PRESETS else "default"
