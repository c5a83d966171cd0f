"""The field before the first step: fitted to a body that is guessed from the photo."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.fields.radiance_field import RadianceField
from realfusion.priors.shape_estimator import bundled_shape_estimator
from realfusion.training.config import InitialShapeConfig
from realfusion.training.estimated_body import EstimatedBody
from realfusion.training.photo import Photo
from realfusion.training.silhouette import InflatedSilhouette

LEARNING_RATE = 1e-2


@runtime_checkable
class InitialBody(Protocol):
    """A body to start from."""

    def at(
        self, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, num_points], Float[Tensor, "num_points 3"]]:
        """How surely world points are inside, in [-1, 1], and their colours."""
        ...


def initial_body(
    photo: Photo, config: InitialShapeConfig, *, has_prior: bool
) -> InitialBody | None:
    """The body that the configuration asks for; None for the field as it is drawn.

    Args:
        photo: What the body is guessed from.
        config: Which one.
        has_prior: Whether the reconstruction has a learned prior: decides `auto`.
    """
    if config.kind == "blob":
        return None
    if config.kind == "estimated" or (config.kind == "auto" and has_prior):
        return EstimatedBody(photo, bundled_shape_estimator())
    return InflatedSilhouette(
        photo, depth_scale=config.depth_scale, colour_blur=config.colour_blur
    )


def body_loss(
    field: RadianceField,
    body: InitialBody,
    points: Float[Tensor, "num_points 3"],
    *,
    log_density: float,
    num_active_levels: int | None,
) -> Float[Tensor, ""]:
    """How far a field is from a body: occupancy everywhere, colours inside.

    Args:
        field: The field.
        body: What it should be.
        points: Where to look; [0, 1] spans the field's box.
        log_density: That of the inside, and minus that of the outside.
        num_active_levels: Levels of the hash grid to use; None for all.

    Returns:
        The sum of the two mean squared differences.
    """
    positions = (2.0 * points - 1.0) * field.config.bound
    with torch.no_grad():
        surety, colours = body.at(positions)
    target = (log_density * surety).sigmoid()
    samples = field(positions, num_active_levels=num_active_levels, with_normals=False)
    # Densities span decades; the bounded difference of soft occupancies does not.
    inside = samples.densities / (1.0 + samples.densities)
    colour_error = (target[:, None] * (samples.albedo - colours).square()).mean()
    return functional.mse_loss(inside, target) + colour_error


def fit_initial_shape(
    field: RadianceField,
    body: InitialBody,
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
        points = torch.rand(config.points, 3, generator=generator).to(field.table)
        loss = body_loss(
            field,
            body,
            points,
            log_density=config.log_density,
            num_active_levels=num_active_levels,
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
