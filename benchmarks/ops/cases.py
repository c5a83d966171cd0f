"""Inputs of the operators' benchmarks, and the work that each cannot do without.

Shared by the pytest suites beside this file and by ``benchmarks/gpu.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from realfusion.ops import (
    HashGridLayout,
    RaySamples,
    hash_grid_encode,
    march_rays,
    morton_decode,
    pack_occupancy,
)
from realfusion.ops.adam import AdamSettings
from realfusion.ops.radiance_field import (
    DensityBlob,
    FieldSamples,
    radiance_field,
    radiance_field_finite_difference,
)
from realfusion.ops.reference import radiance_field as reference_field

BOUND = 0.75
VIEW_SIZE = 96
"""Pixels along an edge of the views that are marched and composited."""


@dataclass(frozen=True)
class Work:
    """What any implementation must do.

    Attributes:
        num_bytes: Bytes read and written, each array once.
        num_operations: Floating-point operations of the formula.
    """

    num_bytes: float
    num_operations: float

    def times(self, count: int) -> Work:
        """The work of so many elements, if this is the work of one."""
        return Work(count * self.num_bytes, count * self.num_operations)


# ---- Compositing ----


def make_packed_rays(
    num_channels: int, device: torch.device, num_rays: int = VIEW_SIZE**2
) -> dict[str, Tensor]:
    """Arguments of `composite`: rays of up to 64 samples each."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 64, (num_rays,), generator=generator)
    num_samples = int(counts.sum())

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    return {
        "densities": 5.0 * uniform(num_samples),
        "channels": uniform(num_samples, num_channels),
        "t": uniform(num_samples),
        "deltas": torch.full((num_samples,), 0.01, device=device),
        "ray_offsets": torch.cat([counts.new_zeros(1), counts.cumsum(0)]).to(device),
    }


def compositing_work(num_samples: int, num_channels: int, is_backward: bool) -> Work:
    # Every array once: channels and their gradient, a few numbers a sample besides.
    floats = 2 * num_channels + 8 if is_backward else num_channels + 4
    # An exponential takes about 20 operations.
    operations = 6 * num_channels + 40 if is_backward else 2 * num_channels + 25
    return Work(4 * floats, operations).times(num_samples)


# ---- Hash grid ----

PAPER_LAYOUT = HashGridLayout()
NUM_POINTS = 2**18


def make_unit_points(
    order: str, device: torch.device, num_points: int = NUM_POINTS
) -> Tensor:
    """Points of the unit cube: `random`, or along rays (`ray-ordered`), 64 each."""
    generator = torch.Generator().manual_seed(0)
    if order == "random":
        return torch.rand(num_points, 3, generator=generator).to(device)
    num_rays = num_points // 64
    ends = torch.rand(2, num_rays, 1, 3, generator=generator)
    steps = torch.linspace(0.0, 1.0, 64)[:, None]
    return torch.lerp(ends[0], ends[1], steps).reshape(-1, 3).to(device)


