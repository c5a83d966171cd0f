"""Steps repeated by CUDA graphs: one launch instead of hundreds.

A step without a prior is short and made of many small kernels: launching them one by
one takes the host longer than the device needs to run them. With a prior it does not
pay: the denoiser keeps the device busy for long enough that the host, which waits for
nothing, is ahead of it anyway. (`realfusion.priors.graphs` repeats the prior's networks
alone, for hosts that are not.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from realfusion.rendering.capacity import SampleCounts
from realfusion.training.config import ReconstructionConfig
from realfusion.training.draws import StepDraw
from realfusion.training.launched import Outcome
from realfusion.training.state import TrainState
from realfusion.training.step import Task, update_scene

# Levels of the hash grid in use, and the shading of each view.
Branch = tuple[int | None, tuple[str, ...]]
# Room for the samples of the photo's rays and of a view; None while it is not known.
Sizes = tuple[SampleCounts | None, SampleCounts | None]


@dataclass
class _Captured:
    """The graphs of one size.

    Attributes:
        sizes: Room for samples.
        inputs: The tensors that the graphs read, filled anew before each replay.
        seen: Branches of which a step has run.
        graphs: The graph of each branch, and where it leaves its outcome.
    """

    sizes: Sizes
    inputs: StepDraw
    seen: set[Branch] = field(default_factory=set)
    graphs: dict[Branch, tuple[torch.cuda.CUDAGraph, Outcome]] = field(
        default_factory=dict
    )


class GraphedUpdate:
    """Does what `update_scene` does, for one state and one task without a prior.

    A graph repeats kernels with the same sizes and the same branches taken, on tensors
    at the same addresses. Random numbers and schedules are therefore copied into
    tensors that stay; each combination of branches gets a graph of its own, and other
    sizes begin anew. The first step of a combination runs as ever, which makes the
    optimiser's moments and the libraries' workspaces; the second is captured.
    """

    def __init__(self) -> None:
        """No graph yet."""
        self._captured: _Captured | None = None

    def __call__(
        self,
        state: TrainState,
        task: Task,
        config: ReconstructionConfig,
        draw: StepDraw,
    ) -> Outcome:
        """Update the scene; see `update_scene`."""
        sizes = (state.photo_capacity.room, state.view_capacity.room)
        if None in sizes:
            return update_scene(state, task, config, draw)
        if self._captured is None or self._captured.sizes != sizes:
            self._captured = _Captured(sizes, draw.to(state.refused.device))
        captured = self._captured
        branch: Branch = (state.scene.num_active_levels, draw.shading_modes)
        if branch not in captured.seen:
            captured.seen.add(branch)
            return update_scene(state, task, config, draw)
        inputs = captured.inputs.refill(draw)
        if branch not in captured.graphs:
            captured.graphs[branch] = self._capture(state, task, config, inputs)
        graph, outcome = captured.graphs[branch]
        graph.replay()
        return outcome

    def _capture(
        self,
        state: TrainState,
        task: Task,
        config: ReconstructionConfig,
        inputs: StepDraw,
    ) -> tuple[torch.cuda.CUDAGraph, Outcome]:
        """Record the kernels of a step without running them."""
        assert self._captured is not None, "inputs come before graphs"
        # All graphs of a size share the memory of their intermediate results: one runs
        # after the other, and the copy of an outcome is queued before the next graph.
        others = [graph for graph, _ in self._captured.graphs.values()]
        pool = others[0].pool() if others else None
        graph = torch.cuda.CUDAGraph()
        # The gradients of another step must not be added to, nor these be kept.
        state.optimizer.zero_grad()
        with torch.cuda.graph(graph, pool=pool):
            outcome = update_scene(state, task, config, inputs)
        state.optimizer.zero_grad()
        return graph, outcome
