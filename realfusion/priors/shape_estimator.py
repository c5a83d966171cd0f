"""From one image of an object to a coarse guess of its body, hidden sides included.

A small convolutional network with the image's own pixel grid: behind every pixel it
tells, at 64 depths along the ray, how likely the object is there, and which colour the
ray leaves it with. It is trained with the embedded prior on the same procedural objects
(:mod:`realfusion.prior_training.shape_estimator`), in the spirit of the multi-plane and
layered representations of single-view reconstruction (Tulsiani et al. 2018, "Layer-
structured 3D scene inference via view synthesis"; Mescheder et al. 2019, "Occupancy
networks").
"""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from realfusion.priors.compact_weights import load_compact, save_compact
from realfusion.priors.model_files import BUNDLED_FOLDER

SHAPE_ESTIMATOR_FOLDER = "shape_estimator"
"""Its folder in that of a prior."""

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.safetensors"
_ELEVATION_SCALE_DEG = 45.0


@dataclass(frozen=True, kw_only=True)
class ShapeEstimatorConfig:
    """Shape of a :class:`ShapeEstimator`, and the camera that it assumes."""

    image_size: int = 64
    """Pixels a side."""
    num_planes: int = 64
    """Depths at which a ray is probed: the middles of equal slices."""
    extent: float = 0.64
    """The slices reach from this far before the origin to this far behind it, measured
    along the camera's axis; world units."""
    radius: float = 1.8
    """Distance of the camera from the origin, world units."""
    fov_y_deg: float = 40.0
    """Vertical field of view."""
    widths: tuple[int, int, int] = (64, 80, 96)
    """Channels at half, quarter and eighth of the resolution."""
    num_attentions: int = 1
    """Self-attention layers at an eighth of the resolution."""


@dataclass(frozen=True)
class ShapeEstimate:
    """What lies behind the pixels of images."""

    logits: Float[Tensor, "batch num_planes size size"]
    """Log-odds that the object is at each depth of each pixel's ray."""
    back_colours: Float[Tensor, "batch 3 size size"]
    """Colour where the ray leaves the object, seen from behind; in [0, 1]."""


class _ResidualBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = (
            nn.Identity()
            if channels_in == channels_out
            else nn.Conv2d(channels_in, channels_out, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm(features)))
        skipped: Tensor = self.skip(features)
        return skipped + self.conv2(functional.silu(hidden))


class _SelfAttention(nn.Module):
    def __init__(self, channels: int, num_heads: int = 4) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        split = self.qkv(self.norm(features)).reshape(
            batch, 3, self.num_heads, channels // self.num_heads, height * width
        )
        queries, keys, values = split.transpose(-1, -2).unbind(1)
        # Written out: on a CPU the fused one is many times slower at 64 tokens.
        scale = (channels // self.num_heads) ** -0.5
        shares = torch.softmax(queries @ keys.transpose(-1, -2) * scale, dim=-1)
        read = (shares.to(values.dtype) @ values).transpose(-1, -2)
        out: Tensor = self.out(read.reshape(batch, channels, height, width))
        return features + out


class _Down(nn.Module):
    """A level on the way down: its features, and what the next level reads."""

    def __init__(self, channels: int, channels_below: int) -> None:
        super().__init__()
        self.block = _ResidualBlock(channels, channels)
        self.shrink = nn.Conv2d(channels, channels_below, 3, stride=2, padding=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.block(features)
        return kept, self.shrink(kept)


class _Up(nn.Module):
    """A level on the way up: joins what comes from below with what was kept."""

    def __init__(self, channels: int, channels_below: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels_below, channels, 1)
        self.block = _ResidualBlock(2 * channels, channels)

    def forward(self, below: Tensor, kept: Tensor) -> Tensor:
        grown = functional.interpolate(self.project(below), scale_factor=2.0)
        joined: Tensor = self.block(torch.cat([grown, kept], dim=1))
        return joined


class ShapeEstimator(nn.Module):
    """A U-Net from a premultiplied RGBA image to the columns behind its pixels.

    The first layer reads, and the last one writes, squares of 2 x 2 pixels.

    Args:
        config: The network's shape.
    """

    def __init__(self, config: ShapeEstimatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = nn.Conv2d(4 * 5, widths[0], 3, padding=1)
        levels = list(itertools.pairwise(widths))
        self.downs = nn.ModuleList(_Down(*level) for level in levels)
        self.ups = nn.ModuleList(_Up(*level) for level in reversed(levels))
        deepest = widths[-1]
        middle: list[nn.Module] = [_ResidualBlock(deepest, deepest)]
        for _ in range(config.num_attentions):
            middle += [_SelfAttention(deepest), _ResidualBlock(deepest, deepest)]
        self.middle = nn.Sequential(_ResidualBlock(deepest, deepest), *middle)
        self.norm = nn.GroupNorm(8, widths[0])
        self.head = nn.Conv2d(widths[0], 4 * (config.num_planes + 3), 1)

    def forward(
        self,
        images: Float[Tensor, "batch 4 size size"],
        elevation_deg: Float[Tensor, batch],
    ) -> ShapeEstimate:
        """Guesses the bodies of the objects in images.

        Args:
            images: Colour times alpha, alpha; in [0, 1], of the configured size.
            elevation_deg: How far from above each was taken.

        Returns:
            The guess. It means nothing where a pixel shows no object.
        """
        squares = self.head(self.features(images, elevation_deg))
        columns = functional.pixel_shuffle(squares, 2)
        return ShapeEstimate(columns[:, :-3], columns[:, -3:].sigmoid())

    def features(
        self,
        images: Float[Tensor, "batch 4 size size"],
        elevation_deg: Float[Tensor, batch],
    ) -> Float[Tensor, "batch width half half"]:
        """What the head reads, one cell a square of 2 x 2 pixels."""
        elevation = elevation_deg[:, None, None, None] / _ELEVATION_SCALE_DEG
        elevation = elevation.expand(-1, 1, *images.shape[2:])
        inputs = torch.cat([images * 2 - 1, elevation.to(images)], dim=1)
        hidden = self.stem(functional.pixel_unshuffle(inputs, 2))
        kept = []
        for down in self.downs:
            features, hidden = down(hidden)
            kept.append(features)
        hidden = self.middle(hidden)
        for up in self.ups:
            hidden = up(hidden, kept.pop())
        return functional.silu(self.norm(hidden))

    def save_pretrained(self, folder: Path) -> None:
        """Writes ``config.json`` and ``model.safetensors`` (a byte a weight)."""
        folder.mkdir(parents=True, exist_ok=True)
        document = json.dumps(asdict(self.config), indent=2)
        (folder / _CONFIG_FILE).write_text(document + "\n")
        save_compact(self.state_dict(), folder / _WEIGHTS_FILE)


def load_shape_estimator(folder: Path) -> ShapeEstimator:
    """Reads an estimator that :meth:`ShapeEstimator.save_pretrained` wrote.

    Args:
        folder: The folder with its two files.

    Returns:
        The estimator in float32, for evaluation.

    Raises:
        FileNotFoundError: If a file is missing.
    """
    document = json.loads((folder / _CONFIG_FILE).read_text())
    document["widths"] = tuple(document["widths"])
    estimator = ShapeEstimator(ShapeEstimatorConfig(**document))
    estimator.load_state_dict(load_compact(folder / _WEIGHTS_FILE))
    return estimator.float().eval().requires_grad_(False)


@functools.cache
def bundled_shape_estimator() -> ShapeEstimator:
    """The estimator that is shipped in the package."""
    return load_shape_estimator(BUNDLED_FOLDER / SHAPE_ESTIMATOR_FOLDER)
