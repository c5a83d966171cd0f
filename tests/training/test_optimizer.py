"""The optimiser of a scene: rates, what is in use, what is saved."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext

import pytest
import torch

from realfusion.training.config import CoarseToFineConfig, OptimizerConfig
from realfusion.training.draws import draw_step
from realfusion.training.fit import fit
from realfusion.training.objective import weighted_sum
from realfusion.training.state import TrainState
from realfusion.training.step import Task, compute_terms


def with_gradients(state: TrainState, value: float = 1.0) -> TrainState:
    for parameter in state.scene.parameters():
        parameter.grad = torch.full_like(parameter, value)
    return state


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_it_is_the_one_asked_for(config, kind):
    """Defect 7: `optim=adamw` built Adam. With zero gradients only AdamW decays."""
    optimizer = OptimizerConfig(kind=kind, weight_decay=0.1)
    config = dataclasses.replace(config, optimizer=optimizer)
    state = with_gradients(TrainState(config, seed=0), 0.0)
    field = state.scene.field
    before, table = field.w1.detach().clone(), field.table.detach().clone()
    state.optimizer.step(torch.tensor(1.0))
    if kind == "adamw":
        expected = before * (1.0 - 0.1 * optimizer.learning_rate)
        torch.testing.assert_close(field.w1.detach(), expected)
    else:  # the decay is all there is of a gradient, and Adam takes a whole step
        moved = (field.w1.detach() - before).abs()
        expected = torch.full_like(moved, optimizer.learning_rate)
        torch.testing.assert_close(moved, expected, rtol=1e-2, atol=1e-6)
    assert torch.equal(field.table.detach(), table), "the grid does not decay"


def test_networks_and_grid_have_rates_of_their_own(config):
    optimizer = OptimizerConfig(
        learning_rate=1e-3, grid_learning_rate=1e-2, weight_decay=0.0
    )
    config = dataclasses.replace(config, optimizer=optimizer)
    state = with_gradients(TrainState(config, seed=0))
    before = {n: p.detach().clone() for n, p in state.scene.named_parameters()}
    state.optimizer.set_rates(0.5)
    state.optimizer.step(torch.tensor(0.25))
    for name, parameter in state.scene.named_parameters():
        rate = 5e-3 if name == "field.table" else 5e-4
        moved = (before[name] - parameter.detach()).mean().item()
        assert moved == pytest.approx(rate, rel=1e-3), name
        average = before[name].lerp(parameter.detach(), 0.25)
        torch.testing.assert_close(state.optimizer.averaged[name], average)


def test_levels_that_are_not_in_use_are_left_alone(config):
    state = with_gradients(TrainState(config, seed=0))
    layout = state.scene.field.layout
    before = state.scene.field.table.detach().clone()
    state.scene.num_active_levels = 2
    state.optimizer.step(torch.tensor(0.5))
    moved = (state.scene.field.table.detach() != before).all(dim=1)
    assert torch.equal(moved, torch.arange(len(moved)) < layout.offsets[2])


def test_leaving_them_out_changes_no_bit(config, photo, monkeypatch):
    config = dataclasses.replace(
        config,
        coarse_to_fine=CoarseToFineConfig(initial_fraction=0.3, begin=0.3, end=0.6),
    )
    states = [TrainState(config, seed=0) for _ in range(2)]
    monkeypatch.setattr(states[1].scene, "rows_in_use", dict)
    for state in states:
        list(fit(state, Task(photo), config))
    found, expected = (state.tensors() for state in states)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_what_is_gathered_is_what_autograd_would_add_up(config, photo):
    state = TrainState(config, seed=0)
    state.scene.num_active_levels = 2
    rows = state.scene.rows_in_use()["field.table"]
    draw = draw_step(photo, config, 0, state.generator)

    def gradients(*, gathered: bool) -> dict[str, torch.Tensor]:
        block = state.optimizer.gathering() if gathered else nullcontext()
        with block:
            terms, _ = compute_terms(state, Task(photo), config, draw)
        weighted_sum(terms, draw.weights).backward()
        found = {n: p.grad.clone() for n, p in state.scene.named_parameters()}
        state.optimizer.zero_grad()
        return found

    expected = gradients(gathered=False)
    for _ in range(2):  # the second time over what the first has left
        found = gradients(gathered=True)
        for name, gradient in expected.items():
            largest = gradient.abs().max().item()
            torch.testing.assert_close(
                found[name], gradient, rtol=1e-4, atol=1e-6 * largest
            )
    assert (found["field.table"][rows:] == 0.0).all()
    assert (found["field.table"][:rows] != 0.0).any()


def test_parameters_without_a_gradient_are_passed_over(config):
    state = with_gradients(TrainState(config, seed=0))
    field = state.scene.field
    field.w1.grad = None
    before = field.w1.detach().clone()
    others = {"table": field.table.detach().clone(), "b3": field.b3.detach().clone()}
    state.optimizer.step(torch.tensor(0.5))
    assert torch.equal(field.w1.detach(), before)
    rates = OptimizerConfig()
    for name, rate in (
        ("table", rates.grid_learning_rate),
        ("b3", rates.learning_rate),
    ):
        moved = (others[name] - getattr(field, name).detach()).mean().item()
        assert moved == pytest.approx(rate, rel=0.02), name


def test_the_gradient_sum_is_finite_only_if_every_gradient_is(config):
    state = with_gradients(TrainState(config, seed=0))
    assert state.optimizer.gradient_sum().isfinite()
    state.scene.field.table.grad[3, 1] = torch.inf
    assert not state.optimizer.gradient_sum().isfinite()
    state.optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in state.scene.parameters())


def test_it_is_saved_and_loaded_in_place(config):
    first, second = (TrainState(config, seed=seed) for seed in (0, 1))
    with_gradients(first).optimizer.step(torch.tensor(0.5))
    addresses = {n: t.data_ptr() for n, t in second.optimizer.tensors().items()}
    second.optimizer.load(first.optimizer.tensors())
    for name, tensor in second.optimizer.tensors().items():
        assert torch.equal(tensor, first.optimizer.tensors()[name]), name
        assert tensor.data_ptr() == addresses[name], name
    assert second.optimizer.tensors()["optimizer.count"] == 1.0
