"""Runs one section in this process: NAME SETTING_JSON REPORT_PATH."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.gpu_suite.report import Report, describe_error
from benchmarks.gpu_suite.setting import Setting


def run_section(module: str, setting: Setting, path: Path) -> int:
    """Call the section's `run`; an exception becomes a failure in its report."""
    report = Report(path)
    try:
        import_module(module).run(report, setting)
    except Exception as error:
        traceback.print_exc()
        report.failure(describe_error(error))
        return 1
    return 0


if __name__ == "__main__":
    module, setting, path = sys.argv[1:]
    sys.exit(run_section(module, Setting.from_json(setting), Path(path)))
