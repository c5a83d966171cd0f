"""The field in another precision of its products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from realfusion.ops.field_precision import (
    FieldPrecision,
    field_precision,
    set_field_precision,
)


@contextmanager
def in_field_precision(precision: FieldPrecision | None) -> Iterator[None]:
    """Another precision for a while; None for the one that is set."""
    before = field_precision()
    set_field_precision(precision or before)
    try:
        yield
    finally:
        set_field_precision(before)
