"""Builds ``realfusion._C`` from ``csrc/``; everything else is in pyproject.toml.

The CPU kernels are always built. The CUDA kernels are built when
``REALFUSION_CUDA`` allows: ``auto`` (the default: a toolkit is found and torch has
CUDA), ``1`` (must), ``0`` (never). ``TORCH_CUDA_ARCH_LIST`` is honoured.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

from cuda_toolkit import CudaToolkit, find_cuda_toolkit  # noqa: E402

# Only these commands compile. The others (sdist, egg_info, ...) must not need torch.
BUILD_COMMANDS = {"bdist_wheel", "build", "build_ext", "editable_wheel", "install"}

# The stable ABI of torch 2.10: the binary serves that version and every later one.
TORCH_TARGET = "TORCH_TARGET_VERSION=0x020a000000000000"


def choose_cuda() -> CudaToolkit | None:
    """The toolkit to build the CUDA kernels with, or None to leave them out."""
    import torch

    wish = os.environ.get("REALFUSION_CUDA", "auto")
    if wish not in ("auto", "1", "0"):
        sys.exit(f"REALFUSION_CUDA must be auto, 1 or 0, got {wish!r}")
    if wish == "0":
        return None
    cuda = torch.version.cuda
    major = int(cuda.split(".")[0]) if cuda else None
    toolkit = find_cuda_toolkit(major) or find_cuda_toolkit()
    if wish == "1":
        if toolkit is None:
            sys.exit("REALFUSION_CUDA=1 but no CUDA toolkit is found: set CUDA_HOME")
        return toolkit
    if toolkit is None or cuda is None:
        return None
    if toolkit.major != major:
        print(
            f"realfusion: CUDA kernels left out: torch is of CUDA {cuda}"
            f", the toolkit in {toolkit.home} is {toolkit.version}. Install a matching "
            "toolkit and set CUDA_HOME."
        )
        return None
    return toolkit


def sources(*patterns: str) -> list[str]:
    paths = (path for pattern in patterns for path in ROOT.glob(pattern))
    return sorted(str(path.relative_to(ROOT)) for path in paths)


def make_extension() -> Extension:
    import pybind11
    from torch.utils import cpp_extension

    toolkit = choose_cuda()
    files = sources("csrc/bindings/*.cpp", "csrc/cpu/*.cpp")
    include_dirs = [str(ROOT / "csrc")]
    # As system headers, so that warnings are about our own sources.
    foreign = [pybind11.get_include(), cpp_extension.include_paths()[0]]
    library_dirs = cpp_extension.library_paths()
    libraries = ["torch_cpu", "c10"]
    macros: list[tuple[str, str | None]] = []
    flags = ["-O3", "-std=c++20", f"-D{TORCH_TARGET}"]
    flags += [flag for folder in foreign for flag in ("-isystem", folder)]
    # Square roots must not set errno, or loops with one are not vectorised.
    cxx_flags = [*flags, "-g0", "-fvisibility=hidden", "-fno-math-errno"]
    cxx_flags += ["-Wall", "-Wextra"]
    nvcc_flags = [*flags, "-DUSE_CUDA", "-Xcompiler=-fvisibility=hidden"]
    # torch's builder switches the half operators off; CMake does not.
    nvcc_flags += [
        f"-U__CUDA_NO_{name}__"
        for name in (
            "HALF_OPERATORS",
            "HALF_CONVERSIONS",
            "HALF2_OPERATORS",
            "BFLOAT16_CONVERSIONS",
        )
    ]
    if toolkit is not None:
        import torch

        cpp_extension.CUDA_HOME = str(toolkit.home)  # torch of CPU leaves it None
        if not os.environ.get("TORCH_CUDA_ARCH_LIST") and not torch.cuda.is_available():
            os.environ["TORCH_CUDA_ARCH_LIST"] = toolkit.default_arch_list()
        files += sources("csrc/cuda/*.cu")
        include_dirs.append(str(toolkit.home / "include"))
        library_dirs += toolkit.library_dirs
        # The static runtime: torch may bring a CUDA runtime of its own, or none.
        libraries += ["cudart_static", "dl", "rt", "pthread"]
        macros.append(("REALFUSION_WITH_CUDA", None))
        print(f"realfusion: CUDA kernels with the toolkit in {toolkit.home}")
    else:
        print("realfusion: CPU kernels only")
    return Extension(
        "realfusion._C",
        files,
        include_dirs=include_dirs,
        library_dirs=library_dirs,
        libraries=libraries,
        define_macros=macros,
        extra_compile_args={"cxx": cxx_flags, "nvcc": nvcc_flags},  # type: ignore[arg-type]
        language="c++",
    )


def build_options() -> dict[str, Any]:
    if not BUILD_COMMANDS & set(sys.argv[1:]):
        return {}
    os.chdir(ROOT)
    try:
        import torch  # noqa: F401
    except ImportError:
        sys.exit("building realfusion needs torch: pip install 'torch>=2.10' first")
    from torch.utils.cpp_extension import BuildExtension

    class PersistentBuild(BuildExtension):  # type: ignore[misc]
        """Keeps the objects in ``build/`` so that ninja rebuilds what changed.

        An editable install would otherwise compile in a folder that is deleted.
        """

        def finalize_options(self) -> None:
            super().finalize_options()
            cuda = os.environ.get("REALFUSION_CUDA", "auto")
            tag = f"{sys.implementation.cache_tag}-cuda-{cuda}"
            self.build_temp = str(ROOT / "build" / f"objects-{tag}")

    return {
        "ext_modules": [make_extension()],
        "cmdclass": {"build_ext": PersistentBuild},
    }


setup(**build_options())
