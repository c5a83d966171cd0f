"""Parity cases of the radiance field, and of the samples that it lets one see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_suite.parity_operators import (
    BOUND,
    NATIVE,
    Operators,
    ParityCase,
    Results,
    Run,
    make_generator,
    make_layout,
    make_table,
    march_through_ball,
)
from benchmarks.gpu_suite.precision import in_field_precision
from realfusion.ops import HashGridLayout
from realfusion.ops.field_precision import FieldPrecision
from realfusion.ops.radiance_field import DensityBlob

FIELD_SUMS = ("grad_table", "w1", "b1", "w2", "b2", "w3", "b3")
FIELD_LIMITS: dict[FieldPrecision, float] = {
    "float32": 1e-3,
    "tf32": 5e-2,
    "bfloat16": 0.5,
}
"""Of gradients through normals: where rounding opens or closes a ReLU they jump."""
FIELD_LIMIT = FIELD_LIMITS["tf32"]
VISIBLE_LIMIT = 5e-3
"""Admits that a transmittance next to the threshold falls on either side of it: one
sample more or less of the 50 that a ray keeps, on some 20 of the 257 rays."""


def _weights(
    width: int, layout: HashGridLayout, generator: torch.Generator, device: torch.device
) -> tuple[Tensor, ...]:
    def normal(*shape: int, scale: float) -> Tensor:
        values = scale * torch.randn(*shape, generator=generator)
        return values.to(device).requires_grad_()

    inputs = layout.num_outputs
    return (
        normal(width, inputs, scale=inputs**-0.5),
        normal(width, scale=0.1),
        normal(width, width, scale=(2.0 / width) ** 0.5),
        normal(width, scale=0.1),
        normal(4, width, scale=width**-0.5),
        normal(4, scale=0.1),
    )


def _field(
    width: int,
    layout: HashGridLayout,
    function: str = "radiance_field",
    precision: FieldPrecision | None = None,
    **options: Any,
) -> Run:
    def run(ops: Operators, device: torch.device) -> Results:
        with in_field_precision(precision):
            return compute(ops, device)

    def compute(ops: Operators, device: torch.device) -> Results:
        generator = make_generator()
        weights = _weights(width, layout, generator, device)
        table = make_table(layout, generator).to(device).requires_grad_()
        positions = 1.6 * torch.rand(1500, 3, generator=generator) - 0.8
        samples = getattr(ops.radiance_field, function)(
            positions.to(device),
            table,
            weights,
            layout,
            bound=BOUND,
            blob=DensityBlob(density=2.0),
            **options,
        )
        outputs = {"densities": samples.densities, "albedo": samples.albedo}
        if samples.normals is not None:
            outputs["normals"] = samples.normals
        upstream = [
            torch.randn(value.shape, generator=generator).to(device)
            for value in outputs.values()
        ]
        grads = torch.autograd.grad(list(outputs.values()), [table, *weights], upstream)
        names = ("grad_table", "w1", "b1", "w2", "b2", "w3", "b3")
        return outputs | dict(zip(names, grads, strict=True))

    return run


def _fields_of_one_table(
    layout: HashGridLayout,
) -> Run:
    """Two evaluations, with normals and without, whose table gradients add up."""

    def run(ops: Operators, device: torch.device) -> Results:
        generator = make_generator()
        weights = _weights(32, layout, generator, device)
        table = make_table(layout, generator).to(device).requires_grad_()
        table.grad = torch.zeros_like(table)
        # The twin leaves it to autograd to add them.
        options = {"table_gradient": table.grad} if ops is NATIVE else {}
        loss = torch.zeros((), device=device)
        for with_normals in (True, False):
            positions = 1.6 * torch.rand(1500, 3, generator=generator) - 0.8
            samples = ops.radiance_field.radiance_field(
                positions.to(device),
                table,
                weights,
                layout,
                bound=BOUND,
                blob=DensityBlob(density=2.0),
                with_normals=with_normals,
                **options,
            )
            loss = loss + samples.densities.square().sum() + samples.albedo.sum()
            if samples.normals is not None:
                loss = loss + samples.normals[:, 0].sum()
        loss.backward()
        gradients = {"grad_table": table.grad}
        names = ("w1", "b1", "w2", "b2", "w3", "b3")
        return gradients | {
            name: weight.grad for name, weight in zip(names, weights, strict=True)
        }

    return run


def _visible(layout: HashGridLayout, **options: Any) -> Run:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = make_generator()
        samples = march_through_ball(ops, device)
        kept = ops.visible_samples.visible_samples(
            samples,
            make_table(layout, generator).to(device),
            _weights(32, layout, generator, device),
            layout,
            bound=BOUND,
            blob=DensityBlob(density=8.0),
            **options,
        )
        # What is kept are each ray's first samples, however many; zeros lie behind.
        counts = kept.ray_offsets.diff()
        rows = torch.arange(kept.num_samples, device=device)
        is_kept = rows < kept.ray_offsets[-1]
        rays = kept.ray_indices.long()
        source = samples.ray_offsets[rays] + rows - kept.ray_offsets[rays]
        pairs = [
            (getattr(kept, name)[is_kept], getattr(samples, name)[source[is_kept]])
            for name in ("positions", "t", "deltas", "ray_indices")
        ]
        padding = kept.positions[~is_kept], kept.t[~is_kept], kept.deltas[~is_kept]
        return {
            "counts": counts.float(),
            "copied_exact": torch.stack([(a == b).all() for a, b in pairs]),
            "padding_exact": torch.stack([(each == 0).all() for each in padding]),
            "requested_exact": kept.num_requested == counts.sum(),
        }

    return run


def make_field_cases() -> list[ParityCase]:
    """In the variants that have kernels of their own."""
    smooth = make_layout(interpolation="smoothstep")
    found = [
        ParityCase(
            f"radiance_field, H = {width}, {precision}",
            _field(width, smooth, precision=precision),
            limit,
            FIELD_SUMS,
        )
        for width in (16, 32, 64)
        for precision, limit in FIELD_LIMITS.items()
    ]
    found += [
        ParityCase(
            f"radiance_field, H = {width}, without normals",
            _field(width, smooth, with_normals=False),
            FIELD_LIMIT,
            FIELD_SUMS,
        )
        for width in (16, 32, 64)
    ]
    found.append(
        ParityCase(
            "radiance_field, linear, 3 levels in use",
            _field(32, make_layout(), num_active_levels=3),
            FIELD_LIMIT,
            FIELD_SUMS,
        )
    )
    found.append(
        ParityCase(
            "radiance_field, two evaluations of one table",
            _fields_of_one_table(smooth),
            FIELD_LIMIT,
            FIELD_SUMS,
        )
    )
    found += [
        ParityCase("visible_samples", _visible(smooth), VISIBLE_LIMIT),
        ParityCase(
            "visible_samples, padded",
            _visible(smooth, capacity=16_000, pad_to_capacity=True),
            VISIBLE_LIMIT,
        ),
    ]
    found += [
        ParityCase(
            f"radiance_field, {taps} taps",
            _field(32, smooth, "radiance_field_finite_difference", taps=taps),
            # A difference of close values: relative errors grow by 1 / epsilon.
            2.0 * FIELD_LIMIT,
            FIELD_SUMS,
            has_twin=False,
        )
        for taps in (4, 6)
    ]
    return found
