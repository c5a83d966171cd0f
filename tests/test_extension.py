"""The loader of the native kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from realfusion import _extension


@pytest.fixture
def load_from(monkeypatch, tmp_path):
    """Fails to load the kernels from a package in `tmp_path`."""

    def refuse(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr(_extension, "import_module", refuse)
    monkeypatch.setattr(
        _extension, "__file__", str(tmp_path / "realfusion" / "_extension.py")
    )
    return tmp_path


def test_missing_kernels_of_an_installation_name_the_remedy(load_from):
    with pytest.raises(_extension.MissingKernelsError, match=r"`pip install \.`"):
        _extension.load()


def test_kernels_of_a_checkout_that_do_not_load_are_to_be_built_again(load_from):
    Path(load_from, "setup.py").touch()
    Path(load_from, "realfusion").mkdir()
    Path(load_from, "realfusion", "_C.so").touch()
    with pytest.raises(_extension.MissingKernelsError, match=r"`pip install \.`"):
        _extension.load()


def test_missing_kernels_of_a_checkout_say_that_it_is_one(load_from):
    Path(load_from, "setup.py").touch()
    with pytest.raises(_extension.MissingKernelsError, match=r"python -m pytest") as e:
        _extension.load()
    assert str(load_from) in str(e.value)
