"""In-tree PEP 517 backend: build against the torch that is already installed.

pip builds in an isolated environment where the torch of the target environment
cannot be seen, so that a compiled extension needs ``--no-build-isolation`` or
downloads a second torch. The isolated build still runs the *same interpreter*
though, so ``sysconfig`` names the target's site-packages: when a fitting torch
lies there, this backend asks for no other and appends that folder to
``sys.path`` (last, so that the isolated setuptools, ninja and pybind11 win).
With no torch installed it requires one like any other build dependency.

``REALFUSION_TORCH_SITE`` names further site-packages folders to look in.

Where there is a CUDA device, and a torch that can use it, but no toolkit to compile the
kernels with, the build asks for NVIDIA's compiler from the package index: about
100 MB, for the build alone. ``REALFUSION_CUDA=0`` does without.
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from importlib import machinery, metadata
from pathlib import Path
from typing import Any

from cuda_toolkit import find_cuda_toolkit, has_cuda_driver, toolkit_requirements
from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (hooks of the build frontend)
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

MINIMUM_TORCH = (2, 10)
TORCH_REQUIREMENT = "torch>=" + ".".join(map(str, MINIMUM_TORCH))


def _candidate_sites() -> list[str]:
    """Folders that may hold the target environment's packages, best first."""
    sites = os.environ.get("REALFUSION_TORCH_SITE", "").split(os.pathsep)
    sites += [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    sites += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        sites.append(site.getusersitepackages())
    # `python -m build` isolates in an environment of its own; the stable ABI makes
    # the torch of the activated one serve as well.
    active = os.environ.get("VIRTUAL_ENV")
    if active:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        sites.append(str(Path(active, "lib", version, "site-packages")))
    return [folder for folder in dict.fromkeys(sites) if folder]


def _release(version: str) -> tuple[int, ...]:
    """``"2.13.0+cpu"`` -> ``(2, 13)``; pre-releases count as their release."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()


def find_torch_site(sites: list[str] | None = None) -> str | None:
    """The first of ``sites`` that holds a torch of at least the minimum version."""
    for folder in _candidate_sites() if sites is None else sites:
        for distribution in metadata.distributions(name="torch", path=[folder]):
            is_new_enough = _release(distribution.version) >= MINIMUM_TORCH
            if is_new_enough and machinery.PathFinder.find_spec("torch", [folder]):
                return folder
    return None


def _torch_requirements() -> list[str]:
    return [] if find_torch_site() else [TORCH_REQUIREMENT]


def torch_cuda_release(site: str | None) -> str | None:
    """The CUDA of the torch in a folder, ``"13.0"``; None for a torch of CPUs."""
    version = Path(site, "torch", "version.py") if site else None
    if version is None or not version.is_file():
        return None
    match = re.search(r"^cuda\b.*= '([\d.]+)'$", version.read_text(), re.MULTILINE)
    return match[1] if match else None


def _toolkit_requirements() -> list[str]:
    wish = os.environ.get("REALFUSION_CUDA", "auto")
    release = torch_cuda_release(find_torch_site())
    if release is None or wish == "0" or (wish == "auto" and not has_cuda_driver()):
        return []
    if find_cuda_toolkit(int(release.split(".")[0])):
        return []
    return toolkit_requirements(release)


def _expose_torch() -> None:
    """Make the target environment's torch importable in this build."""
    if machinery.PathFinder.find_spec("torch"):
        return
    folder = find_torch_site()
    if folder:
        sys.path.append(folder)
        print(f"realfusion: building against the torch in {folder}", flush=True)


def get_requires_for_build_wheel(
    config_settings: dict[str, Any] | None = None,
) -> list[str]:
    required = build_meta.get_requires_for_build_wheel(config_settings)
    return required + _torch_requirements() + _toolkit_requirements()


def get_requires_for_build_editable(
    config_settings: dict[str, Any] | None = None,
) -> list[str]:
    required = build_meta.get_requires_for_build_editable(config_settings)
    return required + _torch_requirements() + _toolkit_requirements()


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    _expose_torch()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    _expose_torch()
    return build_meta.build_editable(
        wheel_directory, config_settings, metadata_directory
    )
