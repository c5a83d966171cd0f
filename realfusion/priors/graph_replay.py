"""Functions of tensors that a CUDA graph repeats: one launch instead of thousands.

A graph repeats kernels on tensors at the same addresses. Arguments are therefore copied
into tensors that stay, and results out of others; every combination of shapes and
dtypes has a graph of its own. How work is recorded is left to a `Recorder`, so that all
but that is the same, and testable, without a CUDA device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MAX_SHAPES = 4
"""Graphs of one function, each of which keeps its memory; other shapes run eagerly."""
NUM_WARM_UPS = 3
"""Calls before a capture, in which libraries make their workspaces and plans."""

Shapes = tuple[tuple[torch.Size, torch.dtype], ...]


@runtime_checkable
class Recording(Protocol):
    """Work that was recorded."""

    def replay(self) -> None:
        """Do it again, on the same tensors."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """Records what a function gives to the device."""

    def warm_up(self, run: Callable[[], Tensor]) -> None:
        """Run what will be recorded, some times."""
        ...

    def record(
        self, run: Callable[[], Tensor], after: Recording | None = None
    ) -> tuple[Recording, Tensor]:
        """Record a function.

        Args:
            run: Works on tensors that stay.
            after: A recording whose intermediate results this one needs.

        Returns:
            The recording, and the tensor in which each replay leaves its result;
            before the first one it holds nothing.
        """
        ...


class CudaRecorder:
    """Records into CUDA graphs, on a stream of its own as torch wants it."""

    def __init__(self, device: torch.device) -> None:
        """Record on a device.

        Args:
            device: A CUDA device.
        """
        self._device = device

    def warm_up(self, run: Callable[[], Tensor]) -> None:
        """Run `NUM_WARM_UPS` times on another stream."""
        with torch.cuda.device(self._device):
            stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(NUM_WARM_UPS):
                    run()
            current.wait_stream(stream)

    def record(
        self, run: Callable[[], Tensor], after: Recording | None = None
    ) -> tuple[Recording, Tensor]:
        """Capture; see `Recorder.record`."""
        pool = after.pool() if isinstance(after, torch.cuda.CUDAGraph) else None
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self._device):
            stream = torch.cuda.current_stream()
            try:
                with torch.cuda.graph(graph, pool=pool):
                    result = run()
            finally:
                # The end of a capture that failed raises, and torch then stays on the
                # capture's stream.
                torch.cuda.set_stream(stream)
        return graph, result


Entry = TypeVar("Entry")


class _ByShape(Generic[Entry]):
    """What was recorded for each combination of shapes and dtypes."""

    def __init__(self, name: str, make: Callable[[tuple[Tensor, ...]], Entry]) -> None:
        self._name = name
        self._make = make
        self._entries: dict[Shapes, Entry] = {}
        self._has_given_up = False

    def find(self, arguments: tuple[Tensor, ...]) -> Entry | None:
        """The recording for such arguments, made now if need be; None: run eagerly."""
        shapes = tuple((each.shape, each.dtype) for each in arguments)
        if shapes in self._entries or self._has_given_up:
            return self._entries.get(shapes)
        if len(self._entries) == MAX_SHAPES:
            self._give_up(f"got more than {MAX_SHAPES} shapes", "other shapes run")
            return None
        try:
            self._entries[shapes] = self._make(arguments)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # what CUDA cannot capture
            reason = (str(error).strip().splitlines() or [""])[0]
            self._give_up(f"could not be captured ({reason})", "it runs")
        return self._entries.get(shapes)

    def _give_up(self, reason: str, consequence: str) -> None:
        self._has_given_up = True
        warnings.warn(
            f"the {self._name} {reason}: {consequence} without CUDA graphs",
            stacklevel=4,
        )


class _RecordedCall:
    """A function of tensors of certain shapes."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        arguments: tuple[Tensor, ...],
        recorder: Recorder,
    ) -> None:
        self._arguments = tuple(each.detach().clone() for each in arguments)

        def run() -> Tensor:
            return function(*self._arguments)

        recorder.warm_up(run)
        self._recording, self._result = recorder.record(run)

    def __call__(self, arguments: tuple[Tensor, ...]) -> Tensor:
        for mine, given in zip(self._arguments, arguments, strict=True):
            mine.copy_(given)
        self._recording.replay()
        # A copy: the next replay writes to the same place.
        return self._result.clone()


