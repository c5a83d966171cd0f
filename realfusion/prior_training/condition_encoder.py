"""Text and image encoder together, and the head that teaches them before the U-Net."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from realfusion.prior_training.config import DenoiserConfig
from realfusion.prior_training.vocabulary import NUM_CLASSES
from realfusion.priors.image_encoder import ImageTokenEncoder, ImageTokenEncoderConfig


def build_text_encoder(
    config: DenoiserConfig, tokenizer: CLIPTokenizer
) -> CLIPTextModel:
    """A small CLIP text encoder with random weights."""
    end = tokenizer.eos_token_id
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.text_width,
            intermediate_size=3 * config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=4,
            max_position_embeddings=config.max_text_length,
            projection_dim=config.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=end,
            pad_token_id=end,
            hidden_act="quick_gelu",
        )
    )


class ConditionEncoder(nn.Module):
    """Prompts with image tokens to the text states that the U-Net attends to.

    The image tokens replace input embeddings of the text encoder, exactly as the
    learned vectors of textual inversion do.

    Args:
        config: Shape of the encoders.
        tokenizer: The prior's tokenizer.
        image_size: Pixels a side of the reference images.
    """

    def __init__(
        self, config: DenoiserConfig, tokenizer: CLIPTokenizer, image_size: int
    ) -> None:
        super().__init__()
        self.text_encoder = build_text_encoder(config, tokenizer)
        self.image_encoder = ImageTokenEncoder(
            ImageTokenEncoderConfig(
                image_size=image_size,
                num_tokens=config.num_image_tokens,
                token_width=config.text_width,
            )
        )
        self._substitute: tuple[Tensor, Tensor] | None = None
        embeddings = self.text_encoder.get_input_embeddings()
        embeddings.register_forward_hook(self._substitute_tokens)

    def _substitute_tokens(
        self, module: nn.Module, arguments: object, output: Tensor
    ) -> Tensor:
        if self._substitute is None:
            return output
        is_image_token, tokens = self._substitute
        return output.to(tokens.dtype).masked_scatter(is_image_token[..., None], tokens)

    def forward(
        self,
        references: Float[Tensor, "references 4 size size"],
        input_ids: Int[Tensor, "targets length"],
        is_image_token: Bool[Tensor, "targets length"],
    ) -> tuple[
        Float[Tensor, "targets length width"], Float[Tensor, "targets tokens width"]
    ]:
        """Text states of each target's prompt, and its reference's image tokens.

        Args:
            references: Premultiplied RGBA.
            input_ids: Prompts; target i belongs to reference ``i // (targets per
                reference)``.
            is_image_token: Where the image tokens stand; empty rows use words alone.
        """
        tokens = self.image_encoder.encode_premultiplied(references)
        repeats = len(input_ids) // len(references)
        tokens = tokens.repeat_interleave(repeats, dim=0)
        used = tokens[is_image_token.any(dim=1)]
        self._substitute = (is_image_token, used.reshape(-1, used.shape[-1]))
        try:
            return self.text_encoder(input_ids)[0], tokens
        finally:
            self._substitute = None


class ViewPredictor(nn.Module):
    """Predicts a small RGBA picture of a view from the text states.

    Not shipped: its loss teaches the encoders what the object looks like from every
    side, far faster than the denoising loss does.

    Args:
        width: Of the text states.
        size: Pixels a side of the pictures, even.
    """

    def __init__(self, width: int, size: int = 16) -> None:
        super().__init__()
        self.size = size
        cells = (size // 2) ** 2
        self.positions = nn.Parameter(torch.randn(cells, width) * 0.3)
        self.views = nn.Embedding(NUM_CLASSES, width)
        self.layer = nn.TransformerDecoderLayer(
            width,
            4,
            2 * width,
            dropout=0.0,
            activation=functional.gelu,
            batch_first=True,
            norm_first=True,
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 16)

    def forward(
        self,
        states: Float[Tensor, "targets length width"],
        class_labels: Int[Tensor, " targets"],
    ) -> Float[Tensor, "targets 4 size size"]:
        """Pictures on white with alpha, in about [0, 1]."""
        hidden = self.positions + self.views(class_labels)[:, None]
        hidden = self.layer(hidden.to(states.dtype), states)
        patches = self.out(self.norm(hidden)).transpose(1, 2)
        half = self.size // 2
        grid = patches.reshape(len(states), 16, half, half)
        return functional.pixel_shuffle(grid, 2) + 0.5


class TokenPredictor(nn.Module):
    """Predicts a small RGBA picture of a view from the image tokens alone.

    A plain network on all tokens at once: through it the image encoder learns in
    minutes what it would take hours to learn through attention. Not shipped either.

    Args:
        num_inputs: Image tokens times their width.
        size: Pixels a side of the pictures.
        width: Of the hidden layers.
    """

    def __init__(self, num_inputs: int, size: int = 16, width: int = 512) -> None:
        super().__init__()
        self.size = size
        self.first = nn.Linear(num_inputs, width)
        self.view_gain = nn.Embedding(NUM_CLASSES, width)
        self.view_bias = nn.Embedding(NUM_CLASSES, width)
        self.second = nn.Linear(width, width)
        self.out = nn.Linear(width, 4 * size * size)

    def forward(
        self,
        tokens: Float[Tensor, "targets num_tokens width"],
        class_labels: Int[Tensor, " targets"],
    ) -> Float[Tensor, "targets 4 size size"]:
        """Pictures on white with alpha, in about [0, 1]."""
        hidden = self.first(tokens.flatten(1))
        gain, bias = self.view_gain(class_labels), self.view_bias(class_labels)
        hidden = functional.gelu(hidden * (1 + gain) + bias)
        hidden = functional.gelu(self.second(hidden)) + hidden
        return self.out(hidden).reshape(-1, 4, self.size, self.size) + 0.5


def small_pictures(
    images: Float[Tensor, "targets 4 height width"], size: int = 16
) -> Float[Tensor, "targets 4 size size"]:
    """What :class:`ViewPredictor` must predict: colour on white, and alpha."""
    small = functional.adaptive_avg_pool2d(images, size)
    return torch.cat([small[:, :3] + 1 - small[:, 3:], small[:, 3:]], dim=1)
