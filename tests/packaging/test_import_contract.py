"""Imports go down the floors only, and the package is light to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIGHT = (
    "realfusion",
    "realfusion.cli",
    "realfusion.config",
    "realfusion.training.presets",
    "realfusion.run_folder",
)
HEAVY = ("torch", "diffusers", "transformers", "numpy", "scipy", "cv2", "PIL")


def test_imports_go_down_the_floors_only():
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert "1 kept, 0 broken" in result.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_configuration_and_command_line_import_nothing_heavy(module):
    script = (
        f"import sys, {module}\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
