"""Presets of a whole run: reconstruction, textual inversion and outputs."""

from __future__ import annotations

from dataclasses import dataclass

from realfusion.config import ExportConfig
from realfusion.priors.config import (
    DEFAULT_INVERSION,
    FAST_INVERSION,
    PAPER_INVERSION,
    SMOKE_INVERSION,
    TextualInversionConfig,
)
from realfusion.training.config import ReconstructionConfig
from realfusion.training.presets import DEFAULT, FAST, PAPER, SMOKE


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Defaults of the three parts of a run; every field can still be set."""

    reconstruction: ReconstructionConfig
    inversion: TextualInversionConfig
    export: ExportConfig


PRESETS = {
    "paper": Preset(
        reconstruction=PAPER,
        inversion=PAPER_INVERSION,
        export=ExportConfig(
            turntable_views=120, turntable_size=256, mesh_resolution=256
        ),
    ),
    "default": Preset(
        reconstruction=DEFAULT,
        inversion=DEFAULT_INVERSION,
        export=ExportConfig(),
    ),
    "fast": Preset(
        reconstruction=FAST,
        inversion=FAST_INVERSION,
        export=ExportConfig(turntable_views=40, turntable_size=160),
    ),
    "smoke": Preset(
        reconstruction=SMOKE,
        inversion=SMOKE_INVERSION,
        export=ExportConfig(
            turntable_views=8, turntable_size=64, mesh_resolution=48, mesh_faces=8000
        ),
    ),
}
