"""Where to compute: a CUDA device only if the kernels are seen to work there.

A driver and a torch with CUDA do not make a device usable: the kernels may have been
built without a toolkit, or for other cards. So a device is tried before a run is given
to it: a small step on it and on the CPU must agree.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch import Tensor

from realfusion import _extension
from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.fields.config import FieldConfig
from realfusion.fields.radiance_field import RadianceField
from realfusion.listener import RunListener
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.scene import Scene
from realfusion.rendering.shading import Shading

REBUILD = (
    "install again with `REALFUSION_CUDA=1 pip install --force-reinstall --no-deps .` "
    "(a torch for less than CUDA 13 needs a toolkit and CUDA_HOME besides)"
)
LARGEST_ERROR = 0.2
"""Relative difference to the CPU from which a device is not trusted. With weights
rounded to the 10 bits of TF32 the normals differ by .023, the rest by less; what is
wrong differs by about 1."""
TRIAL_FIELD = FieldConfig(
    num_levels=4,
    log2_table_size=10,
    base_resolution=4,
    finest_resolution=32,
    hidden_width=16,
)
TRIAL_RENDERER = RendererConfig(steps_across=32, occupancy_resolution=16)


def choose_device(name: str, listener: RunListener | None = None) -> torch.device:
    """The device that a name stands for.

    Args:
        name: `cpu`, `cuda`, or `auto`: CUDA where the kernels work, else the CPU.
        listener: Told why a device that is there is not taken; without one, a warning
            tells it.

    Raises:
        InputError: CUDA is asked for and cannot be had.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    obstacle = cuda_obstacle()
    if obstacle is None:
        return torch.device("cuda")
    if name == "cuda":
        raise InputError(
            f"--device cuda: {obstacle}; see `realfusion doctor`, or use --device cpu"
        )
    message = f"the CUDA device is left alone, and the CPU computes: {obstacle}"
    if listener is None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    else:
        listener.note(message)
    return torch.device("cpu")


@functools.cache
def cuda_obstacle() -> str | None:
    """Why the kernels cannot compute on the current CUDA device; None if they can."""
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    missing = build_obstacle(_extension.load().build_info())
    return missing or trial_obstacle(torch.device("cuda"))


def build_obstacle(info: dict[str, Any]) -> str | None:
    """What a build of the kernels lacks for CUDA; `info` is its `build_info()`."""
    if not info["has_cuda"]:
        return f"the kernels were built without CUDA: {REBUILD}"
    if not info["cuda_has_torch_stream"]:
        return f"the kernels do not find torch's stream: {REBUILD}"
    return None


def trial_obstacle(device: torch.device) -> str | None:
    """What is wrong with a small step on a device; None if it agrees with the CPU's."""
    expected = trial_step(torch.device("cpu"))
    try:
        found = trial_step(device)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        return f"the kernels fail there ({reason}); if built for other cards, {REBUILD}"
    wrong = [
        name
        for name, value in expected.items()
        if not _relative_error(found[name], value) <= LARGEST_ERROR
    ]
    if wrong:
        return f"its {', '.join(wrong)} are not the CPU's; please report it"
    return None


def trial_step(device: torch.device) -> dict[str, Tensor]:
    """A small scene, rendered and differentiated on a device; the results on the CPU.

    Every kernel of a training step takes part.
    """
    generator = torch.Generator().manual_seed(0)
    field = RadianceField(TRIAL_FIELD, generator=generator)
    with torch.no_grad():  # features worth a name: they begin next to zero
        field.table.uniform_(-1.0, 1.0, generator=generator)
    scene = Scene(field, config=TRIAL_RENDERER, bound=TRIAL_FIELD.bound).to(device)
    rays = Camera(azimuth_deg=30.0, elevation_deg=20.0).rays(16, 16, device=device)
    rendered = scene.render(rays, shading=Shading("albedo"))
    loss = rendered.rgb.square().mean() + rendered.normals.square().mean()
    loss = loss + rendered.back_facing.mean()
    grad_table, grad_network = torch.autograd.grad(loss, (field.table, field.w2))
    scene.update_occupancy(every_cell=True, generator=generator)
    cell_densities = scene.occupancy.density_ema.clone()
    # Which cells it draws depends on rounding: it need only run.
    scene.update_occupancy(every_cell=False, generator=generator)
    results = {
        "colours": rendered.rgb,
        "depths": rendered.depth,
        "normals": rendered.normals,
        "gradients of the table": grad_table,
        "gradients of the network": grad_network,
        "cell densities": cell_densities,
    }
    return {name: value.detach().cpu() for name, value in results.items()}


def _relative_error(found: Tensor, expected: Tensor) -> float:
    """‖found - expected‖ / ‖expected‖."""
    return float((found - expected).norm() / expected.norm())
