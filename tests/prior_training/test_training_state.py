"""Checkpoints of the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from realfusion.prior_training.training_state import TrainingState, finite_value


def fresh_state() -> TrainingState:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    return TrainingState(model, torch.optim.AdamW(model.parameters(), 1e-2))


def advance(state: TrainingState, steps: int) -> None:
    for _ in range(steps):
        inputs = torch.full((2, 4), float(state.step))
        loss = (state.model(inputs) - 1).square().mean()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.step += 1
        state.update_average(0.9)


def test_resuming_equals_going_straight_on(tmp_path: Path) -> None:
    straight = fresh_state()
    advance(straight, 6)
    first = fresh_state()
    advance(first, 3)
    first.save(tmp_path / "checkpoint", extra={"note": "half way"})
    second = fresh_state()
    document = second.load(tmp_path / "checkpoint")
    assert document is not None
    assert document["note"] == "half way"
    advance(second, 3)
    assert second.step == 6
    for name, value in straight.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], value)
        assert torch.equal(second.average[name], straight.average[name])


def test_nothing_to_load_leaves_the_state_alone(tmp_path: Path) -> None:
    state = fresh_state()
    before = state.model.weight.clone()
    assert state.load(tmp_path / "none") is None
    assert torch.equal(state.model.weight, before)


def test_swapping_the_average_twice_restores_the_weights() -> None:
    state = fresh_state()
    advance(state, 4)
    weights, average = state.model.weight.clone(), state.average["weight"].clone()
    state.swap_average()
    assert torch.equal(state.model.weight, average)
    assert not torch.equal(weights, average)
    state.swap_average()
    assert torch.equal(state.model.weight, weights)


def test_a_loss_that_is_not_finite_stops_the_training_by_name() -> None:
    assert finite_value(torch.tensor(2.0), "the denoiser", 3) == 2.0
    with pytest.raises(FloatingPointError, match=r"denoiser must stay finite.*step 3"):
        finite_value(torch.tensor(float("nan")), "the denoiser", 3)
