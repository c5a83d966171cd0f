"""Settings of the field (standard library only, so that `--help` stays light)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realfusion.ranges import (
    check_at_least,
    check_finite,
    check_positive,
    check_within,
)

BackgroundMode = Literal["white", "random", "learned"]


@dataclass(frozen=True, kw_only=True)
class FieldConfig:
    """Hash grid, network and density of the radiance field."""

    num_levels: int = 16
    """Levels of the hash grid."""
    num_features: int = 2
    """Features an entry: 1, 2, 4 or 8."""
    base_resolution: int = 16
    """Cells along an edge of the box at the coarsest level."""
    finest_resolution: int = 2048
    """Cells along an edge of the box at the finest level."""
    log2_table_size: int = 19
    """Base-2 logarithm of the most entries a level may have."""
    indexing: Literal["hash", "tiled"] = "hash"
    """instant-ngp's hash, or the tiled index of the original release (whose finest
    levels ignore one axis; only for comparison)."""
    interpolation: Literal["linear", "smoothstep"] = "smoothstep"
    """Interpolation within a cell. Smoothstep keeps analytic normals continuous."""
    hidden_width: Literal[16, 32, 64] = 64
    """Width of the two hidden layers."""
    bound: float = 0.75
    """Half the edge of the scene's box, in world units."""
    blob_density: float = 5.0
    """Height of the Gaussian added to the log-density at the origin."""
    blob_radius: float = 0.2
    """Standard deviation of that Gaussian, in world units."""
    normals: Literal["analytic", "central", "tetrahedral"] = "analytic"
    """Gradient of the density inside the kernel, or finite differences with 6 or 4
    further evaluations."""
    normal_epsilon: float = 1e-2
    """Step of the finite differences, in world units."""

    def __post_init__(self) -> None:
        """Refuse what the kernels cannot compute."""
        check_within(self, 1, 32, "num_levels")
        if self.num_features not in (1, 2, 4, 8):
            raise ValueError(
                f"`num_features` must be 1, 2, 4 or 8, got {self.num_features}"
            )
        check_within(self, 1, 2**19, "base_resolution")
        check_within(self, self.base_resolution, 2**19, "finest_resolution")
        check_within(self, 3, 28, "log2_table_size")
        check_finite(self, "blob_density")
        check_positive(self, "bound", "blob_radius", "normal_epsilon")


@dataclass(frozen=True, kw_only=True)
class BackgroundConfig:
    """What is seen where the object is not."""

    prior_views: BackgroundMode = "white"
    """Background of the views that the prior judges."""
    reference_view: BackgroundMode = "random"
    """Background put behind both the photo's object and its rendering. A random colour
    leaves the object no way to imitate its background."""
    random_probability: float = 0.9
    """With `random`: share of the views with a random colour; the rest is white."""
    hidden_width: int = 32
    """With `learned`: width of the background network."""
    num_frequencies: int = 4
    """With `learned`: octaves of the direction's frequency encoding."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn or built."""
        check_within(self, 0.0, 1.0, "random_probability")
        check_at_least(self, 1, "hidden_width")
        check_at_least(self, 0, "num_frequencies")
