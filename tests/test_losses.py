"""The terms of the objective against their formulas."""

import math

import pytest
import torch

from realfusion import losses


def test_normal_smoothness_vanishes_on_constant_normals():
    normals = torch.tensor([0.0, 0.6, 0.8]).expand(20, 16, 3)
    loss = losses.normal_smoothness_loss(normals, torch.ones(20, 16))
    assert loss == pytest.approx(0.0, abs=1e-12)


def test_normal_smoothness_costs_nothing_at_an_outline():
    """The paper's blur(N) does, and pays for it with opacity: objects shrink."""
    opacity = torch.zeros(24, 24)
    opacity[6:18, 6:18] = 1.0
    normals = opacity[..., None] * torch.tensor([0.0, 0.6, 0.8])
    loss = losses.normal_smoothness_loss(normals, opacity)
    assert loss == pytest.approx(0.0, abs=1e-12)


def test_normal_smoothness_is_the_distance_to_the_mean_over_the_object():
    normals = torch.randn(12, 12, 3, dtype=torch.float64, requires_grad=True)
    opacity = torch.rand(12, 12, dtype=torch.float64, requires_grad=True)
    losses.normal_smoothness_loss(normals, opacity).backward()
    kernel = losses.gaussian_kernel(9).double()
    weights = torch.outer(kernel, kernel).expand(4, 1, 9, 9)
    image = torch.cat([normals, opacity[..., None]], dim=-1).detach().permute(2, 0, 1)
    padded = torch.nn.functional.pad(image[None], (4,) * 4, mode="replicate")
    blurred = torch.nn.functional.conv2d(padded, weights, groups=4)[0].permute(1, 2, 0)
    wanted = opacity[..., None] * blurred[..., :3] / blurred[..., 3:]
    expected = 2 * (normals - wanted).detach() / normals.numel()
    torch.testing.assert_close(normals.grad, expected)
    assert opacity.grad is None, "what is wanted is not changed to suit the normals"


def test_opacity_entropy_is_one_bit_at_a_half_and_none_at_the_ends():
    assert losses.opacity_entropy_loss(torch.tensor([0.5])) == pytest.approx(1.0)
    ends = torch.tensor([0.0, 1.0], requires_grad=True)
    loss = losses.opacity_entropy_loss(ends)
    assert loss < 1e-3
    loss.backward()
    assert ends.grad.isfinite().all()


def test_opacity_sparsity_formula():
    opacity = torch.tensor([0.0, 1.0])
    expected = (0.1 + math.sqrt(1.01)) / 2
    assert losses.opacity_sparsity_loss(opacity) == pytest.approx(expected)


def test_image_mask_and_orientation_are_means():
    zeros, ones = torch.zeros(4, 3), torch.ones(4, 3)
    assert losses.image_loss(zeros, ones) == 1.0
    assert losses.mask_loss(zeros[:, 0], 0.5 * ones[:, 0]) == 0.25
    assert losses.orientation_loss(torch.tensor([0.0, 2.0])) == 1.0


@pytest.mark.parametrize("max_norm", [10.0, 5.0, 1.0])
def test_clip_gradient_shortens_only_long_gradients(max_norm):
    values = torch.zeros(4, requires_grad=True)
    clipped = losses.clip_gradient(values, max_norm)
    upstream = torch.tensor([0.6, 0.8, 0.0, 0.0]) * 5.0
    clipped.backward(upstream)
    torch.testing.assert_close(values.grad.norm(), torch.tensor(min(5.0, max_norm)))
    on_device = torch.zeros(4, requires_grad=True)
    losses.clip_gradient(on_device, torch.tensor(max_norm)).backward(upstream)
    assert torch.equal(values.grad, on_device.grad)
    direction = values.grad / values.grad.norm()
    torch.testing.assert_close(direction, upstream / upstream.norm())
