"""One command at a time writes to a run folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realfusion.errors import InputError


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold a run folder; it is made where it is missing.

    The folder itself is locked, so that no file is left behind, and the lock goes with
    the process however that ends.

    Args:
        root: The run folder.

    Raises:
        InputError: Another command is writing to the folder, it is a file, or it
            cannot be made.
    """
    if root.exists() and not root.is_dir():
        raise InputError(f"--out {root} is a file; give a folder")
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InputError(
            f"--out {root} cannot be written ({error.strerror}); choose another"
        ) from error
    try:
        _lock(handle, root)
        yield
    finally:
        os.close(handle)  # which unlocks


def _lock(handle: int, root: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another command is writing to {root}; wait for it, or choose another "
            f"--out"
        ) from error
    except OSError:
        return  # some network file systems have no locks: as good as before
