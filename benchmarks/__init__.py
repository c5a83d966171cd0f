"""Measurements; no part of the package, run from a checkout.

A checkout whose extension is not built in place must not hide an installed package:
then its folder, which Python puts first, goes to the end of the path.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _is_checkout(entry: str) -> bool:
    return os.path.realpath(entry or os.getcwd()) == str(ROOT)


if not any(Path(ROOT, "realfusion").glob("_C.*")):
    sys.path.sort(key=_is_checkout)
