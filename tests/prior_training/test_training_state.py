"""Checkpoints of the training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from realfusion.prior_training import training_state
from realfusion.prior_training.training_state import (
    CheckpointedProgress,
    TrainingState,
    finite_value,
)


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


def test_what_stops_the_training_finds_its_last_step_saved(tmp_path: Path) -> None:
    state, folder = fresh_state(), tmp_path / "checkpoint"

    def stop(stage: str, step: int, total: int, measured: dict[str, float]) -> None:
        if step == 20:
            raise KeyboardInterrupt

    report = CheckpointedProgress(state, folder, checkpoint_seconds=1e9, progress=stop)
    for _ in range(19):
        advance(state, 1)
        report("stage", 100, {"loss": 1.0})
    assert not TrainingState.is_saved(folder)
    advance(state, 1)
    with pytest.raises(KeyboardInterrupt):
        report("stage", 100, {"loss": 1.0})
    resumed = fresh_state()
    resumed.load(folder)
    assert resumed.step == 20
    assert torch.equal(resumed.model.weight, state.model.weight)


def test_reports_hold_the_means_since_the_last_one(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int, dict[str, float]]] = []
    state = fresh_state()
    report = CheckpointedProgress(
        state,
        tmp_path,
        checkpoint_seconds=1e9,
        progress=lambda *record: seen.append(record),
    )
    for step in range(1, 13):
        state.step = step
        report("stage", 12, {"loss": float(step)})
    assert [(stage, step, total) for stage, step, total, _ in seen] == [
        ("stage", 10, 12),
        ("stage", 12, 12),
    ]
    assert [measured["loss"] for *_, measured in seen] == [5.5, 11.5]
    assert all(measured["steps_per_second"] > 0 for *_, measured in seen)


def test_a_save_that_fails_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = fresh_state()
    advance(state, 1)
    state.save(tmp_path)

    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(training_state, "save_file", fail)
    advance(state, 1)
    with pytest.raises(OSError, match="disk full"):
        state.save(tmp_path)
    resumed = fresh_state()
    resumed.load(tmp_path)
    assert resumed.step == 1
