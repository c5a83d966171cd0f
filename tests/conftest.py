"""What every test runs under: one thread, no network, and each device at hand."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

# Before torch is imported: xdist workers would otherwise fight for the cores, and
# results of a reduction depend on the number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The Hub must fail at once and not wait for a network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"

import pytest


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> Any:
    """A ``torch.device``: CPU always, CUDA when there is one."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


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
