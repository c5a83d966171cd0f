"""Every kernel beside its twin and its floor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_suite import goals
from benchmarks.gpu_suite.floors import Ceilings, Demand, grid_accesses
from benchmarks.gpu_suite.precision import in_field_precision
from benchmarks.gpu_suite.report import Report
from benchmarks.gpu_suite.setting import Setting
from benchmarks.gpu_suite.timing import Run, peak_memory, time_on_device
from benchmarks.ops import cases
from realfusion.ops import HashGridLayout, hash_grid_encode, march_rays, occupancy
from realfusion.ops.adam import adam_step_
from realfusion.ops.compositing import composite
from realfusion.ops.field_precision import FieldPrecision
from realfusion.ops.reference import compositing as reference_compositing
from realfusion.ops.reference import hash_grid as reference_hash_grid
from realfusion.ops.reference import occupancy as reference_occupancy
from realfusion.ops.reference import ray_marching as reference_marching
from realfusion.ops.reference import visible_samples as reference_visibility
from realfusion.ops.visible_samples import visible_samples


@dataclass(frozen=True)
class Case:
    """What is timed under one name of one group.

    Attributes:
        group: Cases of a group are compared with each other.
        name: Of the implementation.
        run: What is timed.
        demand: What it must do; None for all but our own kernels.
        is_captured: Whether it can be timed in a CUDA graph; our kernels can.
        facts: Further notes for the table.
    """

    group: str
    name: str
    run: Run
    demand: Demand | None = None
    is_captured: bool = False
    facts: dict[str, str] = field(default_factory=dict)


def run(report: Report, setting: Setting) -> None:
    """Time all cases; one that fails does not end the others."""
    device = torch.device(setting.device)
    ceilings = Ceilings.load(setting.ceilings_path, device)
    groups = (
        hash_grid, marching, visibility, compositing, occupancy_grid, fused_field,
        optimiser,
    )  # fmt: skip
    for make in groups:
        with report.part(make.__name__):
            for case in make(device, setting):
                with report.part(f"{case.group}, {case.name}"):
                    record(report, case, ceilings, setting)


def record(report: Report, case: Case, ceilings: Ceilings, setting: Setting) -> None:
    """Time a case and put floor and distance beside it."""
    device = torch.device(setting.device)
    is_ours = case.demand is not None
    rounds = setting.rounds if is_ours else max(2, setting.rounds // 5)
    seconds, method = time_on_device(case.run, device, rounds, is_captured=is_ours)
    extra: dict[str, Any] = {} if method == "graph replay" else {"timed by": method}
    if case.demand is not None:
        extra |= peak_memory(case.run, device)
        extra |= describe_floor(ceilings, case.demand, seconds)
    report.record(case.group, case.name, seconds, **extra, **case.facts)


def describe_floor(
    ceilings: Ceilings, demand: Demand, seconds: list[float]
) -> dict[str, Any]:
    """Floor, distance, and what each unit of the hardware would need alone."""
    floor, unit = ceilings.floor(demand)
    times = ", ".join(
        f"{name} {1e6 * value:.3g} µs" for name, value in ceilings.times(demand).items()
    )
    return {
        "floor": f"{1e6 * floor:.3g} µs ({unit})",
        "distance": f"{sorted(seconds)[len(seconds) // 2] / floor:.3g}×",
        "floor seconds": floor,
        "alone": times,
    }


def is_twin_wanted(setting: Setting) -> bool:
    return not setting.is_quick


def hash_grid(device: torch.device, setting: Setting) -> Iterator[Case]:
    layout, num_points = cases.PAPER_LAYOUT, cases.NUM_POINTS
    if setting.is_dry:
        layout, num_points = HashGridLayout(num_levels=4, log2_table_size=12), 2**10
    table = cases.make_table(layout, device).requires_grad_()
    accesses = grid_accesses(layout, num_points)
    encoders = {"native": hash_grid_encode}
    if is_twin_wanted(setting):
        encoders["reference"] = reference_hash_grid.hash_grid_encode
    for order in ("random", "ray-ordered"):
        positions = cases.make_unit_points(order, device, num_points)
        grad = torch.ones(num_points, layout.num_outputs, device=device)
        for name, encode in encoders.items():

            def forward(encode: Any = encode, positions: Tensor = positions) -> None:
                with torch.no_grad():
                    encode(positions, table, layout)

            def both(
                encode: Any = encode, positions: Tensor = positions, grad: Tensor = grad
            ) -> None:
                torch.autograd.grad(encode(positions, table, layout), table, grad)

            demands: list[Demand | None] = [None, None]
            if name == "native":
                work = cases.hash_grid_work(layout, num_points, False)
                demands[0] = Demand(work, gathers=accesses)
                work = cases.hash_grid_work(layout, num_points, True)
                demands[1] = Demand(work, gathers=accesses, reductions=accesses)
            yield Case(f"hash_grid forward, {order} points", name, forward, demands[0])
            yield Case(
                f"hash_grid forward + backward to the table, {order} points",
                name,
                both,
                demands[1],
            )


def make_view(device: torch.device, setting: Setting) -> cases.MarchCase:
    if setting.is_dry:
        return cases.make_march_case(device, 16, resolution=32, steps_across=64)
    return cases.make_march_case(device)


def marching(device: torch.device, setting: Setting) -> Iterator[Case]:
    case = make_view(device, setting)
    arguments, settings = case.arguments, case.settings
    exact = march_rays(*arguments, noise=case.noise, **settings).num_samples
    everywhere = torch.full_like(case.occupancy, 255)
    num_steps = march_rays(
        case.origins, case.directions, everywhere, noise=case.noise, **settings
    ).num_samples
    demand = Demand(cases.marching_work(case, exact, num_steps))
    # As a training step calls it: room to spare, and no waiting for the count.
    capacity = exact + exact // 4

    def march() -> None:
        march_rays(
            *arguments,
            noise=case.noise,
            capacity=capacity,
            pad_to_capacity=True,
            **settings,
        )

    def march_exactly() -> None:
        march_rays(*arguments, noise=case.noise, **settings)

    yield Case(goals.MARCH, "native", march, demand)
    yield Case(goals.MARCH, "native, exact size", march_exactly)
    if is_twin_wanted(setting):

        def twin() -> None:
            reference_marching.march_rays(*arguments, noise=case.noise, **settings)

        yield Case(goals.MARCH, "reference", twin)


def visibility(device: torch.device, setting: Setting) -> Iterator[Case]:
    for width in (32, 64):
        case = cases.make_visible_case(width, make_view(device, setting))
        arguments, settings = case.arguments, case.settings
        num_kept = visible_samples(*arguments, **settings).num_samples
        # The floor knows the visible samples alone: what the kernel evaluates behind
        # them is part of its distance.
        demand = Demand(
            visible_work(width, num_kept),
            arithmetic="mma_tf32",
            gathers=grid_accesses(cases.FIELD_LAYOUT, num_kept),
        )
        capacity = num_kept + num_kept // 4

        def keep(
            arguments: Any = arguments, settings: Any = settings, rows: int = capacity
        ) -> None:
            visible_samples(*arguments, **settings, capacity=rows, pad_to_capacity=True)

        group = f"visible_samples, H = {width}"
        facts = {"kept": f"{num_kept} of {case.samples.num_samples} samples"}
        yield Case(group, "native", keep, demand, facts=facts)
        if is_twin_wanted(setting):

            def twin(arguments: Any = arguments, settings: Any = settings) -> None:
                reference_visibility.visible_samples(*arguments, **settings)

            yield Case(group, "reference", twin)


def compositing(device: torch.device, setting: Setting) -> Iterator[Case]:
    functions = {"native": composite}
    if is_twin_wanted(setting):
        functions["reference"] = reference_compositing.composite
    num_rays = 64 if setting.is_dry else cases.VIEW_SIZE**2
    for num_channels in (3, 7):
        rays = cases.make_packed_rays(num_channels, device, num_rays)
        trained = cases.make_packed_rays(num_channels, device, num_rays)
        parameters = [trained["densities"], trained["channels"]]
        for parameter in parameters:
            parameter.requires_grad_()
        for name, function in functions.items():

            def forward(function: Any = function, rays: dict = rays) -> None:
                function(**rays)

            def both(
                function: Any = function,
                rays: dict = trained,
                parameters: list[Tensor] = parameters,
            ) -> None:
                result = function(**rays)
                outputs = (result.values, result.opacity, result.depth)
                upstream = [torch.ones_like(output) for output in outputs]
                torch.autograd.grad(outputs, parameters, upstream)

            for run, direction in ((forward, "forward"), (both, "forward_backward")):
                work = cases.compositing_work(
                    len(rays["t"]), num_channels, direction != "forward"
                )
                demand = Demand(work) if name == "native" else None
                group = f"composite {direction}, {num_channels} channels"
                yield Case(group, name, run, demand)


def optimiser(device: torch.device, setting: Setting) -> Iterator[Case]:
    case = cases.make_adam_case(device, 10 if setting.is_dry else 18)
    demand = Demand(cases.ADAM_WORK.times(case.count))
    group = "adam_step_, the parameters of `fast`"

    def step() -> None:
        adam_step_(**case.tensors, **case.numbers)

    yield Case(group, "native", step, demand)
    yield Case(group, "torch fused", cases.make_torch_adam_step(case))


def occupancy_grid(device: torch.device, setting: Setting) -> Iterator[Case]:
    resolution = 16 if setting.is_dry else cases.OCCUPANCY_RESOLUTION
    case = cases.make_occupancy_case(device, resolution)
    densities, threshold = case.densities, torch.tensor(0.5, device=device)
    modules: dict[str, Any] = {"native": occupancy}
    if is_twin_wanted(setting):
        modules["reference"] = reference_occupancy
    for name, module in modules.items():
        runs: dict[str, tuple[Run, cases.Work]] = {
            "occupancy_cell_points": (
                lambda module=module: module.occupancy_cell_points(
                    case.cells, resolution, cases.BOUND, case.noise
                ),
                cases.CELL_POINTS_WORK,
            ),
            "update_occupancy_": (
                lambda module=module: module.update_occupancy_(
                    case.density_ema, case.cells, densities, 0.95
                ),
                cases.UPDATE_WORK,
            ),
            "pack_occupancy": (
                lambda module=module: module.pack_occupancy(
                    case.density_ema, threshold
                ),
                cases.PACK_WORK,
            ),
        }
        for group, (run, work) in runs.items():
            demand = Demand(work.times(case.num_cells)) if name == "native" else None
            yield Case(group, name, run, demand)


# What is timed of the field: method, precision, and the unit that multiplies.
FIELD_VARIANTS: dict[str, tuple[str, FieldPrecision, str]] = {
    "native": ("native", "tf32", "mma_tf32"),
    "native, bfloat16": ("native", "bfloat16", "mma_bf16"),
    "native, float32": ("native", "float32", "fma"),
    "native_without_normals": ("native_without_normals", "tf32", ""),
    "finite_difference_6": ("finite_difference_6", "tf32", ""),
}


def fused_field(device: torch.device, setting: Setting) -> Iterator[Case]:
    num_samples = 2**9 if setting.is_dry else 2**18
    names = ["native"] if setting.is_quick else list(FIELD_VARIANTS)
    for width in (32, 64):
        case = cases.make_field_case(width, device, num_samples)
        for name in names:
            yield from field_cases(case, width, name)


def field_cases(case: cases.FieldCase, width: int, name: str) -> Iterator[Case]:
    """Both directions of one variant."""
    method, precision, unit = FIELD_VARIANTS[name]
    count = len(case.positions)
    accesses = grid_accesses(cases.FIELD_LAYOUT, count)

    def forward() -> None:
        with torch.no_grad(), in_field_precision(precision):
            case.run(method)

    def both() -> None:
        with in_field_precision(precision):
            case.gradients(method)

    for run, direction in ((forward, "forward"), (both, "forward_backward")):
        is_backward = direction != "forward"
        demand = Demand(
            field_work(width, count, is_backward),
            arithmetic=unit,
            gathers=accesses * (2 if is_backward else 1),
            reductions=accesses if is_backward else (),
        )
        group = f"radiance_field {direction}, H = {width}"
        yield Case(group, name, run, demand if unit else None)


FIELD_TABLE_BYTES = 4 * cases.FIELD_LAYOUT.num_entries * cases.FIELD_LAYOUT.num_features


def field_work(width: int, count: int, is_backward: bool) -> cases.Work:
    """As on the CPU, but for bytes: corners come from the cache, and are counted as
    gathers and reductions."""
    operations = cases.field_work(width, count, is_backward).num_operations
    sample_bytes = 12 + (3 if is_backward else 1) * 72
    tables = (4 if is_backward else 1) * FIELD_TABLE_BYTES
    return cases.Work(tables + count * sample_bytes, operations)


def visible_work(width: int, num_visible: int) -> cases.Work:
    """As on the CPU, with the same exception."""
    operations = cases.visible_work(width, num_visible).num_operations
    return cases.Work(FIELD_TABLE_BYTES + 48 * num_visible, operations)
