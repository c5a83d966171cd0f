"""`metrics.json`: the figures of a run, known a stage at a time."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from realfusion import __version__
from realfusion.io.atomic import write_text
from realfusion.run_folder import RunFolder

REPORTED_PACKAGES = ("torch", "diffusers", "transformers", "numpy")


def read_metrics(folder: RunFolder) -> dict[str, Any]:
    """The figures so far; empty if there are none, or none that can be read."""
    try:
        figures = json.loads(folder.metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return figures if isinstance(figures, dict) else {}


def update_metrics(folder: RunFolder, **values: Any) -> dict[str, Any]:
    """Add figures; a dictionary is merged into the one of the same name.

    Args:
        folder: The run folder.
        values: JSON values by name.

    Returns:
        All figures.
    """
    metrics = read_metrics(folder)
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(metrics.get(name), dict):
            metrics[name] = metrics[name] | value
        else:
            metrics[name] = value
    write_text(folder.metrics, json.dumps(metrics, indent=2) + "\n")
    return metrics


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that decide results."""
    found = {"realfusion": __version__, "python": platform.python_version()}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the checkout this package runs from; None for an installed copy."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    command = ["git", "-C", str(here), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
