"""Our own side of the comparison with other implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from benchmarks.gpu_suite import goals, kernels
from benchmarks.gpu_suite.kernels import Case
from benchmarks.gpu_suite.setting import Setting
from benchmarks.ops import cases
from realfusion.ops import march_rays
from realfusion.ops.compositing import composite


def make_view(device: torch.device, is_dry: bool = False) -> cases.MarchCase:
    """The view that all implementations render."""
    if is_dry:
        return cases.make_march_case(device, 12, resolution=32, steps_across=32)
    return cases.make_march_case(device)


def load(setting: Setting) -> Callable[[torch.device], Iterator[Case]]:
    """Our kernels as they are called, and a whole view in a graph and as called."""

    def make(device: torch.device) -> Iterator[Case]:
        without_twins = replace(setting, is_quick=True)
        for group in (kernels.hash_grid, kernels.marching, kernels.compositing):
            for case in group(device, without_twins):
                if case.name == "native":
                    yield Case(case.group, goals.AS_CALLED, case.run)
        view = native_case(make_view(device, setting.is_dry), device)
        yield replace(view, is_captured=True)
        yield replace(view, name=goals.AS_CALLED)

    return make


def native_case(view: cases.MarchCase, device: torch.device) -> Case:
    """A view with normals: march, fused field, one compositing pass, and back."""
    field = cases.make_field_case(64, device, num_samples=16)
    parameters = (field.table, *field.weights)
    exact = march_rays(*view.arguments, noise=view.noise, **view.settings).num_samples
    capacity = exact + exact // 8

    def run() -> None:
        samples = march_rays(
            *view.arguments,
            noise=view.noise,
            capacity=capacity,
            pad_to_capacity=True,
            **view.settings,
        )
        values = cases.FieldCase(samples.positions, field.table, field.weights).run(
            "native"
        )
        composited = composite(
            values.densities,
            torch.cat([values.albedo, values.normals], dim=1),
            samples.t,
            samples.deltas,
            samples.ray_offsets,
        )
        loss = composited.values.square().mean() + composited.opacity.mean()
        torch.autograd.grad(loss, parameters)

    return Case(goals.VIEW, "native", run, facts={"samples": str(exact)})
