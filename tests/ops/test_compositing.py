from __future__ import annotations

import itertools

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.compositing import Composited, composite
from realfusion.ops.reference import compositing as reference


def make_rays(
    counts: list[int], num_channels: int = 3, dtype=torch.float64, device="cpu", seed=0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    num_samples = sum(counts)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=dtype).to(device)

    offsets = torch.tensor([0, *counts], device=device).cumsum(0)
    return {
        "densities": 8.0 * uniform(num_samples),
        "channels": uniform(num_samples, num_channels) * 2.0 - 1.0,
        "t": 1.0 + uniform(num_samples),
        "deltas": 0.02 + 0.1 * uniform(num_samples),
        "ray_offsets": offsets,
    }


COUNTS = [5, 0, 1, 37, 0, 0, 130, 64, 2, 0]


def make_directions(
    counts: list[int], dtype=torch.float64, device="cpu"
) -> Float[Tensor, "num_rays 3"]:
    generator = torch.Generator().manual_seed(3)
    toward = torch.randn(len(counts), 3, generator=generator, dtype=dtype)
    return torch.nn.functional.normalize(toward, dim=-1).to(device)


def gradients(result: Composited, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(7)
    outputs = [result.values, result.opacity, result.depth]
    if result.back_facing is not None:
        outputs.append(result.back_facing)
    upstream = [
        torch.randn(o.shape, generator=generator, dtype=torch.float64).to(o)
        for o in outputs
    ]
    return torch.autograd.grad(
        outputs, (inputs["densities"], inputs["channels"]), upstream
    )


def requiring_grad(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().clone().requires_grad_(name in ("densities", "channels"))
        for name, tensor in inputs.items()
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_channels", [0, 1, 2, 3, 4, 6, 7, 11])
@pytest.mark.parametrize("early_stop_transmittance", [0.0, 1e-4, 0.2])
def test_values_and_gradients_match_the_reference(
    device, dtype, num_channels, early_stop_transmittance
):
    tolerance = {"atol": 2e-5, "rtol": 1e-4} if dtype == torch.float32 else {}
    inputs = make_rays(COUNTS, num_channels, dtype, device)
    native = requiring_grad(inputs)
    twin = requiring_grad(inputs)
    result = composite(**native, early_stop_transmittance=early_stop_transmittance)
    expected = reference.composite(
        **twin, early_stop_transmittance=early_stop_transmittance
    )
    torch.testing.assert_close(result.values, expected.values, **tolerance)
    torch.testing.assert_close(result.opacity, expected.opacity, **tolerance)
    torch.testing.assert_close(result.depth, expected.depth, **tolerance)
    torch.testing.assert_close(result.weights, expected.weights, **tolerance)
    for grad, expected_grad in zip(
        gradients(result, native), gradients(expected, twin), strict=True
    ):
        torch.testing.assert_close(grad, expected_grad, **tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("num_channels", [3, 6, 7, 11])
@pytest.mark.parametrize("early_stop_transmittance", [0.0, 0.2])
def test_back_facing_normals_match_the_reference(
    device, dtype, num_channels, early_stop_transmittance
):
    tolerance = {"atol": 2e-5, "rtol": 1e-4} if dtype == torch.float32 else {}
    inputs = make_rays(COUNTS, num_channels, dtype, device)
    inputs["directions"] = make_directions(COUNTS, dtype, device)
    native, twin = requiring_grad(inputs), requiring_grad(inputs)
    result, expected = (
        function(**each, early_stop_transmittance=early_stop_transmittance)
        for function, each in ((composite, native), (reference.composite, twin))
    )
    assert result.back_facing is not None
    assert expected.back_facing is not None
    assert (expected.back_facing > 0.0).any()
    torch.testing.assert_close(result.back_facing, expected.back_facing, **tolerance)
    torch.testing.assert_close(result.values, expected.values, **tolerance)
    for grad, expected_grad in zip(
        gradients(result, native), gradients(expected, twin), strict=True
    ):
        torch.testing.assert_close(grad, expected_grad, **tolerance)


def test_back_facing_has_no_gradient_in_the_densities():
    inputs = requiring_grad(make_rays(COUNTS))
    result = composite(**inputs, directions=make_directions(COUNTS))
    result.back_facing.sum().backward()
    assert (inputs["densities"].grad == 0.0).all()
    assert (inputs["channels"].grad != 0.0).any()


def test_a_normal_that_is_no_number_is_not_taken_for_one_that_faces_the_camera():
    inputs = make_rays([4])
    inputs["channels"][1, 0] = float("nan")
    result = composite(**inputs, directions=make_directions([4]))
    assert result.back_facing.isnan().all()


@pytest.mark.parametrize("with_directions", [False, True])
def test_gradcheck(with_directions):
    counts = [3, 0, 6]
    inputs = requiring_grad(make_rays(counts, num_channels=4))
    directions = make_directions(counts) if with_directions else None
    fixed = {**inputs, "densities": inputs["densities"].detach().clone()}

    def outputs(densities: Tensor, channels: Tensor) -> tuple[Tensor, ...]:
        result = composite(**{**inputs, "densities": densities, "channels": channels})
        of_fixed = composite(**{**fixed, "channels": channels}, directions=directions)
        seen = () if of_fixed.back_facing is None else (of_fixed.back_facing,)
        return result.values, result.opacity, result.depth, *seen

    assert torch.autograd.gradcheck(outputs, (inputs["densities"], inputs["channels"]))


def test_gradient_is_exact_behind_dense_samples_and_where_density_is_zero():
    inputs = requiring_grad(make_rays([40], num_channels=1))
    with torch.no_grad():
        inputs["densities"][:20] = 0.0
        inputs["densities"][20:] *= 4.0

    def values(densities: Tensor) -> Tensor:
        changed = {**inputs, "densities": densities}
        return composite(**changed, early_stop_transmittance=0.0).values

    (grad,) = torch.autograd.grad(
        values(inputs["densities"]).sum(), inputs["densities"]
    )
    assert torch.autograd.gradcheck(values, inputs["densities"])
    assert (grad[:20] != 0).all()


@pytest.mark.parametrize("with_directions", [False, True])
def test_opdef_is_sound(device, with_directions):
    inputs = requiring_grad(make_rays(COUNTS, dtype=torch.float32, device=device))
    directions = make_directions(COUNTS, torch.float32, device)
    torch.library.opcheck(
        torch.ops.realfusion.composite.default,
        (*inputs.values(), directions if with_directions else None, 1e-4),
    )


def test_weights_and_final_transmittance_sum_to_one(device):
    inputs = make_rays(COUNTS, dtype=torch.float32, device=device)
    result = composite(**inputs, early_stop_transmittance=0.0)
    weights, offsets = result.weights, inputs["ray_offsets"]
    for ray, (first, last) in enumerate(itertools.pairwise(offsets)):
        optical_depth = (inputs["densities"] * inputs["deltas"])[first:last].sum()
        total = weights[first:last].sum() + torch.exp(-optical_depth)
        assert total.item() == pytest.approx(1.0, abs=1e-6)
        assert result.opacity[ray].item() == pytest.approx(
            weights[first:last].sum().item(), abs=1e-6
        )


@pytest.mark.parametrize("optical_depth", [0.0, 1e-12, 1e-6, 1e-3, 0.3, 1.0, 20.0, 1e4])
def test_thin_and_thick_samples_keep_their_relative_precision(device, optical_depth):
    one = torch.ones(1, device=device)
    offsets = torch.tensor([0, 1], device=device)
    result = composite(one * optical_depth, one[:, None], one, one, offsets)
    expected = -torch.expm1(torch.tensor(-optical_depth, dtype=torch.float64)).item()
    assert result.opacity.item() == pytest.approx(expected, rel=3e-7, abs=6e-8)
    assert result.weights.item() == pytest.approx(expected, rel=3e-7, abs=0.0)


def test_samples_behind_the_early_stop_have_no_weight_and_no_gradient(device):
    inputs = requiring_grad(make_rays([50], dtype=torch.float32, device=device))
    with torch.no_grad():
        inputs["densities"].fill_(1.0)
        inputs["densities"][10] = 1e3
    result = composite(**inputs)
    (grad_densities, grad_channels) = gradients(result, inputs)
    assert (result.weights[:11] > 0).all()
    assert (result.weights[11:] == 0).all()
    assert (grad_densities[:10] != 0).all()
    assert (grad_densities[11:] == 0).all()
    assert (grad_channels[11:] == 0).all()


def test_samples_of_no_ray_have_no_weight_and_no_gradient(device):
    inputs = requiring_grad(make_rays([4, 3], dtype=torch.float32, device=device))
    inputs["ray_offsets"] = inputs["ray_offsets"].clamp(max=5)
    result = composite(**inputs)
    assert (result.weights[:5] > 0).all()
    assert (result.weights[5:] == 0).all()
    assert all((grad[5:] == 0).all() for grad in gradients(result, inputs))


@pytest.mark.parametrize("counts", [[], [0, 0, 0]])
def test_empty_rays_are_transparent(device, counts):
    inputs = requiring_grad(make_rays(counts, dtype=torch.float32, device=device))
    result = composite(**inputs)
    assert result.values.shape == (len(counts), 3)
    assert (result.values == 0).all()
    assert (result.opacity == 0).all()
    assert (result.depth == 0).all()
    assert all(grad.numel() == 0 for grad in gradients(result, inputs))


def test_non_contiguous_arguments_give_the_same_result(device):
    inputs = make_rays(COUNTS, dtype=torch.float32, device=device)
    strided = {
        name: torch.stack([tensor, tensor], dim=-1)[..., 0]
        for name, tensor in inputs.items()
    }
    strided["channels"] = inputs["channels"].T.contiguous().T
    assert not any(tensor.is_contiguous() for tensor in strided.values())
    assert torch.equal(composite(**strided).values, composite(**inputs).values)


def test_the_number_of_threads_does_not_change_a_bit():
    inputs = requiring_grad(make_rays([61] * 900, dtype=torch.float32))
    num_threads = torch.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            result = composite(**inputs)
            runs.append((result.values, result.depth, *gradients(result, inputs)))
    finally:
        torch.set_num_threads(num_threads)
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))


def test_second_derivatives_are_refused():
    inputs = requiring_grad(make_rays([4]))
    values = composite(**inputs).values
    (grad,) = torch.autograd.grad(values.sum(), inputs["densities"], create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiable once"):
        grad.sum().backward()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("densities", lambda x: x[:-1], r"`densities` must have the shape \[7\]"),
        ("channels", lambda x: x[:, 0], r"`channels` must have the shape"),
        ("channels", lambda x: x.half(), "`channels` must be float32 or float64"),
        ("t", lambda x: x.double(), "`t` must be torch.float32"),
        ("deltas", lambda x: x[:, None], "`deltas` must have the shape"),
        ("ray_offsets", lambda x: x.int(), "`ray_offsets` must be int64"),
        ("ray_offsets", lambda x: x[:0], "`ray_offsets` must have the shape"),
        ("directions", lambda x: x[:1], r"`directions` must have the shape \[2, 3\]"),
        ("directions", lambda x: x.double(), "`directions` must be torch.float32"),
        ("channels", lambda x: x[:, :2], "last three `channels` must be normals"),
    ],
)
def test_wrong_arguments_are_named(name, change, message):
    inputs = make_rays([4, 3], dtype=torch.float32)
    inputs["directions"] = make_directions([4, 3], torch.float32)
    inputs[name] = change(inputs[name])
    with pytest.raises(ValueError, match=message):
        composite(**inputs)


@pytest.mark.parametrize("offsets", [[0, 5, 3, 7], [1, 4, 7], [0, 4, 8]])
def test_offsets_that_do_not_fit_are_rejected(offsets):
    inputs = make_rays([4, 3], dtype=torch.float32)
    inputs["ray_offsets"] = torch.tensor(offsets)
    with pytest.raises(RuntimeError, match="`ray_offsets` must ascend"):
        composite(**inputs)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_threshold_out_of_range_is_rejected(threshold):
    with pytest.raises(ValueError, match="`early_stop_transmittance` must lie"):
        composite(**make_rays([4]), early_stop_transmittance=threshold)


def test_the_fake_kernel_gives_the_shapes():
    inputs = make_rays([4, 3], num_channels=5, dtype=torch.float32, device="meta")
    result = composite(**inputs)
    assert result.values.shape == (2, 5)
    assert result.weights.shape == (7,)
