"""Finding the CUDA toolkit, and reading what ptxas reports."""

from __future__ import annotations

import json
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PTXAS = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z6encodePKfPf' for 'sm_90'
ptxas info    : Function properties for _Z6encodePKfPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers, 384 bytes cmem[0]
ptxas info    : Compile time = 3.2 ms
ptxas info    : Compiling entry function '_Z6encodePKfPf' for 'sm_75'
ptxas info    : Function properties for _Z6encodePKfPf
    16 bytes stack frame, 24 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 16 bytes cumulative stack size
"""


@pytest.fixture
def check_cuda(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import check_cuda

    return check_cuda


@pytest.fixture
def cuda_toolkit(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import cuda_toolkit

    return cuda_toolkit


def make_toolkit(home: Path, architectures: str = "75 80 90 100") -> Path:
    """A folder that looks like a CUDA toolkit, with an nvcc that answers."""
    (home / "bin").mkdir(parents=True)
    (home / "include").mkdir()
    (home / "include" / "cuda_runtime.h").write_text("")
    names = " ".join(f"compute_{arch}" for arch in architectures.split())
    nvcc = home / "bin" / "nvcc"
    nvcc.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f"  --list-gpu-arch) for arch in {names}; do echo $arch; done;;\n"
        '  --version) echo "Cuda compilation tools, release 12.8, V12.8.61";;\n'
        f'  --dryrun) echo "#\\$ TOP={home}/bin/.." >&2;;\n'
        "esac\n"
    )
    nvcc.chmod(0o755)
    return home


def test_toolkit_of_cuda_home(cuda_toolkit, monkeypatch, tmp_path):
    home = make_toolkit(tmp_path / "cuda")
    monkeypatch.setenv("CUDA_HOME", str(home))
    toolkit = cuda_toolkit.find_cuda_toolkit()
    assert toolkit.home == home
    assert toolkit.version == "12.8"
    assert toolkit.architectures == ("7.5", "8.0", "9.0", "10.0")
    assert toolkit.default_arch_list() == "8.0;9.0;10.0+PTX"


def test_toolkit_behind_a_wrapper_on_the_path(cuda_toolkit, monkeypatch, tmp_path):
    home = make_toolkit(tmp_path / "real")
    wrapper = tmp_path / "bin" / "nvcc"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {home}/bin/nvcc "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:/usr/bin:/bin")
    assert cuda_toolkit.find_cuda_toolkit().home == home


def test_incomplete_toolkit_is_passed_over(cuda_toolkit, monkeypatch, tmp_path):
    incomplete = tmp_path / "runtime-only"
    (incomplete / "include").mkdir(parents=True)
    home = make_toolkit(tmp_path / "whole")
    monkeypatch.setenv("CUDA_HOME", str(incomplete))
    monkeypatch.setenv("CUDA_PATH", str(home))
    assert cuda_toolkit.find_cuda_toolkit().home == home


def test_ptxas_reports_are_read(check_cuda):
    first, second = check_cuda.parse_ptxas("encode.cu", PTXAS)
    assert (first.architecture, first.registers, first.spill_bytes) == ("90", 40, 0)
    assert (second.architecture, second.registers) == ("75", 255)
    assert (second.spill_bytes, second.stack_bytes) == (44, 16)


def test_spills_and_exceeded_budgets_are_failures(check_cuda):
    reports = check_cuda.parse_ptxas("encode.cu", PTXAS)
    names = {"_Z6encodePKfPf": "encode"}
    generous = {"encode": {"90": 40, "75": 255}}
    (spill,) = check_cuda.judge(reports, names, generous, {})
    assert spill == "encode on sm_75 spills 44 bytes"
    assert check_cuda.judge(reports, names, generous, {"encode": {"75": 44}}) == []
    assert check_cuda.judge(reports, names, generous, {"encode": {"75": 43}}) == [spill]
    tight = {"encode": {"90": 39, "75": 255}}
    assert any("40 registers, the budget is 39" in line
               for line in check_cuda.judge(reports, names, tight, {}))  # fmt: skip
    assert any("no budget" in line for line in check_cuda.judge(reports, names, {}, {}))


def test_committed_budget_covers_every_architecture(check_cuda):
    budget = json.loads(check_cuda.BUDGET.read_text())["registers"]
    assert budget
    for name, registers in budget.items():
        assert set(registers) == set(check_cuda.ARCHITECTURES), name
