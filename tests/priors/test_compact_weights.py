"""Weights of a byte each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from realfusion.priors.compact_weights import load_compact, save_compact


def test_rows_keep_their_values_to_half_a_level(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = torch.tensor([1e-4, 1.0, 300.0])
    kernels = torch.randn(3, 5, 3, 3) * sizes[:, None, None, None]
    matrix = torch.randn(4, 7).T  # not contiguous
    path = tmp_path / "weights.safetensors"
    save_compact({"kernels": kernels, "matrix": matrix}, path)
    loaded = load_compact(path)
    assert set(loaded) == {"kernels", "matrix"}
    for name, exact in (("kernels", kernels), ("matrix", matrix)):
        level = exact.flatten(1).abs().amax(dim=1) / 127
        error = (loaded[name] - exact).flatten(1).abs().amax(dim=1)
        assert (error <= 0.501 * level).all()
        assert loaded[name].dtype == torch.float32


def test_rows_of_zeros_stay_zeros_and_vectors_stay_float16(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    bias = torch.tensor([0.1, -2000.5])
    save_compact({"weight": torch.zeros(2, 3), "bias": bias}, path)
    loaded = load_compact(path)
    assert torch.equal(loaded["weight"], torch.zeros(2, 3))
    assert torch.equal(loaded["bias"], bias.half())


def test_a_weight_takes_a_byte(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_compact({"weight": torch.randn(64, 1024)}, path)
    assert path.stat().st_size < 1.02 * 64 * 1024


def test_weights_that_are_not_rounded_load_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weight = torch.randn(3, 4).half()
    save_file({"weight": weight}, path)
    assert torch.equal(load_compact(path)["weight"], weight)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_compact(tmp_path / "nothing.safetensors")
