"""Light on the samples: albedo, Lambertian, textureless, normals as colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.rendering.config import ShadingConfig

ShadingMode = Literal["albedo", "lambertian", "textureless", "normal"]
LIGHT_SPREAD_DEG = 40.0
"""Standard deviation of the light's direction around the camera's."""


@dataclass(frozen=True)
class Shading:
    """How samples become colours.

    Attributes:
        mode: `albedo`, `lambertian`, `textureless` (lambertian on white) or `normal`.
        light: Unit vector from the object to the light; unused by `albedo`, `normal`.
            A tensor on the samples' device is not read by the host.
        ambient: Part of the light that comes from everywhere, in [0, 1].
    """

    mode: ShadingMode = "albedo"
    light: tuple[float, float, float] | Float[Tensor, 3] = (0.0, 0.0, 1.0)
    ambient: float = 0.1

    @property
    def needs_normals(self) -> bool:
        """Whether the colours depend on the normals."""
        return self.mode != "albedo"

    def shade(
        self,
        albedo: Float[Tensor, "num_samples 3"],
        normals: Float[Tensor, "num_samples 3"] | None,
    ) -> Float[Tensor, "num_samples 3"]:
        """Colours of samples, differentiable in albedo and normals."""
        if self.mode == "albedo":
            return albedo
        if normals is None:
            raise ValueError(f"shading {self.mode!r} needs normals, got None")
        if self.mode == "normal":
            return 0.5 * normals + 0.5
        light = torch.as_tensor(self.light, dtype=normals.dtype, device=normals.device)
        diffuse = (normals @ light).clamp(min=0.0)
        brightness = self.ambient + (1.0 - self.ambient) * diffuse
        if self.mode == "textureless":
            return brightness[:, None].expand_as(albedo)
        return albedo * brightness[:, None]


def sample_shading(
    config: ShadingConfig, progress: float, camera: Camera, generator: torch.Generator
) -> Shading:
    """Draw the shading of one view (DreamFusion, Sec. 3.1 and App. A.2).

    Args:
        config: Shares of the modes.
        progress: Fraction of the run that is done, in [0, 1].
        camera: The view; the light stands somewhere around it.
        generator: CPU generator; the same count of numbers is drawn on every path.

    Returns:
        The shading.
    """
    lit, textureless = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    offset = torch.randn(3, generator=generator, dtype=torch.float64).tolist()
    spread = math.tan(math.radians(LIGHT_SPREAD_DEG))
    x, y, z = (a + spread * b for a, b in zip(camera.toward(), offset, strict=True))
    length = max(math.hypot(x, y, z), 1e-6)
    direction = (x / length, y / length, z / length)
    if progress < config.albedo_until or lit < config.albedo_probability:
        return Shading("albedo", direction, config.ambient)
    mode: ShadingMode = (
        "textureless" if textureless < config.textureless_probability else "lambertian"
    )
    return Shading(mode, direction, config.ambient)
