"""Checkpoints: safetensors and JSON, never a pickle, never half written.

The tensors go into a file of their own name first; then one rename of the small JSON
file makes them the checkpoint. A crash at any moment leaves the old pair or the new.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from realfusion.errors import InputError
from realfusion.io.atomic import atomic_path, write_text
from realfusion.training.history import History
from realfusion.training.state import TrainState

FORMAT_VERSION = 2
INDEX_NAME = "checkpoint.json"


@dataclass(frozen=True)
class CheckpointIndex:
    """What a checkpoint says about itself.

    Attributes:
        step: Steps done.
        fingerprint: Identifies the image, prior and settings it belongs to.
        seconds: Time spent on the steps so far.
        history: The curves so far.
        tensors: Name of the tensors' file.
        numbers: Plain numbers of the state.
    """

    step: int
    fingerprint: str
    seconds: float
    history: History
    tensors: str
    numbers: dict[str, float]


def save_checkpoint(
    folder: Path,
    state: TrainState,
    *,
    fingerprint: str,
    seconds: float,
    history: History,
) -> None:
    """Write the state; the previous checkpoint stays until this one is complete.

    Args:
        folder: The checkpoint folder.
        state: What to save.
        fingerprint: Identifies the image, prior and settings.
        seconds: Time spent on the steps so far.
        history: The curves so far.

    Raises:
        OSError: The disk is full or the folder not writable.
    """
    from safetensors.torch import save

    name = f"step-{state.step:07d}.safetensors"
    tensors = {
        key: value.detach().cpu().contiguous() for key, value in state.tensors().items()
    }
    with atomic_path(folder / name) as temporary:
        # Not save_file, whose errors on a full disk are no OSErrors.
        temporary.write_bytes(save(tensors))
    index = {
        "format": FORMAT_VERSION,
        "step": state.step,
        "fingerprint": fingerprint,
        "seconds": seconds,
        "tensors": name,
        "numbers": state.numbers(),
        "history": history.to_dict(),
    }
    write_text(folder / INDEX_NAME, json.dumps(index))
    for old in folder.glob("step-*.safetensors"):
        if old.name != name:
            old.unlink()


def read_index(folder: Path) -> CheckpointIndex | None:
    """The index of the checkpoint in a folder, or None if there is none.

    Args:
        folder: The checkpoint folder.

    Returns:
        The index.

    Raises:
        InputError: The index is damaged or of another version.
    """
    path = folder / INDEX_NAME
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT_VERSION:
            raise InputError(
                f"{path} has format {values['format']}, this version reads "
                f"{FORMAT_VERSION}; use another --out folder"
            )
        return CheckpointIndex(
            step=int(values["step"]),
            fingerprint=str(values["fingerprint"]),
            seconds=float(values["seconds"]),
            history=History.from_dict(values["history"]),
            tensors=str(values["tensors"]),
            numbers=dict(values["numbers"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged ({error}); delete the folder {folder} to start anew"
        ) from error


def load_checkpoint(folder: Path, state: TrainState, index: CheckpointIndex) -> None:
    """Take over the tensors of a checkpoint, bit for bit.

    Args:
        folder: The checkpoint folder.
        state: Changed in place.
        index: The folder's index.

    Raises:
        InputError: The tensors are missing or damaged, or belong to other settings.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / index.tensors
    try:
        state.load(load_file(path), index.numbers)
    except (
        OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be read ({reason}); delete the folder {folder} to start "
            f"the reconstruction anew"
        ) from error
