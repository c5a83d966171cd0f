"""The state of a run: as it begins, and as its checkpoint holds it."""

from __future__ import annotations

import torch

from realfusion.errors import InputError
from realfusion.run_folder import OpenRun
from realfusion.training.checkpoint import load_checkpoint, read_index
from realfusion.training.history import History
from realfusion.training.schedules import active_levels
from realfusion.training.state import TrainState


def new_state(opened: OpenRun, device: torch.device) -> TrainState:
    """The state a run begins with, its field as it is drawn.

    Args:
        opened: The run.
        device: Where the scene is put.
    """
    config = opened.config
    return TrainState(
        config.reconstruction,
        seed=config.seed,
        device=device,
        has_prior=config.prior != "none",
    )


def load_state(opened: OpenRun, device: torch.device) -> tuple[TrainState, History]:
    """The state and the curves in a run's checkpoint.

    Args:
        opened: The run.
        device: Where the scene is put.

    Returns:
        State and curves.

    Raises:
        InputError: There is no checkpoint, it is damaged, or of other settings.
    """
    folder, config = opened.folder, opened.config
    index = read_index(folder.checkpoint)
    if index is None:
        raise InputError(
            f"{folder.root} has no checkpoint yet; run `realfusion-run` on its image"
        )
    if index.fingerprint != opened.fingerprint:
        raise InputError(
            f"{folder.checkpoint} belongs to another image or other settings; delete "
            f"it to start anew"
        )
    state = new_state(opened, device)
    load_checkpoint(folder.checkpoint, state, index)
    state.scene.num_active_levels = active_levels(
        config.reconstruction.coarse_to_fine,
        config.reconstruction.field.num_levels,
        state.step / config.reconstruction.iterations,
    )
    return state, index.history
