"""From cameras to what the denoiser is conditioned on: text states and view classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.components import NUM_VIEW_CLASSES
from realfusion.priors.config import Prompt
from realfusion.priors.metadata import PriorMetadata
from realfusion.priors.prompts import ViewText, WeightedText, view_text
from realfusion.priors.protocol import Conditioning
from realfusion.priors.text_conditioning import TextConditioner
from realfusion.transfer import send


@dataclass(frozen=True)
class ViewConditioner:
    """Says what cameras see, in a prior's own words and classes.

    Attributes:
        text: Makes text states, with the learned token in place.
        metadata: The prior's view words and its class of "no view".
        takes_classes: Whether the denoiser takes view classes.
        device: Where the classes are needed.
    """

    text: TextConditioner
    metadata: PriorMetadata
    takes_classes: bool
    device: torch.device

    def condition(self, prompt: Prompt, cameras: Sequence[Camera]) -> Conditioning:
        """Text states and view classes of one view a camera.

        Args:
            prompt: Subject and options; views are named relative to its reference.
            cameras: At least one.

        Returns:
            Both sides of guidance. Text states are computed once per text.

        Raises:
            InputError: If a prompt is too long, or needs a token that is not set.
        """
        if not cameras:
            raise ValueError("`cameras` must not be empty, got none")
        vocabulary = self.metadata.view_vocabulary
        texts = [view_text(prompt, camera, vocabulary) for camera in cameras]
        neutral = [
            text.unconditional for text in texts if text.unconditional is not None
        ]
        return Conditioning(
            context=self._positive(texts),
            negative_context=self.text.encode([text.negative for text in texts]),
            class_labels=self._labels([text.view_class for text in texts]),
            negative_class_labels=self._labels(
                [text.negative_view_class for text in texts]
            ),
            unconditional_context=self.text.encode(neutral) if neutral else None,
            unconditional_class_labels=self._labels([None] * len(neutral)),
            perpendicular_weight=self._perpendicular_weight(prompt, texts),
        )

    def label(self, view_class: int | None) -> int | None:
        """The denoiser's label of a view class (None: no view), if it takes labels."""
        if not self.takes_classes:
            return None
        if view_class is not None:
            return view_class
        label = self.metadata.unconditional_class
        return NUM_VIEW_CLASSES if label is None else label

    def _positive(
        self, texts: Sequence[ViewText]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Text states of what the views show, mixed where a view lies between two."""
        if not any(text.mixture for text in texts):
            return self.text.encode([text.positive for text in texts])
        mixtures = [
            text.mixture or (WeightedText(text.positive, 1.0),) for text in texts
        ]
        return self.text.encode_mixtures(mixtures)

    def _perpendicular_weight(
        self, prompt: Prompt, texts: Sequence[ViewText]
    ) -> float | Float[Tensor, " batch"]:
        if prompt.perpendicular_weighting == "constant":
            return prompt.perpendicular_weight
        weights = torch.tensor([text.perpendicular_weight for text in texts])
        return send(weights, self.device)

    def _labels(self, view_classes: Sequence[int | None]) -> Tensor | None:
        labels = [self.label(view_class) for view_class in view_classes]
        if not labels or labels[0] is None:
            return None
        return send(torch.tensor(labels), self.device)
