"""Feed-forward textual inversion: from an image of an object to prompt vectors.

A trained encoder takes the place of the optimisation of textual inversion (in the
spirit of ELITE, Wei et al. 2023, and of encoder-based tuning, Gal et al. 2023): it
reads K vectors off an RGBA image, which stand for the object in the prompt.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from realfusion.priors.compact_weights import load_compact, save_compact

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class ImageTokenEncoderConfig:
    """Shape of an :class:`ImageTokenEncoder`."""

    image_size: int = 64
    """Pixels a side that the network sees."""
    num_tokens: int = 16
    """Vectors that it returns."""
    token_width: int = 128
    """Their width: that of the text encoder's input embeddings."""
    width: int = 160
    """Width of its transformer layers."""
    num_layers: int = 2
    """Transformer layers over the image's patches."""
    num_heads: int = 4
    """Attention heads."""


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first of which may halve the resolution."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1)
        self.norm2 = nn.GroupNorm(8, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, stride, stride)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(features)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        return hidden + self.shortcut(features)


def _transformer_layer(width: int, num_heads: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        width,
        num_heads,
        2 * width,
        dropout=0.0,
        activation=functional.gelu,
        batch_first=True,
        norm_first=True,
    )


class ImageTokenEncoder(nn.Module):
    """Maps an RGBA image of an object to vectors for the prompt.

    Convolutions down to an eighth of the resolution, transformer layers over the
    patches, then learned queries that attend to them. Each vector also gets a linear
    view of its own cell of the image, the vectors forming a square grid: a direct path
    that is learnt long before attention is.

    Args:
        config: The network's shape; the number of vectors must be a square that
            divides the patches.
    """

    def __init__(self, config: ImageTokenEncoderConfig) -> None:
        super().__init__()
        self.config = config
        width, heads = config.width, config.num_heads
        num_patches = (config.image_size // 8) ** 2
        self._cells_across = math.isqrt(config.num_tokens)
        if (
            self._cells_across**2 != config.num_tokens
            or num_patches % config.num_tokens
        ):
            raise ValueError(
                f"`num_tokens` must be a square that divides {num_patches} patches, "
                f"got {config.num_tokens}"
            )
        cell_width = width * num_patches // config.num_tokens
        self.stem = nn.Conv2d(4, 32, 4, 2, 1)
        self.blocks = nn.Sequential(
            _ResidualBlock(32, 64, 2),
            _ResidualBlock(64, 128, 2),
            _ResidualBlock(128, width, 1),
        )
        self.patch_positions = nn.Parameter(torch.randn(num_patches, width) * 0.02)
        self.layers = nn.ModuleList(
            _transformer_layer(width, heads) for _ in range(config.num_layers)
        )
        self.patch_norm = nn.LayerNorm(width)
        self.queries = nn.Parameter(torch.randn(config.num_tokens, width) * 0.5)
        self.query_norm = nn.LayerNorm(width)
        self.cross_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.query_layer = _transformer_layer(width, heads)
        self.out_norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.token_width)
        self.cell_norm = nn.LayerNorm(cell_width)
        self.cell_out = nn.Linear(cell_width, config.token_width)
        nn.init.normal_(self.cell_out.weight, std=0.02)

    def forward(
        self, images: Float[Tensor, "batch 4 height width"]
    ) -> Float[Tensor, "batch num_tokens token_width"]:
        """Reads the vectors off images of objects.

        Args:
            images: RGBA with straight alpha in [0, 1], any size; resized by
                premultiplied colour to the network's size.

        Returns:
            Vectors in the space of the text encoder's input embeddings.
        """
        alpha = images[:, 3:]
        premultiplied = torch.cat([images[:, :3] * alpha, alpha], dim=1)
        size = (self.config.image_size, self.config.image_size)
        if tuple(images.shape[-2:]) != size:
            shrinks = images.shape[-2] > size[0] or images.shape[-1] > size[1]
            premultiplied = functional.interpolate(
                premultiplied, size, mode="bilinear", antialias=shrinks
            )
        return self.encode_premultiplied(premultiplied)

    def encode_premultiplied(
        self, images: Float[Tensor, "batch 4 size size"]
    ) -> Float[Tensor, "batch num_tokens token_width"]:
        """As :meth:`forward`, for premultiplied images of the network's own size."""
        alpha = images[:, 3:]
        on_white = images[:, :3] + 1 - alpha
        features = self.blocks(self.stem(torch.cat([on_white, alpha], 1) * 2 - 1))
        patches = features.flatten(2).transpose(1, 2) + self.patch_positions
        for layer in self.layers:
            patches = layer(patches)
        patches = self.patch_norm(patches)
        queries = self.queries.expand(len(images), -1, -1)
        attended = self.cross_attention(
            self.query_norm(queries), patches, patches, need_weights=False
        )[0]
        read = self.out(self.out_norm(self.query_layer(queries + attended)))
        return read + self.cell_out(self.cell_norm(self._cells(features)))

    def _cells(
        self, features: Float[Tensor, "batch width rows columns"]
    ) -> Float[Tensor, "batch num_tokens cell_width"]:
        """The features of each cell of the grid of vectors, row by row."""
        batch, width, rows, columns = features.shape
        across = self._cells_across
        split = features.reshape(
            batch, width, across, rows // across, across, columns // across
        )
        return split.permute(0, 2, 4, 1, 3, 5).reshape(batch, across**2, -1)

    def save_pretrained(self, folder: Path) -> None:
        """Writes ``config.json`` and ``model.safetensors`` (a byte a weight)."""
        folder.mkdir(parents=True, exist_ok=True)
        document = json.dumps(asdict(self.config), indent=2)
        (folder / _CONFIG_FILE).write_text(document + "\n")
        save_compact(self.state_dict(), folder / _WEIGHTS_FILE)


def load_image_encoder(folder: Path) -> ImageTokenEncoder:
    """Reads an encoder that :meth:`ImageTokenEncoder.save_pretrained` wrote.

    Args:
        folder: The folder with its two files.

    Returns:
        The encoder in float32, for evaluation.

    Raises:
        OSError: If a file is missing.
    """
    document = json.loads((folder / _CONFIG_FILE).read_text())
    encoder = ImageTokenEncoder(ImageTokenEncoderConfig(**document))
    encoder.load_state_dict(load_compact(folder / _WEIGHTS_FILE))
    return encoder.float().eval().requires_grad_(False)
