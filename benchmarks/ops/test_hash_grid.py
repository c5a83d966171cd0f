"""Hash-grid encoding at the size of the paper: 2^18 points, L=16, F=2, T=2^19."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.roofline import record_floor
from realfusion.ops import HashGridLayout, hash_grid_encode
from realfusion.ops.reference import hash_grid as reference

NUM_POINTS = 2**18
LAYOUT = HashGridLayout()
ENCODERS = {"native": hash_grid_encode, "reference": reference.hash_grid_encode}
ROUNDS = {"native": 31, "reference": 5}
# A level's indices and weights take about 40 operations, its corners 8 times 2 F.
OPERATIONS = NUM_POINTS * LAYOUT.num_levels * (40 + 16 * LAYOUT.num_features)
TABLE_BYTES = 4 * LAYOUT.num_entries * LAYOUT.num_features
POINT_BYTES = NUM_POINTS * (12 + 4 * LAYOUT.num_outputs)


@pytest.fixture
def inputs(device):
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(NUM_POINTS, 3, generator=generator)
    table = torch.randn(LAYOUT.num_entries, LAYOUT.num_features, generator=generator)
    grad = torch.randn(NUM_POINTS, LAYOUT.num_outputs, generator=generator)
    return positions.to(device), table.to(device).requires_grad_(), grad.to(device)


@pytest.mark.benchmark(group="hash_grid forward")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_forward(benchmark, inputs, device, synchronize, implementation):
    encode = ENCODERS[implementation]
    positions, table, _ = inputs

    @torch.no_grad()
    def run():
        encode(positions, table, LAYOUT)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=2)
    record_floor(
        benchmark,
        device,
        num_bytes=TABLE_BYTES + POINT_BYTES,
        num_operations=OPERATIONS,
    )


@pytest.mark.benchmark(group="hash_grid forward + backward to the table")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_forward_and_backward(benchmark, inputs, device, synchronize, implementation):
    encode = ENCODERS[implementation]
    positions, table, grad = inputs

    def run():
        table.grad = None
        encode(positions, table, LAYOUT).backward(grad)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=2)
    # The table is read, its gradient zeroed, read and written.
    record_floor(
        benchmark,
        device,
        num_bytes=4 * TABLE_BYTES + 2 * POINT_BYTES,
        num_operations=2 * OPERATIONS,
    )