def make_table(layout: HashGridLayout, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(layout.num_entries, layout.num_features, generator=generator)
    return table.to(device)


def hash_grid_work(layout: HashGridLayout, num_points: int, is_backward: bool) -> Work:
    # A level's indices and weights take about 40 operations, its corners 8 times 2 F.
    operations = num_points * layout.num_levels * (40 + 16 * layout.num_features)
    table_bytes = 4 * layout.num_entries * layout.num_features
    point_bytes = num_points * (12 + 4 * layout.num_outputs)
    if is_backward:
        # The table is read, its gradient zeroed, read and written.
        return Work(4 * table_bytes + 2 * point_bytes, 2 * operations)
    return Work(table_bytes + point_bytes, operations)


# ---- Ray marching ----

OCCUPANCY_RESOLUTION = 128


@dataclass(frozen=True)
class MarchCase:
    """A view of a ball in an occupancy grid.

    Attributes:
        origins: World origins, one a pixel.
        directions: World directions.
        occupancy: Bits of the cells.
        noise: Jitter of each ray.
        settings: The other arguments of `march_rays`.
    """

    origins: Tensor
    directions: Tensor
    occupancy: Tensor
    noise: Tensor
    settings: dict[str, float]

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.origins, self.directions, self.occupancy


def make_march_case(
    device: torch.device,
    size: int = VIEW_SIZE,
    resolution: int = OCCUPANCY_RESOLUTION,
    steps_across: int = 512,
) -> MarchCase:
    """A square view of a ball of radius 0.5, from its front."""
    cells = morton_decode(torch.arange(resolution**3))
    centres = (cells + 0.5) * (2.0 * BOUND / resolution) - BOUND
    occupancy = pack_occupancy((0.5 - centres.norm(dim=1)).clamp(min=0.0), 0.0)
    plane = (torch.arange(size) + 0.5) / size * 2.0 - 1.0
    y, x = torch.meshgrid(-plane, plane, indexing="ij")
    extent = math.tan(math.radians(20.0))
    directions = torch.stack([extent * x, extent * y, -torch.ones_like(x)], dim=-1)
    directions = torch.nn.functional.normalize(directions.reshape(-1, 3), dim=1)
    origins = torch.tensor([0.0, 0.0, 1.8]).expand_as(directions).contiguous()
    noise = torch.rand(len(origins), generator=torch.Generator().manual_seed(0))
    return MarchCase(
        origins=origins.to(device),
        directions=directions.to(device),
        occupancy=occupancy.to(device),
        noise=noise.to(device),
        settings={
            "resolution": resolution,
            "bound": BOUND,
            "step_size": 2.0 * math.sqrt(3.0) * BOUND / steps_across,
            "max_steps_per_ray": 2 * steps_across,
        },
    )


def marching_work(case: MarchCase, num_samples: int, num_steps: int) -> Work:
    # A step: its distance (2), point (6), cell (6) and the Morton code (about 30).
    num_bytes = len(case.origins) * 36 + case.occupancy.numel() + 24 * num_samples
    return Work(num_bytes, 44 * num_steps)


# ---- Occupancy grid ----


@dataclass(frozen=True)
class OccupancyCase:
    """A grid and as many visits as it has cells, in random order."""

    density_ema: Tensor
    cells: Tensor
    noise: Tensor
    resolution: int

    @property
    def num_cells(self) -> int:
        return self.resolution**3

    @property
    def densities(self) -> Tensor:
        return self.noise[:, 0].contiguous()


def make_occupancy_case(
    device: torch.device, resolution: int = OCCUPANCY_RESOLUTION
) -> OccupancyCase:
    generator = torch.Generator().manual_seed(0)
    num_cells = resolution**3
    density_ema = torch.rand(num_cells, generator=generator)
    cells = torch.randint(num_cells, (num_cells,), generator=generator)
    noise = torch.rand(num_cells, 3, generator=generator)
    return OccupancyCase(
        density_ema.to(device), cells.to(device), noise.to(device), resolution
    )


CELL_POINTS_WORK = Work(32, 45)
UPDATE_WORK = Work(20, 2)
PACK_WORK = Work(4.125, 0)
"""A cell."""

# ---- Fused field ----

FIELD_LAYOUT = HashGridLayout(
    num_levels=12, base_resolution=16, finest_resolution=1024, log2_table_size=16
)


@dataclass(frozen=True)
class FieldCase:
    """A field and samples along the rays of one view through a ball."""

    positions: Tensor
    table: Tensor
    weights: tuple[Tensor, ...]

    def run(self, method: str) -> FieldSamples:
        """Evaluate by the kernel, by differences through it, or by the twin."""
        arguments = (self.positions, self.table, self.weights, FIELD_LAYOUT)
        options = {"bound": BOUND, "blob": DensityBlob()}
        if method == "finite_difference_6":
            return radiance_field_finite_difference(*arguments, taps=6, **options)
        if method == "finite_difference_4":
            return radiance_field_finite_difference(*arguments, taps=4, **options)
        if method == "reference":
            return reference_field.radiance_field(*arguments, **options)
        if method == "unfused":
            return self._compose()
        if method == "native_without_normals":
            return radiance_field(*arguments, with_normals=False, **options)
        return radiance_field(*arguments, **options)

    def _compose(self) -> FieldSamples:
        """The hash-grid operator, torch's layers, and normals by autograd (twice)."""
        w1, b1, w2, b2, w3, b3 = self.weights
        with_second_order = torch.is_grad_enabled()
        with torch.enable_grad():
            positions = self.positions.detach().requires_grad_()
            unit = positions * (0.5 / BOUND) + 0.5
            features = hash_grid_encode(unit, self.table, FIELD_LAYOUT)
            hidden = torch.relu(torch.addmm(b1, features, w1.T))
            hidden = torch.relu(torch.addmm(b2, hidden, w2.T))
            outputs = torch.addmm(b3, hidden, w3.T)
            blob = DensityBlob()
            squared = positions.square().sum(-1)
            log_densities = outputs[:, 0] + blob.density * torch.exp(
                squared * (-0.5 / blob.radius**2)
            )
            (gradients,) = torch.autograd.grad(
                log_densities.sum(), positions, create_graph=with_second_order
            )
        return FieldSamples(
            densities=log_densities.exp(),
            albedo=outputs[:, 1:].sigmoid(),
            normals=-torch.nn.functional.normalize(gradients, dim=-1),
        )

    def gradients(self, method: str) -> tuple[Tensor, ...]:
        """Gradients of all parameters for an upstream gradient of ones."""
        samples = self.run(method)
        outputs = [samples.densities, samples.albedo]
        if samples.normals is not None and samples.normals.requires_grad:
            outputs.append(samples.normals)
        upstream = [torch.ones_like(output) for output in outputs]
        return torch.autograd.grad(outputs, (self.table, *self.weights), upstream)


def make_field_case(
    width: int, device: torch.device, num_samples: int = 2**15
) -> FieldCase:
    """About as many samples: 16 on each of a square of rays."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*shape, generator=generator) * scale
        return values.to(device).requires_grad_()

    inputs = FIELD_LAYOUT.num_outputs
    weights = (
        normal(width, inputs, scale=inputs**-0.5),
        normal(width, scale=0.1),
        normal(width, width, scale=(2.0 / width) ** 0.5),
        normal(width, scale=0.1),
        normal(4, width, scale=width**-0.5),
        normal(4, scale=0.1),
    )
    # Rays along z through a ball of radius 0.4, row by row.
    side = int((num_samples / 16) ** 0.5)
    ticks = torch.linspace(-0.45, 0.45, side)
    y, x, z = torch.meshgrid(ticks, ticks, torch.arange(16.0), indexing="ij")
    surface = (0.4**2 - x**2 - y**2).clamp(min=0.0).sqrt()
    positions = torch.stack([x, y, surface - 0.01 * (z - 6.0)], dim=-1).reshape(-1, 3)
    return FieldCase(
        positions=positions.to(device),
        table=normal(FIELD_LAYOUT.num_entries, FIELD_LAYOUT.num_features),
        weights=weights,
    )


def field_work(width: int, num_samples: int, is_backward: bool) -> Work:
    """Work of the network with normals.

    Operations forward: both layers and both reverse passes. Backward: of the first
    layer the value, tangent, two passes back and two weight products; of the second the
    same but its tangent, whose products with the mask are sums.
    """
    inputs = FIELD_LAYOUT.num_outputs
    operations = 2 * inputs * width + 2 * width**2 + 4 * width
    if is_backward:
        operations += 6 * inputs * width + 5 * width**2 + 8 * width
    corners = FIELD_LAYOUT.num_levels * 8 * FIELD_LAYOUT.num_features * 4
    # Gathered twice forward, once backward, and read and written by the scatter.
    num_bytes = (
        (5 if is_backward else 2) * corners + 12 + (2 if is_backward else 1) * 72
    )
    return Work(num_bytes, 2 * operations).times(num_samples)


# ---- Visible samples ----


@dataclass(frozen=True)
class VisibleCase:
    """The samples of a view, and a field that is a solid ball: it hides some 70 %."""

    samples: RaySamples
    table: Tensor
    weights: tuple[Tensor, ...]

    @property
    def arguments(self) -> tuple[RaySamples, Tensor, tuple[Tensor, ...]]:
        return self.samples, self.table, self.weights

    @property
    def settings(self) -> dict[str, Any]:
        """The other arguments of `visible_samples`."""
        return {
            "layout": FIELD_LAYOUT,
            "bound": BOUND,
            "blob": DensityBlob(density=12.0, radius=0.3),
        }


def make_visible_case(width: int, view: MarchCase) -> VisibleCase:
    """The view's samples in all cells that the ball occupies, hidden ones included."""
    samples = march_rays(*view.arguments, noise=view.noise, **view.settings)
    field = make_field_case(width, view.origins.device, num_samples=16)
    return VisibleCase(samples, field.table, field.weights)


def visible_work(width: int, num_visible: int) -> Work:
    """Work of the densities of visible samples, which decide, and of copying them.

    Whoever goes along a ray and stops needs no others.
    """
    inputs = FIELD_LAYOUT.num_outputs
    operations = 2 * (inputs * width + width**2 + width)
    corners = FIELD_LAYOUT.num_levels * 8 * FIELD_LAYOUT.num_features * 4
    return Work(corners + 2 * 24, operations).times(num_visible)


# ---- Optimiser ----

ADAM_WORK = Work(4 * 9, 20)
"""Of a number: its gradient, and parameter, moments and average read and written."""


@dataclass(frozen=True)
class AdamCase:
    """A step on the grid and the network of the `fast` preset."""

    tensors: dict[str, list[Tensor]]
    numbers: dict[str, Any]

    @property
    def count(self) -> int:
        """How many numbers are updated."""
        return sum(each.numel() for each in self.tensors["parameters"])


def make_adam_case(device: torch.device, log2_table_size: int = 18) -> AdamCase:
    """Random parameters, gradients and moments."""
    layout = HashGridLayout(
        num_levels=8, finest_resolution=256, log2_table_size=log2_table_size
    )
    sizes = [(layout.num_entries, 2), (32, 16), (32,), (32, 32), (32,), (4, 32), (4,)]
    generator = torch.Generator().manual_seed(0)
    names = ("parameters", "gradients", "first_moments", "second_moments", "averages")
    tensors = {
        name: [torch.rand(size, generator=generator).to(device) for size in sizes]
        for name in names
    }
    numbers = {
        "count": torch.tensor(100.0, device=device),
        "rates": torch.full((len(sizes),), 1e-3, device=device),
        "weight_decays": [0.0] * len(sizes),
        "withheld": torch.tensor(0.0, device=device),
        "loss_scale": torch.tensor(1.0, device=device),
        "average_share": torch.tensor(0.05, device=device),
        "settings": AdamSettings(eps=1e-5),
    }
    return AdamCase(tensors, numbers)


def make_torch_adam_step(case: AdamCase) -> Callable[[], None]:
    """The same step by torch's fused optimiser, and the average after it."""
    parameters = [torch.nn.Parameter(each) for each in case.tensors["parameters"]]
    for parameter, gradient in zip(parameters, case.tensors["gradients"], strict=True):
        parameter.grad = gradient
    optimizer = torch.optim.Adam(
        parameters, lr=1e-3, betas=(0.9, 0.99), eps=1e-5, fused=True
    )
    values = [parameter.detach() for parameter in parameters]
    shares = [case.numbers["average_share"]] * len(values)

    def step() -> None:
        optimizer.step()
        torch._foreach_lerp_(case.tensors["averages"], values, shares)

    return step
