"""A body from the photo's silhouette alone.

The Gaussian blob of DreamFusion is a ball whatever the object is. A silhouette says
more: treated as a rubber sheet that is pinned at the outline and blown up (a Poisson
equation, whose solution for a disc is exactly a ball), it gives a closed body of
plausible depth that already has the right outline in the reference view. It takes the
photo's colours, blurred and seen through and through: the least surprising guess of a
side nobody has seen.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.image_plane import (
    Projection,
    blurred_colours,
    look_up,
    resized,
    width_at_origin,
)
from realfusion.training.photo import Photo

SOLVER_SIZE = 96
"""Pixels along an edge of the silhouette that is inflated."""
SOFTNESS = 0.05
"""World units over which the body falls from inside to outside."""


class InflatedSilhouette:
    """The inflated silhouette as a body to start from.

    Args:
        photo: Silhouette, colours and reference camera.
        depth_scale: Depth of the body in units of its inflated half-width.
        colour_blur: Standard deviation of the colours' blur, a share of the frame.
    """

    def __init__(
        self, photo: Photo, *, depth_scale: float = 1.0, colour_blur: float = 0.08
    ) -> None:
        self._project = Projection(photo.camera, photo.alpha.device)
        image = resized(photo.image, SOLVER_SIZE)
        pixel_size = width_at_origin(photo.camera) / SOLVER_SIZE
        thickness = inflate_silhouette(image[3].cpu().numpy(), pixel_size)
        self._thickness = torch.from_numpy(thickness).to(image) * depth_scale
        self._colours = blurred_colours(image, colour_blur)

    def at(
        self, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, num_points], Float[Tensor, "num_points 3"]]:
        """How surely world points are inside, in [-1, 1], and their colours."""
        places, depth = self._project(points)
        half = look_up(self._thickness[None], places)[:, 0]
        # Depth relative to the plane through the origin; the body bulges both ways.
        excess = torch.where(half > 0.0, half - depth.abs(), -SOFTNESS)
        return (excess / SOFTNESS).clamp(-1.0, 1.0), look_up(self._colours, places)


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
