"""The folder a run lives in: names, the configuration it belongs to, and conflicts."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfusion.config import (
    RunConfig,
    differences,
    fingerprint,
    from_dict,
    to_dict,
)
from realfusion.errors import InputError
from realfusion.io.atomic import write_text


@dataclass(frozen=True)
class RunFolder:
    """Paths of everything a run writes."""

    root: Path

    @property
    def config(self) -> Path:
        """Settings of the run."""
        return self.root / "config.json"

    @property
    def input(self) -> Path:
        """The picture that is reconstructed: framed, RGBA."""
        return self.root / "input.png"

    def token(self, index: int = 0) -> Path:
        """The token that the diffusion prior of this place in `--prior` learned."""
        number = f"_{index + 1}" if index else ""
        return self.root / f"token{number}.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Folder of the latest checkpoint."""
        return self.root / "checkpoint"

    @property
    def previews(self) -> Path:
        """Folder of the previews."""
        return self.root / "previews"

    @property
    def turntable_video(self) -> Path:
        """Colours, normals and depth all around, side by side."""
        return self.root / "turntable.mp4"

    @property
    def turntable_sheet(self) -> Path:
        """Contact sheet of the turntable."""
        return self.root / "turntable.png"

    @property
    def mesh(self) -> Path:
        """The mesh, in the field's frame and scale."""
        return self.root / "mesh.glb"

    @property
    def metrics(self) -> Path:
        """Figures of the run."""
        return self.root / "metrics.json"

    @property
    def report(self) -> Path:
        """A page to look at."""
        return self.root / "report.html"

    def outputs(self) -> list[Path]:
        """Every file and folder a run may have written."""
        return [
            self.config, self.input, self.token(), self.checkpoint, self.previews,
            self.turntable_video, self.turntable_sheet, self.mesh, self.metrics,
            self.report, *sorted(self.root.glob("token_*.safetensors")),
        ]  # fmt: skip


@dataclass(frozen=True)
class OpenRun:
    """A run folder that belongs to a configuration."""

    folder: RunFolder
    config: RunConfig
    fingerprint: str


def open_run(root: Path, config: RunConfig, *, overwrite: bool = False) -> OpenRun:
    """Claim a folder for a configuration, or continue the same run in it.

    Args:
        root: The run folder; made if missing.
        config: Settings of the run.
        overwrite: Delete the files of a run of other settings.

    Returns:
        The open run.

    Raises:
        InputError: The folder cannot be written, is no run folder, or holds a run of
            another image or other settings that has got anywhere. Nothing is changed
            then.
    """
    folder = RunFolder(root)
    digest = digest_subject(config)
    identity = fingerprint(config, digest)
    if root.exists() and not root.is_dir():
        raise InputError(f"--out {root} is a file; give a folder")
    stored = read_config(folder) if folder.config.exists() else None
    if stored is None:
        _refuse_foreign_folder(folder)
    elif stored["fingerprint"] != identity:
        if not overwrite and _has_work(folder):
            raise InputError(_conflict(folder, stored, config, digest))
        _clear(folder)
        stored = None
    if stored is None:
        values = {
            "fingerprint": identity,
            "image_sha256": digest,
            "config": to_dict(config),
        }
        try:
            write_text(folder.config, json.dumps(values, indent=2) + "\n")
        except OSError as error:
            raise InputError(
                f"--out {root} cannot be written ({error.strerror}); choose another"
            ) from error
    return OpenRun(folder, config, identity)


def is_finished(root: Path, config: RunConfig) -> bool:
    """Whether a folder holds the run of a configuration with all its outputs.

    Args:
        root: The run folder; need not exist.
        config: Settings of the run.

    Returns:
        True if nothing is left to do.

    Raises:
        InputError: The image or the stored configuration cannot be read.
    """
    folder = RunFolder(root)
    if not folder.config.exists() or not folder.report.exists():  # written last
        return False
    identity = fingerprint(config, digest_subject(config))
    return read_config(folder)["fingerprint"] == identity


def load_run(root: Path) -> OpenRun:
    """Open a run folder as it is.

    Args:
        root: A run folder.

    Returns:
        The open run.

    Raises:
        InputError: There is no run in the folder, or its configuration is damaged.
    """
    folder = RunFolder(root)
    if not folder.config.exists():
        raise InputError(f"{root} is not a run folder: it has no config.json")
    stored = read_config(folder)
    config = from_dict(RunConfig, stored["config"])
    return OpenRun(folder, config, stored["fingerprint"])


def read_config(folder: RunFolder) -> dict[str, Any]:
    """The stored configuration with its fingerprint, as JSON values."""
    try:
        values = json.loads(folder.config.read_text(encoding="utf-8"))
        if not isinstance(values["config"], dict):
            raise TypeError("its config is no object")
        str(values["fingerprint"]), str(values["image_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder.config} cannot be read ({error}); use another --out folder"
        ) from error
    return values


def digest_subject(config: RunConfig) -> str:
    """Digest of what is reconstructed: the photo's bytes, or the words for it.

    Raises:
        InputError: The photo cannot be read.
    """
    if config.image is not None:
        return digest_file(config.image)
    return hashlib.sha256(config.subject_name.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; InputError if it cannot be read."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one image file")
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the path of an image file"
        ) from error


def _conflict(
    folder: RunFolder, stored: dict[str, Any], config: RunConfig, digest: str
) -> str:
    if stored["image_sha256"] != digest:
        what = "another image"
    else:
        other = from_dict(RunConfig, stored["config"])
        names = [name for name in differences(config, other) if name != "image"]
        shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        what = f"other settings ({shown})" if names else "an earlier version"
    return (
        f"{folder.root} already holds a run of {what}; choose another --out or add "
        f"--overwrite"
    )


def _refuse_foreign_folder(folder: RunFolder) -> None:
    """A folder with files of the same names, but no run, is somebody's own."""
    for path in folder.outputs():
        if path.exists():
            raise InputError(
                f"{folder.root} holds {path.name} but no run; choose another --out"
            )


def _has_work(folder: RunFolder) -> bool:
    """Whether there is more than what a failed start leaves behind."""
    kept = (folder.token(), folder.checkpoint, folder.mesh, folder.turntable_video)
    return any(path.exists() for path in kept)


def _clear(folder: RunFolder) -> None:
    for path in folder.outputs():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
