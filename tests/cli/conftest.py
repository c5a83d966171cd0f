"""A tiny run that is finished, and what such runs are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from realfusion.cli.main import run_main

# Small enough for a second or two.
SMALL = (
    "--preset", "smoke", "--device", "cpu",
    "--reconstruction.iterations", "4", "--reconstruction.reference-size", "16",
    "--reconstruction.reference-rays", "64", "--reconstruction.prior-view-size", "16",
    "--reconstruction.initial-shape.steps", "30", "--input.size", "32",
    "--export.turntable-views", "8", "--export.turntable-size", "32",
    "--export.mesh-resolution", "24",
)  # fmt: skip
TINY = (*SMALL, "--prior", "none")


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Arguments of a run that takes a second or two."""
    return SMALL


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """The same without a prior."""
    return TINY


@pytest.fixture(scope="session")
def write_disc() -> Callable[..., Path]:
    """Writes a picture of so many pixels a side to a path, and returns that."""
    return _write_disc


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Tells what every file of a folder holds."""
    return _digests


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red disc on nothing; not to be changed."""
    return _write_disc(tmp_path_factory.mktemp("image") / "disc.png")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, image: Path) -> Path:
    """The folder of a finished tiny run."""
    out = tmp_path_factory.mktemp("runs") / "disc"
    assert run_main([str(image), "--out", str(out), *TINY]) == 0
    return out


def _write_disc(path: Path, size: int = 48) -> Path:
    """A red disc on nothing."""
    axis = np.linspace(-1.0, 1.0, size)
    inside = axis[:, None] ** 2 + axis[None] ** 2 < 0.5
    rgba = np.zeros((size, size, 4), np.uint8)
    rgba[inside] = (220, 40, 30, 255)
    Image.fromarray(rgba).save(path)
    return path


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
