"""tiny-cuda-nn's hash grid, and its fused network behind one (no normals)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

from benchmarks.gpu_suite.kernels import Case
from benchmarks.gpu_suite.setting import Setting
from benchmarks.ops import cases
from realfusion.ops import HashGridLayout

NAME = "tiny-cuda-nn"


def load(setting: Setting) -> Callable[[torch.device], Iterator[Case]]:
    """Import it."""
    tcnn = import_module("tinycudann")
    if setting.is_dry:
        raise RuntimeError("has no kernels for a CPU")

    def make(device: torch.device) -> Iterator[Case]:
        for dtype in (torch.float32, torch.float16):
            yield from _hash_grid(tcnn, device, dtype)
        yield from _network(tcnn, device)

    return make


def describe_grid(layout: HashGridLayout) -> dict[str, Any]:
    """The sizes of `layout` in its own words."""
    ratio = layout.finest_resolution / layout.base_resolution
    return {
        "otype": "HashGrid",
        "n_levels": layout.num_levels,
        "n_features_per_level": layout.num_features,
        "log2_hashmap_size": layout.log2_table_size,
        "base_resolution": layout.base_resolution,
        "per_level_scale": ratio ** (1.0 / (layout.num_levels - 1)),
    }


def _both(module: Any, positions: torch.Tensor) -> Callable[[], None]:
    def run() -> None:
        outputs = module(positions)
        torch.autograd.grad(outputs, module.params, torch.ones_like(outputs))

    return run


def _forward(module: Any, positions: torch.Tensor) -> Callable[[], None]:
    @torch.no_grad()
    def run() -> None:
        module(positions)

    return run


def _hash_grid(
    tcnn: ModuleType, device: torch.device, dtype: torch.dtype
) -> Iterator[Case]:
    grid = describe_grid(cases.PAPER_LAYOUT)
    encoding = tcnn.Encoding(3, grid, dtype=dtype).to(device)
    name = NAME if dtype == torch.float32 else f"{NAME}, float16"
    for order in ("random", "ray-ordered"):
        positions = cases.make_unit_points(order, device)
        yield Case(
            f"hash_grid forward, {order} points", name, _forward(encoding, positions)
        )
        yield Case(
            f"hash_grid forward + backward to the table, {order} points",
            name,
            _both(encoding, positions),
        )


def _network(tcnn: ModuleType, device: torch.device) -> Iterator[Case]:
    for width in (32, 64):
        network = {
            "otype": "FullyFusedMLP",
            "activation": "ReLU",
            "output_activation": "None",
            "n_neurons": width,
            "n_hidden_layers": 2,
        }
        module = tcnn.NetworkWithInputEncoding(
            3, 4, describe_grid(cases.FIELD_LAYOUT), network
        ).to(device)
        field = cases.make_field_case(width, device, 2**18)
        positions = field.positions / (2.0 * cases.BOUND) + 0.5
        name = f"{NAME}, float16, without normals"
        yield Case(
            f"radiance_field forward, H = {width}", name, _forward(module, positions)
        )
        yield Case(
            f"radiance_field forward_backward, H = {width}",
            name,
            _both(module, positions),
        )
