"""The hash grid's second derivatives to positions, which a loss on normals needs."""

from __future__ import annotations

import pytest
import torch

from realfusion.ops import HashGridLayout, hash_grid_encode
from realfusion.ops.hash_grid import layout_arguments
from realfusion.ops.reference import hash_grid as reference
from tests.ops.test_hash_grid import make_inputs, make_layout

TINY = {"num_levels": 2, "base_resolution": 3, "finest_resolution": 7}


def second_order_gradients(encode, positions, table, grad, directions, **options):
    """Gradients of <directions, d<grad, features>/d positions>, and that derivative."""
    leaves = [
        tensor.detach().clone().requires_grad_() for tensor in (grad, positions, table)
    ]
    features = encode(leaves[1], leaves[2], **options)
    (slopes,) = torch.autograd.grad(features, leaves[1], leaves[0], create_graph=True)
    return slopes, *torch.autograd.grad(slopes, leaves, directions)


def make_problem(layout, num_points, device="cpu"):
    positions, table = make_inputs(layout, max(num_points, 6), device=device)
    generator = torch.Generator().manual_seed(4)
    grad = torch.randn(num_points, layout.num_outputs, generator=generator)
    directions = torch.randn(num_points, 3, generator=generator)
    return positions[:num_points], table, grad.to(device), directions.to(device)


def assert_same_to(tolerance, got, expected):
    for tensor, wanted in zip(got, expected, strict=True):
        tensor, wanted = tensor.detach(), wanted.detach()
        scale = max(1.0, float(wanted.abs().max())) if wanted.numel() else 1.0
        torch.testing.assert_close(tensor, wanted, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("indexing", ["hash", "tiled"])
@pytest.mark.parametrize("num_features", [1, 2, 4, 8])
def test_second_order_matches_reference(
    device, simd_level, num_features, indexing, interpolation
):
    layout = make_layout(
        num_features=num_features, indexing=indexing, interpolation=interpolation
    )
    problem = make_problem(layout, 333, device)
    got = second_order_gradients(hash_grid_encode, *problem, layout=layout)
    expected = second_order_gradients(
        reference.hash_grid_encode, *problem, layout=layout
    )
    assert_same_to(1e-5, got, expected)
    assert got[2][3:6].abs().sum() == 0
    assert got[1][3:6].abs().sum() == 0


@pytest.mark.parametrize("num_points", [0, 1, 15, 17, 2049])
def test_any_number_of_points_matches_reference(simd_level, num_points):
    layout = make_layout()
    problem = make_problem(layout, num_points)
    got = second_order_gradients(hash_grid_encode, *problem, layout=layout)
    expected = second_order_gradients(
        reference.hash_grid_encode, *problem, layout=layout
    )
    assert_same_to(1e-5, got, expected)


@pytest.mark.parametrize("num_active", [0, 1, 3])
def test_inactive_levels_have_no_second_order(device, simd_level, num_active):
    layout = make_layout()
    options = {"layout": layout, "num_active_levels": num_active}
    problem = make_problem(layout, 100, device)
    got = second_order_gradients(hash_grid_encode, *problem, **options)
    _, grad_grad, _, grad_table = got
    assert grad_grad[:, num_active * layout.num_features :].abs().sum() == 0
    assert grad_table[layout.offsets[num_active] :].abs().sum() == 0
    if num_active:
        expected = second_order_gradients(
            reference.hash_grid_encode, *problem, **options
        )
        assert_same_to(1e-5, got, expected)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("indexing", ["hash", "tiled"])
def test_gradgradcheck_in_float64(indexing, interpolation):
    layout = HashGridLayout(
        **TINY, log2_table_size=6, indexing=indexing, interpolation=interpolation
    )
    generator = torch.Generator().manual_seed(3)
    positions = torch.rand(5, 3, dtype=torch.float64, generator=generator)
    table = torch.randn(layout.num_entries, 2, dtype=torch.float64, generator=generator)
    inputs = positions.requires_grad_(), table.requires_grad_()
    torch.autograd.gradgradcheck(lambda x, t: hash_grid_encode(x, t, layout), inputs)


def test_same_bits_for_any_number_of_threads(simd_level):
    layout = make_layout(num_levels=7)
    problem = make_problem(layout, 9000)
    num_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                second_order_gradients(hash_grid_encode, *problem, layout=layout)
            )
    finally:
        torch.set_num_threads(num_threads)
    for other in results[1:]:
        for tensor, expected in zip(other, results[0], strict=True):
            assert torch.equal(tensor, expected)


def test_third_derivative_raises():
    layout = make_layout()
    positions, table, _, _ = make_problem(layout, 20)
    positions.requires_grad_()
    table.requires_grad_()
    features = hash_grid_encode(positions, table, layout).square().sum()
    (slopes,) = torch.autograd.grad(features, positions, create_graph=True)
    (curvatures,) = torch.autograd.grad(slopes.sum(), positions, create_graph=True)
    with pytest.raises(RuntimeError, match="hash_grid_encode has no third derivative"):
        curvatures.sum().backward()


def test_operators_pass_opcheck(device):
    layout = make_layout()
    positions, table, grad, directions = make_problem(layout, 40, device)
    arguments = layout_arguments(layout, 4)
    operators = torch.ops.realfusion
    for operator, tensors in [
        (operators.hash_grid_encode_tangent, (directions, positions, table)),
        (
            operators.hash_grid_encode_tangent_backward_table,
            (grad, directions, positions),
        ),
        (
            operators.hash_grid_encode_tangent_backward_positions,
            (grad, directions, positions, table),
        ),
    ]:
        torch.library.opcheck(operator.default, (*tensors, *arguments))


def test_operators_reject_wrong_arguments():
    layout = make_layout()
    positions, table, grad, directions = make_problem(layout, 10)
    arguments = layout_arguments(layout, 5)
    operators = torch.ops.realfusion
    with pytest.raises(RuntimeError, match="tangent: `directions` must have shape"):
        operators.hash_grid_encode_tangent(directions[:9], positions, table, *arguments)
    with pytest.raises(RuntimeError, match="`grad_tangents` must have shape"):
        operators.hash_grid_encode_tangent_backward_table(
            grad[:, 1:].contiguous(), directions, positions, *arguments
        )
    with pytest.raises(RuntimeError, match="`directions` must be float32"):
        operators.hash_grid_encode_tangent_backward_positions(
            grad, directions.double(), positions, table, *arguments
        )
