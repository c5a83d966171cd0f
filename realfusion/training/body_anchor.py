"""Sides that nobody has seen are held to the body that the run began with.

The photo fits its own side and, through the tables that both share, leaves traces on
the others: mottling, fog, a silhouette that wanders. The body that was guessed in the
beginning says what these sides look like on average, and no more. So the anchor looks
at half the resolution of the views, where averages are, and pulls the harder the
farther a view is from the photo.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera, Rays
from realfusion.priors.view_guide import Body, BodyPictures


class BodyAnchor:
    """The body that a run began with, and how far views are from it.

    Args:
        body: Lies within 0.66 of the origin along each axis.
        camera: The camera that took the photo.
        device: Where the body computes.
    """

    def __init__(self, body: Body, camera: Camera, device: torch.device) -> None:
        self._pictures = BodyPictures(body, device)
        self._towards_photo = torch.tensor(camera.toward(), device=device)

    def loss(
        self, rays: Rays, shown: Float[Tensor, "4 height width"]
    ) -> Float[Tensor, ""]:
        """Mean squared difference between a view and the body, by its angle.

        Args:
            rays: Through the pixels of the view at half its resolution, row by row.
            shown: The view: colours times opacity, opacity.

        Returns:
            The difference times (1 - cos γ) / 2, γ being the angle between the view
            and the photo: nothing at the photo, all of it at the back.
        """
        size = max(shown.shape[-1] // 2, 1)
        with torch.no_grad():
            picture = self._pictures.render(rays, size)
            towards = functional.normalize(rays.origins[0], dim=0)
            share = 0.5 - 0.5 * (towards * self._towards_photo).sum()
        halved = functional.interpolate(shown[None], (size, size), mode="area")[0]
        return share * functional.mse_loss(halved, picture)
