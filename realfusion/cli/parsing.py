"""Command-line words to dataclasses, and what is wrong with them in one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Sequence
from typing import TypeVar

import tyro

from realfusion.errors import InputError

Arguments = TypeVar("Arguments")


def parse(
    kind: type[Arguments],
    program: str,
    args: Sequence[str],
    default: Arguments | None = None,
) -> Arguments:
    """Command-line words to a dataclass.

    Args:
        kind: The dataclass; its docstrings become the help.
        program: What the usage line begins with.
        args: The words.
        default: Values of the options that are not given.

    Returns:
        The options.

    Raises:
        InputError: The words do not fit; tyro's explanation in one line.
        SystemExit: Help was asked for and printed.
    """
    explanation = io.StringIO()
    try:
        with contextlib.redirect_stderr(explanation):
            if default is None:
                return tyro.cli(kind, prog=program, args=list(args))
            return tyro.cli(kind, prog=program, args=list(args), default=default)
    except SystemExit as exit_:
        if not exit_.code:
            raise
    message = one_line(explanation.getvalue())
    raise InputError(f"{message} (see {program} --help)")


def one_line(box: str) -> str:
    """What tyro's box of an error says: its first paragraph and first suggestion."""
    body = _inside(re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines())
    rules = [index for index, line in enumerate(body) if _is_rule(line)]
    first = body[: rules[0]] if rules else body
    if first and first[0].startswith("Missing from"):  # without the options' help
        options = [line.strip() for line in first[1:] if not line.startswith(" " * 8)]
        return f"missing: {', '.join(options)}"
    message = " ".join(line.strip() for line in first)
    message = message.split(" Got errors:")[0].strip().rstrip(".")
    options = [match[1] for line in body if (match := re.match(r" +(--[\w.-]+)", line))]
    if "Perhaps you meant:" in body and options:
        message += f"; did you mean {options[0]}?"
    return message


def _inside(lines: list[str]) -> list[str]:
    """The lines within a box of box-drawing characters, or of dashes without them."""
    if lines and lines[0].startswith("╭"):
        found = [line[2:].removesuffix("│").rstrip() for line in lines[1:-1]]
    elif len(lines) > 2 and _is_rule(lines[1]):
        found = [line[2:].rstrip() for line in lines[2:]]
    else:
        found = lines
    return [line for line in found if line]


def _is_rule(line: str) -> bool:
    return set(line.strip()) in ({"─"}, {"-"})
