"""Small calls of every operator, the same on any device, for comparison.

Each case returns its results by name: values and gradients. A name that ends in
`_exact` must have the same bits on both devices.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_suite.parity_field_cases import make_field_cases
from benchmarks.gpu_suite.parity_operators import (
    BOUND,
    RESOLUTION,
    Operators,
    ParityCase,
    Results,
    Run,
    make_generator,
    make_layout,
    make_table,
    march_through_ball,
)
from realfusion.ops import HashGridLayout
from realfusion.ops.adam import AdamSettings


def _occupancy(ops: Operators, device: torch.device) -> Results:
    generator = make_generator()
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


def _march(**options: Any) -> Run:
    def run(ops: Operators, device: torch.device) -> Results:
        samples = march_through_ball(ops, device, **options)
        return {
            "positions": samples.positions,
            "t": samples.t,
            "deltas": samples.deltas,
            "ray_indices_exact": samples.ray_indices,
            "ray_offsets_exact": samples.ray_offsets,
            "num_requested_exact": samples.num_requested,
        }

    return run


def _composite(num_channels: int, *, with_normals: bool = False) -> Run:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = make_generator()
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


def _hash_grid(layout: HashGridLayout, num_active_levels: int | None = None) -> Run:
    def run(ops: Operators, device: torch.device) -> Results:
        generator = make_generator()
        # Some points lie outside the cube.
        positions = 1.1 * torch.rand(2000, 3, generator=generator) - 0.05
        positions = positions.to(device).requires_grad_()
        table = make_table(layout, generator).to(device).requires_grad_()
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


def _adam(ops: Operators, device: torch.device) -> Results:
    generator = make_generator()
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
            settings=AdamSettings(is_decoupled=True),
        )
    changed = {name: torch.cat([x.flatten() for x in tensors[name]]) for name in names}
    return changed | {"count_exact": scalars["count"]}


GRID_SUMS = ("grad_table",)


def make_cases() -> list[ParityCase]:
    """Every operator, in the variants that have kernels of their own."""
    smooth = make_layout(interpolation="smoothstep")
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
            "hash_grid, tiled",
            _hash_grid(make_layout(indexing="tiled")),
            1e-4,
            GRID_SUMS,
        ),
        ParityCase(
            "hash_grid, 3 levels in use", _hash_grid(make_layout(), 3), 1e-4, GRID_SUMS
        ),
    ]
    found += [
        ParityCase(
            f"hash_grid, {features} features",
            _hash_grid(make_layout(num_features=features)),
            1e-4,
            GRID_SUMS,
        )
        for features in (1, 2, 4, 8)
    ]
    return found + make_field_cases()
