"""The radiance field: a hash grid and a small network, evaluated in one kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realfusion.fields.config import FieldConfig
from realfusion.ops.hash_grid import HashGridLayout, check_num_active_levels
from realfusion.ops.radiance_field import (
    DensityBlob,
    FieldSamples,
    radiance_field,
    radiance_field_finite_difference,
)
from realfusion.ops.ray_marching import RaySamples
from realfusion.ops.visible_samples import visible_field, visible_samples

TABLE_INIT_RANGE = 1e-4
"""instant-ngp initialises its tables uniformly within this range."""
NUM_OUTPUTS = 4
"""Log-density, and three albedo logits."""


class RadianceField(nn.Module):
    """Density, albedo and normals of the scene (RealFusion Sec. 3.2; instant-ngp).

    The density is `exp(h + blob)`, with a Gaussian blob at the origin that gives the
    optimisation an object to start from (DreamFusion, App. A).
    """

    def __init__(self, config: FieldConfig, *, generator: torch.Generator) -> None:
        """Initialise table and network.

        Args:
            config: Layout, network and density.
            generator: CPU generator of the initial parameters.
        """
        super().__init__()
        self.config = config
        self.layout = HashGridLayout(
            num_levels=config.num_levels,
            num_features=config.num_features,
            base_resolution=config.base_resolution,
            finest_resolution=config.finest_resolution,
            log2_table_size=config.log2_table_size,
            indexing=config.indexing,
            interpolation=config.interpolation,
        )
        self.blob = DensityBlob(density=config.blob_density, radius=config.blob_radius)
        width, inputs = config.hidden_width, self.layout.num_outputs
        table = torch.empty(self.layout.num_entries, config.num_features)
        self.table = nn.Parameter(
            table.uniform_(-TABLE_INIT_RANGE, TABLE_INIT_RANGE, generator=generator)
        )
        self.w1 = _kaiming(width, inputs, generator)
        self.b1 = nn.Parameter(torch.zeros(width))
        self.w2 = _kaiming(width, width, generator)
        self.b2 = nn.Parameter(torch.zeros(width))
        self.w3 = _kaiming(NUM_OUTPUTS, width, generator)
        self.b3 = nn.Parameter(torch.zeros(NUM_OUTPUTS))
        self._table_gradient: Tensor | None = None

    @property
    def network_parameters(
        self,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases in the order the kernel takes them."""
        return (self.w1, self.b1, self.w2, self.b2, self.w3, self.b3)

    def num_entries_in_use(self, num_active_levels: int | None) -> int:
        """First rows of the table, those of the levels in use (all if None)."""
        levels = check_num_active_levels(self.layout, num_active_levels)
        return self.layout.offsets[levels]

    @contextmanager
    def adding_table_gradient_to(self, table_gradient: Tensor) -> Iterator[None]:
        """Share one gradient of the table among all evaluations of a step.

        Args:
            table_gradient: Backward passes through evaluations inside the block add the
                table's gradient here; autograd learns nothing of it.
        """
        self._table_gradient = table_gradient
        try:
            yield
        finally:
            self._table_gradient = None

    def forward(
        self,
        positions: Float[Tensor, "num_samples 3"],
        *,
        num_active_levels: int | None = None,
        with_normals: bool = True,
    ) -> FieldSamples:
        """Evaluate the field.

        Args:
            positions: World positions; outside the box the density is 0.
            num_active_levels: Levels in use, coarse to fine; all if None.
            with_normals: Whether normals are wanted (they cost about as much again).

        Returns:
            Densities (1/unit), albedo in [0, 1] and unit normals, differentiable in
            the parameters.
        """
        config = self.config
        if with_normals and config.normals != "analytic":
            return radiance_field_finite_difference(
                positions,
                self.table,
                self.network_parameters,
                self.layout,
                bound=config.bound,
                blob=self.blob,
                num_active_levels=num_active_levels,
                epsilon=config.normal_epsilon,
                taps=6 if config.normals == "central" else 4,
                table_gradient=self._table_gradient,
            )
        return radiance_field(
            positions,
            self.table,
            self.network_parameters,
            self.layout,
            bound=config.bound,
            blob=self.blob,
            num_active_levels=num_active_levels,
            with_normals=with_normals,
            table_gradient=self._table_gradient,
        )

    @torch.no_grad()
    def density(
        self,
        positions: Float[Tensor, "num_samples 3"],
        *,
        num_active_levels: int | None = None,
    ) -> Float[Tensor, num_samples]:
        """Densities (1/unit) alone, without gradients."""
        samples = self(
            positions, num_active_levels=num_active_levels, with_normals=False
        )
        return samples.densities

    def visible_samples(
        self,
        samples: RaySamples,
        *,
        num_active_levels: int | None = None,
        min_transmittance: float,
        capacity: int | None = None,
    ) -> RaySamples:
        """Leave out what lies behind a surface, where an image has no weight.

        Args:
            samples: From `march_rays`.
            num_active_levels: Levels in use, coarse to fine; all if None.
            min_transmittance: Light that must arrive at a sample for it to be kept.
            capacity: Rows of the result, padded, as of `march_rays`; None for as many
                as there are samples.

        Returns:
            The samples that are left.
        """
        return visible_samples(
            samples,
            self.table,
            self.network_parameters,
            self.layout,
            bound=self.config.bound,
            blob=self.blob,
            num_active_levels=num_active_levels,
            min_transmittance=min_transmittance,
            capacity=capacity,
            pad_to_capacity=capacity is not None,
        )

    def visible_field(
        self,
        samples: RaySamples,
        *,
        num_active_levels: int | None = None,
        with_normals: bool = True,
        min_transmittance: float,
    ) -> tuple[RaySamples, FieldSamples]:
        """`visible_samples`, and what the field says of them.

        Args:
            samples: From `march_rays`.
            num_active_levels: Levels in use, coarse to fine; all if None.
            with_normals: Whether normals are wanted.
            min_transmittance: Light that must arrive at a sample for it to be kept.

        Returns:
            The samples that are left, and as of `forward`.
        """
        config = self.config
        if with_normals and config.normals != "analytic":
            kept = self.visible_samples(
                samples,
                num_active_levels=num_active_levels,
                min_transmittance=min_transmittance,
            )
            return kept, self(kept.positions, num_active_levels=num_active_levels)
        return visible_field(
            samples,
            self.table,
            self.network_parameters,
            self.layout,
            bound=config.bound,
            blob=self.blob,
            num_active_levels=num_active_levels,
            with_normals=with_normals,
            min_transmittance=min_transmittance,
            table_gradient=self._table_gradient,
        )


def _kaiming(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    bound = math.sqrt(6.0 / columns)
    weight = torch.empty(rows, columns)
    return nn.Parameter(weight.uniform_(-bound, bound, generator=generator))