class ReplayedCall:
    """A function of tensors without a gradient, replayed where that can be."""

    def __init__(
        self, name: str, function: Callable[..., Tensor], recorder: Recorder
    ) -> None:
        """Record nothing yet.

        Args:
            name: What it is called in warnings.
            function: From tensors to one; neither waits for the device nor depends on
                anything else that changes.
            recorder: Records it.
        """
        self._function = function
        self._by_shape: _ByShape[_RecordedCall] = _ByShape(
            name, lambda arguments: _RecordedCall(function, arguments, recorder)
        )

    def __call__(self, *arguments: Tensor) -> Tensor:
        """The function's result; where a gradient is wanted, by the function itself."""
        if torch.is_grad_enabled() and any(each.requires_grad for each in arguments):
            return self._function(*arguments)
        with torch.no_grad():
            recorded = self._by_shape.find(arguments)
            if recorded is None:
                return self._function(*arguments)
            return recorded(arguments)


class _RecordedGradient:
    """A function of one tensor of a certain shape, and its gradient.

    The forward recording leaves activations that the backward one uses up. `_age` tells
    whether those in memory still belong to a certain call.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], values: Tensor, recorder: Recorder
    ) -> None:
        self._values = values.detach().clone().requires_grad_()
        self._age = 0
        live: list[Tensor] = []

        def forward() -> Tensor:
            with torch.enable_grad():
                live[:] = [function(self._values)]
            return live[0].detach()

        def backward() -> Tensor:
            return torch.autograd.grad(live[0], self._values, self._grad_result)[0]

        with torch.no_grad():
            self._grad_result = torch.ones_like(function(self._values))

        def both() -> Tensor:
            forward()
            return backward()

        recorder.warm_up(both)
        # Nodes of the warm-up's stream must not be met again in a capture's.
        live.clear()
        self._forward, self._result = recorder.record(forward)
        # Into the same memory, where the activations are.
        self._backward, self._grad_values = recorder.record(
            backward, after=self._forward
        )

    def forward(self, values: Tensor) -> tuple[Tensor, int]:
        """The result, and the age of the activations behind it."""
        with torch.no_grad():
            self._values.copy_(values)
        self._forward.replay()
        self._age += 1
        return self._result.clone(), self._age

    def backward(self, values: Tensor, grad_result: Tensor, age: int) -> Tensor:
        """The gradient in the values, from activations of that age."""
        if age != self._age:  # another call's, or used up: computed once more
            self.forward(values)
        self._grad_result.copy_(grad_result)
        self._backward.replay()
        self._age += 1
        return self._grad_values.clone()


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, recorded: _RecordedGradient) -> Tensor:
        result, ctx.age = recorded.forward(values)
        ctx.save_for_backward(values)
        ctx.recorded = recorded
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_result: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        return ctx.recorded.backward(values, grad_result, ctx.age), None


class ReplayedGradient:
    """A function of one tensor with its gradient, replayed where that can be."""

    def __init__(
        self, name: str, function: Callable[[Tensor], Tensor], recorder: Recorder
    ) -> None:
        """Record nothing yet.

        Args:
            name: What it is called in warnings.
            function: From a tensor to one, once differentiable; neither waits for the
                device nor depends on anything else that changes.
            recorder: Records it and its backward pass.
        """
        self._function = function
        self._by_shape: _ByShape[_RecordedGradient] = _ByShape(
            name,
            lambda arguments: _RecordedGradient(function, arguments[0], recorder),
        )

    def __call__(self, values: Tensor) -> Tensor:
        """The function's result; where no gradient is wanted, by the function itself.

        Only what a step does is worth the memory of a graph.
        """
        if not (torch.is_grad_enabled() and values.requires_grad):
            return self._function(values)
        recorded = self._by_shape.find((values,))
        if recorded is None:
            return self._function(values)
        return _Replay.apply(values, recorded)
