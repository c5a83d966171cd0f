"""What holds for every ray that `composite` renders, in float64."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from realfusion.ops.compositing import Composited, composite


@st.composite
def packed_rays(draw) -> dict[str, Tensor]:
    """Rays of 0 to 20 samples, from nearly empty to nearly opaque."""
    counts = draw(st.lists(st.integers(0, 20), min_size=1, max_size=8))
    largest = draw(st.sampled_from([0.0, 1e-3, 5.0, 300.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    num_samples, num_channels = sum(counts), draw(st.integers(0, 7))

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    return {
        "densities": largest * uniform(num_samples),
        "channels": 4.0 * uniform(num_samples, num_channels) - 2.0,
        "t": 1.0 + uniform(num_samples),
        "deltas": 0.1 * uniform(num_samples),
        "ray_offsets": torch.tensor([0, *counts]).cumsum(0),
    }


def render(rays: dict[str, Tensor]) -> Composited:
    return composite(**rays, early_stop_transmittance=0.0)


def sum_of_rays(values: Tensor, ray_offsets: Tensor) -> Tensor:
    counts = ray_offsets.diff().tolist()
    return torch.stack([part.sum(0) for part in values.split(counts)])


@given(packed_rays())
def test_weights_and_transmittance_sum_to_one(rays):
    result = render(rays)
    optical_depths = sum_of_rays(
        rays["densities"] * rays["deltas"], rays["ray_offsets"]
    )
    weights = sum_of_rays(result.weights, rays["ray_offsets"])
    torch.testing.assert_close(weights + torch.exp(-optical_depths), weights**0)
    torch.testing.assert_close(result.opacity, weights)
    assert (result.weights >= 0).all()


@given(packed_rays(), st.randoms(use_true_random=False))
def test_permuted_rays_give_permuted_results(rays, random):
    offsets = rays["ray_offsets"]
    order = random.sample(range(len(offsets) - 1), len(offsets) - 1)
    samples = torch.cat(
        [torch.arange(int(offsets[ray]), int(offsets[ray + 1])) for ray in order]
    )
    permuted = {name: tensor[samples] for name, tensor in rays.items()
                if name != "ray_offsets"}  # fmt: skip
    counts = offsets.diff()[order]
    permuted["ray_offsets"] = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    result, expected = render(permuted), render(rays)
    assert torch.equal(result.values, expected.values[order])
    assert torch.equal(result.opacity, expected.opacity[order])
    assert torch.equal(result.depth, expected.depth[order])
    assert torch.equal(result.weights, expected.weights[samples])


@given(packed_rays())
def test_a_sample_in_two_halves_renders_the_same(rays):
    halves = {
        name: tensor.repeat_interleave(2, dim=0)
        for name, tensor in rays.items()
        if name != "ray_offsets"
    }
    halves["deltas"] = halves["deltas"] / 2
    result = render({**halves, "ray_offsets": 2 * rays["ray_offsets"]})
    expected = render(rays)
    torch.testing.assert_close(result.values, expected.values)
    torch.testing.assert_close(result.opacity, expected.opacity)
    torch.testing.assert_close(result.depth, expected.depth)
    merged = result.weights.view(-1, 2).sum(1)
    torch.testing.assert_close(merged, expected.weights)


@given(packed_rays())
def test_values_lie_within_the_range_of_their_channels(rays):
    result = render(rays)
    for ray, opacity in enumerate(result.opacity):
        first, last = rays["ray_offsets"][ray : ray + 2].tolist()
        if first == last:
            assert (result.values[ray] == 0).all()
            continue
        lowest, highest = torch.aminmax(rays["channels"][first:last], dim=0)
        assert (result.values[ray] >= opacity * lowest - 1e-12).all()
        assert (result.values[ray] <= opacity * highest + 1e-12).all()


@given(packed_rays())
def test_gradients_of_a_ray_sum_to_what_calculus_says(rays):
    rays["densities"].requires_grad_()
    rays["channels"].requires_grad_()
    result = render(rays)
    (grad_densities,) = torch.autograd.grad(
        result.opacity.sum(), rays["densities"], retain_graph=True
    )
    (grad_channels,) = torch.autograd.grad(result.values.sum(), rays["channels"])
    # d opacity / d density = delta * transmittance of the whole ray, for each sample.
    transmittance = (1.0 - result.opacity).repeat_interleave(rays["ray_offsets"].diff())
    torch.testing.assert_close(
        grad_densities, rays["deltas"] * transmittance, atol=1e-14, rtol=1e-7
    )
    # A channel's gradient is the weight: over a ray they sum to its opacity.
    torch.testing.assert_close(
        sum_of_rays(grad_channels, rays["ray_offsets"]),
        result.opacity.detach()[:, None].expand_as(result.values),
    )
