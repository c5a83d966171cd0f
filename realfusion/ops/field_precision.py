"""In which precision the fused radiance field multiplies matrices on a CUDA device."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from realfusion._extension import load

FieldPrecision: TypeAlias = Literal["float32", "tf32", "bfloat16"]


def set_field_precision(precision: FieldPrecision) -> None:
    """Choose the precision for the whole process, from the next call on.

    It holds for the layers between the hash grid and the last one, and for their
    gradients; sums, the last layer, the hash grid and all else are float32 always. The
    CPU computes in the dtype of its input; a device of compute capability below 8, or
    whose shared memory does not hold the network, in float32. A backward takes every
    ReLU from its forward, also when the precision has changed in between.

    Args:
        precision: ``"tf32"``, the default: operands of 11 significant bits on tensor
            cores. ``"bfloat16"``: of 8, at up to twice the rate. ``"float32"``: fused
            multiply-adds, for comparisons.

    Raises:
        ValueError: `precision` is none of these.
    """
    if precision not in get_args(FieldPrecision):
        raise ValueError(
            f"`precision` must be one of {get_args(FieldPrecision)}, got {precision!r}"
        )
    load().set_field_precision(get_args(FieldPrecision).index(precision))


def field_precision() -> FieldPrecision:
    """The precision that `set_field_precision` chose, or the default."""
    choices: tuple[FieldPrecision, ...] = get_args(FieldPrecision)
    return choices[load().field_precision()]
