"""compute-sanitizer's four tools over small calls of every operator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.runner import ROOT
from benchmarks.gpu_suite.setting import Setting

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SUBJECT = "benchmarks.gpu_suite.sanitized"
OURS = "realfusion"

SUMMARY = re.compile(
    r"^=+ (?:ERROR|RACECHECK) SUMMARY: (?P<count>\d+) (?:errors?|hazards?)",
    re.MULTILINE,
)
FINDING = re.compile(
    r"^=+ (?P<what>(?:Invalid|Uninitialized|Barrier|Error|Race|Divergent|Misaligned|"
    r"Address|Program hit|Warning|Potential)[^\n]*)\n(?P<where>(?:=+ {4,}[^\n]*\n)*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Verdict:
    """What a tool said.

    Attributes:
        count: Errors or hazards by its own summary; None without a summary.
        findings: The distinct ones, with the place.
        in_ours: Whether one of them is in a kernel of ours.
    """

    count: int | None
    findings: list[str]
    in_ours: bool


def run(report: Report, setting: Setting) -> None:
    """Run each tool with its share of the time."""
    if setting.is_dry:
        report.left_out("compute-sanitizer has no business on a CPU")
        return
    binary = find_sanitizer()
    if binary is None:
        report.left_out("compute-sanitizer not found, on the PATH or in the toolkit")
        return
    begin = time.monotonic()
    for index, tool in enumerate(TOOLS):
        # What a quick tool leaves is for those behind it.
        left = setting.seconds - (time.monotonic() - begin) - 3.0
        limit = left / (len(TOOLS) - index)
        with report.part(tool):
            check(report, binary, tool, limit, Path(setting.work, f"{tool}.log"))


def find_sanitizer() -> str | None:
    """On the PATH, or where the toolkit keeps it."""
    found = shutil.which("compute-sanitizer")
    if found:
        return found
    sys.path.insert(0, str(ROOT / "tools"))
    from cuda_toolkit import find_cuda_toolkit

    toolkit = find_cuda_toolkit()
    if toolkit is None:
        return None
    for folder in ("bin", "compute-sanitizer"):
        candidate = toolkit.home / folder / "compute-sanitizer"
        if candidate.is_file():
            return str(candidate)
    return None


def make_command(binary: str, tool: str) -> list[str]:
    """The tool over our small calls, restricted to our kernels where that is sound."""
    command = [binary, "--tool", tool, "--print-limit", "20", "--error-exitcode", "66"]
    # initcheck must see the writes of torch's kernels, or it would miss them at ours.
    if tool != "initcheck":
        command += ["--kernel-name", f"kns={OURS}"]
    # torch asks the driver for what it may lack; our own calls are checked as they are.
    if tool == "memcheck":
        command += ["--report-api-errors", "no"]
    return [*command, sys.executable, "-m", SUBJECT]


def check(report: Report, binary: str, tool: str, limit: float, log: Path) -> None:
    """Run one tool; what it finds is a failed check."""
    # Without torch's cache each tensor is an allocation of its own, with bounds.
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    try:
        result = subprocess.run(
            make_command(binary, tool),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        report.failure(f"{tool}: out of time after {limit:.0f} s")
        return
    text = result.stdout + result.stderr
    log.write_text(text, encoding="utf-8")
    verdict = parse_output(text)
    if verdict.count is None:
        lines = text.strip().splitlines() or ["no output"]
        report.check(tool, f"no summary: {lines[-1][:200]}", passed=False)
        return
    if "sanitized: done" not in text:
        report.check(tool, "the calls did not end", passed=False)
    found = "; ".join(verdict.findings[:4])
    passed = verdict.count == 0 or (tool == "initcheck" and not verdict.in_ours)
    if verdict.count and passed:
        report.note(f"{tool}: {verdict.count} findings, none in our kernels: {found}")
    report.check(tool, f"{verdict.count} findings {found}".strip(), passed=passed)


def parse_output(text: str) -> Verdict:
    """The summary of a tool and its distinct findings, each with its first place."""
    summary = SUMMARY.search(text)
    findings: dict[str, None] = {}
    for match in FINDING.finditer(text):
        places = re.findall(r"^=+ +(?:at|in) ([^\n]*)", match["where"], re.MULTILINE)
        place = f" in {places[0].split('+0x')[0][:120]}" if places else ""
        findings[f"{match['what'].strip()}{place}"] = None
    return Verdict(
        count=int(summary["count"]) if summary else None,
        findings=list(findings),
        in_ours=any(OURS in finding for finding in findings),
    )
