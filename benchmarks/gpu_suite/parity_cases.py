"""Small calls of every operator, the same on any device, for comparison.

Each case returns its results by name: values and gradients. A name that ends in
`_exact` must have the same bits on both devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_suite.precision import in_field_precision
from realfusion.ops import HashGridLayout, RaySamples
from realfusion.ops import adam as native_adam
from realfusion.ops import compositing as native_compositing
from realfusion.ops import hash_grid as native_hash_grid
from realfusion.ops import occupancy as native_occupancy
from realfusion.ops import radiance_field as native_field
from realfusion.ops import ray_marching as native_marching
from realfusion.ops import visible_samples as native_visibility
from realfusion.ops.field_precision import FieldPrecision
from realfusion.ops.radiance_field import DensityBlob
from realfusion.ops.reference import adam as reference_adam
from realfusion.ops.reference import compositing as reference_compositing
from realfusion.ops.reference import hash_grid as reference_hash_grid
from realfusion.ops.reference import occupancy as reference_occupancy
from realfusion.ops.reference import radiance_field as reference_field
from realfusion.ops.reference import ray_marching as reference_marching
from realfusion.ops.reference import visible_samples as reference_visibility

BOUND = 0.75
RESOLUTION = 32

Results = dict[str, Tensor]


@dataclass(frozen=True)
class Operators:
    """One implementation of all operators."""

    occupancy: ModuleType
    ray_marching: ModuleType
    compositing: ModuleType
    hash_grid: ModuleType
    radiance_field: ModuleType
    visible_samples: ModuleType
    adam: ModuleType


NATIVE = Operators(
    native_occupancy,
    native_marching,
    native_compositing,
    native_hash_grid,
    native_field,
    native_visibility,
    native_adam,
)
REFERENCE = Operators(
    reference_occupancy,
    reference_marching,
    reference_compositing,
    reference_hash_grid,
    reference_field,
    reference_visibility,
    reference_adam,
)


@dataclass(frozen=True)
class ParityCase:
    """A call to compare.

    Attributes:
        name: For the table.
        run: The results on a device by an implementation.
        limit: Largest ‖difference‖ / ‖expected‖ of each result.
        varying: Names whose bits may differ between runs: sums by atomics.
        has_twin: Whether the pure-torch twins can do it too.
    """

    name: str
    run: Callable[[Operators, torch.device], Results]
    limit: float = 1e-5
    varying: tuple[str, ...] = ()
    has_twin: bool = True


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _occupancy(ops: Operators, device: torch.device) -> Results:
    generator = _generator()
    num_cells = RESOLUTION**3
    coords = torch.randint(1024, (500, 3), generator=generator, dtype=torch.int32)
    cells = torch.randint(num_cells, (5000,), generator=generator).to(device)
    noise = torch.rand(5000, 3, generator=generator).to(device)
    density_ema = torch.rand(num_cells, generator=generator).to(device)
    encoded = ops.occupancy.morton_encode(coords.to(device))
    points = ops.occupancy.occupancy_cell_points(cells, RESOLUTION, BOUND, noise)
    # Each cell has one density, so that the order of the visits does not matter.
    ops.occupancy.update_occupancy_(density_ema, cells, points[:, 0] * 0 + 0.9, 0.95)
    packed = ops.occupancy.pack_occupancy(density_ema, torch.tensor(0.5, device=device))
    draws = torch.rand(300, generator=generator).to(device)
    return {
        "sampled_exact": ops.occupancy.sample_occupied_cells(packed, draws),
        "morton_encode_exact": encoded,
        "morton_decode_exact": ops.occupancy.morton_decode(encoded),
        "points": points,
        "density_ema": density_ema,
        "packed_exact": packed,
    }


def _ball() -> Tensor:
    cells = native_occupancy.morton_decode(torch.arange(RESOLUTION**3))
    centres = (cells + 0.5) * (2.0 * BOUND / RESOLUTION) - BOUND
    inside = (0.5 - centres.norm(dim=1)).clamp(min=0.0)
    return native_occupancy.pack_occupancy(inside, 0.0)


def _samples(ops: Operators, device: torch.device, **options: Any) -> RaySamples:
    """Of rays from all sides through a ball of occupied cells."""
    generator = _generator()
    directions = torch.randn(257, 3, generator=generator)
    directions = torch.nn.functional.normalize(directions, dim=1)
    origins = -1.5 * directions + 0.2 * torch.randn(257, 3, generator=generator)
    noise = torch.rand(257, generator=generator)
    return ops.ray_marching.march_rays(
        origins.to(device),
        directions.to(device),
        _ball().to(device),
        resolution=RESOLUTION,
        bound=BOUND,
        step_size=0.01,
        noise=noise.to(device),
        max_steps_per_ray=300,
        **options,
    )


def _march(**options: Any) -> Callable[[Operators, torch.device], Results]:
    def run(ops: Operators, device: torch.device) -> Results:
        samples = _samples(ops, device, **options)
        return {
            "positions": samples.positions,
            "t": samples.t,
            "deltas": samples.deltas,
            "ray_indices_exact": samples.ray_indices,
            "ray_offsets_exact": samples.ray_offsets,
            "num_requested_exact": samples.num_requested,
        }

    return run


def _composite(
    num_channels: int, *, with_normals: bool = False
) -> Callable[[Operators, torch.device], Results]:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = _generator()
        counts = torch.randint(0, 90, (129,), generator=generator)
        num_samples = int(counts.sum())
        densities = (20.0 * torch.rand(num_samples, generator=generator)).to(device)
        channels = torch.rand(num_samples, num_channels, generator=generator).to(device)
        densities.requires_grad_()
        channels.requires_grad_()
        directions = None
        if with_normals:
            directions = torch.randn(len(counts), 3, generator=generator)
            directions = torch.nn.functional.normalize(directions, dim=1).to(device)
        composited = ops.compositing.composite(
            densities,
            channels,
            torch.rand(num_samples, generator=generator).to(device),
            torch.full((num_samples,), 0.02, device=device),
            torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(device),
            directions=directions,
        )
        outputs = [composited.values, composited.opacity, composited.depth]
        seen = composited.back_facing
        outputs += [] if seen is None else [seen]
        grads = torch.autograd.grad(
            [(output * output).sum() for output in outputs], [densities, channels]
        )
        return {
            "values": composited.values,
            "opacity": composited.opacity,
            "depth": composited.depth,
            "weights": composited.weights,
            "grad_densities": grads[0],
            "grad_channels": grads[1],
        } | ({} if seen is None else {"back_facing": seen})

    return run


def _layout(**options: Any) -> HashGridLayout:
    return HashGridLayout(
        num_levels=6, base_resolution=8, finest_resolution=96, log2_table_size=12,
        **options,
    )  # fmt: skip


def _table(layout: HashGridLayout, generator: torch.Generator) -> Tensor:
    return torch.randn(layout.num_entries, layout.num_features, generator=generator)


def _hash_grid(
    layout: HashGridLayout, num_active_levels: int | None = None
) -> Callable[[Operators, torch.device], Results]:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = _generator()
        # Some points lie outside the cube.
        positions = 1.1 * torch.rand(2000, 3, generator=generator) - 0.05
        positions = positions.to(device).requires_grad_()
        table = _table(layout, generator).to(device).requires_grad_()
        upstream = torch.randn(2000, layout.num_outputs, generator=generator)
        features = ops.hash_grid.hash_grid_encode(
            positions, table, layout, num_active_levels=num_active_levels
        )
        grads = torch.autograd.grad(features, [positions, table], upstream.to(device))
        return {
            "features": features,
            "grad_positions": grads[0],
            "grad_table": grads[1],
        }

    return run


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
) -> Callable[[Operators, torch.device], Results]:
    def run(ops: Operators, device: torch.device) -> Results:
        with in_field_precision(precision):
            return compute(ops, device)

    def compute(ops: Operators, device: torch.device) -> Results:
        generator = _generator()
        weights = _weights(width, layout, generator, device)
        table = _table(layout, generator).to(device).requires_grad_()
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
) -> Callable[[Operators, torch.device], Results]:
    """Two evaluations, with normals and without, whose table gradients add up."""

    def run(ops: Operators, device: torch.device) -> Results:
        generator = _generator()
        weights = _weights(32, layout, generator, device)
        table = _table(layout, generator).to(device).requires_grad_()
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


def _visible(
    layout: HashGridLayout, **options: Any
) -> Callable[[Operators, torch.device], Results]:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = _generator()
        samples = _samples(ops, device)
        kept = ops.visible_samples.visible_samples(
            samples,
            _table(layout, generator).to(device),
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


def _adam(ops: Operators, device: torch.device) -> Results:
    generator = _generator()
    sizes = [(5000, 2), (33,), (1,)]
    names = ("parameters", "gradients", "first_moments", "second_moments", "averages")
    tensors = {
        name: [torch.rand(size, generator=generator).to(device) for size in sizes]
        for name in names
    }
    numbers = {"count": 2.0, "withheld": 0.0, "loss_scale": 16.0, "average_share": 0.2}
    scalars = {name: torch.tensor(x, device=device) for name, x in numbers.items()}
    for _ in range(3):
        ops.adam.adam_step_(
            **tensors,
            **scalars,
            rates=torch.tensor([1e-2, 1e-3, 1e-3], device=device),
            weight_decays=[0.0, 0.1, 0.1],
            settings=native_adam.AdamSettings(is_decoupled=True),
        )
    changed = {name: torch.cat([x.flatten() for x in tensors[name]]) for name in names}
    return changed | {"count_exact": scalars["count"]}


GRID_SUMS = ("grad_table",)
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


def make_cases() -> list[ParityCase]:
    """Every operator, in the variants that have kernels of their own."""
    smooth = _layout(interpolation="smoothstep")
    found = [
        ParityCase("occupancy grid", _occupancy),
        ParityCase("march_rays", _march()),
        ParityCase("march_rays, cone", _march(cone_angle=0.01, near=0.1)),
        ParityCase(
            "march_rays, overflow, padded", _march(capacity=3000, pad_to_capacity=True)
        ),
        ParityCase("composite, 3 channels", _composite(3)),
        ParityCase("composite, 7 channels", _composite(7)),
        ParityCase("composite, normals", _composite(6, with_normals=True)),
        ParityCase("adam_step_", _adam),
        ParityCase("hash_grid, smoothstep", _hash_grid(smooth), 1e-4, GRID_SUMS),
        ParityCase(
            "hash_grid, tiled", _hash_grid(_layout(indexing="tiled")), 1e-4, GRID_SUMS
        ),
        ParityCase(
            "hash_grid, 3 levels in use", _hash_grid(_layout(), 3), 1e-4, GRID_SUMS
        ),
    ]
    found += [
        ParityCase(
            f"hash_grid, {features} features",
            _hash_grid(_layout(num_features=features)),
            1e-4,
            GRID_SUMS,
        )
        for features in (1, 2, 4, 8)
    ]
    found += [
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
            _field(32, _layout(), num_active_levels=3),
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
