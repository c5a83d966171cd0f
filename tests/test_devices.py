"""Choosing a device: CUDA only where the kernels are seen to work."""

from __future__ import annotations

import pytest
import torch

from realfusion import devices
from realfusion.devices import choose_device, trial_obstacle, trial_step
from realfusion.errors import InputError
from realfusion.listener import SilentListener

BUILT = {"has_cuda": True, "cuda_has_torch_stream": True}


class Notes(SilentListener):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def with_cuda(monkeypatch):
    """A machine with a CUDA device, which something or nothing obstructs."""

    def pretend(obstacle: str | None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(devices, "cuda_obstacle", lambda: obstacle)

    return pretend


@pytest.mark.parametrize("name", ["cpu", "auto"])
def test_the_cpu_is_never_tried(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "trial_step", lambda device: pytest.fail("tried"))
    assert choose_device(name).type == "cpu"


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_a_device_that_works_is_taken(with_cuda, name):
    with_cuda(None)
    notes = Notes()
    assert choose_device(name, notes).type == "cuda"
    assert notes.lines == []


def test_auto_leaves_a_device_without_kernels_alone_and_says_why(with_cuda):
    with_cuda("the kernels were built without CUDA")
    notes = Notes()
    assert choose_device("auto", notes).type == "cpu"
    (line,) = notes.lines
    assert "the kernels were built without CUDA" in line
    with pytest.warns(RuntimeWarning, match="built without CUDA"):
        assert choose_device("auto").type == "cpu"


def test_cuda_that_cannot_be_had_is_refused(with_cuda, monkeypatch):
    with_cuda("the kernels were built without CUDA")
    with pytest.raises(InputError, match=r"without CUDA.*--device cpu"):
        choose_device("cuda")
    monkeypatch.undo()
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            choose_device("cuda")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"has_cuda": False}, "built without CUDA"),
        ({"cuda_has_torch_stream": False}, "torch's stream"),
    ],
)
def test_what_the_build_lacks_is_named(change, words):
    assert devices.build_obstacle(BUILT) is None
    assert words in devices.build_obstacle(BUILT | change)


def test_the_trial_step_repeats_itself_and_shows_something():
    first, second = (trial_step(torch.device("cpu")) for _ in range(2))
    for name, value in first.items():
        assert value.norm() > 1e-3, name
        assert torch.equal(value, second[name]), name
    assert trial_obstacle(torch.device("cpu")) is None


def test_rounding_passes_the_trial_and_wrong_values_do_not(monkeypatch):
    """The device is the second to be asked."""

    def distorted(amount):
        answers = iter((0.0, amount))

        def step(device):
            factor = 1.0 + next(answers)
            results = trial_step(torch.device("cpu"))
            return results | {"normals": results["normals"] * factor}

        return step

    monkeypatch.setattr(devices, "trial_step", distorted(0.03))
    assert trial_obstacle(torch.device("cpu")) is None
    for amount in (0.5, float("nan")):
        monkeypatch.setattr(devices, "trial_step", distorted(amount))
        assert "normals" in trial_obstacle(torch.device("cpu"))


def test_kernels_that_fail_are_an_obstacle(monkeypatch):
    def step(device):
        if device.type == "meta":
            raise RuntimeError("CUDA error: no kernel image is available\nand more")
        return trial_step(torch.device("cpu"))

    monkeypatch.setattr(devices, "trial_step", step)
    obstacle = trial_obstacle(torch.device("meta"))
    assert "no kernel image is available" in obstacle
    assert "and more" not in obstacle


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_trial_on_the_device_agrees_with_the_cpu():
    assert devices.cuda_obstacle() is None
