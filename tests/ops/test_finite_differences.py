"""Normals of the radiance field from differences of its log-density."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from realfusion.ops.radiance_field import DensityBlob, radiance_field_finite_difference
from tests.ops.field_problem import BOUND, evaluate, gradients, make_problem

pytestmark = pytest.mark.usefixtures("float32_products")


@pytest.mark.parametrize("taps", [4, 6])
def test_they_approach_the_analytic_normals(device, taps):
    problem = make_problem(
        500, dtype=torch.float64, interpolation="smoothstep", finest_resolution=8
    )
    analytic = evaluate(problem)
    different = radiance_field_finite_difference(
        *problem.arguments(),
        bound=BOUND,
        blob=DensityBlob(),
        epsilon=1e-5,
        taps=taps,
    )
    torch.testing.assert_close(different.densities, analytic.densities)
    torch.testing.assert_close(different.albedo, analytic.albedo)
    # Where a ReLU or a cell changes between the taps, the two differ.
    is_same = (different.normals - analytic.normals).norm(dim=-1) < 1e-3
    assert is_same.double().mean() > 0.98


@pytest.mark.parametrize("taps", [4, 6])
def test_gradcheck(taps):
    problem = make_problem(
        2, num_levels=2, base_resolution=2, finest_resolution=3, log2_table_size=5
    )

    def normals(table: Tensor, *weights: Tensor) -> Tensor:
        changed = replace(problem, table=table, weights=weights)
        return radiance_field_finite_difference(
            *changed.arguments(), bound=BOUND, blob=DensityBlob(), taps=taps
        ).normals

    parameters = problem.requiring_grad().parameters()
    assert torch.autograd.gradcheck(normals, parameters, atol=1e-4)


@pytest.mark.parametrize("taps", [4, 6])
def test_they_train_the_field(taps):
    problem = make_problem(100, dtype=torch.float64).requiring_grad()
    samples = radiance_field_finite_difference(
        *problem.arguments(), bound=BOUND, blob=DensityBlob(), taps=taps
    )
    grads = gradients(samples, problem)
    assert all((grad != 0).any() for grad in grads)
    assert samples.normals.norm(dim=-1).max().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"epsilon": 0.0}, "`epsilon` must be"), ({"taps": 5}, "`taps` must be 4 or 6")],
)
def test_settings_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        radiance_field_finite_difference(
            *make_problem().arguments(), bound=BOUND, blob=DensityBlob(), **options
        )
