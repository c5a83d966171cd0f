"""Memory that runs out: nothing is lost, and one line says what to try."""

from __future__ import annotations

import pytest
import torch

from realfusion.errors import DeviceMemoryError
from realfusion.training.fit import fit
from realfusion.training.out_of_memory import (
    explained,
    is_out_of_memory,
    saved_before_explained,
)
from realfusion.training.state import TrainState

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
    "5.80 GiB\nof which"
)


@pytest.fixture
def task(photo, grey_prior):
    return grey_prior.task(photo)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError(CUDA_MESSAGE), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("a defect"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_it_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def test_it_becomes_one_line_with_the_flag_to_try():
    with (
        pytest.raises(DeviceMemoryError) as caught,
        explained("--memory low", "; the state is saved"),
    ):
        raise torch.OutOfMemoryError(CUDA_MESSAGE)
    assert str(caught.value) == (
        "CUDA out of memory; the state is saved; try --memory low"
    )
    with pytest.raises(RuntimeError, match="a defect"), explained("--memory low"):
        raise RuntimeError("a defect")


def test_the_state_is_saved_and_goes_on_as_if_nothing_had_happened(
    config, task, monkeypatch
):
    straight = TrainState(config, seed=3)
    expected = [result.terms for result in fit(straight, task, config)]

    state, saved, calls = TrainState(config, seed=3), [], []
    judge = type(task.prior.diffusion).noise_residual

    def judge_once_too_large(self, *args, **options):
        calls.append(None)
        if len(calls) == 3:
            raise torch.OutOfMemoryError(CUDA_MESSAGE)
        return judge(self, *args, **options)

    monkeypatch.setattr(
        type(task.prior.diffusion), "noise_residual", judge_once_too_large
    )
    steps = saved_before_explained(
        fit(state, task, config), lambda: saved.append(state.step), "--memory low"
    )
    seen = [next(steps).terms, next(steps).terms]
    with pytest.raises(DeviceMemoryError, match=r"state is saved.*try --memory low"):
        next(steps)
    assert saved == [2]
    seen += [result.terms for result in fit(state, task, config)]
    assert seen == expected
    assert torch.equal(state.scene.field.table, straight.scene.field.table)
