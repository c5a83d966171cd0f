"""Hash-grid encoding at the size of the paper: 2^18 points, L=16, F=2, T=2^19."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import (
    NUM_POINTS,
    PAPER_LAYOUT,
    hash_grid_work,
    make_table,
    make_unit_points,
)
from benchmarks.ops.roofline import record_floor
from realfusion.ops import hash_grid_encode
from realfusion.ops.reference import hash_grid as reference

ENCODERS = {"native": hash_grid_encode, "reference": reference.hash_grid_encode}
ROUNDS = {"native": 31, "reference": 5}


@pytest.fixture(params=["random", "ray-ordered"])
def order(request):
    return request.param


@pytest.fixture
def inputs(device, order):
    positions = make_unit_points(order, device)
    table = make_table(PAPER_LAYOUT, device).requires_grad_()
    generator = torch.Generator().manual_seed(2)
    grad = torch.randn(NUM_POINTS, PAPER_LAYOUT.num_outputs, generator=generator)
    return positions, table, grad.to(device)


@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_forward(benchmark, inputs, order, device, synchronize, implementation):
    benchmark.group = f"hash_grid forward, {order} points"
    encode = ENCODERS[implementation]
    positions, table, _ = inputs

    @torch.no_grad()
    def run():
        encode(positions, table, PAPER_LAYOUT)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=2)
    work = hash_grid_work(PAPER_LAYOUT, NUM_POINTS, is_backward=False)
    record_floor(benchmark, device, work)


@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_forward_and_backward(
    benchmark, inputs, order, device, synchronize, implementation
):
    benchmark.group = f"hash_grid forward + backward to the table, {order} points"
    encode = ENCODERS[implementation]
    positions, table, grad = inputs

    def run():
        table.grad = None
        encode(positions, table, PAPER_LAYOUT).backward(grad)
        synchronize()

    benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=2)
    work = hash_grid_work(PAPER_LAYOUT, NUM_POINTS, is_backward=True)
    record_floor(benchmark, device, work)
