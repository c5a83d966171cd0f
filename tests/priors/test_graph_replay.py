"""A replayed function is the function, whatever is asked and in which order."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from realfusion.priors.graph_replay import (
    MAX_SHAPES,
    NUM_WARM_UPS,
    CudaRecorder,
    ReplayedCall,
    ReplayedGradient,
)


def weigh(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sin()


def cube(values: Tensor) -> Tensor:
    return values**3 + values.roll(1, dims=0)


def gradient(function: Any, values: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    values = values.clone().requires_grad_()
    result = function(values)
    result.backward(upstream)
    return result.detach(), values.grad


def test_a_call_takes_new_arguments_and_gives_results_to_keep(recorder: Any) -> None:
    calls = []

    def counted(*arguments: Tensor) -> Tensor:
        calls.append(arguments)
        return weigh(*arguments)

    replayed = ReplayedCall("sum", counted, recorder)
    pairs = [(torch.rand(3, 2), torch.rand(3, 2)) for _ in range(4)]
    results = [replayed(*pair) for pair in pairs]
    for pair, result in zip(pairs, results, strict=True):
        assert torch.equal(result, weigh(*pair))
    assert recorder.replays == [4]
    assert len(calls) == NUM_WARM_UPS + 1 + 4
    first = calls[0]
    for arguments in calls:
        assert all(a is b for a, b in zip(arguments, first, strict=True)), "they stay"


def test_every_shape_and_dtype_has_a_recording_of_its_own(recorder: Any) -> None:
    replayed = ReplayedCall("sum", weigh, recorder)
    for shape, dtype in (
        ((2,), torch.float32), ((3,), torch.float32), ((2,), torch.float64),
        ((2,), torch.float32),
    ):  # fmt: skip
        values, weights = torch.rand(shape, dtype=dtype), torch.rand(shape, dtype=dtype)
        assert torch.equal(replayed(values, weights), weigh(values, weights))
    assert recorder.replays == [2, 1, 1]


@pytest.mark.parametrize("is_differentiable", [False, True])
def test_too_many_shapes_run_eagerly_and_are_told_once(
    recorder: Any, is_differentiable: bool
) -> None:
    kind, function = ReplayedGradient if is_differentiable else ReplayedCall, cube
    replayed = kind("prior's part", function, recorder)
    sizes = list(range(1, MAX_SHAPES + 3))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for size in [*sizes, *sizes]:
            values, upstream = torch.rand(size), torch.rand(size)
            if is_differentiable:
                ours = gradient(replayed, values, upstream)
                theirs = gradient(function, values, upstream)
                assert all(map(torch.equal, ours, theirs))
            else:
                assert torch.equal(replayed(values), function(values))
    (line,) = told
    assert str(line.message) == (
        "the prior's part got more than 4 shapes: other shapes run without CUDA graphs"
    )
    assert recorder.replays == [2] * MAX_SHAPES * (1 + is_differentiable)


def test_what_cannot_be_captured_runs_eagerly_and_is_told_once(recorder: Any) -> None:
    recorder.failure = RuntimeError("operation not permitted\nwhen capturing")
    replayed = ReplayedGradient("prior's part", cube, recorder)
    values, upstream = torch.rand(3), torch.rand(3)
    with pytest.warns(UserWarning, match=r"\(operation not permitted\): it runs with"):
        ours = gradient(replayed, values, upstream)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = gradient(replayed, values, upstream)
    for each in (ours, again):
        assert all(map(torch.equal, each, gradient(cube, values, upstream)))


def test_memory_that_runs_out_in_a_capture_is_passed_on(recorder: Any) -> None:
    recorder.failure = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(torch.OutOfMemoryError):
        ReplayedCall("part", cube, recorder)(torch.rand(2))


def test_a_call_with_a_gradient_is_not_replayed(recorder: Any) -> None:
    replayed = ReplayedCall("part", weigh, recorder)
    weights = torch.rand(3, requires_grad=True)
    replayed(torch.rand(3), weights).sum().backward()
    assert weights.grad is not None
    assert recorder.recordings == []
    with torch.no_grad():
        assert not replayed(torch.rand(3), weights).requires_grad
    assert recorder.replays == [1]


def test_a_gradient_that_nobody_wants_is_not_recorded(recorder: Any) -> None:
    replayed = ReplayedGradient("part", cube, recorder)
    values = torch.rand(3, requires_grad=True)
    with torch.no_grad():
        assert torch.equal(replayed(values), cube(values))
    replayed(torch.rand(3))
    assert recorder.recordings == []


def test_gradients_follow_new_values_and_layouts(recorder: Any) -> None:
    replayed = ReplayedGradient("part", cube, recorder)
    for _ in range(3):
        values, upstream = torch.rand(4, 3).T, torch.rand(6, 4)[::2]
        ours = gradient(replayed, values, upstream)
        assert all(map(torch.equal, ours, gradient(cube, values, upstream)))
    assert recorder.replays == [3, 3], "activations are computed once a call"


def test_a_backward_pass_done_again_finds_its_activations(recorder: Any) -> None:
    replayed = ReplayedGradient("part", cube, recorder)
    values = torch.rand(3, requires_grad=True)
    result = replayed(values)
    first, second = (
        torch.autograd.grad(result.sum(), values, retain_graph=True)[0]
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert recorder.replays == [2, 2]


def test_there_is_no_second_derivative_to_be_wrong(recorder: Any) -> None:
    replayed = ReplayedGradient("part", cube, recorder)
    values = torch.rand(3, requires_grad=True)
    loss = replayed(values).square().sum()
    (grad,) = torch.autograd.grad(loss, values, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "backward"]), st.integers(0, 5)), max_size=24
)


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_calls_and_backward_passes_in_any_order(
    recorder_kind: Any, steps: list[tuple[str, int]]
) -> None:
    replayed = ReplayedGradient("part", cube, recorder_kind())
    made: list[tuple[Tensor, Tensor]] = []
    random = torch.Generator().manual_seed(0)
    for action, index in steps:
        if action == "call":
            size = 2 + index % 3
            values = torch.rand(size, generator=random).requires_grad_()
            made.append((values, replayed(values)))
            assert torch.equal(made[-1][1], cube(values))
        elif made:
            values, result = made[index % len(made)]
            upstream = torch.rand(values.shape, generator=random)
            (ours,) = torch.autograd.grad(result, values, upstream, retain_graph=True)
            (theirs,) = torch.autograd.grad(cube(values), values, upstream)
            assert torch.equal(ours, theirs)


def test_a_capture_that_fails_leaves_the_stream_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch stays on the capture's stream when the end of the capture raises."""
    streams = ["own"]

    @contextmanager
    def graph(recorded: object, pool: object) -> Iterator[None]:
        streams.append("of the capture")
        yield
        raise RuntimeError("capture invalidated")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", type("CUDAGraph", (), {}))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: streams[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    recorder = CudaRecorder(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="invalidated"):
        recorder.record(lambda: torch.zeros(1))
    assert streams == ["own", "of the capture", "own"]


@pytest.mark.cuda
class TestOnCuda:
    """What only a device can show."""

    pytestmark = pytest.mark.skipif(
        not torch.cuda.is_available(), reason="no CUDA device"
    )

    def test_graphs_give_what_eager_calls_give(self) -> None:
        recorder = CudaRecorder(torch.device("cuda"))
        call = ReplayedCall("part", weigh, recorder)
        differentiable = ReplayedGradient("part", cube, recorder)
        for _ in range(3):
            values, other = torch.rand(2, 5, 4, device="cuda")
            assert torch.equal(call(values, other), weigh(values, other))
            ours = gradient(differentiable, values, other)
            assert all(map(torch.equal, ours, gradient(cube, values, other)))

    def test_activations_of_an_earlier_call_are_computed_again(self) -> None:
        recorder = CudaRecorder(torch.device("cuda"))
        replayed = ReplayedGradient("part", cube, recorder)
        made = []
        for _ in range(3):
            values = torch.rand(1000, device="cuda", requires_grad=True)
            made.append((values, replayed(values)))
        for values, result in made:
            (ours,) = torch.autograd.grad(result.sum(), values, retain_graph=True)
            (theirs,) = torch.autograd.grad(cube(values).sum(), values)
            assert torch.equal(ours, theirs)
