from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from realfusion._extension import load
from realfusion.ops.hash_grid import layout_arguments
from realfusion.ops.radiance_field import DensityBlob
from tests.ops.field_problem import (
    BOUND,
    Problem,
    assert_matches_reference,
    assert_same,
    evaluate,
    evaluate_reference,
    gradients,
    make_problem,
    outputs_of,
)

pytestmark = pytest.mark.usefixtures("float32_products")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_normals", [True, False])
@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("num_features", [1, 2, 4, 8])
def test_values_and_gradients_match_the_reference(
    dtype, with_normals, width, num_features
):
    problem = make_problem(width=width, num_features=num_features, dtype=dtype)
    assert_matches_reference(problem, with_normals=with_normals)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "layout_options",
    [
        {"interpolation": "smoothstep"},
        {"indexing": "tiled"},
        {"num_levels": 1},
        {"num_levels": 12, "finest_resolution": 256, "num_features": 2},
        {"num_levels": 16, "finest_resolution": 64, "num_features": 4},
    ],
    ids=str,
)
def test_every_layout_matches_the_reference(dtype, layout_options):
    assert_matches_reference(make_problem(width=32, dtype=dtype, **layout_options))


@pytest.mark.parametrize("num_active_levels", [0, 1, 3])
@pytest.mark.parametrize("with_normals", [True, False])
def test_inactive_levels_are_ignored(num_active_levels, with_normals):
    problem = make_problem(dtype=torch.float32)
    assert_matches_reference(
        problem, num_active_levels=num_active_levels, with_normals=with_normals
    )
    grad_table, *_ = gradients(
        evaluate(recording := problem.requiring_grad(), num_active_levels=2), recording
    )
    assert (grad_table[problem.layout.offsets[2] :] == 0).all()
    assert (grad_table[: problem.layout.offsets[2]] != 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outside_the_box_everything_is_zero(dtype):
    problem = make_problem(400, dtype=dtype, extent=1.4)
    is_outside = (problem.positions.abs() > BOUND).any(-1)
    assert is_outside.any()
    assert not is_outside.all()
    assert_matches_reference(problem)
    for output in outputs_of(evaluate(problem)):
        assert (output[is_outside] == 0).all()
        assert (output[~is_outside] != 0).any()
    # ... and has no gradient, so that leaving those samples out changes nothing.
    inside = replace(problem, positions=problem.positions[~is_outside])
    with_outside, without = problem.requiring_grad(), inside.requiring_grad()

    def loss(problem: Problem) -> Tensor:
        samples = evaluate(problem)
        return samples.densities.log1p().sum() + (samples.normals**3).sum()

    for a, b in zip(
        torch.autograd.grad(loss(with_outside), with_outside.parameters()[:-1]),
        torch.autograd.grad(loss(without), without.parameters()[:-1]),
        strict=True,
    ):
        assert_same(a, b, dtype)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("num_active_levels", [1, 2])
def test_gradcheck(interpolation, num_active_levels):
    # Few samples, away from faces and kinks by luck of the seed: gradcheck would fail
    # loudly on one. The normals make it a check of second derivatives of the grid.
    problem = make_problem(
        3,
        num_levels=2,
        base_resolution=2,
        finest_resolution=3,
        log2_table_size=5,
        interpolation=interpolation,
    )

    def outputs(table: Tensor, *weights: Tensor) -> list[Tensor]:
        changed = replace(problem, table=table, weights=weights)
        samples = evaluate(changed, num_active_levels=num_active_levels)
        return [samples.densities.log(), samples.albedo, samples.normals]

    parameters = problem.requiring_grad().parameters()
    assert torch.autograd.gradcheck(outputs, parameters)


def operator_arguments(problem: Problem) -> tuple:
    layout = layout_arguments(problem.layout, problem.layout.num_levels)
    return (problem.positions, *problem.parameters(), *layout, BOUND, 5.0, 0.2)


@pytest.mark.parametrize("with_normals", [True, False])
def test_opdef_is_sound(device, with_normals):
    problem = make_problem(40, dtype=torch.float32, device=device).requiring_grad()
    torch.library.opcheck(
        torch.ops.realfusion.radiance_field.default,
        (*operator_arguments(problem), with_normals),
    )


def test_opdef_of_the_backward_that_adds_is_sound(device):
    problem = make_problem(40, dtype=torch.float32, device=device)
    arguments = operator_arguments(problem)
    outputs = torch.ops.realfusion.radiance_field(*arguments, True)
    upstream = [torch.ones_like(output) for output in outputs[:3]]
    saved = (outputs[0], outputs[1], outputs[3], outputs[4])
    torch.library.opcheck(
        torch.ops.realfusion.radiance_field_backward_.default,
        (torch.zeros_like(problem.table), *upstream, *saved, *arguments),
    )


@pytest.mark.parametrize("level", ["scalar", "avx2", "avx512"])
@pytest.mark.parametrize("width", [16, 32, 64])
@pytest.mark.parametrize("with_normals", [True, False])
def test_every_instruction_set_agrees(monkeypatch, level, width, with_normals):
    levels = ["scalar", "avx2", "avx512"]
    monkeypatch.delenv("REALFUSION_SIMD", raising=False)
    if levels.index(level) > levels.index(load().build_info()["simd_level"]):
        pytest.skip(f"this processor has no {level}")
    monkeypatch.setenv("REALFUSION_SIMD", level)
    problem = make_problem(1500, width=width, num_levels=12, dtype=torch.float32)
    double = make_problem(1500, width=width, num_levels=12, dtype=torch.float64)
    native, exact = problem.requiring_grad(), double.requiring_grad()
    samples = evaluate(native, with_normals=with_normals)
    expected = evaluate(exact, with_normals=with_normals)
    for output, expected_output in zip(
        outputs_of(samples), outputs_of(expected), strict=True
    ):
        # A float32 cell or ReLU may fall on the other side for one sample or two.
        is_close = torch.isclose(output.double(), expected_output, rtol=1e-3, atol=1e-4)
        assert is_close.double().mean() > 0.998
    for grad, expected_grad in zip(
        gradients(samples, native), gradients(expected, exact), strict=True
    ):
        error = (grad.double() - expected_grad).norm() / expected_grad.norm()
        assert error < 5e-3


def test_the_number_of_threads_does_not_change_a_bit():
    problem = make_problem(40_000, width=32, dtype=torch.float32).requiring_grad()
    num_threads = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            samples = evaluate(problem)
            runs.append((*outputs_of(samples), *gradients(samples, problem)))
    finally:
        torch.set_num_threads(num_threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("with_normals", [True, False])
def test_deterministic_mode_gives_the_same_bits_every_time(device, with_normals):
    problem = make_problem(6000, dtype=torch.float32, device=device).requiring_grad()

    def run() -> tuple[Tensor, ...]:
        return gradients(evaluate(problem, with_normals=with_normals), problem)

    torch.use_deterministic_algorithms(True)
    try:
        first, *others = [run() for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(False)
    for other in others:
        for gradient, expected in zip(other, first, strict=True):
            assert torch.equal(gradient, expected)
    for gradient, expected in zip(first, run(), strict=True):
        assert_same(gradient, expected, torch.float32)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_deterministic_mode_turns_gradients_that_are_not_finite_into_nan_on_cuda():
    problem = make_problem(100, dtype=torch.float32, device="cuda").requiring_grad()
    samples = evaluate(problem)
    torch.use_deterministic_algorithms(True)
    try:
        (gradient,) = torch.autograd.grad(
            samples.densities.sum() * math.inf, problem.table
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert gradient.isnan().all()


def test_a_loss_without_normals_has_the_gradient_of_a_field_without_normals():
    problem = make_problem(dtype=torch.float32).requiring_grad()
    grads = []
    for with_normals in (True, False):
        samples = evaluate(problem, with_normals=with_normals)
        loss = samples.albedo.square().sum() + samples.densities.log1p().sum()
        grads.append(torch.autograd.grad(loss, problem.parameters()))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("used", ["densities", "albedo", "normals"])
def test_each_output_alone_has_the_gradient_of_the_reference(used):
    problem = make_problem(dtype=torch.float64)
    grads = []
    for field in (evaluate, evaluate_reference):
        recording = problem.requiring_grad()
        output = getattr(field(recording), used)
        loss = (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum()
        grads.append(
            torch.autograd.grad(loss, recording.parameters(), materialize_grads=True)
        )
    for actual, expected in zip(*grads, strict=True):
        assert_same(actual, expected, torch.float64)


def test_a_huge_density_is_finite_and_its_gradient_passes(device):
    problem = make_problem(50, dtype=torch.float32, device=device).requiring_grad()
    samples = evaluate(problem, blob=DensityBlob(density=200.0, radius=5.0))
    assert torch.isfinite(samples.densities).all()
    assert samples.densities.max().item() == pytest.approx(3.269e6, rel=1e-3)
    grads = torch.autograd.grad(samples.densities.mean(), problem.parameters())
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert (grads[-1][0] > 0).all()


def test_a_flat_field_has_short_normals_and_finite_gradients(device):
    problem = make_problem(50, dtype=torch.float32, device=device)
    flat = replace(problem, table=torch.zeros_like(problem.table)).requiring_grad()
    samples = evaluate(flat, blob=DensityBlob(density=0.0))
    assert (samples.normals == 0).all()
    grads = torch.autograd.grad(samples.normals.sum(), flat.parameters())
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_normals_point_out_of_the_blob(device):
    problem = make_problem(200, dtype=torch.float32, device=device)
    empty = replace(problem, table=torch.zeros_like(problem.table))
    near = replace(empty, positions=problem.positions * 0.3)
    normals = evaluate(near).normals
    outward = torch.nn.functional.normalize(near.positions, dim=-1)
    torch.testing.assert_close(normals, outward, atol=1e-5, rtol=0.0)


def test_empty_input_has_empty_outputs_and_zero_gradients(device):
    problem = make_problem(0, dtype=torch.float32, device=device).requiring_grad()
    samples = evaluate(problem)
    assert samples.densities.shape == (0,)
    assert samples.albedo.shape == (0, 3)
    assert samples.normals.shape == (0, 3)
    assert all((grad == 0).all() for grad in gradients(samples, problem))


def test_without_normals_there_are_none(device):
    problem = make_problem(5, dtype=torch.float32, device=device)
    assert evaluate(problem, with_normals=False).normals is None


def test_non_contiguous_arguments_give_the_same_result(device):
    problem = make_problem(dtype=torch.float32, device=device)
    strided = replace(
        problem,
        positions=problem.positions.T.contiguous().T,
        table=problem.table.T.contiguous().T,
        weights=tuple(
            torch.stack([weight, weight], dim=-1)[..., 0] for weight in problem.weights
        ),
    )
    for a, b in zip(
        outputs_of(evaluate(strided)), outputs_of(evaluate(problem)), strict=True
    ):
        assert torch.equal(a, b)


def test_second_derivatives_are_refused():
    problem = make_problem(10).requiring_grad()
    densities = evaluate(problem).densities
    (grad,) = torch.autograd.grad(densities.sum(), problem.table, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        grad.sum().backward()


def change_weight(index: int, change):
    def changed(problem: Problem) -> Problem:
        weights = list(problem.weights)
        weights[index] = change(weights[index])
        return replace(problem, weights=tuple(weights))

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, positions=p.positions[:, :2]), "`positions` must have"),
        (lambda p: replace(p, positions=p.positions.half()), "`positions` must be"),
        (lambda p: replace(p, table=p.table[1:]), "`table` must have"),
        (lambda p: replace(p, table=p.table.double()), "`table` must be"),
        (lambda p: replace(p, weights=p.weights[:5]), "`weights` must be 6 tensors"),
        (change_weight(0, lambda w: w[:15]), r"`w1` must have the shape \[H, 8\]"),
        (change_weight(2, lambda w: w[:15]), r"`w2` must have the shape \[16, 16\]"),
        (change_weight(5, lambda w: w.double()), "`b3` must be torch.float32"),
        (
            lambda p: replace(p, positions=p.positions.clone().requires_grad_()),
            "`positions` must not require a gradient",
        ),
    ],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        evaluate(change(make_problem(dtype=torch.float32)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bound": 0.0}, "`bound` must be positive"),
        ({"num_active_levels": 5}, "`num_active_levels` must be in"),
    ],
)
def test_settings_out_of_range_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        evaluate(make_problem(), **options)


def test_a_blob_without_size_is_rejected():
    with pytest.raises(ValueError, match="`radius` must be positive"):
        DensityBlob(radius=0.0)


def test_forward_keeps_56_bytes_a_sample():
    """Outputs of 28 bytes, and 28 for the backward: gradients and masks."""
    problem = make_problem(100, dtype=torch.float32)
    outputs = torch.ops.realfusion.radiance_field(
        problem.positions,
        problem.table,
        *problem.weights,
        *layout_arguments(problem.layout, problem.layout.num_levels),
        BOUND,
        5.0,
        0.2,
        True,
    )
    assert sum(t.numel() * t.element_size() for t in outputs) == 56 * 100
