"""Update of a 128^3 occupancy grid: a full sweep, and the packing of its bits."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import (
    CELL_POINTS_WORK,
    PACK_WORK,
    UPDATE_WORK,
    make_occupancy_case,
)
from benchmarks.ops.roofline import record_floor
from realfusion.ops import occupancy as native
from realfusion.ops.reference import occupancy as reference

MODULES = {"native": native, "reference": reference}
ROUNDS = 5


@pytest.fixture
def grid(device):
    return make_occupancy_case(device)


@pytest.mark.benchmark(group="occupancy_cell_points")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_cell_points(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]

    def run():
        module.occupancy_cell_points(grid.cells, grid.resolution, 0.75, grid.noise)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(benchmark, device, CELL_POINTS_WORK.times(grid.num_cells))


@pytest.mark.benchmark(group="update_occupancy_")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_update(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]
    densities = grid.densities

    def run():
        module.update_occupancy_(grid.density_ema, grid.cells, densities, 0.95)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(benchmark, device, UPDATE_WORK.times(grid.num_cells))


@pytest.mark.benchmark(group="pack_occupancy")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_pack(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]
    threshold = torch.tensor(0.5, device=device)

    def run():
        module.pack_occupancy(grid.density_ema, threshold)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(benchmark, device, PACK_WORK.times(grid.num_cells))
