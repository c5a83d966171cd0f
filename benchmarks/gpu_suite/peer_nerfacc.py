"""nerfacc's occupancy-grid sampling and its rendering of packed samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import torch

from benchmarks.gpu_suite import goals
from benchmarks.gpu_suite.kernels import Case
from benchmarks.gpu_suite.own_calls import make_view
from benchmarks.gpu_suite.setting import Setting
from benchmarks.ops import cases
from realfusion.ops import morton_encode

NAME = "nerfacc"


def load(setting: Setting) -> Callable[[torch.device], Iterator[Case]]:
    """Import it; it compiles its kernels when they are first called."""
    nerfacc = import_module("nerfacc")
    if setting.is_dry:
        raise RuntimeError("has no kernels for a CPU")

    def make(device: torch.device) -> Iterator[Case]:
        yield _sampling(nerfacc, device)
        yield from _rendering(nerfacc, device)

    return make


def unpack_bits(occupancy: torch.Tensor, resolution: int) -> torch.Tensor:
    """Our bits in Morton order as a grid [x, y, z] of booleans."""
    axis = torch.arange(resolution, dtype=torch.int32)
    coords = torch.cartesian_prod(axis, axis, axis)
    cells = morton_encode(coords).to(occupancy.device)
    bits = (occupancy[cells // 8] >> (cells % 8).to(torch.uint8)) & 1
    return bits.bool().reshape(resolution, resolution, resolution)


def _sampling(nerfacc: ModuleType, device: torch.device) -> Case:
    view = make_view(device)
    bound, resolution = float(view.settings["bound"]), int(view.settings["resolution"])
    box = torch.tensor([-bound] * 3 + [bound] * 3, device=device)
    estimator = nerfacc.OccGridEstimator(box, resolution=resolution, levels=1)
    estimator = estimator.to(device)
    estimator.binaries.copy_(unpack_bits(view.occupancy, resolution)[None])

    def sample() -> tuple[torch.Tensor, ...]:
        return estimator.sampling(
            view.origins,
            view.directions,
            render_step_size=float(view.settings["step_size"]),
            stratified=True,
        )

    facts = {"samples": str(len(sample()[0]))}
    return Case(goals.MARCH, NAME, lambda: sample(), facts=facts)


def _rendering(nerfacc: ModuleType, device: torch.device) -> Iterator[Case]:
    packed = cases.make_packed_rays(3, device)
    offsets = packed["ray_offsets"]
    num_rays = len(offsets) - 1
    counts = offsets[1:] - offsets[:-1]
    rays = torch.arange(num_rays, device=device).repeat_interleave(counts)
    densities = packed["densities"].requires_grad_()
    channels = packed["channels"].requires_grad_()
    begins, ends = packed["t"], packed["t"] + packed["deltas"]

    def forward() -> tuple[torch.Tensor, ...]:
        weights, _, _ = nerfacc.render_weight_from_density(
            begins, ends, densities, ray_indices=rays, n_rays=num_rays
        )

        def accumulate(values: torch.Tensor | None) -> torch.Tensor:
            return nerfacc.accumulate_along_rays(
                weights, values, ray_indices=rays, n_rays=num_rays
            )

        return accumulate(channels), accumulate(None), accumulate(begins[:, None])

    def render() -> None:
        with torch.no_grad():
            forward()

    def both() -> None:
        outputs = forward()
        upstream = [torch.ones_like(output) for output in outputs]
        torch.autograd.grad(outputs, [densities, channels], upstream)

    yield Case("composite forward, 3 channels", NAME, render)
    yield Case(goals.COMPOSITE, NAME, both)
