"""Ranges of settings, checked where a configuration is made (standard library only).

A configuration that could not run must be refused before anything is written, and the
command line turns each `ValueError` of a configuration into one line and exit code 2.
"""

from __future__ import annotations

import math
from typing import Any


def check_at_least(config: Any, minimum: float, *names: str) -> None:
    """Raise a ValueError unless the named fields are finite and `minimum` or more."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value >= minimum):
            raise ValueError(f"`{name}` must be at least {minimum}, got {value}")


def check_positive(config: Any, *names: str) -> None:
    """Raise a ValueError unless the named fields are finite and above zero."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` must be positive, got {value}")


def check_finite(config: Any, *names: str) -> None:
    """Raise a ValueError unless the named fields are finite."""
    for name in names:
        value = getattr(config, name)
        if not math.isfinite(value):
            raise ValueError(f"`{name}` must be finite, got {value}")


def check_within(config: Any, low: float, high: float, *names: str) -> None:
    """Raise a ValueError unless the named fields lie within [low, high]."""
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            raise ValueError(f"`{name}` must lie within [{low}, {high}], got {value}")


def check_range(config: Any, low: float, high: float, *names: str) -> None:
    """Raise a ValueError unless the named pairs are ordered within [low, high]."""
    for name in names:
        first, last = getattr(config, name)
        if not low <= first <= last <= high:
            raise ValueError(
                f"`{name}` must be ordered within [{low}, {high}], got "
                f"({first}, {last})"
            )
