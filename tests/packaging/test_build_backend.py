"""The in-tree build backend finds the torch that is installed, or asks for one."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def backend(monkeypatch) -> types.ModuleType:
    pytest.importorskip("setuptools", minversion="77")
    monkeypatch.syspath_prepend(str(TOOLS))
    import realfusion_build

    return realfusion_build


def make_site(folder: Path, version: str, *, importable: bool = True) -> str:
    """A site-packages folder that looks as if torch were installed in it."""
    info = folder / f"torch-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
    )
    if importable:
        (folder / "torch").mkdir()
        (folder / "torch" / "__init__.py").write_text("")
    return str(folder)


def test_takes_the_first_fitting_torch(backend, tmp_path):
    old = make_site(tmp_path / "old", "2.9.1")
    empty = str(tmp_path / "empty")
    broken = make_site(tmp_path / "broken", "2.13.0", importable=False)
    good = make_site(tmp_path / "good", "2.10.0+cu130")
    newer = make_site(tmp_path / "newer", "3.0.0a0+git1234")
    assert backend.find_torch_site([old, empty, broken, good, newer]) == good
    assert backend.find_torch_site([newer, good]) == newer


def test_asks_for_torch_where_there_is_none(backend, monkeypatch, tmp_path):
    monkeypatch.setattr(backend, "_candidate_sites", lambda: [str(tmp_path)])
    assert backend._torch_requirements() == ["torch>=2.10"]


def test_asks_for_no_torch_where_there_is_one(backend, monkeypatch, tmp_path):
    site = make_site(tmp_path / "site", "2.13.0+cpu")
    monkeypatch.setattr(backend, "_candidate_sites", lambda: [site])
    assert backend._torch_requirements() == []


def test_named_folders_come_first(backend, monkeypatch, tmp_path):
    named = os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")])
    monkeypatch.setenv("REALFUSION_TORCH_SITE", named)
    assert backend._candidate_sites()[:2] == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_active_environment_is_looked_at(backend, monkeypatch, tmp_path):
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    expected = str(tmp_path / "lib" / version / "site-packages")
    assert expected in backend._candidate_sites()


def test_exposed_torch_comes_last_on_the_path(backend, monkeypatch, tmp_path):
    site = make_site(tmp_path / "site", "2.13.0")
    monkeypatch.setattr(backend, "_candidate_sites", lambda: [site])
    monkeypatch.setattr(sys, "path", [str(TOOLS)])
    backend._expose_torch()
    assert sys.path == [str(TOOLS), site]
    backend._expose_torch()
    assert sys.path == [str(TOOLS), site]


def test_backend_offers_every_hook(backend):
    for hook in (
        "build_wheel", "build_sdist", "build_editable", "get_requires_for_build_wheel",
        "get_requires_for_build_sdist", "get_requires_for_build_editable",
        "prepare_metadata_for_build_wheel", "prepare_metadata_for_build_editable",
    ):  # fmt: skip
        assert callable(getattr(backend, hook)), hook


@pytest.fixture
def machine(backend, monkeypatch, tmp_path):
    """A machine with a torch, perhaps a driver, perhaps a toolkit."""

    def pretend(cuda: str | None, *, driver: bool = True, toolkit: bool = False):
        site = make_site(tmp_path / "site", "2.13.0")
        text = f"cuda: Optional[str] = {cuda!r}\nhip: Optional[str] = None\n"
        Path(site, "torch", "version.py").write_text(text)
        found = object() if toolkit else None
        monkeypatch.setattr(backend, "_candidate_sites", lambda: [site])
        monkeypatch.setattr(backend, "has_cuda_driver", lambda: driver)
        monkeypatch.setattr(backend, "find_cuda_toolkit", lambda major: found)
        monkeypatch.delenv("REALFUSION_CUDA", raising=False)

    return pretend


def test_asks_for_the_compiler_of_torchs_release_where_a_device_has_none(
    backend, machine
):
    machine("13.0")
    required = backend.get_requires_for_build_wheel()
    assert "nvidia-cuda-nvcc==13.0.*" in required
    assert "nvidia-nvvm==13.0.*" in required


@pytest.mark.parametrize(
    ("cuda", "facts", "wish"),
    [
        (None, {}, "auto"),
        ("13.0", {"driver": False}, "auto"),
        ("13.0", {"toolkit": True}, "auto"),
        ("13.0", {}, "0"),
        ("12.8", {}, "auto"),  # its packages hold no nvcc
    ],
)
def test_asks_for_no_compiler_where_none_is_needed_or_to_be_had(
    backend, machine, monkeypatch, cuda, facts, wish
):
    machine(cuda, **facts)
    monkeypatch.setenv("REALFUSION_CUDA", wish)
    assert backend._toolkit_requirements() == []


def test_a_build_that_must_have_the_kernels_asks_without_a_driver(
    backend, machine, monkeypatch
):
    machine("13.0", driver=False)
    monkeypatch.setenv("REALFUSION_CUDA", "1")
    assert backend._toolkit_requirements()


def test_a_torch_that_is_not_there_has_no_cuda(backend, tmp_path):
    assert backend.torch_cuda_release(None) is None
    assert backend.torch_cuda_release(str(tmp_path)) is None
