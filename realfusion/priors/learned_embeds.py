"""Learned tokens and their files.

Reads what diffusers, the original RealFusion release and AUTOMATIC1111 write, and
writes safetensors that `pipe.load_textual_inversion` of diffusers accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.errors import InputError
from realfusion.priors.config import PLACEHOLDER

_NUMBERED = re.compile(r"(?P<stem>.+)_(?P<index>\d+)")


@dataclass(frozen=True)
class LearnedToken:
    """A word that was learnt: one or several vectors in place of an embedding.

    Attributes:
        placeholder: The word in a prompt; `<e>` means this token as well.
        vectors: Input embeddings of the text encoder, one a row, float32.
    """

    placeholder: str
    vectors: Float[Tensor, "num_vectors channels"]

    def __post_init__(self) -> None:
        if not self.placeholder or self.placeholder != self.placeholder.strip():
            raise ValueError(
                f"`placeholder` must be a word without surrounding spaces, got "
                f"{self.placeholder!r}"
            )
        if self.vectors.ndim != 2 or self.vectors.shape[0] == 0:
            raise ValueError(
                f"`vectors` must have the shape [num_vectors, channels], got "
                f"{list(self.vectors.shape)}"
            )
        if not bool(torch.isfinite(self.vectors).all()):
            raise ValueError("`vectors` must be finite, got NaN or infinity")

    @property
    def num_vectors(self) -> int:
        """How many positions of the prompt the token fills."""
        return self.vectors.shape[0]

    @property
    def width(self) -> int:
        """Channels of one vector: the width of the text encoder."""
        return self.vectors.shape[1]


def load_learned_token(path: str | Path, *, width: int | None = None) -> LearnedToken:
    """Read a learned token.

    Understood: `{token: [D] or [K, D]}` and `{token: [D], token_1: [D], ...}`
    (diffusers, the original release), `{"string_to_param": {"*": [K, D]}, "name": ...}`
    (AUTOMATIC1111), as `.bin`/`.pt` (read without running code) or `.safetensors`.

    Args:
        path: The file.
        width: Channels that the prior's text encoder needs; None accepts any.

    Returns:
        The token, float32 on the CPU.

    Raises:
        InputError: If the file cannot be read as a token, or has another width.
    """
    path = Path(path)
    token = _token_from_entries(_read_entries(path), path)
    if width is not None:
        check_token_width(token, width)
    return token


def check_token_width(token: LearnedToken, width: int) -> None:
    """Raise an InputError unless the token fits a text encoder of this width."""
    if token.width != width:
        raise InputError(
            f"the token {token.placeholder!r} must be {width} channels wide for this "
            f"prior, got {token.width}: it was learnt with another model; invert the "
            f"image again, or use the prior it was learnt with"
        )


def save_learned_token(path: str | Path, token: LearnedToken) -> None:
    """Write `{placeholder: vectors}` as safetensors, atomically.

    A token of one vector is stored as [D], one of several as [K, D]: the forms that
    `pipe.load_textual_inversion` reads.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"`path` must end in .safetensors, got {path.name!r}")
    vectors = token.vectors.detach().to("cpu", torch.float32)
    stored = vectors[0] if token.num_vectors == 1 else vectors
    partial = path.with_name(f".{path.name}.partial")
    # Not save_file: it makes files that only their owner may read.
    partial.write_bytes(save({token.placeholder: stored.contiguous()}))
    partial.replace(path)


def _read_entries(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise InputError(f"the token file must exist, got {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            entries: Any = load_file(path)
        else:
            entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle can raise nearly anything, KeyError included.
        raise InputError(_not_a_token(path, "it cannot be read")) from error
    if isinstance(entries, Tensor):
        return {PLACEHOLDER: entries}
    if not isinstance(entries, Mapping) or not entries:
        raise InputError(_not_a_token(path, f"it holds a {type(entries).__name__}"))
    return entries


def _token_from_entries(entries: Mapping[str, Any], path: Path) -> LearnedToken:
    if "string_to_param" in entries:
        parameters = entries["string_to_param"]
        if not isinstance(parameters, Mapping) or "*" not in parameters:
            raise InputError(_not_a_token(path, "string_to_param has no '*'"))
        name = entries.get("name") or path.stem
        return _token(str(name), [parameters["*"]], path)
    stem, rows = _sorted_rows(entries, path)
    return _token(stem, rows, path)


def _sorted_rows(entries: Mapping[str, Any], path: Path) -> tuple[str, list[Any]]:
    """Order token, token_1, token_2, ... and check that they belong together."""
    if len(entries) == 1:
        return next((str(name), [value]) for name, value in entries.items())
    numbers: dict[int, Any] = {}
    stems = set()
    for name, value in entries.items():
        match = _NUMBERED.fullmatch(str(name))
        is_numbered = match is not None and match["stem"] in entries
        stems.add(match["stem"] if match and is_numbered else str(name))
        numbers[int(match["index"]) if match and is_numbered else 0] = value
    if len(stems) != 1 or sorted(numbers) != list(range(len(entries))):
        names = ", ".join(sorted(map(str, entries))[:4])
        raise InputError(_not_a_token(path, f"it holds several tokens ({names})"))
    return stems.pop(), [numbers[index] for index in sorted(numbers)]


def _token(name: str, rows: list[Any], path: Path) -> LearnedToken:
    if not all(isinstance(row, Tensor) and row.ndim in (1, 2) for row in rows):
        raise InputError(_not_a_token(path, "its values are not vectors"))
    tables = [row.detach().float().reshape(-1, row.shape[-1]) for row in rows]
    if len({table.shape[1] for table in tables}) != 1:
        raise InputError(_not_a_token(path, "its vectors differ in width"))
    try:
        return LearnedToken(name.strip(), torch.cat(tables))
    except ValueError as error:
        raise InputError(_not_a_token(path, str(error))) from error


def _not_a_token(path: Path, reason: str) -> str:
    return (
        f"{path} must be a learned token (.safetensors, .bin or .pt of textual "
        f"inversion), but {reason}"
    )
