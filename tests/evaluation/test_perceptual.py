from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from realfusion.evaluation.perceptual import measure_perceptual
from realfusion.priors.clip import load_clip


def _views(size: int = 64, seed: int = 0, count: int = 3) -> np.ndarray:
    views = np.random.default_rng(seed).random((count, size, size, 4))
    views[..., 3] = views[..., 3] > 0.5
    return views.astype(np.float32)


class MeanDifference(torch.nn.Module):
    """In the place of LPIPS: the mean difference of pictures in [-1, 1]."""

    def __init__(self, net: str) -> None:
        super().__init__()
        assert net == "alex"
        print("Setting up [LPIPS] perceptual loss")

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, normalize: bool
    ) -> torch.Tensor:
        assert normalize
        difference = 2.0 * (first - second).abs()
        return difference.mean(dim=(1, 2, 3), keepdim=True)


@pytest.fixture
def torch_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of torchvision's weights, empty, with a `lpips` that can be had."""
    checkpoints = tmp_path / "torch_hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(checkpoints.parent))
    module = types.ModuleType("lpips")
    module.LPIPS = MeanDifference  # type: ignore[attr-defined]
    module.__spec__ = importlib.machinery.ModuleSpec("lpips", None)
    monkeypatch.setitem(sys.modules, "lpips", module)
    return checkpoints


@pytest.fixture
def without_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that has no `lpips`."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "lpips" else find(name),
    )


@pytest.mark.usefixtures("hub_cache", "without_lpips")
def test_without_weights_both_are_absent_and_it_says_so() -> None:
    metrics = measure_perceptual(_views(), _views())
    assert metrics.summary() == {}
    assert metrics.clip_model is None
    clip, lpips = metrics.left_out
    assert "(`hf download openai/clip-vit-base-patch32`)" in clip
    assert "`pip install lpips`" in lpips


@pytest.mark.usefixtures("cached_clip_folder", "without_lpips")
def test_clip_similarity_is_the_cosine_of_views_on_white() -> None:
    same = measure_perceptual(_views(), _views())
    assert same.clip_similarity == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)
    assert same.clip_model == "openai/clip-vit-base-patch32"
    assert len(same.left_out) == 1

    rendered, truth = _views(count=10), _views(seed=1, count=10)
    metrics = measure_perceptual(rendered, truth)
    on_white = [
        torch.from_numpy(v[..., :3] * v[..., 3:] + 1.0 - v[..., 3:]).permute(0, 3, 1, 2)
        for v in (rendered, truth)
    ]
    first, second = (load_clip().image_features(views) for views in on_white)
    expected = (first * second).sum(dim=1).tolist()
    assert metrics.clip_similarity == pytest.approx(expected, abs=1e-5)
    assert metrics.summary() == {
        "clip_similarity": pytest.approx(np.mean(expected), abs=1e-5)
    }
    hidden = truth.copy()
    hidden[hidden[..., 3] == 0, :3] = 0.3  # what lies under alpha 0 does not matter
    assert measure_perceptual(hidden, truth).clip_similarity == pytest.approx(
        (1.0,) * 10, abs=1e-5
    )


@pytest.mark.usefixtures("hub_cache")
def test_lpips_is_measured_where_its_weights_lie(
    torch_hub: Path, capsys: pytest.CaptureFixture
) -> None:
    absent = measure_perceptual(_views(), _views())
    assert "has not fetched AlexNet's weights yet" in absent.left_out[1]
    (torch_hub / "alexnet-owt-7be5be79.pth").touch()
    black, white = np.zeros((9, 64, 64, 4)), np.ones((9, 64, 64, 4))
    black[..., 3] = 1.0
    metrics = measure_perceptual(black, white)
    assert metrics.lpips == pytest.approx((2.0,) * 9)
    assert metrics.summary() == {"lpips": pytest.approx(2.0)}
    assert capsys.readouterr().out == ""
    small = measure_perceptual(_views(size=32), _views(size=32))
    assert "views are smaller than 64 pixels" in small.left_out[1]


@pytest.mark.usefixtures("hub_cache")
def test_an_lpips_that_fails_costs_nothing_else(
    torch_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(net: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nand more")

    (torch_hub / "alexnet-owt-7be5be79.pth").touch()
    monkeypatch.setattr(sys.modules["lpips"], "LPIPS", fail)
    reason = measure_perceptual(_views(), _views()).left_out[1]
    assert reason == (
        "LPIPS is left out: lpips cannot be loaded (RuntimeError: operator "
        "torchvision::nms does not exist)"
    )


@pytest.mark.usefixtures("without_lpips")
def test_a_damaged_clip_is_left_out(cached_clip_folder: Path) -> None:
    (cached_clip_folder / "model.safetensors").write_bytes(b"no")
    metrics = measure_perceptual(_views(), _views())
    assert metrics.clip_similarity is None
    assert "CLIP similarity is left out: the CLIP model" in metrics.left_out[0]


@pytest.mark.usefixtures("cached_clip_folder", "without_lpips")
def test_runs_on_the_device(device: torch.device) -> None:
    metrics = measure_perceptual(_views(), _views(), device=device)
    assert metrics.clip_similarity == pytest.approx((1.0,) * 3, abs=1e-4)
