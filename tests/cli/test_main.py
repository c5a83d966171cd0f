"""Entry points: exit codes, one-line errors, help without heavy libraries."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realfusion import __version__
from realfusion._extension import MissingKernelsError
from realfusion.cli.main import COMMANDS, guarded, main, run_main
from realfusion.errors import DeviceMemoryError, InputError, NonFiniteError
from realfusion.listener import RunInterruptedError

HEAVY = ("torch", "diffusers", "transformers", "numpy", "cv2", "scipy", "trimesh")


def raising(error: BaseException):
    def run(program: str, args: object) -> int:
        raise error

    return run


class OutOfMemoryError(RuntimeError):
    """Stands for torch's, which is recognised by its name."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("the image is empty"), 2),
        (NonFiniteError("image became NaN at step 3"), 1),
        (MissingKernelsError("the kernels do not load"), 1),
        (OSError(28, "No space left on device", "mesh.glb"), 1),
        (OSError(13, "Permission denied", "mesh.glb"), 2),
        (OSError(30, "Read-only file system", "mesh.glb"), 2),
        (DeviceMemoryError("CUDA out of memory; try --memory low"), 1),
        (OutOfMemoryError("CUDA out of memory."), 1),
        (RunInterruptedError("stopped at step 3"), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_expected_failures_are_one_line_and_a_code(capsys, error, code):
    assert guarded("realfusion-run", raising(error), []) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("realfusion-run: ")
    assert err.count("\n") == 1


def test_message_of_several_lines_becomes_one(capsys):
    assert guarded("realfusion-run", raising(InputError("first\n  second")), []) == 2
    assert capsys.readouterr().err == "realfusion-run: error: first second\n"


def test_a_defect_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a defect"):
        guarded("realfusion-run", raising(RuntimeError("a defect")), [])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["give one image", "--text"]),
        (["a.png", "--preset", "quick"], ["quick", "paper", "smoke"]),
        (["a.png", "--radius", "wide"], ["--radius", "wide"]),
        (["a.png", "--radiu", "2"], ["--radiu", "did you mean --radius?"]),
        (["a.png", "--inversion.steps", "-1"], ["steps", "-1"]),
        (["a.png", "--input.size", "0"], ["size", "0"]),
        (["a.png", "--reconstruction.field.num-levels", "99"], ["num_levels", "99"]),
        (["a.png", "--elevation-deg", "95"], ["elevation_deg", "95"]),
        (["a.png", "--radius", "nan"], ["radius", "nan"]),
        (["a.png", "--seed", "-1"], ["seed", "-1"]),
        (["a.png", "--checkpoint-interval", "-1"], ["checkpoint_interval", "-1"]),
        (["a.png", "b.png"], ["b.png"]),
    ],
)
def test_wrong_arguments_are_one_line_and_code_2(capsys, args, words):
    assert run_main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("realfusion-run: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_unknown_command_names_the_commands(capsys):
    assert main(["recontruct"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("realfusion: error: ")
    assert "reconstruct" in error


def test_usage_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in shown


@pytest.mark.parametrize("program", [main, run_main])
def test_version(capsys, program):
    assert program(["--version"]) == 0
    assert capsys.readouterr().out == f"realfusion {__version__}\n"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "doctor"])
def test_help_of_every_command(capsys, name):
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])
    assert not exit_.value.code
    assert f"usage: realfusion {name}" in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from realfusion.cli import run_main\n"
        "try:\n"
        "    run_main(['--help'])\n"
        "except SystemExit as exit_:\n"
        "    assert not exit_.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--reconstruction.iterations" in result.stdout
