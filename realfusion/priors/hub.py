"""The Hub: when it may be asked, and its failures in one line with the remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from realfusion.errors import InputError

_OTHERWISE = "give a local folder, or use --prior bundled"


def is_offline(offline: bool) -> bool:
    """Whether downloads are off: asked for, or by HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    return offline or bool(constants.HF_HUB_OFFLINE)


def fetch_snapshot(
    repository: str,
    patterns: Sequence[str],
    *,
    revision: str | None,
    offline: bool,
    where: str,
) -> Path:
    """The folder of a repository's files, from the cache or the Hub.

    A download shows its progress, and one that was cut off goes on where it stopped.

    Args:
        repository: Hub id.
        patterns: Which files, as `fnmatch` takes them.
        revision: Branch, tag or commit; None is the main branch.
        offline: Take what is cached, complete or not.
        where: What it is called in errors.

    Returns:
        The snapshot's folder.

    Raises:
        InputError: Saying what is missing and what to do.
    """
    from huggingface_hub import snapshot_download

    with explained(where):
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(patterns),
            local_files_only=is_offline(offline),
        )
    return Path(folder)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn the Hub's errors into an InputError that begins with `where`."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except GatedRepoError as error:
        raise InputError(
            f"{where} needs an accepted licence: accept it on its page and log in "
            f"with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{where} does not exist on the Hub (or is private): check the name, log "
            f"in with `hf auth login`, or {_OTHERWISE}"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(
            f"{where} has no such revision: check --prior-revision"
        ) from error
    except LocalEntryNotFoundError as error:
        reason = "the Hub cannot be reached: check the network"
        if constants.HF_HUB_OFFLINE:
            reason = "downloads are off by HF_HUB_OFFLINE: run once without it"
        raise InputError(
            f"{where} is not in the local cache and {reason}, {_OTHERWISE}"
        ) from error
    except EntryNotFoundError as error:
        raise InputError(
            f"{where} lacks a file that is needed ({_first_line(error)})"
        ) from error
    except (OSError, HfHubHTTPError) as error:
        raise InputError(
            f"{where} could not be downloaded ({_first_line(error)}): the same command "
            f"goes on where it stopped; or {_OTHERWISE}"
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
