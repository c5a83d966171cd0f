"""A learned background: a small network of the viewing direction."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from realfusion.fields.config import BackgroundConfig


class LearnedBackground(nn.Module):
    """Colour of the surroundings by direction (DreamFusion, App. A)."""

    def __init__(self, config: BackgroundConfig, *, generator: torch.Generator) -> None:
        """Initialise the network.

        Args:
            config: Width and number of frequencies.
            generator: CPU generator of the initial parameters.
        """
        super().__init__()
        self.num_frequencies = config.num_frequencies
        inputs = 3 + 6 * config.num_frequencies
        self.hidden = nn.Linear(inputs, config.hidden_width)
        self.output = nn.Linear(config.hidden_width, 3)
        for layer in (self.hidden, self.output):
            bound = 1.0 / math.sqrt(layer.in_features)
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(
        self, directions: Float[Tensor, "num_rays 3"]
    ) -> Float[Tensor, "num_rays 3"]:
        """Colours in [0, 1] for unit directions, differentiable in the parameters."""
        octaves = 2.0 ** torch.arange(self.num_frequencies, device=directions.device)
        phases = (directions[:, None, :] * octaves[:, None]).flatten(1)
        encoded = torch.cat([directions, phases.sin(), phases.cos()], dim=-1)
        return self.output(self.hidden(encoded).relu()).sigmoid()
