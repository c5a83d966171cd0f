"""The field before the first step: fitted to a body that is guessed from the photo."""

from __future__ import annotations

import torch
from torch.nn import functional

from realfusion.fields.radiance_field import RadianceField
from realfusion.priors.estimated_body import EstimatedBody
from realfusion.priors.shape_estimator import bundled_shape_estimator
from realfusion.priors.view_guide import Body
from realfusion.training.config import InitialShapeConfig
from realfusion.training.photo import Photo
from realfusion.training.silhouette import InflatedSilhouette

LEARNING_RATE = 1e-2


def initial_body(
    photo: Photo, config: InitialShapeConfig, *, has_prior: bool
) -> Body | None:
    """The body that the configuration asks for; None for the field as it is drawn.

    Args:
        photo: What the body is guessed from.
        config: Which one.
        has_prior: Whether the reconstruction has a learned prior: decides `auto`.
    """
    if config.kind == "blob":
        return None
    if config.kind == "estimated" or (config.kind == "auto" and has_prior):
        return EstimatedBody(photo.image, photo.camera, bundled_shape_estimator())
    return InflatedSilhouette(
        photo, depth_scale=config.depth_scale, colour_blur=config.colour_blur
    )


def fit_initial_shape(
    field: RadianceField,
    body: Body,
    config: InitialShapeConfig,
    *,
    num_active_levels: int,
    generator: torch.Generator,
) -> None:
    """Fit the field to a body and its colours, in place.

    Args:
        field: Its parameters are changed.
        body: What the field becomes.
        config: Density, steps and points.
        num_active_levels: Levels of the hash grid to use.
        generator: CPU generator of the points.
    """
    optimizer = torch.optim.Adam(field.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(config.steps):
        noise = torch.rand(config.points, 3, generator=generator)
        points = ((2.0 * noise - 1.0) * field.config.bound).to(field.table)
        surety, colours = body.at(points)
        target = (config.log_density * surety).sigmoid()
        samples = field(points, num_active_levels=num_active_levels, with_normals=False)
        # Densities span decades; the bounded difference of soft occupancies does not.
        inside = samples.densities / (1.0 + samples.densities)
        loss = functional.mse_loss(inside, target)
        loss = loss + (target[:, None] * (samples.albedo - colours).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
