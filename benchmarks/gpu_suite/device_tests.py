"""The pytest suite of the operators, on the device."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.runner import ROOT
from benchmarks.gpu_suite.setting import Setting

NEEDED = ("pytest", "beartype", "hypothesis", "jaxtyping")
WORKERS = 4
# Our package decides which `realfusion` is tested: `python -m pytest` would take the
# checkout's, built or not.
PYTEST = "import benchmarks, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
# Those that import no more than torch, jaxtyping and the tools of testing.
FOLDERS = ("tests/ops", "tests/fields", "tests/rendering", "tests/training")
NEEDED_BY_PRIORS = ("diffusers", "importlib_metadata", "transformers", "tokenizers")


def run(report: Report, setting: Setting) -> None:
    """Run ``pytest -m cuda``; the section `parity` needs none of this."""
    if missing := _missing(NEEDED):
        report.left_out(f"needs wheels on PYTHONPATH: {', '.join(missing)}")
        return
    folders = list(FOLDERS)
    if missing := _missing(NEEDED_BY_PRIORS):
        report.left_out(f"tests/priors, which needs wheels: {', '.join(missing)}")
    else:
        folders.append("tests/priors")
    results = Path(setting.work, "device_tests.xml")
    paths = ["tests/ops/test_occupancy.py"] if setting.is_dry else folders
    marker = "not cuda" if setting.is_dry else "cuda"
    command = [sys.executable, "-c", PYTEST, *paths, "-m", marker, "-q"]
    command += ["-p", "no:cacheprovider", f"--junitxml={results}"]
    if not setting.is_dry and importlib.util.find_spec("xdist") is not None:
        command += ["-n", str(min(WORKERS, os.cpu_count() or 1))]
    result = subprocess.run(command, cwd=ROOT, check=False)
    if not results.is_file():
        raise RuntimeError(f"pytest ends with {result.returncode} and no results")
    counts, failures = read_results(results)
    for failure in failures:
        report.failure(failure)
    ran = counts["tests"] - counts["skipped"]
    text = f"{ran - len(failures)} passed, {len(failures)} failed"
    text += f", {counts['skipped']} skipped"
    report.check("pytest", text, passed=not failures and ran > 0)


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


def read_results(path: Path) -> tuple[dict[str, int], list[str]]:
    """Counts, and a line for each failed test, of pytest's JUnit file."""
    root = ElementTree.parse(path).getroot()
    counts = {"tests": 0, "skipped": 0}
    failures = []
    for case in root.iter("testcase"):
        counts["tests"] += 1
        if case.find("skipped") is not None:
            counts["skipped"] += 1
        for kind in ("failure", "error"):
            found = case.find(kind)
            if found is not None:
                lines = found.get("message", "").splitlines() or [""]
                name = f"{case.get('classname')}::{case.get('name')}"
                failures.append(f"{name}: {lines[0][:200]}")
    return counts, failures
