"""Operators with native CPU and CUDA kernels. They know tensors, not scenes.

Importing this package loads the extension. Each operator has a slow pure-torch twin of
the same name in ``realfusion.ops.reference``.
"""

from realfusion._extension import load as _load

_load()

# After the load: the modules register fakes and gradients of the loaded operators.
from realfusion.ops.hash_grid import HashGridLayout, hash_grid_encode  # noqa: E402
from realfusion.ops.occupancy import (  # noqa: E402
    morton_decode,
    morton_encode,
    occupancy_cell_points,
    pack_occupancy,
    sample_occupied_cells,
    update_occupancy_,
)
from realfusion.ops.ray_marching import RaySamples, march_rays  # noqa: E402

__all__ = [
    "HashGridLayout",
    "RaySamples",
    "hash_grid_encode",
    "march_rays",
    "morton_decode",
    "morton_encode",
    "occupancy_cell_points",
    "pack_occupancy",
    "sample_occupied_cells",
    "update_occupancy_",
]
