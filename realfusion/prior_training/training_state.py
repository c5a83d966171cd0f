"""Resumable training state: weights, their average and Adam's moments.

One safetensors file, replaced by an atomic rename.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from realfusion.io.atomic import atomic_path

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called with stage, step, total steps and measurements; may raise to stop."""

_FILE = "state.safetensors"
_REPORT_EVERY = 10


def finite_value(loss: Tensor, stage: str, step: int) -> float:
    """The value of a loss.

    Raises:
        FloatingPointError: If it is not finite; the last checkpoint is still good.
    """
    value = float(loss.item())
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the loss of {stage} must stay finite, got {value} at step {step}; the "
            f"last checkpoint is intact"
        )
    return value


@dataclass
class TrainingState:
    """A model under training with its running average.

    Args:
        model: The trained module.
        optimizer: An AdamW over its parameters.
        step: Steps done.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0

    def __post_init__(self) -> None:
        self.average: dict[str, Tensor] = {
            name: value.detach().clone() for name, value in self._floats().items()
        }

    def _floats(self) -> dict[str, Tensor]:
        state = self.model.state_dict()
        return {name: v for name, v in state.items() if v.dtype.is_floating_point}

    @torch.no_grad()
    def update_average(self, decay: float, *, every: int = 1) -> None:
        """Moves the average towards the weights; call once every ``every`` steps."""
        decay = min(decay**every, (1 + self.step) / (10 + self.step))
        current = self._floats()
        names = list(self.average)
        torch._foreach_lerp_(
            [self.average[name] for name in names],
            [current[name] for name in names],
            1 - decay,
        )

    @torch.no_grad()
    def swap_average(self) -> None:
        """Exchanges the weights and their average (call again to undo)."""
        for name, value in self._floats().items():
            held = value.clone()
            value.copy_(self.average[name])
            self.average[name] = held

    def save(self, folder: Path, *, extra: dict[str, object] | None = None) -> None:
        """Writes everything to a folder; what it held stays until that is done."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v for k, v in moments.items()}
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        document = json.dumps({"step": self.step, **(extra or {})})
        with atomic_path(folder / _FILE) as temporary:
            save_file(
                {k: v.clone() for k, v in contiguous.items()},
                temporary,
                metadata={"document": document},
            )

    @staticmethod
    def is_saved(folder: Path) -> bool:
        """Whether there is something to load."""
        return (folder / _FILE).is_file()

    def load(self, folder: Path) -> dict[str, object] | None:
        """Restores what :meth:`save` wrote; None when there is nothing."""
        if not self.is_saved(folder):
            return None
        path = folder / _FILE
        with safe_open(path, framework="pt") as file:
            document: dict[str, object] = json.loads(file.metadata()["document"])
        tensors = load_file(path)
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            part, rest = name.split("/", 1)
            parts.setdefault(part, {})[rest] = value
        self.model.load_state_dict(parts["model"])
        for name, value in parts["average"].items():
            self.average[name].copy_(value)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in parts.get("optimizer", {}).items():
            index, key = name.split("/", 1)
            moments.setdefault(int(index), {})[key] = value
        state = self.optimizer.state_dict()
        state["state"] = moments
        self.optimizer.load_state_dict(state)
        self.step = int(str(document["step"]))
        return document


class CheckpointedProgress:
    """Reports a stage's steps, and checkpoints it at intervals and when it must stop.

    Args:
        state: What is trained.
        folder: Where its checkpoint lies.
        checkpoint_seconds: Seconds between checkpoints.
        progress: Receives the means of the measurements since the last report and the
            steps per second. What it raises passes through once the state is saved.
    """

    def __init__(
        self,
        state: TrainingState,
        folder: Path,
        *,
        checkpoint_seconds: float,
        progress: Progress,
    ) -> None:
        self._state = state
        self._folder = folder
        self._checkpoint_seconds = checkpoint_seconds
        self._progress = progress
        self._saved_at = self._reported_at = time.monotonic()
        self._recent: list[dict[str, float]] = []

    def __call__(self, stage: str, total: int, measured: dict[str, float]) -> None:
        """To be called after every step with its measurements."""
        state = self._state
        self._recent.append(measured)
        if state.step % _REPORT_EVERY == 0 or state.step == total:
            self._report(stage, total)
        if time.monotonic() - self._saved_at > self._checkpoint_seconds:
            state.save(self._folder)
            self._saved_at = time.monotonic()

    def _report(self, stage: str, total: int) -> None:
        now, count = time.monotonic(), len(self._recent)
        means = {
            name: sum(each[name] for each in self._recent) / count
            for name in self._recent[0]
        }
        means["steps_per_second"] = count / max(now - self._reported_at, 1e-9)
        self._recent, self._reported_at = [], now
        try:
            self._progress(stage, self._state.step, total, means)
        except BaseException:
            self._state.save(self._folder)
            raise
