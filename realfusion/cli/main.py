"""Entry points: choose the command, run it, turn its outcome into an exit code.

Exit codes: 0 done, 1 failed, 2 something the user gave cannot be used, 130 stopped by
Ctrl-C or SIGTERM. Errors are one line on standard error.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from realfusion import __version__
from realfusion._extension import MissingKernelsError
from realfusion.cli import commands
from realfusion.errors import DeviceMemoryError, InputError, NonFiniteError
from realfusion.listener import RunInterruptedError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Run = Callable[[str, Sequence[str]], int]


@dataclass(frozen=True)
class Command:
    """A subcommand of `realfusion`: what it does in a line, and the function."""

    summary: str
    run: Run


COMMANDS = {
    "run": Command("everything: image in, run folder out", commands.run),
    "batch": Command("the same for many images, a run folder each", commands.batch),
    "invert": Command("up to the learned token", commands.invert),
    "reconstruct": Command("up to the fitted field", commands.reconstruct),
    "export": Command("turntable, mesh and report of a run anew", commands.export),
    "render": Command("views of a run from given cameras", commands.render),
    "view": Command("a run in the browser, also while it trains", commands.view),
    "evaluate": Command("a run against ground truth", commands.evaluate),
    "benchmark-quality": Command(
        "variants of the prior compared on ground truth", commands.benchmark_quality
    ),
    "doctor": Command("what is installed, and what is missing", commands.doctor),
    "train-prior": Command("the embedded prior from nothing", commands.train_prior),
}


def run_main(args: Sequence[str] | None = None) -> int:
    """`realfusion-run`: everything for one image.

    Args:
        args: Arguments without the program's name; those of the process if not given.

    Returns:
        The exit code.
    """
    arguments = _prepare(args)
    if arguments == ["--version"]:
        print(f"realfusion {__version__}")
        return 0
    return guarded("realfusion-run", commands.run, arguments)


def main(args: Sequence[str] | None = None) -> int:
    """`realfusion COMMAND`: one step, or one of the tools.

    Args:
        args: Arguments without the program's name; those of the process if not given.

    Returns:
        The exit code.
    """
    arguments = _prepare(args)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else BAD_INPUT
    if arguments[0] == "--version":
        print(f"realfusion {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        print(
            f"realfusion: error: there is no command {name!r}; choose from "
            f"{', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return BAD_INPUT
    return guarded(f"realfusion {name}", COMMANDS[name].run, arguments[1:])


def _prepare(args: Sequence[str] | None) -> list[str]:
    """The arguments; and a terminal without Unicode gets question marks, no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return sys.argv[1:] if args is None else list(args)


def usage() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {each.summary}" for name, each in COMMANDS.items()]
    return "\n".join(
        [
            "usage: realfusion COMMAND [options]",
            "",
            "A full 360° model of any object from a single image.",
            "",
            *lines,
            "",
            "`realfusion COMMAND --help` lists the options of a command.",
        ]
    )


def guarded(program: str, run: Run, arguments: Sequence[str]) -> int:
    """Run a command; expected failures become one line and an exit code.

    Args:
        program: What the error message begins with.
        run: The command.
        arguments: Its arguments.

    Returns:
        The exit code.
    """
    try:
        return run(program, arguments)
    except InputError as error:
        return _fail(program, error, BAD_INPUT)
    except (MissingKernelsError, NonFiniteError, DeviceMemoryError) as error:
        return _fail(program, error, FAILED)
    except RunInterruptedError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return INTERRUPTED
    except KeyboardInterrupt:
        print(f"{program}: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of `... | head` has gone: nothing to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        is_forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        message = error if error.strerror is None else error.strerror
        place = f"{error.filename}: " if error.filename else ""
        return _fail(
            program, f"{place}{message}", BAD_INPUT if is_forbidden else FAILED
        )
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, not imported here
            raise
        return _fail(
            program,
            f"{str(error).splitlines()[0]} Use a smaller --preset, or --device cpu.",
            FAILED,
        )


def _fail(program: str, error: object, code: int) -> int:
    message = " ".join(str(error).split())
    print(f"{program}: error: {message}", file=sys.stderr)
    return code
