"""torch-ngp's kernels through their Python functions, from a checkout.

Also put together as the RealFusion release does: 1 evaluation of the field for colour,
6 for the normals by finite differences, and 6 more for the normals of a term whose
weight is 0; two compositing passes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import cpp_extension

from benchmarks.gpu_suite import goals
from benchmarks.gpu_suite.kernels import Case
from benchmarks.gpu_suite.own_calls import make_view
from benchmarks.gpu_suite.setting import Setting
from benchmarks.ops import cases
from realfusion.ops import HashGridLayout

EPSILON = 1e-2
"""Step of the finite differences in the release, in world units."""


def load(setting: Setting) -> Callable[[torch.device], Iterator[Case]]:
    """Build its extensions and say what can be timed."""
    path = setting.peers.get("torch-ngp")
    if path is None:
        raise LookupError("not asked for: --peer torch-ngp=PATH")
    if setting.is_dry:
        raise RuntimeError("has no kernels for a CPU")
    # Its modules are top-level packages of the checkout.
    sys.path.insert(0, path)
    _build_as_cxx17()
    marching = import_module("raymarching")
    encoders = import_module("gridencoder")

    def make(device: torch.device) -> Iterator[Case]:
        yield from _hash_grid(encoders, device)
        yield from _marching(marching, device)
        yield from _compositing(marching, device)
        for dtype in (torch.float16, torch.float32):
            yield _release_view(encoders, marching, device, dtype)

    return make


def _build_as_cxx17() -> None:
    """Its builds ask for C++14, which torch's headers no longer compile as."""
    load_extension = cpp_extension.load

    def load_newer(*arguments: Any, **options: Any) -> Any:
        for key in ("extra_cflags", "extra_cuda_cflags"):
            flags = options.get(key) or []
            options[key] = [flag.replace("c++14", "c++17") for flag in flags]
        return load_extension(*arguments, **options)

    cpp_extension.load = load_newer


def make_encoder(
    encoders: ModuleType, layout: HashGridLayout, device: torch.device
) -> nn.Module:
    """A grid of the sizes of `layout`."""
    return encoders.GridEncoder(
        input_dim=3,
        num_levels=layout.num_levels,
        level_dim=layout.num_features,
        base_resolution=layout.base_resolution,
        log2_hashmap_size=layout.log2_table_size,
        desired_resolution=layout.finest_resolution,
    ).to(device)


def _hash_grid(encoders: ModuleType, device: torch.device) -> Iterator[Case]:
    layout = cases.PAPER_LAYOUT
    encoder = make_encoder(encoders, layout, device)
    for order in ("random", "ray-ordered"):
        # It takes positions in [-bound, bound].
        positions = 2.0 * cases.make_unit_points(order, device) - 1.0
        grad = torch.ones(len(positions), layout.num_outputs, device=device)
        for is_half in (False, True):
            name = "torch-ngp, float16" if is_half else goals.PEER

            def forward(positions: Tensor = positions, is_half: bool = is_half) -> Any:
                with torch.autocast("cuda", torch.float16, enabled=is_half):
                    return encoder(positions, bound=1)

            def encode(forward: Callable[[], Any] = forward) -> None:
                with torch.no_grad():
                    forward()

            def both(forward: Callable[[], Any] = forward, grad: Tensor = grad) -> None:
                features = forward()
                upstream = grad.to(features.dtype)
                torch.autograd.grad(features, encoder.embeddings, upstream)

            yield Case(f"hash_grid forward, {order} points", name, encode)
            yield Case(
                f"hash_grid forward + backward to the table, {order} points", name, both
            )


