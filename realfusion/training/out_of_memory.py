"""Memory that runs out: told from other errors, and said in one line with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from realfusion.errors import DeviceMemoryError

Item = TypeVar("Item")
_HOST_MESSAGES = ("DefaultCPUAllocator", "CUDA error: out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory, the device's or the host's, ran out.

    The host's allocator raises a plain RuntimeError.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in str(error) for text in _HOST_MESSAGES
    )


@contextmanager
def explained(remedy: str, saved: str = "") -> Iterator[None]:
    """Turn an out-of-memory error into a DeviceMemoryError.

    Args:
        remedy: The flag to try next.
        saved: What became of the work so far.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        raise DeviceMemoryError(f"{reason}{saved}; try {remedy}") from error


def saved_before_explained(
    items: Iterator[Item], save: Callable[[], None], remedy: str
) -> Iterator[Item]:
    """The items; where memory runs out meanwhile, `save` is called before the error."""
    with explained(remedy, "; the state is saved, and the same command continues"):
        try:
            yield from items
        except RuntimeError as error:
            if is_out_of_memory(error):
                save()
            raise
