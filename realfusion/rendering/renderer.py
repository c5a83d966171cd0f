"""Volume rendering of a field along rays, for training and for pictures."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from realfusion.cameras.camera import Camera, FreeCamera, Rays
from realfusion.ops.compositing import composite
from realfusion.ops.radiance_field import FieldSamples
from realfusion.ops.ray_marching import RaySamples, march_rays
from realfusion.rendering.capacity import SampleCounts
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
        capacity: int | None = None,
    ) -> RaySamples:
        """Keep the samples in front of which `min_transmittance` is left.

        With a `capacity` there are exactly as many rows, as of `march_rays`.
        """
        ...

    def visible_field(
        self,
        samples: RaySamples,
        *,
        num_active_levels: int | None = None,
        with_normals: bool = True,
        min_transmittance: float,
    ) -> tuple[RaySamples, FieldSamples]:
        """The same samples, and what the field says of them."""
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
        num_samples: Rows of samples that were evaluated, padding included.
        num_wanted: Samples that all rays wanted, marched and visible, on the device.
            Where the marched ones had no room, fewer were visible.
        overflowed: Whether some rays had no room for their samples and stayed black.
    """

    rgb: Float[Tensor, "num_rays 3"]
    opacity: Float[Tensor, num_rays]
    depth: Float[Tensor, num_rays]
    normals: Float[Tensor, "num_rays 3"]
    back_facing: Float[Tensor, num_rays]
    num_samples: int
    num_wanted: Int64[Tensor, 2]
    overflowed: Bool[Tensor, ""]

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
        jitter: Float[Tensor, num_rays] | None = None,
        room: SampleCounts | None = None,
    ) -> Rendered:
        """Render rays, differentiably in the field's parameters.

        Args:
            field: The scene.
            occupancy: Where to sample it.
            rays: World rays.
            shading: How samples become colours.
            num_active_levels: Levels of the hash grid in use; all if None.
            with_normals: Whether normals are composited (implied by the shading).
            jitter: Place of the samples within their intervals, one number in [0, 1) a
                ray; None puts them half a step into each interval.
            room: Rows of samples, however many the rays want: then a CUDA device is
                not waited for, and the caller must look at `overflowed`. None for as
                many as they want.

        Returns:
            Colours, opacity, depth, normals.
        """
        with_normals = with_normals or shading.needs_normals
        marched = self._march(rays, occupancy, jitter, room)
        samples, values = self._evaluate(
            field, marched, num_active_levels, with_normals, room
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
            directions=None if values.normals is None else rays.directions,
            early_stop_transmittance=self.config.early_stop_transmittance,
        )
        normals, back_facing = composited.values[:, 3:], composited.back_facing
        if back_facing is None:
            normals = torch.zeros_like(rays.directions)
            back_facing = torch.zeros_like(composited.opacity)
        return Rendered(
            rgb=composited.values[:, :3],
            opacity=composited.opacity,
            depth=composited.depth,
            normals=normals,
            back_facing=back_facing,
            num_samples=samples.num_samples,
            num_wanted=torch.stack([marched.num_requested, samples.num_requested]),
            overflowed=marched.overflowed | samples.overflowed,
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
            num_wanted=torch.stack([part.num_wanted for part in parts]).sum(0),
            overflowed=torch.stack([part.overflowed for part in parts]).any(),
        )

    def _march(
        self,
        rays: Rays,
        occupancy: OccupancyGrid,
        jitter: Tensor | None,
        room: SampleCounts | None,
    ) -> RaySamples:
        """The samples of the rays in occupied cells."""
        if room is None:
            return self._march_all(rays, occupancy, jitter)
        samples = self._sample(
            rays, occupancy, jitter, capacity=room.marched, pad_to_capacity=True
        )
        return self._move_padding_outside(samples)

    def _evaluate(
        self,
        field: Field,
        marched: RaySamples,
        num_active_levels: int | None,
        with_normals: bool,
        room: SampleCounts | None,
    ) -> tuple[RaySamples, FieldSamples]:
        """The field at the samples that light reaches, if the field can tell."""
        samples = marched
        if isinstance(field, SeesThrough):
            threshold = 0.5 * self.config.early_stop_transmittance
            if room is None:
                return field.visible_field(
                    marched,
                    num_active_levels=num_active_levels,
                    with_normals=with_normals,
                    min_transmittance=threshold,
                )
            visible = field.visible_samples(
                marched,
                num_active_levels=num_active_levels,
                min_transmittance=threshold,
                capacity=room.visible,
            )
            samples = self._move_padding_outside(visible)
        values = field(
            samples.positions,
            num_active_levels=num_active_levels,
            with_normals=with_normals,
        )
        return samples, values

    def _march_all(
        self, rays: Rays, occupancy: OccupancyGrid, jitter: Tensor | None
    ) -> RaySamples:
        """March; where the samples do not fit, say so, grow and march again."""
        while True:
            samples = self._sample(
                rays, occupancy, jitter, capacity=self._capacity, pad_to_capacity=False
            )
            if not samples.overflowed:
                return samples
            needed = int(samples.num_requested)
            warnings.warn(
                f"{needed} samples did not fit a capacity of {self._capacity}; "
                f"marching again with room for them",
                RuntimeWarning,
                stacklevel=4,
            )
            self._capacity = needed + needed // 4

    def _move_padding_outside(self, samples: RaySamples) -> RaySamples:
        """Padding where the field is zero and looks nothing up: outside the box.

        Left at the origin it would be evaluated in full, and its gradients (zeros)
        would all queue up at the same entries.
        """
        rows = torch.arange(samples.num_samples, device=samples.positions.device)
        is_padding = (rows >= samples.ray_offsets[-1])[:, None]
        outside = samples.positions.masked_fill(is_padding, 2.0 * self.bound)
        return replace(samples, positions=outside)

    def _sample(
        self,
        rays: Rays,
        occupancy: OccupancyGrid,
        jitter: Tensor | None,
        *,
        capacity: int,
        pad_to_capacity: bool,
    ) -> RaySamples:
        return march_rays(
            rays.origins,
            rays.directions,
            occupancy.bits,
            resolution=self.config.occupancy_resolution,
            bound=self.bound,
            step_size=self.step_size,
            noise=jitter,
            max_steps_per_ray=2 * self.config.steps_across,
            cone_angle=self.config.cone_angle,
            capacity=capacity,
            pad_to_capacity=pad_to_capacity,
        )
