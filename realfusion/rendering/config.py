"""Settings of the renderer (standard library only, so that `--help` stays light)."""

from __future__ import annotations

from dataclasses import dataclass

from realfusion.ranges import check_at_least, check_positive, check_within


@dataclass(frozen=True, kw_only=True)
class RendererConfig:
    """Ray marching and the occupancy grid."""

    steps_across: int = 512
    """Steps along the diagonal of the scene's box; the step size follows from it."""
    picture_steps_across: int | None = None
    """The same for pictures, without gradients; as many as in training if not given.
    Training jitters its samples, pictures do not: a crisp surface that long steps miss
    or hit shows as rings."""
    cone_angle: float = 0.0
    """Growth of the step with distance (instant-ngp); 0 keeps the step constant."""
    early_stop_transmittance: float = 1e-4
    """A ray ends where less light than this passes."""
    occupancy_resolution: int = 128
    """Cells along an edge of the occupancy grid, a power of two."""
    occupancy_interval: int = 16
    """Steps between two updates of the occupancy grid."""
    occupancy_decay: float = 0.95
    """Factor on a cell's remembered density at each update."""
    occupancy_threshold: float = 10.0
    """Densities (1/unit) above this always count as occupied; below it the mean
    density is the threshold, as in instant-ngp."""
    occupancy_warmup: int = 256
    """Steps during which each update visits every cell."""
    sample_capacity: int = 2**22
    """Most samples of one marching call before it grows (and says so)."""

    def __post_init__(self) -> None:
        """Refuse what cannot be marched."""
        check_at_least(self, 0, "cone_angle", "occupancy_warmup")
        check_at_least(self, 1, "steps_across", "occupancy_interval", "sample_capacity")
        if self.picture_steps_across is not None:
            check_at_least(self, 1, "picture_steps_across")
        check_within(self, 0.0, 1.0, "early_stop_transmittance", "occupancy_decay")
        check_positive(self, "occupancy_threshold")
        resolution = self.occupancy_resolution
        if not 4 <= resolution <= 1024 or resolution & (resolution - 1):
            raise ValueError(
                f"`occupancy_resolution` must be a power of two in 4..1024, got "
                f"{resolution}"
            )


@dataclass(frozen=True, kw_only=True)
class ShadingConfig:
    """How the views that the prior judges are lit (DreamFusion, Sec. 3.1)."""

    albedo_until: float = 0.2
    """Fraction of the run in which only plain albedo is rendered."""
    albedo_probability: float = 1.0
    """Share of plain albedo afterwards; the rest is lit."""
    textureless_probability: float = 0.5
    """Share of the lit views that are rendered without texture."""
    ambient: float = 0.1
    """Part of the light that comes from everywhere."""

    def __post_init__(self) -> None:
        """Refuse what are no shares."""
        check_within(
            self,
            0.0,
            1.0,
            "albedo_until",
            "albedo_probability",
            "textureless_probability",
            "ambient",
        )
