"""Where the CUDA toolkit is and what it can compile for.

Shared by ``setup.py``, the build backend and ``tools/check_*.py``; standard library
only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Data-centre and desktop parts since 2020; the PTX of the newest serves the rest.
DEFAULT_ARCHITECTURES = ("8.0", "8.6", "8.9", "9.0", "10.0", "12.0")

# The packages that hold a compiler; their dependencies do not keep to one release.
TOOLKIT_PACKAGES = (
    "nvidia-cuda-nvcc",
    "nvidia-nvvm",
    "nvidia-cuda-crt",
    "nvidia-cuda-runtime",
    "nvidia-cuda-cccl",
)
FIRST_PACKAGED_MAJOR = 13  # the packages of older releases have no nvcc


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
    def major(self) -> int:
        return int(self.version.split(".")[0])

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
    return [*homes, Path("/usr/local/cuda"), *_packaged_homes()]


def _packaged_homes() -> list[Path]:
    """Where NVIDIA's packages on the package index put a toolkit."""
    folders = [Path(folder or ".", "nvidia") for folder in sys.path]
    return [home for folder in folders for home in folder.glob("cu[0-9]*")]


def toolkit_requirements(release: str) -> list[str]:
    """The packages of a CUDA release, ``"13.0"``: a toolkit for one build."""
    if int(release.split(".")[0]) < FIRST_PACKAGED_MAJOR:
        return []
    return [f"{name}=={release}.*" for name in TOOLKIT_PACKAGES]


def has_cuda_driver() -> bool:
    """Whether a driver is there, natively or in the Linux of Windows."""
    signs = ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1")
    return any(Path(sign).exists() for sign in signs)


def find_cuda_toolkit(major: int | None = None) -> CudaToolkit | None:
    """The first complete toolkit found, of a major release if one is given."""
    toolkits = (_examine(home) for home in _candidate_homes())
    for toolkit in toolkits:
        if toolkit is not None and major in (None, toolkit.major):
            return toolkit
    return None


def _examine(home: Path) -> CudaToolkit | None:
    """The toolkit in a folder, if it is complete and its compiler runs."""
    nvcc = home / "bin" / "nvcc"
    header = home / "include" / "cuda_runtime.h"
    if not (header.is_file() and nvcc.is_file()):
        return None
    version = subprocess.run(
        [nvcc, "--version"], capture_output=True, text=True, check=False
    )
    release = re.search(r"release (\d+\.\d+)", version.stdout)
    if version.returncode != 0 or release is None:
        return None
    listing = subprocess.run(
        [nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=False
    )
    numbers = re.findall(r"^compute_(\d+)(\d)$", listing.stdout, re.MULTILINE)
    return CudaToolkit(
        home=home,
        version=release.group(1),
        architectures=tuple(f"{major}.{minor}" for major, minor in numbers),
    )
