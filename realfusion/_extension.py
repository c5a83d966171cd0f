"""Loads the native kernels, once."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType


class MissingKernelsError(ImportError):
    """The native kernels are not built, or do not load; says what to do."""


def load() -> ModuleType:
    """Import ``realfusion._C``, which registers ``torch.ops.realfusion.*``.

    Returns:
        The extension module; ``build_info()`` reports how it was built.

    Raises:
        MissingKernelsError: The extension is missing or does not load; the message
            says what to do.
    """
    import torch  # noqa: F401  (loads the libraries the extension links)

    try:
        return import_module("realfusion._C")
    except ImportError as error:
        raise MissingKernelsError(
            f"the native kernels of realfusion do not load ({error}); {_remedy()}"
        ) from error


def _remedy() -> str:
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "setup.py").exists() and not any(package.glob("_C.*")):
        return (
            f"this is the source in {checkout}, where none are built: run from another "
            "folder (and `pytest` in the place of `python -m pytest`) to use an "
            "installed realfusion, or build them here with `pip install -e .`"
        )
    return (
        "install again with `pip install .` in this environment, then run "
        "`realfusion doctor`"
    )
