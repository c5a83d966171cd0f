"""The configuration of a whole run (standard library only, so that `--help` is light).

`RunConfig` nests the dataclasses of the other packages. `to_dict` and `from_dict` turn
any of them into JSON and back; `fingerprint` says whether two runs are the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from realfusion.errors import InputError
from realfusion.priors.config import TextualInversionConfig
from realfusion.priors.memory import MemoryMode
from realfusion.ranges import check_at_least, check_positive, check_within
from realfusion.training.config import ReconstructionConfig

Config = TypeVar("Config")
DEFAULTS_VERSION = 1
"""Goes up when a default changes: fingerprints leave defaults out, so that a run begun
with the old one would else be taken for the same."""


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """How the image becomes the framed RGBA picture that is reconstructed."""

    matting: Literal["auto", "alpha", "grabcut", "rembg"] = "auto"
    """How the object is cut out: the image's own alpha, GrabCut, or rembg if
    installed; `auto` takes alpha where there is one and GrabCut otherwise."""
    recenter: bool = True
    """Move and scale the object to the middle of the frame."""
    object_fraction: float = 0.8
    """With recentring: share of the frame that the object's larger side takes."""
    size: int = 512
    """Pixels along an edge of the framed picture."""

    def __post_init__(self) -> None:
        """Refuse what makes no picture."""
        check_positive(self, "object_fraction")
        check_within(self, 0.0, 1.0, "object_fraction")
        check_within(self, 16, 4096, "size")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is made of the finished field."""

    turntable_views: int = 72
    """Frames of the turntable video."""
    turntable_size: int = 256
    """Pixels along an edge of a frame."""
    turntable_fps: int = 24
    """Frames a second."""
    mesh_resolution: int = 160
    """Density samples along an edge of the box."""
    mesh_faces: int = 60_000
    """Faces after simplification, at most."""
    mesh_threshold: float | None = None
    """Density (1/unit) of the surface; found automatically if not given."""

    def __post_init__(self) -> None:
        """Refuse what makes no video and no mesh."""
        check_at_least(self, 1, "turntable_views", "turntable_fps")
        check_within(self, 16, 2048, "turntable_size")
        check_within(self, 2, 1024, "mesh_resolution")
        check_at_least(self, 4, "mesh_faces")
        if self.mesh_threshold is not None:
            check_positive(self, "mesh_threshold")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One image (or one sentence), one prior, one reconstruction."""

    image: Path | None = None
    """The photo: PNG, JPEG, WebP, AVIF, TIFF, BMP or GIF."""
    text: str | None = None
    """The object in words, instead of a photo: all sides come from the prior
    (DreamFusion)."""
    prior: str = "auto"
    """`auto`, `bundled`, `none`, `sd15`, `sd21`, a Hub id, a folder in diffusers'
    layout, a single .safetensors checkpoint, or `clip[:MODEL]`; `:WEIGHT` may follow.
    Several, joined by `+` or given one by one, judge together."""
    prior_revision: str | None = None
    """Revision of a Hub id to pin."""
    offline: bool = False
    """Never ask the Hub."""
    vae: str = "own"
    """The prior's autoencoder: its `own`, `tiny` (TAESD: faster and smaller), a Hub id,
    or a folder in diffusers' layout."""
    prompt: str | None = None
    """What the image shows, in words; `<e>` stands for the learned token. The prior's
    own sentence if not given."""
    negative_prompt: str = ""
    """What no view should show."""
    class_word: str | None = None
    """What kind of thing the image shows, in a word; only token blending asks. Where
    `--token auto` found a word, that one if not given."""
    token: str = "auto"
    """Word the learned token starts from, a file with a learned token, or
    `auto`: the prior's image encoder if it has one, else the common noun that
    fits the photo best, by CLIP if that is cached or by the prior's own loss."""
    seed: int = 0
    """Seed of everything random."""
    input: InputConfig = field(default_factory=InputConfig)
    inversion: TextualInversionConfig = field(default_factory=TextualInversionConfig)
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

    def __post_init__(self) -> None:
        """Refuse seeds that the generators cannot take."""
        check_within(self, 0, 2**63 - 1, "seed")

    @property
    def subject_name(self) -> str:
        """What the object is called: the photo's name, or the words for it."""
        return self.text or "" if self.image is None else self.image.stem


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run is done; nothing here changes its result on a CPU."""

    out: Path
    """The run folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute."""
    checkpoint_interval: int = 100
    """Steps between two checkpoints; 0 makes one at the end alone."""
    preview_interval: int = 100
    """Steps between two previews; 0 makes none."""
    overwrite: bool = False
    """Replace a run of other settings that lies in the run folder."""
    cuda_graphs: bool = True
    """Repeat the steps of a reconstruction without a prior by CUDA graphs."""
    memory: MemoryMode = "auto"
    """What the prior spares of the device's memory: nothing (high), all that costs
    little time (low), or what the free memory asks for."""
    compile_prior: bool = False
    """Put the prior through torch.compile: a minute or more first, faster steps
    then."""
    prior_cuda_graphs: bool = False
    """Repeat the prior's networks by CUDA graphs, for more memory; with
    `--compile-prior` torch.compile makes them."""

    def __post_init__(self) -> None:
        """Refuse intervals that lie in the past."""
        check_at_least(self, 0, "checkpoint_interval", "preview_interval")


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as JSON values."""
    return {
        item.name: _to_json(getattr(config, item.name))
        for item in dataclasses.fields(config)
    }


