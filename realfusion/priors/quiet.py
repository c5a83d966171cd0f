"""Silence the progress bars and log noise of diffusers and transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_model_libraries() -> Iterator[None]:
    """No progress bars and only errors from diffusers and transformers inside.

    The command line has a display of its own. The earlier settings come back after.
    """
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [
        (library, library.get_verbosity(), library.is_progress_bar_enabled())
        for library in libraries
    ]
    for library in libraries:
        library.set_verbosity_error()
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library, verbosity, has_bars in before:
            library.set_verbosity(verbosity)
            if has_bars:
                library.enable_progress_bar()
