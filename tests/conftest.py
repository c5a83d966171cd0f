"""What every test runs under: checked types and shapes, one thread, no network."""

from __future__ import annotations

import os
import socket
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# Before torch is imported: xdist workers would otherwise fight for the cores, and
# results of a reduction depend on the number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The Hub must fail at once and not wait for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
# What this machine has in its cache must not change what is tested.
os.environ["HF_HUB_CACHE"] = str(Path(__file__).parent / "no_hub_cache")

# Every function that handles arrays checks its argument types and tensor shapes, for
# the whole test run (an int is a float here, as for type checkers). The operators are
# left out: they check by themselves, which is tested. The import hook takes its checker
# by the name of a module.
CHECKED = (
    "cameras", "evaluation", "fields", "inspection", "io", "losses", "outputs",
    "pipeline",
    "prior_training", "priors", "procedural", "reconstruction_stage", "rendering",
    "run_state", "training", "viewer.conventions", "viewer.field_view",
)  # fmt: skip
type_checker = types.ModuleType("realfusion_type_checker")
type_checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # type: ignore[attr-defined]
sys.modules[type_checker.__name__] = type_checker
install_import_hook(
    [f"realfusion.{name}" for name in CHECKED], "realfusion_type_checker.check"
)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Any:
    """A ``torch.device``: CPU always, CUDA when there is one."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub."""
    cache = tmp_path / "hub_cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def cached_clip_folder(hub_cache: Path) -> Path:
    """A tiny CLIP with random weights in the place of ViT-B/32 in the Hub's cache."""
    from realfusion.priors.random_weights import save_random_clip

    root, commit = hub_cache / "models--openai--clip-vit-base-patch32", "0" * 40
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    save_random_clip(root / "snapshots" / commit)
    return root / "snapshots" / commit


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Tests must not depend on a network: connections leave the machine never."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host not in ("127.0.0.1", "::1", "localhost"):
                raise OSError(f"a test tried to connect to {host}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_locally)
        yield