class _Marcher:
    """Its training march of a view; all rays, as many samples as they want."""

    def __init__(self, marching: ModuleType, view: cases.MarchCase) -> None:
        self.marching, self.view = marching, view
        bound = float(view.settings["bound"])
        corners = [-bound, -bound, -bound, bound, bound, bound]
        self.box = torch.tensor(corners, device=view.origins.device)
        # Its step is 2 sqrt(3) / max_steps whatever the bound.
        step = float(view.settings["step_size"])
        self.max_steps = round(2.0 * math.sqrt(3.0) / step)

    def __call__(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        view = self.view
        near, far = self.marching.near_far_from_aabb(
            view.origins, view.directions, self.box, 0.0
        )
        return self.marching.march_rays_train(
            view.origins,
            view.directions,
            view.settings["bound"],
            view.occupancy,
            1,
            view.settings["resolution"],
            near,
            far,
            None,  # no counter of its own
            -1,  # no mean count: room for every step
            True,  # jitter
            128,
            True,  # no ray is dropped
            0.0,
            self.max_steps,
        )


def _marching(marching: ModuleType, device: torch.device) -> Iterator[Case]:
    march = _Marcher(marching, make_view(device))
    facts = {"samples": str(len(march()[0]))}
    yield Case(goals.MARCH, goals.PEER, lambda: march(), facts=facts)


def _compositing(marching: ModuleType, device: torch.device) -> Iterator[Case]:
    packed = cases.make_packed_rays(3, device)
    offsets = packed["ray_offsets"]
    starts, counts = offsets[:-1], offsets[1:] - offsets[:-1]
    indices = torch.arange(len(starts), device=device)
    rays = torch.stack([indices, starts, counts], dim=1).int().contiguous()
    deltas = torch.stack([packed["deltas"], packed["deltas"]], dim=1).contiguous()
    densities = packed["densities"].requires_grad_()
    channels = packed["channels"].requires_grad_()

    def forward() -> tuple[Tensor, Tensor, Tensor]:
        return marching.composite_rays_train(densities, channels, deltas, rays)

    def composite() -> None:
        with torch.no_grad():
            forward()

    def both() -> None:
        outputs = forward()
        # It has no gradient through depth.
        outputs = (outputs[0], outputs[2])
        upstream = [torch.ones_like(output) for output in outputs]
        torch.autograd.grad(outputs, [densities, channels], upstream)

    yield Case("composite forward, 3 channels", goals.PEER, composite)
    yield Case(goals.COMPOSITE, goals.PEER, both)


class _ReleaseField(nn.Module):
    """Density, albedo and finite-difference normals over its encoder."""

    def __init__(self, encoder: nn.Module, layout: HashGridLayout) -> None:
        super().__init__()
        self.encoder = encoder
        self.network = nn.Sequential(
            nn.Linear(layout.num_outputs, 64),
            nn.ReLU(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 4),
        )

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(self.encoder(positions, bound=cases.BOUND))
        return outputs[:, 0].float().clamp(max=15.0).exp(), outputs[:, 1:].sigmoid()

    def normals(self, positions: Tensor) -> Tensor:
        axes = EPSILON * torch.eye(3, device=positions.device)
        differences = []
        for axis in axes:
            ahead = self((positions + axis).clamp(-cases.BOUND, cases.BOUND))[0]
            behind = self((positions - axis).clamp(-cases.BOUND, cases.BOUND))[0]
            differences.append(0.5 * (ahead - behind) / EPSILON)
        gradient = torch.stack(differences, dim=-1)
        return -nn.functional.normalize(gradient, dim=-1)


def _release_view(
    encoders: ModuleType,
    marching: ModuleType,
    device: torch.device,
    dtype: torch.dtype,
) -> Case:
    layout = cases.FIELD_LAYOUT
    field = _ReleaseField(make_encoder(encoders, layout, device), layout).to(device)
    parameters = list(field.parameters())
    march = _Marcher(marching, make_view(device))
    generator = torch.Generator(device=device).manual_seed(0)

    def run() -> None:
        positions, _, deltas, rays = march()
        with torch.autocast("cuda", dtype, enabled=dtype != torch.float32):
            densities, albedo = field(positions)
            normals = field.normals(positions)
            shifts = torch.randn(
                positions.shape, generator=generator, device=positions.device
            )
            # Its smoothness term is evaluated though its weight is 0.
            shifted = field.normals(positions + EPSILON * shifts)
            smoothness = (normals - shifted).abs().mean()
        composite = marching.composite_rays_train
        opacity, _, rgb = composite(densities, albedo.float(), deltas, rays)
        _, _, seen = composite(densities, 0.5 * normals.float() + 0.5, deltas, rays)
        loss = rgb.square().mean() + seen.square().mean() + opacity.mean()
        torch.autograd.grad(loss + 0.0 * smoothness, parameters)

    name = goals.RELEASE.replace("float16", str(dtype).removeprefix("torch."))
    facts = {"samples": str(len(march()[0]))}
    return Case(goals.VIEW, name, run, facts=facts)
