"""The field's own choices; its kernels have tests with the operators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from realfusion.fields.config import FieldConfig
from realfusion.fields.radiance_field import RadianceField
from realfusion.ops.hash_grid import HashGridLayout, hash_grid_encode


def test_every_level_of_the_default_index_sees_all_three_axes():
    """Defect 8: at 2^16 entries the tiled index ignores z on its finest levels."""
    assert FieldConfig().indexing == "hash"
    layout = HashGridLayout(log2_table_size=16, indexing=FieldConfig().indexing)
    generator = torch.Generator().manual_seed(0)
    table = torch.rand(layout.num_entries, layout.num_features, generator=generator)
    points = torch.rand(64, 3, generator=generator) * 0.5
    here = hash_grid_encode(points, table, layout)
    for axis in range(3):
        moved = points.clone()
        moved[:, axis] += 0.4
        there = hash_grid_encode(moved, table, layout)
        changed = (here != there).reshape(64, layout.num_levels, -1).any(dim=-1)
        assert changed.all(dim=0).all(), f"axis {axis}"


def make_field(device: torch.device | str, **options: object) -> RadianceField:
    config = FieldConfig(num_levels=4, finest_resolution=64, hidden_width=16, **options)
    field = RadianceField(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        field.table.mul_(2e3)
    return field.to(device)


def loss_of_two_evaluations(field: RadianceField) -> Tensor:
    """One with normals and one without, of different samples."""
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(2, 500, 3, generator=generator).sub(0.5).to(field.table)
    first = field(points[0])
    second = field(points[1, :300], with_normals=False)
    assert first.normals is not None
    loss = (first.densities.log() * first.albedo[:, 0]).sum() + second.albedo.sum()
    return loss + first.normals[:, 1].sum()


@pytest.mark.parametrize("normals", ["analytic", "tetrahedral"])
def test_evaluations_that_share_a_gradient_of_the_table_add_up_in_it(device, normals):
    field = make_field(device, normals=normals)
    loss_of_two_evaluations(field).backward()
    expected = {name: value.grad for name, value in field.named_parameters()}
    field.zero_grad()
    before = torch.full_like(field.table, 0.5)
    shared = before.clone()
    with field.adding_table_gradient_to(shared):
        loss = loss_of_two_evaluations(field)
    loss.backward()
    assert field.table.grad is None
    found = {name: value.grad for name, value in field.named_parameters()}
    found["table"] = shared - before
    largest = expected["table"].abs().max().item()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-4, atol=1e-6 * largest
        )


def test_outside_of_the_block_autograd_has_the_gradient_again(device):
    field = make_field(device)
    shared = torch.zeros_like(field.table)
    with field.adding_table_gradient_to(shared):
        pass
    loss_of_two_evaluations(field).backward()
    assert field.table.grad is not None
    assert (shared == 0.0).all()


def test_a_shared_gradient_of_another_size_is_refused():
    field = make_field("cpu")
    with field.adding_table_gradient_to(torch.zeros(8, 2)):
        loss = loss_of_two_evaluations(field)
    with pytest.raises(RuntimeError, match="`grad_table`"):
        loss.backward()


def test_a_shared_gradient_is_refused_a_second_derivative():
    field = make_field("cpu")
    with field.adding_table_gradient_to(torch.zeros_like(field.table)):
        loss = loss_of_two_evaluations(field)
    (gradient,) = torch.autograd.grad(loss, field.w1, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
