"""Finding the CUDA toolkit, and reading what ptxas and nvdisasm report."""

from __future__ import annotations

import json
import re
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

SASS = """\
\t.section\t.text._Z7scatterPf,"ax",@progbits
_Z7scatterPf:
.text._Z7scatterPf:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/                   HFMA2.MMA R57, -RZ, RZ, 0, 0 ;
.L_x_130:
        /*0090*/               @P0 EXIT ;
        /*00a0*/              @!P1 REDG.E.ADD.F32x2.FTZ.RN.STRONG.GPU desc[UR4][R4.64], R8 ;
        /*00b0*/                   REDG.E.ADD.F32.FTZ.RN.STRONG.GPU desc[UR4][R4.64], R8 ;
        /*00c0*/             @!UP0 UIADD3 UR4, UR4, 0x1, URZ ;

.text._Z7productPf:
        /*0000*/                   HMMA.1688.F32.TF32 R4, R8, R12, R4 ;
        /*0010*/                   LDL.64 R2, [R1] ;
"""  # noqa: E501


@pytest.fixture
def check_cuda(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import check_cuda

    return check_cuda


@pytest.fixture
def check_sass(monkeypatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import check_sass

    return check_sass


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


def test_toolkit_of_nvidias_packages(cuda_toolkit, monkeypatch, tmp_path):
    home = make_toolkit(tmp_path / "site" / "nvidia" / "cu12")
    monkeypatch.setattr(cuda_toolkit.sys, "path", [str(tmp_path / "site")])
    monkeypatch.setattr(
        cuda_toolkit, "_candidate_homes", lambda: cuda_toolkit._packaged_homes()
    )
    assert cuda_toolkit.find_cuda_toolkit().home == home
    assert cuda_toolkit.find_cuda_toolkit(12).home == home
    assert cuda_toolkit.find_cuda_toolkit(13) is None


def test_packages_of_a_release_are_all_of_that_release(cuda_toolkit):
    required = cuda_toolkit.toolkit_requirements("13.1")
    assert len(required) == 5
    assert all(each.endswith("==13.1.*") for each in required)


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


def test_opcodes_of_each_kernel_are_read(check_sass):
    assert check_sass.parse_sass(SASS) == {
        "_Z7scatterPf": [
            "LDC",
            "HFMA2.MMA",
            "EXIT",
            "REDG.E.ADD.F32x2.FTZ.RN.STRONG.GPU",
            "REDG.E.ADD.F32.FTZ.RN.STRONG.GPU",
            "UIADD3",
        ],
        "_Z7productPf": ["HMMA.1688.F32.TF32", "LDL.64"],
    }


@pytest.mark.parametrize(
    ("kernels", "instructions", "limits", "num_failures"),
    [
        ("_Z7scatterPf", r"REDG\.E\.ADD\.F32x2\b", {"least": 1}, 0),
        ("_Z7scatterPf", r"REDG\.E\.ADD\.F32x2\b", {"least": 2}, 1),
        ("_Z7scatterPf", r"REDG\.E\.ADD\.F32\b", {"most": 0}, 1),
        ("_Z7scatterPf", r"REDG\.E\.ADD\.F32\b", {"most": 1}, 0),
        ("_Z7scatterPf", r"HMMA\.", {"most": 0}, 0),
        (".*", r"HMMA\.", {"least": 1}, 1),
        (".*", r"(LDL|STL)\b", {"most": 0}, 1),
        ("scatter", r"HMMA\.", {"most": 0}, 1),
    ],
)
def test_instructions_are_counted_against_their_rule(
    check_sass, kernels, instructions, limits, num_failures
):
    rule = check_sass.Rule(kernels, instructions, "because", **limits)
    failures = check_sass.judge(check_sass.parse_sass(SASS), rule)
    assert len(failures) == num_failures
    assert all("because" in failure for failure in failures)


def test_every_rule_is_reported_and_broken_ones_are_counted(
    check_sass, monkeypatch, capsys
):
    kept = check_sass.Rule("_Z7productPf", r"HMMA\.", "on tensor cores", least=1)
    broken = check_sass.Rule("_Z7scatterPf", r"HMMA\.", "on them too", least=1)
    monkeypatch.setattr(check_sass, "RULES", (kept, broken))
    assert check_sass.report(check_sass.parse_sass(SASS)) == 1
    printed = capsys.readouterr()
    assert "holds: on tensor cores" in printed.out
    assert "broken: on them too" in printed.out
    assert "_Z7scatterPf has 0 of" in printed.err


def test_every_rule_names_kernels_of_the_budget(check_cuda, check_sass):
    names = json.loads(check_cuda.BUDGET.read_text())["registers"]
    for rule in check_sass.RULES:
        assert any(re.fullmatch(rule.kernels, name) for name in names)


def test_disassembler_beside_the_compiler_is_found(check_sass, cuda_toolkit, tmp_path):
    home = make_toolkit(tmp_path / "cuda")
    toolkit = cuda_toolkit.CudaToolkit(home, "12.8", ("9.0",))
    nvdisasm = home / "bin" / "nvdisasm"
    assert check_sass.find_nvdisasm(toolkit) != nvdisasm
    nvdisasm.write_text("#!/bin/sh\n")
    nvdisasm.chmod(0o755)
    assert check_sass.find_nvdisasm(toolkit) == nvdisasm
