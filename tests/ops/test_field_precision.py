from __future__ import annotations

import pytest
import torch
from torch import Tensor

from realfusion.ops.field_precision import field_precision, set_field_precision
from tests.ops.field_problem import evaluate, gradients, make_problem

INITIAL_PRECISION = field_precision()  # no test has run yet
pytestmark = pytest.mark.usefixtures("float32_products")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-4), ("tf32", 5e-3), ("bfloat16", 5e-2)]
)
def test_every_precision_stays_near_the_cpu(width, precision, tolerance):
    set_field_precision(precision)
    options = {"width": width, "dtype": torch.float32, "num_samples": 3000}
    expected_problem = make_problem(**options).requiring_grad()
    problem = make_problem(**options, device="cuda").requiring_grad()
    expected, samples = evaluate(expected_problem), evaluate(problem)
    assert_near(samples.densities.log(), expected.densities.log(), tolerance)
    assert_near(samples.albedo, expected.albedo, tolerance)
    # A few normals jump where rounding opens or closes a unit.
    errors = (samples.normals.cpu() - expected.normals).norm(dim=-1)
    assert errors.median() < tolerance
    for grad, expected_grad in zip(
        gradients(samples, problem), gradients(expected, expected_problem), strict=True
    ):
        assert_near(grad, expected_grad, 10 * tolerance)


def assert_near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """In the root mean square, against that of the expected."""
    error = (actual.cpu() - expected).square().mean().sqrt()
    assert error <= tolerance * expected.square().mean().sqrt()


def test_the_precision_is_tf32_until_another_is_chosen():
    assert INITIAL_PRECISION == "tf32"
    for precision in ("bfloat16", "tf32", "float32"):
        set_field_precision(precision)
        assert field_precision() == precision
    with pytest.raises(ValueError, match="`precision` must be one of"):
        set_field_precision("half")


def test_the_cpu_does_not_ask_for_the_precision():
    problem = make_problem(dtype=torch.float32)
    expected = evaluate(problem)
    set_field_precision("bfloat16")
    assert torch.equal(evaluate(problem).densities, expected.densities)
