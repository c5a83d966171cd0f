"""Where the CUDA toolkit is and what it can compile for.

Shared by ``setup.py`` and ``tools/check_cuda.py``; standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Data-centre and desktop parts since 2020; the PTX of the newest serves the rest.
DEFAULT_ARCHITECTURES = ("8.0", "8.6", "8.9", "9.0", "10.0", "12.0")


@dataclass(frozen=True)
class CudaToolkit:
    """A CUDA toolkit on this machine.

    Attributes:
        home: Folder that holds ``bin/nvcc`` and ``include/cuda_runtime.h``.
        version: For example ``"13.0"``.
        architectures: Compute capabilities its compiler knows, ``("7.5", ...)``.
    """

    home: Path
    version: str
    architectures: tuple[str, ...]

    @property
    def nvcc(self) -> Path:
        return self.home / "bin" / "nvcc"

    @property
    def library_dirs(self) -> list[str]:
        candidates = (self.home / "lib64", self.home / "lib")
        return [str(folder) for folder in candidates if folder.is_dir()]

    def default_arch_list(self) -> str:
        """The default ``TORCH_CUDA_ARCH_LIST``, as far as this toolkit knows it."""
        known = [arch for arch in DEFAULT_ARCHITECTURES if arch in self.architectures]
        return ";".join(known or self.architectures[-1:]) + "+PTX"


def _candidate_homes() -> list[Path]:
    """Places to look, best first; nvcc on the PATH may be a wrapper script."""
    named = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")]
    homes = [Path(name) for name in named if name]
    nvcc = shutil.which("nvcc")
    if nvcc:
        homes.append(Path(nvcc).resolve().parents[1])
        dry_run = subprocess.run(
            [nvcc, "--dryrun", "-x", "cu", os.devnull],
            capture_output=True,
            text=True,
            check=False,
        )
        top = re.search(r"^#\$ TOP=(.*)$", dry_run.stderr, re.MULTILINE)
        if top:
            homes.append(Path(top.group(1).strip()).resolve())
    return [*homes, Path("/usr/local/cuda")]


def find_cuda_toolkit() -> CudaToolkit | None:
    """The first complete toolkit found, or None."""
    for home in _candidate_homes():
        nvcc = home / "bin" / "nvcc"
        header = home / "include" / "cuda_runtime.h"
        if not (header.is_file() and nvcc.is_file()):
            continue
        version = subprocess.run(
            [nvcc, "--version"], capture_output=True, text=True, check=False
        )
        release = re.search(r"release (\d+\.\d+)", version.stdout)
        if version.returncode != 0 or release is None:
            continue
        listing = subprocess.run(
            [nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=False
        )
        numbers = re.findall(r"^compute_(\d+)(\d)$", listing.stdout, re.MULTILINE)
        return CudaToolkit(
            home=home,
            version=release.group(1),
            architectures=tuple(f"{major}.{minor}" for major, minor in numbers),
        )
    return None
