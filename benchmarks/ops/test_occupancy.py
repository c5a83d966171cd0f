"""Update of a 128^3 occupancy grid: a full sweep, and the packing of its bits."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.roofline import record_floor
from realfusion.ops import occupancy as native
from realfusion.ops.reference import occupancy as reference

RESOLUTION = 128
NUM_CELLS = RESOLUTION**3
MODULES = {"native": native, "reference": reference}
ROUNDS = 5


@pytest.fixture
def grid(device):
    generator = torch.Generator().manual_seed(0)
    density_ema = torch.rand(NUM_CELLS, generator=generator)
    cells = torch.randint(NUM_CELLS, (NUM_CELLS,), generator=generator)
    noise = torch.rand(NUM_CELLS, 3, generator=generator)
    return density_ema.to(device), cells.to(device), noise.to(device)


@pytest.mark.benchmark(group="occupancy_cell_points")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_cell_points(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]
    _, cells, noise = grid

    def run():
        module.occupancy_cell_points(cells, RESOLUTION, 0.75, noise)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(
        benchmark, device, num_bytes=32 * NUM_CELLS, num_operations=45 * NUM_CELLS
    )


@pytest.mark.benchmark(group="update_occupancy_")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_update(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]
    density_ema, cells, noise = grid
    densities = noise[:, 0].contiguous()

    def run():
        module.update_occupancy_(density_ema, cells, densities, 0.95)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(
        benchmark, device, num_bytes=20 * NUM_CELLS, num_operations=2 * NUM_CELLS
    )


@pytest.mark.benchmark(group="pack_occupancy")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_pack(benchmark, grid, device, synchronize, implementation):
    module = MODULES[implementation]
    density_ema, _, _ = grid
    threshold = torch.tensor(0.5, device=device)

    def run():
        module.pack_occupancy(density_ema, threshold)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    record_floor(benchmark, device, num_bytes=4.125 * NUM_CELLS, num_operations=0)
