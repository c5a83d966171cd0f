"""The occupancy grid: which cells of the box a ray need not visit."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from realfusion.ops.occupancy import (
    morton_encode,
    occupancy_cell_points,
    pack_occupancy,
    sample_occupied_cells,
    update_occupancy_,
)
from realfusion.rendering.config import RendererConfig
from realfusion.transfer import send

SAMPLED_SHARE = 4
"""After the warm-up an update visits 1/4 of the cells at random and as many of the
occupied ones (instant-ngp, App. E)."""
CHUNK = 2**18


class OccupancyGrid(nn.Module):
    """A running maximum of the density in each cell, and one bit a cell made of it.

    Attributes:
        density_ema: Remembered densities (1/unit), [resolution³] in Morton order.
        bits: Occupied cells, packed eight to a byte in Morton order.
    """

    density_ema: Tensor
    bits: Tensor

    def __init__(self, config: RendererConfig, bound: float) -> None:
        """All cells start occupied, so that the first steps miss nothing.

        Args:
            config: Resolution, decay and thresholds.
            bound: Half the edge of the box, in world units.
        """
        super().__init__()
        self.config, self.bound = config, bound
        cells = config.occupancy_resolution**3
        self.register_buffer("density_ema", torch.zeros(cells))
        self.register_buffer("bits", torch.full((cells // 8,), 255, dtype=torch.uint8))

    @torch.no_grad()
    def update(
        self,
        density: Callable[[Tensor], Tensor],
        *,
        every_cell: bool,
        generator: torch.Generator,
    ) -> None:
        """Query the density in some or all cells and rebuild the bits.

        A CUDA device is not waited for.

        Args:
            density: Densities (1/unit) of world positions [M, 3].
            every_cell: Visit all cells rather than a sample of them.
            generator: CPU generator of the cells and of the points within them.
        """
        resolution = self.config.occupancy_resolution
        cells = self._choose_cells(every_cell, generator)
        for chunk in cells.split(CHUNK):
            noise = send(torch.rand(len(chunk), 3, generator=generator), chunk.device)
            points = occupancy_cell_points(chunk, resolution, self.bound, noise)
            update_occupancy_(
                self.density_ema, chunk, density(points), self.config.occupancy_decay
            )
        threshold = self.density_ema.mean().clamp(max=self.config.occupancy_threshold)
        self.bits.copy_(pack_occupancy(self.density_ema, threshold))

    def _choose_cells(self, every_cell: bool, generator: torch.Generator) -> Tensor:
        device, total = self.density_ema.device, self.density_ema.numel()
        if every_cell:
            return torch.arange(total, device=device)
        count = total // SAMPLED_SHARE
        uniform = send(torch.randint(total, (count,), generator=generator), device)
        draws = send(torch.rand(count, generator=generator), device)
        cells = torch.cat([uniform, sample_occupied_cells(self.bits, draws)])
        # A second visit of a cell changes nothing. On the CPU it is worth avoiding; a
        # CUDA device would have to be waited for to know how many cells are left.
        if cells.is_cuda:
            return cells
        is_chosen = torch.zeros(total, dtype=torch.bool)
        is_chosen[cells] = True
        return is_chosen.nonzero().flatten()

    def visits(
        self, positions: Float[Tensor, "num_points 3"]
    ) -> Bool[Tensor, " num_points"]:
        """Whether rays look at the cells of world positions.

        Matter elsewhere is never rendered: a thin fog may lie there unseen.
        """
        resolution = self.config.occupancy_resolution
        places = (positions / self.bound + 1.0) * (0.5 * resolution)
        coords = places.floor().clamp(0, resolution - 1).int()
        cells = morton_encode(coords)
        return (self.bits[cells >> 3] >> (cells & 7).to(torch.uint8)) & 1 > 0

    @property
    def occupied_fraction(self) -> float:
        """Share of the cells that rays visit."""
        places = torch.arange(8, device=self.bits.device, dtype=torch.uint8)
        flags = (self.bits[:, None] >> places) & 1
        return float(flags.float().mean())
