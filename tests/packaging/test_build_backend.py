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
