"""Volume rendering of a field along rays, for training and for pictures."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.camera import Camera, FreeCamera, Rays
from realfusion.ops.compositing import composite
from realfusion.ops.radiance_field import FieldSamples
from realfusion.ops.ray_marching import RaySamples, march_rays
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.occupancy import OccupancyGrid
from realfusion.rendering.shading import Shading

INFERENCE_RAYS = 2**14
"""Rays rendered at a time when no gradients are kept."""


@runtime_checkable
class Field(Protocol):
    """What the renderer asks of a field: samples at world positions."""

    def __call__(
        self,
        positions: Float[Tensor, "num_samples 3"],
        *,
        num_active_levels: int | None = None,
        with_normals: bool = True,
    ) -> FieldSamples:
        """Evaluate densities (1/unit), albedo and normals."""
        ...


@runtime_checkable
class SeesThrough(Protocol):
    """A field that can tell cheaply which samples of a ray are hidden by others."""

    def visible_samples(
        self,
        samples: RaySamples,
        *,
        num_active_levels: int | None = None,
        min_transmittance: float,
    ) -> RaySamples:
        """Keep the samples in front of which `min_transmittance` is left."""
        ...


@dataclass(frozen=True)
class Rendered:
    """What a bundle of rays saw.

    Attributes:
        rgb: Colours without background, premultiplied by opacity.
        opacity: In [0, 1].
        depth: Expected distance times opacity, in world units.
        normals: Composited normals, premultiplied by opacity; zeros if not asked for.
        back_facing: Mean squared cosine of normals that face away, a ray: the
            orientation penalty of Ref-NeRF (Eq. 11), with detached weights.
        num_samples: Samples that were evaluated.
    """

    rgb: Float[Tensor, "num_rays 3"]
    opacity: Float[Tensor, num_rays]
    depth: Float[Tensor, num_rays]
    normals: Float[Tensor, "num_rays 3"]
    back_facing: Float[Tensor, num_rays]
    num_samples: int

    def over(self, background: Tensor) -> Float[Tensor, "num_rays 3"]:
        """Colours over a background, [3] or [num_rays, 3]."""
        return self.rgb + (1.0 - self.opacity)[:, None] * background


class VolumeRenderer:
    """Marches rays through occupied cells, asks the field, composites."""

    def __init__(self, config: RendererConfig, bound: float) -> None:
        """Fix the step size.

        Args:
            config: Steps, thresholds and capacities.
            bound: Half the edge of the box, in world units.
        """
        self.config, self.bound = config, bound
        self.step_size = 2.0 * math.sqrt(3.0) * bound / config.steps_across
        self._capacity = config.sample_capacity

    def render(
        self,
        field: Field,
        occupancy: OccupancyGrid,
        rays: Rays,
        *,
        shading: Shading,
        num_active_levels: int | None = None,
        with_normals: bool = True,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """Render rays, differentiably in the field's parameters.

        Args:
            field: The scene.
            occupancy: Where to sample it.
            rays: World rays.
            shading: How samples become colours.
            num_active_levels: Levels of the hash grid in use; all if None.
            with_normals: Whether normals are composited (implied by the shading).
            generator: CPU generator of the stratified jitter, one number a ray; None
                puts the samples half a step into each interval.

        Returns:
            Colours, opacity, depth, normals.
        """
        with_normals = with_normals or shading.needs_normals
        samples = self._march(rays, occupancy, generator)
        if isinstance(field, SeesThrough):
            samples = field.visible_samples(
                samples,
                num_active_levels=num_active_levels,
                min_transmittance=0.5 * self.config.early_stop_transmittance,
            )
        values = field(
            samples.positions,
            num_active_levels=num_active_levels,
            with_normals=with_normals,
        )
        channels = shading.shade(values.albedo, values.normals)
        if values.normals is not None:
            channels = torch.cat([channels, values.normals], dim=-1)
        composited = composite(
            values.densities,
            channels,
            samples.t,
            samples.deltas,
            samples.ray_offsets,
            early_stop_transmittance=self.config.early_stop_transmittance,
        )
        normals = composited.values[:, 3:]
        if values.normals is not None:
            back_facing = _back_facing(
                rays, samples, values.normals, composited.weights
            )
        else:
            normals = torch.zeros_like(rays.directions)
            back_facing = torch.zeros_like(composited.opacity)
        return Rendered(
            rgb=composited.values[:, :3],
            opacity=composited.opacity,
            depth=composited.depth,
            normals=normals,
            back_facing=back_facing,
            num_samples=samples.num_samples,
        )

    @torch.no_grad()
    def render_image(
        self,
        field: Field,
        occupancy: OccupancyGrid,
        camera: Camera | FreeCamera,
        size: tuple[int, int],
        *,
        shading: Shading,
        num_active_levels: int | None = None,
        with_normals: bool = True,
    ) -> Rendered:
        """Render a whole picture in chunks, without gradients.

        Args:
            field: The scene.
            occupancy: Where to sample it.
            camera: The view.
            size: Height and width in pixels.
            shading: How samples become colours.
            num_active_levels: Levels of the hash grid in use; all if None.
            with_normals: Whether normals are composited.

        Returns:
            Flat tensors of `height * width` rays, row by row.
        """
        rays = camera.rays(*size, device=occupancy.bits.device)
        parts = [
            self.render(
                field,
                occupancy,
                rays.select(indices),
                shading=shading,
                num_active_levels=num_active_levels,
                with_normals=with_normals,
            )
            for indices in torch.arange(len(rays), device=rays.origins.device).split(
                INFERENCE_RAYS
            )
        ]
        return Rendered(
            rgb=torch.cat([part.rgb for part in parts]),
            opacity=torch.cat([part.opacity for part in parts]),
            depth=torch.cat([part.depth for part in parts]),
            normals=torch.cat([part.normals for part in parts]),
            back_facing=torch.cat([part.back_facing for part in parts]),
            num_samples=sum(part.num_samples for part in parts),
        )

    def _march(
        self,
        rays: Rays,
        occupancy: OccupancyGrid,
        generator: torch.Generator | None,
    ) -> RaySamples:
        """March; where the samples do not fit, say so, grow and march again."""
        noise = None
        if generator is not None:
            noise = torch.rand(len(rays), generator=generator).to(rays.origins.device)
        while True:
            samples = march_rays(
                rays.origins,
                rays.directions,
                occupancy.bits,
                resolution=self.config.occupancy_resolution,
                bound=self.bound,
                step_size=self.step_size,
                noise=noise,
                max_steps_per_ray=2 * self.config.steps_across,
                cone_angle=self.config.cone_angle,
                capacity=self._capacity,
            )
            if not samples.overflowed:
                return samples
            needed = int(samples.num_requested)
            warnings.warn(
                f"{needed} samples did not fit a capacity of {self._capacity}; "
                f"marching again with room for them",
                RuntimeWarning,
                stacklevel=3,
            )
            self._capacity = needed + needed // 4


def _back_facing(
    rays: Rays, samples: RaySamples, normals: Tensor, weights: Tensor
) -> Float[Tensor, num_rays]:
    rays_of_samples = samples.ray_indices.long()
    cosines = (normals * rays.directions[rays_of_samples]).sum(-1)
    penalty = weights.detach() * cosines.clamp(min=0.0).square()
    totals = torch.zeros(len(rays), dtype=penalty.dtype, device=penalty.device)
    return totals.index_add(0, rays_of_samples, penalty)
