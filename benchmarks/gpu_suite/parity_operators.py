"""What parity cases are made of: implementations of the operators, and small inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from realfusion.ops import HashGridLayout, RaySamples
from realfusion.ops import adam as native_adam
from realfusion.ops import compositing as native_compositing
from realfusion.ops import hash_grid as native_hash_grid
from realfusion.ops import occupancy as native_occupancy
from realfusion.ops import radiance_field as native_field
from realfusion.ops import ray_marching as native_marching
from realfusion.ops import visible_samples as native_visibility
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


Run = Callable[[Operators, torch.device], Results]


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
    run: Run
    limit: float = 1e-5
    varying: tuple[str, ...] = ()
    has_twin: bool = True


def make_generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _ball() -> Tensor:
    cells = native_occupancy.morton_decode(torch.arange(RESOLUTION**3))
    centres = (cells + 0.5) * (2.0 * BOUND / RESOLUTION) - BOUND
    inside = (0.5 - centres.norm(dim=1)).clamp(min=0.0)
    return native_occupancy.pack_occupancy(inside, 0.0)


def march_through_ball(
    ops: Operators, device: torch.device, **options: Any
) -> RaySamples:
    """Of rays from all sides through a ball of occupied cells."""
    generator = make_generator()
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


def make_layout(**options: Any) -> HashGridLayout:
    return HashGridLayout(
        num_levels=6, base_resolution=8, finest_resolution=96, log2_table_size=12,
        **options,
    )  # fmt: skip


def make_table(layout: HashGridLayout, generator: torch.Generator) -> Tensor:
    return torch.randn(layout.num_entries, layout.num_features, generator=generator)