def from_dict(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration from JSON values.

    Args:
        kind: The dataclass.
        values: As `to_dict` made them; missing fields take their defaults.

    Returns:
        The configuration.

    Raises:
        InputError: A field is unknown, or its value is of another type.
    """
    hints = typing.get_type_hints(kind)
    names = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    if unknown:
        raise InputError(
            f"the configuration has unknown fields {unknown}; it was written by "
            f"another version, use another --out folder"
        )
    try:
        return kind(
            **{name: _from_json(hints[name], value) for name, value in values.items()}
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"the configuration cannot be read: {error}") from error


def fingerprint(config: RunConfig, image_digest: str) -> str:
    """Identifies a run: equal fingerprints give equal results on a CPU.

    Only what differs from its default counts, so that a field that a later version
    adds leaves the fingerprints of earlier runs alone.

    Args:
        config: The run's settings; the image's path does not count.
        image_digest: Digest of the image's bytes, which does.

    Returns:
        A hexadecimal digest.
    """
    values = changed_fields(config) | {"image": image_digest}
    canonical = json.dumps([DEFAULTS_VERSION, values], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def changed_fields(config: Any, default: Any = None) -> dict[str, Any]:
    """The fields in which a configuration differs from its default, as JSON values.

    Args:
        config: A dataclass.
        default: What to compare with; the defaults of its fields if not given.

    Returns:
        Values by name; nested dataclasses are nested, and left out if nothing differs.
    """
    changed: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        usual = _default_of(item) if default is None else getattr(default, item.name)
        if dataclasses.is_dataclass(value) and type(value) is type(usual):
            inner = changed_fields(value, usual)
            if inner:
                changed[item.name] = inner
        elif value != usual:
            changed[item.name] = _to_json(value)
    return changed


def differences(first: Any, second: Any, prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two configurations differ."""
    found: list[str] = []
    for item in dataclasses.fields(first):
        ours, theirs = getattr(first, item.name), getattr(second, item.name)
        if dataclasses.is_dataclass(ours) and type(ours) is type(theirs):
            found += differences(ours, theirs, f"{prefix}{item.name}.")
        elif ours != theirs:
            found.append(f"{prefix}{item.name}")
    return found


def _default_of(item: dataclasses.Field[Any]) -> Any:
    """A field's default; MISSING, which equals no value, where it has none."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _from_json(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value)
    if hint is Path:
        return Path(value)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (inner,) = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return _from_json(inner, value)
    if origin is tuple:
        kinds = typing.get_args(hint)
        return tuple(
            _from_json(kind, item) for kind, item in zip(kinds, value, strict=True)
        )
    if origin is Literal:
        if value not in typing.get_args(hint):
            raise ValueError(f"{value!r} is none of {typing.get_args(hint)}")
        return value
    if hint is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, hint):
        raise TypeError(f"{value!r} is not of type {hint.__name__}")
    return value
