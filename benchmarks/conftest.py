"""Options and fixtures of the benchmarks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("realfusion")
    group.addoption("--device", default="cpu", choices=["cpu", "cuda"])
    group.addoption("--threads", type=int, default=None, help="CPU threads of torch")


def pytest_configure(config: pytest.Config) -> None:
    threads = config.getoption("--threads")
    if threads is not None:
        torch.set_num_threads(threads)
    if config.getoption("--device") == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: torch finds no CUDA device")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where the timed code runs: ``--device``."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def synchronize(device: torch.device) -> Callable[[], None]:
    """Waits until the device has finished; to be called within the timed function."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None
