"""Slow, plain twin of `realfusion.ops.radiance_field`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import (
    MAX_LOG_DENSITY,
    MIN_GRADIENT_NORM,
    DensityBlob,
    FieldSamples,
    FieldWeights,
)
from realfusion.ops.reference.hash_grid import hash_grid_encode


def radiance_field(
    positions: Float[Tensor, "num_samples 3"],
    table: Float[Tensor, "num_entries num_features"],
    weights: FieldWeights,
    layout: HashGridLayout,
    *,
    bound: float,
    blob: DensityBlob,
    num_active_levels: int | None = None,
    with_normals: bool = True,
) -> FieldSamples:
    """Density, albedo and normals with torch's own operations and its autograd.

    The arguments are those of `realfusion.ops.radiance_field.radiance_field`. Normals
    are differentiated by autograd, and their gradient by its double backward.
    """
    w1, b1, w2, b2, w3, b3 = weights
    is_recording = torch.is_grad_enabled()
    with torch.set_grad_enabled(is_recording or with_normals):
        positions = positions.detach().requires_grad_(with_normals)
        unit = positions * (0.5 / bound) + 0.5
        features = hash_grid_encode(
            unit, table, layout, num_active_levels=num_active_levels
        )
        hidden = torch.relu(features @ w1.T + b1)
        hidden = torch.relu(hidden @ w2.T + b2)
        outputs = hidden @ w3.T + b3
        squared = positions.square().sum(-1)
        log_densities = outputs[:, 0] + blob.density * torch.exp(
            -squared / (2.0 * blob.radius**2)
        )
        normals = None
        is_inside = ((unit >= 0.0) & (unit <= 1.0)).all(-1).detach()
        if with_normals:
            (gradients,) = torch.autograd.grad(
                log_densities.sum(), positions, create_graph=is_recording
            )
            norms = gradients.square().sum(-1, keepdim=True)
            norms = norms.clamp(min=MIN_GRADIENT_NORM**2).sqrt()
            normals = -gradients / norms * is_inside[:, None]
    # The value is cut off, its gradient is not.
    excess = (log_densities - MAX_LOG_DENSITY).clamp(min=0.0).detach()
    samples = FieldSamples(
        densities=torch.exp(log_densities - excess) * is_inside,
        albedo=torch.sigmoid(outputs[:, 1:]) * is_inside[:, None],
        normals=normals,
    )
    if is_recording:
        return samples
    return FieldSamples(
        densities=samples.densities.detach(),
        albedo=samples.albedo.detach(),
        normals=None if normals is None else normals.detach(),
    )
