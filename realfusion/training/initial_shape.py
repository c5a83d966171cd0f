"""A body to start from: the photo's silhouette, inflated.

The Gaussian blob of DreamFusion is a ball whatever the object is. A silhouette says
more: treated as a rubber sheet that is pinned at the outline and blown up (a Poisson
equation, whose solution for a disc is exactly a ball), it gives a closed body of
plausible depth that already has the right outline in the reference view. It takes the
photo's colours, blurred and seen through and through: the least surprising guess of a
side nobody has seen.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera
from realfusion.fields.radiance_field import RadianceField
from realfusion.training.config import InitialShapeConfig
from realfusion.training.photo import Photo

SOLVER_SIZE = 96
"""Pixels along an edge of the silhouette that is inflated."""
LEARNING_RATE = 1e-2
SOFTNESS = 0.05
"""World units over which the target falls from inside to outside."""


def inflate_silhouette(
    mask: Float[np.ndarray, "height width"], pixel_size: float
) -> Float[np.ndarray, "height width"]:
    """Half-thickness of the body a silhouette inflates to.

    Solves ∇²u = −4 inside, u = 0 outside, and returns √u: a disc of radius R becomes
    a ball of radius R, a long bar becomes a rod.

    Args:
        mask: Coverage in [0, 1]; inside where above one half.
        pixel_size: Edge of a pixel, in world units.

    Returns:
        Half-thickness in world units, zero outside.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    inside = np.pad(mask, 1) > 0.5
    rows, columns = np.nonzero(inside)
    count = len(rows)
    thickness = np.zeros(inside.shape)
    if count == 0:
        return thickness[1:-1, 1:-1].astype(np.float32)
    index = np.full(inside.shape, -1)
    index[rows, columns] = np.arange(count)
    entries = [(np.arange(count), np.arange(count), np.full(count, 4.0))]
    for shift in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        neighbour = index[rows + shift[0], columns + shift[1]]
        known = neighbour >= 0
        entries.append(
            (np.arange(count)[known], neighbour[known], np.full(known.sum(), -1.0))
        )
    i, j, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    matrix = coo_matrix((values, (i, j)), shape=(count, count)).tocsc()
    solution = spsolve(matrix, np.full(count, 4.0 * pixel_size**2))
    thickness[rows, columns] = np.sqrt(np.maximum(solution, 0.0))
    return thickness[1:-1, 1:-1].astype(np.float32)


def silhouette_log_density(
    photo: Photo, config: InitialShapeConfig, points: Float[Tensor, "num_points 3"]
) -> Float[Tensor, num_points]:
    """The log-density that the inflated silhouette asks for at world points.

    Args:
        photo: Silhouette and reference camera.
        config: Depth and density of the body.
        points: World positions.

    Returns:
        `config.log_density` deep inside, its negative outside, smooth in between.
    """
    thickness = _thickness_map(photo, config).to(points)
    places, depth = _project(photo.camera, points)
    return _log_density(thickness, places, depth, config)


def fit_initial_shape(
    field: RadianceField,
    photo: Photo,
    config: InitialShapeConfig,
    *,
    num_active_levels: int,
    generator: torch.Generator,
) -> None:
    """Fit the field to the inflated silhouette and the photo's colours, in place.

    Args:
        field: Its parameters are changed.
        photo: Silhouette and reference camera.
        config: Depth, density, steps and points.
        num_active_levels: Levels of the hash grid to use.
        generator: CPU generator of the points.
    """
    thickness = _thickness_map(photo, config).to(field.table.device)
    colours = _colour_map(photo, config).to(field.table.device)
    optimizer = torch.optim.Adam(field.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(config.steps):
        noise = torch.rand(config.points, 3, generator=generator)
        points = ((2.0 * noise - 1.0) * field.config.bound).to(field.table)
        places, depth = _project(photo.camera, points)
        target = _log_density(thickness, places, depth, config)
        colour = _look_up(colours, places)
        samples = field(points, num_active_levels=num_active_levels, with_normals=False)
        # Densities span decades; the bounded difference of soft occupancies does not.
        inside = samples.densities / (1.0 + samples.densities)
        loss = functional.mse_loss(inside, target.sigmoid())
        weight = target.sigmoid()[:, None]
        loss = loss + (weight * (samples.albedo - colour).square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _thickness_map(photo: Photo, config: InitialShapeConfig) -> Tensor:
    mask = photo.alpha.reshape(1, 1, photo.size, photo.size).cpu()
    mask = functional.interpolate(mask, size=(SOLVER_SIZE, SOLVER_SIZE), mode="area")
    extent = (
        2.0 * photo.camera.radius * math.tan(0.5 * math.radians(photo.camera.fov_y_deg))
    )
    thickness = inflate_silhouette(mask[0, 0].numpy(), extent / SOLVER_SIZE)
    return torch.from_numpy(thickness) * config.depth_scale


def _colour_map(photo: Photo, config: InitialShapeConfig) -> Tensor:
    """The photo's colours, blurred within the silhouette, [3, S, S]."""
    image = torch.cat([photo.premultiplied, photo.alpha[:, None]], dim=-1).cpu()
    image = image.T.reshape(1, 4, photo.size, photo.size)
    image = functional.interpolate(image, size=(SOLVER_SIZE, SOLVER_SIZE), mode="area")
    sigma = max(config.colour_blur * SOLVER_SIZE, 1e-3)
    offsets = torch.arange(SOLVER_SIZE, dtype=torch.float32)
    kernel = (-0.5 * ((offsets[:, None] - offsets) / sigma).square()).exp()
    blurred = kernel @ image[0] @ kernel.T
    return blurred[:3] / blurred[3:].clamp(min=1e-6)


def _project(camera: Camera, points: Tensor) -> tuple[Tensor, Tensor]:
    """Places in the image, in [-1, 1] with y down, and depths behind the origin."""
    matrix = camera.camera_to_world().to(points)
    in_camera = (points - matrix[:3, 3]) @ matrix[:3, :3]
    distance = -in_camera[:, 2]
    focal = 1.0 / math.tan(0.5 * math.radians(camera.fov_y_deg))
    places = focal * in_camera[:, :2] / distance[:, None]
    return places * places.new_tensor([1.0, -1.0]), distance - camera.radius


def _look_up(image: Tensor, places: Tensor) -> Tensor:
    """Bilinear values of an image [C, S, S] at places, [M, C]."""
    grid = places.view(1, 1, -1, 2)
    return functional.grid_sample(image[None], grid, align_corners=False)[0, :, 0].T


def _log_density(
    thickness: Tensor, places: Tensor, depth: Tensor, config: InitialShapeConfig
) -> Tensor:
    half = _look_up(thickness[None], places)[:, 0]
    # Depth relative to the plane through the origin; the body bulges both ways.
    excess = torch.where(half > 0.0, half - depth.abs(), -SOFTNESS)
    return config.log_density * (excess / SOFTNESS).clamp(-1.0, 1.0)
