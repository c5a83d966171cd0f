"""The examination, and what it says of what is missing."""

from __future__ import annotations

import pytest
import torch

from realfusion import _extension
from realfusion.cli import doctor
from realfusion.cli.doctor import Finding, examine, registered_kernels, report
from realfusion.cli.main import main

CUDA_INFO = {
    "has_cuda": True,
    "cuda_has_torch_stream": True,
    "cuda_architectures": "900",
    "cuda_toolkit": "13.0",
}


def by_name(findings: list[Finding], name: str) -> list[Finding]:
    return [each for each in findings if each.name == name]


def test_examination_covers_everything_a_run_needs():
    findings = examine()
    for name in (
        "python", "realfusion", "libraries", "torch", "cpu", "kernels", "CPU kernels",
        "CUDA kernels", "CUDA toolkit", "prior", "ffmpeg", "[matting]", "[viewer]",
    ):  # fmt: skip
        assert by_name(findings, name), name
    assert len(report(findings).splitlines()) < 50  # one screen


@pytest.mark.usefixtures("hub_cache")
def test_clip_is_optional():
    findings = [each for each in by_name(examine(), "prior") if "CLIP" in each.value]
    assert [each.state for each in findings] == ["optional"]


@pytest.mark.usefixtures("cached_clip_folder")
def test_a_cached_clip_is_listed():
    findings = [each for each in by_name(examine(), "prior") if "clip" in each.value]
    assert [each.state for each in findings] == ["ok"]
    assert "openai/clip-vit-base-patch32" in findings[0].value


def test_kernels_are_listed_for_their_device():
    kernels = registered_kernels()
    assert "CPU" in kernels["hash_grid_encode"]
    assert not any("backward" in name for name in kernels)


def test_missing_kernels_are_an_error_with_a_remedy(monkeypatch):
    def load():
        raise _extension.MissingKernelsError("_C is not there")

    monkeypatch.setattr(_extension, "load", load)
    (finding,) = by_name(examine(), "kernels")
    assert finding.state == "missing"
    assert "_C is not there" in finding.value
    assert "pip install" in finding.remedy


def test_impossible_simd_level_is_explained(monkeypatch):
    monkeypatch.setenv("REALFUSION_SIMD", "avx1024")
    (finding,) = by_name(examine(), "kernels")
    assert finding.state == "missing"
    assert "avx1024" in finding.value
    assert "REALFUSION_SIMD" in finding.remedy


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata,
        "requires",
        lambda name: ["no-such-thing>=1", "x; extra == 'a'"],
    )
    (finding,) = by_name(examine(), "libraries")
    assert finding.state == "missing"
    assert finding.remedy == "pip install no-such-thing"


def test_a_broken_part_does_not_end_the_examination(monkeypatch):
    def broken():
        raise ValueError("two\nlines")

    monkeypatch.setattr(doctor, "_ffmpeg", broken)
    (finding,) = by_name(examine(), "ffmpeg")
    assert finding.value == "ValueError: two lines"
    assert finding.state == "missing"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ok"),
        ({"has_cuda": False}, "missing"),
        ({"cuda_has_torch_stream": False}, "missing"),
    ],
)
def test_a_gpu_without_kernels_is_an_error(change, state):
    finding = doctor._judge_device("H200", CUDA_INFO | change, torch.device("cpu"))
    assert finding.state == state
    assert "H200" in finding.value


def test_report_ends_with_the_remedies():
    findings = [
        Finding("torch", "2.13"),
        Finding("ffmpeg", "not found", "missing", "pip install imageio-ffmpeg"),
        Finding("[batch]", "not installed", "optional"),
    ]
    lines = report(findings).splitlines()
    assert lines[0].startswith("✓ torch")
    assert lines[-1] == "  ffmpeg: pip install imageio-ffmpeg"
    assert "Everything needed is here." in report(findings[:1])


@pytest.mark.parametrize(
    ("state", "code"), [("ok", 0), ("optional", 0), ("missing", 1)]
)
def test_exit_code_says_whether_something_is_missing(monkeypatch, capsys, state, code):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("x", "y", state, "do z")])
    assert main(["doctor"]) == code
    assert ("do z" in capsys.readouterr().out) == (code == 1)
