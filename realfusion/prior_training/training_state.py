"""Resumable training state: weights, their average and Adam's moments.

Written as safetensors and JSON by an atomic rename.
"""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


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
        """Writes everything to a folder, atomically."""
        scratch = folder.with_name(folder.name + ".partial")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v for k, v in moments.items()}
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_file(
            {k: v.clone() for k, v in contiguous.items()}, scratch / "state.safetensors"
        )
        document = {"step": self.step, **(extra or {})}
        (scratch / "state.json").write_text(json.dumps(document))
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)

    def load(self, folder: Path) -> dict[str, object] | None:
        """Restores what :meth:`save` wrote; None when there is nothing."""
        if not (folder / "state.json").is_file():
            return None
        tensors = load_file(folder / "state.safetensors")
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
        document: dict[str, object] = json.loads((folder / "state.json").read_text())
        self.step = int(str(document["step"]))
        return document
