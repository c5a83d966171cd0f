"""The commands `realfusion-run` and `realfusion` (nothing heavy is imported here)."""

from realfusion.cli.main import main, run_main

__all__ = ["main", "run_main"]
