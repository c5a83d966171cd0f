"""The hash-grid encoding against its twin, and the contract of its arguments."""

from __future__ import annotations

import math

import pytest
import torch

import realfusion.ops.hash_grid
from realfusion.ops import HashGridLayout, hash_grid_encode
from realfusion.ops.reference import hash_grid as reference

SMALL = {"num_levels": 5, "finest_resolution": 60, "log2_table_size": 12}


def make_layout(**changes) -> HashGridLayout:
    return HashGridLayout(**{**SMALL, **changes})


def make_inputs(layout, num_points, *, dtype=torch.float32, device="cpu", seed=0):
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(num_points, 3, generator=generator)
    table = torch.randn(layout.num_entries, layout.num_features, generator=generator)
    # The corners of the cube, points beyond it, and NaN.
    positions[:5] = torch.tensor(
        [[0.0, 0, 0], [1, 1, 1], [0, 1, 0.5], [1.001, 0.5, 0.5], [0.5, -0.1, 0.5]]
    )
    positions[5, 1] = math.nan
    return positions.to(device, dtype), table.to(device, dtype)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("indexing", ["hash", "tiled"])
@pytest.mark.parametrize("num_features", [1, 2, 4, 8])
def test_features_and_gradients_match_reference(
    device, simd_level, num_features, indexing, interpolation
):
    layout = make_layout(
        num_features=num_features, indexing=indexing, interpolation=interpolation
    )
    positions, table = make_inputs(layout, 333, device=device)
    grad = torch.randn(333, layout.num_outputs, device=device)
    results = []
    for encode in (hash_grid_encode, reference.hash_grid_encode):
        leaves = positions.clone().requires_grad_(), table.clone().requires_grad_()
        features = encode(*leaves, layout)
        features.backward(grad)
        results.append((features, leaves[0].grad, leaves[1].grad))
    (features, grad_positions, grad_table), expected = results
    torch.testing.assert_close(features, expected[0], atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(grad_positions, expected[1], atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(grad_table, expected[2], atol=1e-5, rtol=1e-5)
    assert features[:3].abs().sum() > 0
    assert features[3:6].abs().sum() == 0
    assert grad_positions[3:6].abs().sum() == 0


@pytest.mark.parametrize("num_points", [0, 1, 15, 16, 17, 2047, 2049, 4100])
def test_any_number_of_points_matches_reference(simd_level, num_points):
    layout = make_layout()
    positions, table = make_inputs(layout, 4100)
    positions = positions[4100 - num_points :].requires_grad_()
    table.requires_grad_()
    features = hash_grid_encode(positions, table, layout)
    expected = reference.hash_grid_encode(positions, table, layout)
    torch.testing.assert_close(features, expected, atol=2e-6, rtol=1e-5)
    got = torch.autograd.grad(features.square().sum(), (positions, table))
    wanted = torch.autograd.grad(expected.square().sum(), (positions, table))
    torch.testing.assert_close(got[0], wanted[0], atol=5e-3, rtol=1e-4)
    torch.testing.assert_close(got[1], wanted[1], atol=1e-4, rtol=1e-4)


def test_more_points_than_a_chunk_match_reference(simd_level):
    # More than 2^18 points, and results of several huge pages.
    layout = make_layout()
    positions, table = make_inputs(layout, 2**18 + 21)
    table.requires_grad_()
    features = hash_grid_encode(positions, table, layout)
    expected = reference.hash_grid_encode(positions, table, layout)
    torch.testing.assert_close(features, expected, atol=2e-6, rtol=1e-5)
    grad = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    (got,) = torch.autograd.grad(features, table, grad)
    (wanted,) = torch.autograd.grad(expected, table, grad)
    torch.testing.assert_close(got, wanted, atol=1e-3, rtol=1e-4)


def test_paper_sized_table_matches_reference(device):
    layout = HashGridLayout()
    positions, table = make_inputs(layout, 3000, device=device)
    torch.testing.assert_close(
        hash_grid_encode(positions, table, layout),
        reference.hash_grid_encode(positions, table, layout),
        atol=2e-6,
        rtol=1e-5,
    )


def test_float64_matches_reference_on_cpu():
    layout = make_layout(num_features=4)
    positions, table = make_inputs(layout, 200, dtype=torch.float64)
    torch.testing.assert_close(
        hash_grid_encode(positions, table, layout),
        reference.hash_grid_encode(positions, table, layout),
        atol=1e-13,
        rtol=1e-13,
    )


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_table_gives_float32_features_on_cuda():
    layout = make_layout()
    positions, table = make_inputs(layout, 300, device="cuda")
    half = table.half().requires_grad_()
    features = hash_grid_encode(positions, half, layout)
    expected = reference.hash_grid_encode(positions, half.detach().float(), layout)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, expected, atol=2e-6, rtol=1e-5)
    features.sum().backward()
    assert half.grad.dtype == torch.float16
    # The operator's own gradient is float32: only autograd rounds it to the leaf's.
    gradient = torch.ops.realfusion.hash_grid_encode_backward_table(
        torch.ones_like(features),
        positions,
        *realfusion.ops.hash_grid.layout_arguments(layout, layout.num_levels),
    )
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(half.grad, gradient.half())


@pytest.mark.parametrize("num_active", [0, 1, 3, 5])
def test_inactive_levels_are_zero_and_get_no_gradient(device, simd_level, num_active):
    layout = make_layout()
    positions, table = make_inputs(layout, 100, device=device)
    table.requires_grad_()
    positions.requires_grad_()
    features = hash_grid_encode(positions, table, layout, num_active_levels=num_active)
    whole = hash_grid_encode(positions, table, layout)
    num_columns = num_active * layout.num_features
    torch.testing.assert_close(features[:, :num_columns], whole[:, :num_columns])
    assert features[:, num_columns:].abs().sum() == 0
    features.sum().backward()
    assert table.grad[layout.offsets[num_active] :].abs().sum() == 0
    active_grad = table.grad[: layout.offsets[num_active]].abs().sum()
    assert bool(active_grad > 0) == (num_active > 0)
    assert bool(positions.grad.abs().sum() > 0) == (num_active > 0)


@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
@pytest.mark.parametrize("indexing", ["hash", "tiled"])
def test_gradcheck_in_float64(indexing, interpolation):
    layout = HashGridLayout(
        num_levels=2,
        base_resolution=3,
        finest_resolution=7,
        log2_table_size=6,
        indexing=indexing,
        interpolation=interpolation,
    )
    generator = torch.Generator().manual_seed(3)
    positions = torch.rand(6, 3, dtype=torch.float64, generator=generator)
    table = torch.randn(layout.num_entries, 2, dtype=torch.float64, generator=generator)
    inputs = positions.requires_grad_(), table.requires_grad_()
    torch.autograd.gradcheck(lambda x, t: hash_grid_encode(x, t, layout), inputs)


def test_features_are_differentiable_in_the_table_any_number_of_times():
    layout = HashGridLayout(
        num_levels=2, base_resolution=3, finest_resolution=7, log2_table_size=6
    )
    positions, table = make_inputs(layout, 8, dtype=torch.float64)
    table.requires_grad_()

    def encode(table):
        return hash_grid_encode(positions, table, layout)

    torch.autograd.gradcheck(encode, table)
    # The encoding is linear: only the upstream gradient makes a second derivative.
    torch.autograd.gradgradcheck(encode, table)
    torch.autograd.gradgradcheck(lambda table: encode(table**2), table)


def test_table_gradient_is_differentiable_again():
    layout = HashGridLayout(
        num_levels=2, base_resolution=3, finest_resolution=7, log2_table_size=6
    )
    positions, _ = make_inputs(layout, 8, dtype=torch.float64)
    grad = torch.randn(8, 4, dtype=torch.float64)

    def table_gradient(positions, grad):
        return torch.ops.realfusion.hash_grid_encode_backward_table(
            grad, positions, *realfusion.ops.hash_grid.layout_arguments(layout, 2)
        )

    inside = positions[6:].clone().requires_grad_(), grad[6:].clone().requires_grad_()
    torch.autograd.gradcheck(table_gradient, inside)
    torch.autograd.gradgradcheck(table_gradient, (inside[0].detach(), inside[1]))


def test_opcheck_passes(device):
    layout = make_layout()
    positions, table = make_inputs(layout, 40, device=device)
    arguments = realfusion.ops.hash_grid.layout_arguments(layout, 4)
    grad = torch.randn(40, layout.num_outputs, device=device)
    operators = torch.ops.realfusion
    for operator, tensors in [
        (operators.hash_grid_encode, (positions, table)),
        (operators.hash_grid_encode_backward_table, (grad, positions)),
    ]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        torch.library.opcheck(operator.default, (*leaves, *arguments))
    leaves = grad.clone().requires_grad_(), positions.clone().requires_grad_()
    torch.library.opcheck(
        operators.hash_grid_encode_backward_table.default, (*leaves, *arguments, True)
    )
    leaves = [tensor.clone().requires_grad_() for tensor in (grad, positions, table)]
    torch.library.opcheck(
        operators.hash_grid_encode_backward_positions.default, (*leaves, *arguments)
    )


def test_deterministic_mode_gives_the_same_bits_every_time(device):
    layout = make_layout()
    positions, table = make_inputs(layout, 20_000, device=device)
    positions = positions / 4  # many points an entry
    grad = torch.randn(20_000, layout.num_outputs, device=device)
    table.requires_grad_()
    gradients = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(4):
            features = hash_grid_encode(positions, table, layout)
            gradients += torch.autograd.grad(features, table, grad)
    finally:
        torch.use_deterministic_algorithms(False)
    for gradient in gradients[1:]:
        assert torch.equal(gradient, gradients[0])
    expected = reference.hash_grid_encode(positions, table, layout)
    (wanted,) = torch.autograd.grad(expected, table, grad)
    torch.testing.assert_close(gradients[0], wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_deterministic_mode_turns_gradients_that_are_not_finite_into_nan_on_cuda():
    layout = make_layout()
    positions, _ = make_inputs(layout, 100, device="cuda")
    grad = torch.zeros(100, layout.num_outputs, device="cuda")
    grad[50, 3] = math.inf
    gradient = torch.ops.realfusion.hash_grid_encode_backward_table(
        grad, positions, *realfusion.ops.hash_grid.layout_arguments(layout, 5), True
    )
    assert gradient.isnan().all()


def test_same_bits_for_any_number_of_threads(simd_level):
    layout = make_layout(num_levels=7)
    positions, table = make_inputs(layout, 9000)
    grad = torch.randn(9000, layout.num_outputs)
    num_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            leaves = positions.clone().requires_grad_(), table.clone().requires_grad_()
            features = hash_grid_encode(*leaves, layout)
            features.backward(grad)
            results.append((features.detach(), leaves[0].grad, leaves[1].grad))
    finally:
        torch.set_num_threads(num_threads)
    for other in results[1:]:
        for tensor, expected in zip(other, results[0], strict=True):
            assert torch.equal(tensor, expected)


def test_noncontiguous_inputs_match_contiguous(device):
    layout = make_layout()
    positions, table = make_inputs(layout, 64, device=device)
    strided_positions = positions.T.contiguous().T.requires_grad_()
    strided_table = table.T.contiguous().T.requires_grad_()
    assert not strided_positions.is_contiguous()
    assert not strided_table.is_contiguous()
    features = hash_grid_encode(strided_positions, strided_table, layout)
    torch.testing.assert_close(features, hash_grid_encode(positions, table, layout))
    # An expanded upstream gradient has stride zero.
    features.sum().backward()
    assert strided_table.grad.abs().sum() > 0


def test_smoothstep_gradient_is_continuous_across_cells():
    layout = HashGridLayout(
        num_levels=1, base_resolution=8, log2_table_size=12, interpolation="smoothstep"
    )
    table = make_inputs(layout, 8)[1]
    face = (3.0 - 0.5) / layout.scales[0]
    positions = torch.tensor([[face - 1e-4, 0.4, 0.3], [face + 1e-4, 0.4, 0.3]])
    positions.requires_grad_()
    hash_grid_encode(positions, table, layout).sum().backward()
    torch.testing.assert_close(
        positions.grad[0], positions.grad[1], atol=0.2, rtol=0.05
    )


def test_layout_levels_fit_and_never_wrap():
    layout = HashGridLayout()
    assert layout.num_outputs == 32
    assert layout.scales[0] == 15.0
    assert layout.scales[-1] == pytest.approx(2047.0, rel=1e-6)
    for level, (scale, resolution) in enumerate(
        zip(layout.scales, layout.resolutions, strict=True)
    ):
        assert math.floor(scale + 0.5) + 1 <= resolution - 1
        size = layout.offsets[level + 1] - layout.offsets[level]
        assert size == min((resolution**3 + 7) // 8 * 8, 2**19)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_levels": 0}, r"`num_levels` must be in 1..32, got 0"),
        ({"num_features": 3}, "`num_features` must be 1, 2, 4 or 8, got 3"),
        ({"base_resolution": 0}, "`base_resolution` must be at least 1, got 0"),
        ({"finest_resolution": 8}, "`finest_resolution` must be in"),
        ({"log2_table_size": 40}, r"`log2_table_size` must be in 3..28, got 40"),
        ({"indexing": "dense"}, "`indexing` must be 'hash' or 'tiled', got 'dense'"),
        ({"interpolation": "cubic"}, "`interpolation` must be"),
    ],
)
def test_layout_rejects_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        make_layout(**changes)


def test_wrapper_rejects_wrong_arguments():
    layout = make_layout()
    positions, table = make_inputs(layout, 10)
    with pytest.raises(ValueError, match=r"`positions` must have shape \[N, 3\]"):
        hash_grid_encode(positions[:, :2], table, layout)
    with pytest.raises(ValueError, match=r"`table` must have shape \["):
        hash_grid_encode(positions, table[1:], layout)
    with pytest.raises(ValueError, match="`positions` must be float32 or float64"):
        hash_grid_encode(positions.half(), table.half(), layout)
    with pytest.raises(ValueError, match=r"`table` must be torch.float32 like"):
        hash_grid_encode(positions, table.double(), layout)
    with pytest.raises(ValueError, match=r"`num_active_levels` must be in 0..5, got 6"):
        hash_grid_encode(positions, table, layout, num_active_levels=6)


def test_operator_rejects_layouts_that_leave_the_table():
    layout = make_layout()
    positions, table = make_inputs(layout, 10)
    scales, resolutions, offsets, *rest = realfusion.ops.hash_grid.layout_arguments(
        layout, 5
    )
    encode = torch.ops.realfusion.hash_grid_encode
    with pytest.raises(RuntimeError, match="`table` must have shape"):
        encode(positions, table[:-8], scales, resolutions, offsets, *rest)
    with pytest.raises(RuntimeError, match="`scales` must keep every corner within"):
        encode(positions, table, [s * 2 for s in scales], resolutions, offsets, *rest)
    bad_offsets = [offsets[0], offsets[1], offsets[1] + 100, *offsets[3:]]
    with pytest.raises(RuntimeError, match="`offsets` must give level 1"):
        encode(positions, table, scales, resolutions, bad_offsets, *rest)
    strided = positions.T.contiguous().T
    with pytest.raises(RuntimeError, match="`positions` must be contiguous"):
        encode(strided, table, scales, resolutions, offsets, *rest)
    with pytest.raises(RuntimeError, match="`positions` must be float32 or float64"):
        encode(positions.half(), table.half(), scales, resolutions, offsets, *rest)


def test_misspelt_simd_level_is_named(monkeypatch):
    layout = make_layout()
    positions, table = make_inputs(layout, 10)
    monkeypatch.setenv("REALFUSION_SIMD", "sse9")
    with pytest.raises(RuntimeError, match="`REALFUSION_SIMD` must be scalar, avx2"):
        hash_grid_encode(positions, table, layout)


def test_compiles_as_one_graph():
    layout = make_layout()
    positions, table = make_inputs(layout, 50)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def encode(positions, table):
        return hash_grid_encode(positions * 1.0, table, layout).square().sum()

    leaf = table.clone().requires_grad_()
    encode(positions, leaf).backward()
    expected = table.clone().requires_grad_()
    hash_grid_encode(positions, expected, layout).square().sum().backward()
    torch.testing.assert_close(leaf.grad, expected.grad)
