"""Loads a built extension and checks that its operators are registered.

Every operator must have a CPU kernel; with ``--cuda`` each but the CPU-only ones
must have a CUDA kernel too. No GPU is needed: registration is not a launch.

    python tools/check_registration.py build/cmake/_C.*.so --cuda
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType

# The first draws the training data of the embedded prior; the second is two others in
# one, which a device calls in turn.
CPU_ONLY = {"realfusion::rasterize", "realfusion::visible_field"}


def load_extension(path: Path) -> ModuleType:
    import torch  # noqa: F401  (loads the libraries the extension links)

    loader = ExtensionFileLoader("_C", str(path))
    spec = importlib.util.spec_from_file_location("_C", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def registered_kernels() -> dict[str, set[str]]:
    """Operator name -> the devices it has a kernel for."""
    import torch

    names = sorted(
        name
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("realfusion::")
    )
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key
    return {
        name: {device for device in ("CPU", "CUDA") if has_kernel(name, device)}
        for name in names
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extension", type=Path, help="the shared object")
    parser.add_argument("--cuda", action="store_true", help="demand CUDA kernels")
    arguments = parser.parse_args()

    info = load_extension(arguments.extension).build_info()
    kernels = registered_kernels()
    print(f"{arguments.extension.name}: {info}")
    failures = [] if kernels else ["no operator is registered"]
    if arguments.cuda and not info["has_cuda"]:
        failures.append("the extension was built without CUDA kernels")
    for name, devices in kernels.items():
        print(f"  {name}: {' '.join(sorted(devices)) or 'no kernel'}")
        wanted = {"CPU"}
        if arguments.cuda and name not in CPU_ONLY:
            wanted.add("CUDA")
        failures += [f"{name} has no {device} kernel" for device in wanted - devices]
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
