"""The scene: field, background, occupancy grid and renderer held together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realfusion.cameras.camera import Camera, FreeCamera, Rays
from realfusion.rendering.capacity import SampleCounts
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.occupancy import OccupancyGrid
from realfusion.rendering.renderer import Rendered, VolumeRenderer
from realfusion.rendering.shading import Shading


class Scene(nn.Module):
    """All that is optimised, and how to look at it.

    Attributes:
        field: Radiance field (`realfusion.fields.radiance_field.RadianceField` or any
            module with its call signature and a `density` method).
        background: Colours by direction, or None.
        occupancy: The occupancy grid.
        num_active_levels: Levels of the hash grid in use (coarse-to-fine).
    """

    # A module with the call of `realfusion.rendering.renderer.Field` and `density`.
    field: Any

    def __init__(
        self,
        field: nn.Module,
        *,
        config: RendererConfig,
        bound: float,
        background: nn.Module | None = None,
    ) -> None:
        """Hold the parts together.

        Args:
            field: The radiance field.
            config: Renderer settings.
            bound: Half the edge of the box, in world units.
            background: Learned background, if any.
        """
        super().__init__()
        self.field = field
        self.background = background
        self.occupancy = OccupancyGrid(config, bound)
        self.renderer = VolumeRenderer(config, bound)
        steps = config.picture_steps_across or config.steps_across
        self._pictures = VolumeRenderer(replace(config, steps_across=steps), bound)
        self.bound = bound
        self.num_active_levels: int | None = None

    def render(
        self,
        rays: Rays,
        *,
        shading: Shading,
        with_normals: bool = True,
        jitter: Float[Tensor, num_rays] | None = None,
        room: SampleCounts | None = None,
    ) -> Rendered:
        """Render rays, differentiably in the scene's parameters."""
        return self.renderer.render(
            self.field,
            self.occupancy,
            rays,
            shading=shading,
            num_active_levels=self.num_active_levels,
            with_normals=with_normals,
            jitter=jitter,
            room=room,
        )

    def render_image(
        self,
        camera: Camera | FreeCamera,
        size: tuple[int, int],
        *,
        shading: Shading | None = None,
        with_normals: bool = True,
    ) -> Rendered:
        """Render a picture of (height, width) pixels without gradients."""
        return self._pictures.render_image(
            self.field,
            self.occupancy,
            camera,
            size,
            shading=shading or Shading("albedo"),
            num_active_levels=self.num_active_levels,
            with_normals=with_normals,
        )

    def density(
        self, positions: Float[Tensor, "num_samples 3"]
    ) -> Float[Tensor, num_samples]:
        """Densities (1/unit) at world positions, without gradients."""
        return self.field.density(positions, num_active_levels=self.num_active_levels)

    def rows_in_use(self) -> dict[str, int]:
        """First rows of a parameter, by name, that the levels in use look at.

        The others have no influence, and no gradient.
        """
        entries = self.field.num_entries_in_use(self.num_active_levels)
        return {"field.table": entries}

    def update_occupancy(self, *, every_cell: bool, generator: torch.Generator) -> None:
        """Refresh the occupancy grid from the field."""
        self.occupancy.update(self.density, every_cell=every_cell, generator=generator)
