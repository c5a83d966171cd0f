"""Random pairs of a reference view and target views, with their prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTokenizer

from realfusion.prior_training.config import DenoiserConfig
from realfusion.prior_training.dataset import ViewDataset
from realfusion.prior_training.vocabulary import (
    SUBJECT_TEMPLATES,
    UNCONDITIONAL_CLASS,
    random_caption,
    view_class,
    view_words,
)
from realfusion.procedural.views import REFERENCE_VIEW

_SLOT = "{}"


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """References, and for each a few target views with prompts.

    Targets are flat: target ``i`` belongs to reference ``i // targets_per_reference``.
    """

    references: Float[Tensor, "references 4 size size"]
    """Premultiplied RGBA in [0, 1], slightly augmented."""
    object_index: NDArray[np.int64]
    """``[references]``: which objects."""
    target_view: NDArray[np.int64]
    """``[targets]``: which of the object's views is the target."""
    input_ids: Int[Tensor, "targets length"]
    is_image_token: Bool[Tensor, "targets length"]
    """Where the prompt holds the image tokens, in order."""
    class_labels: Int[Tensor, " targets"]
    has_identity: Bool[Tensor, " targets"]
    """Whether the prompt says anything about the object."""
    has_guide: Bool[Tensor, " targets"]
    """Whether the denoiser sees a picture of the guessed body."""

    @property
    def targets_per_reference(self) -> int:
        """Targets of each reference."""
        return len(self.target_view) // len(self.object_index)


class PromptTokenizer:
    """Turns prompts with a slot for the image tokens into ids, with a cache.

    Args:
        tokenizer: The prior's tokenizer.
        num_image_tokens: Positions that the slot ``{}`` takes.
        length: Tokens in a prompt.
    """

    def __init__(
        self, tokenizer: CLIPTokenizer, num_image_tokens: int, length: int
    ) -> None:
        self._tokenizer = tokenizer
        self._num_image_tokens = num_image_tokens
        self._length = length
        self._cache: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(
        self, prompt: str
    ) -> tuple[Int[Tensor, " length"], Bool[Tensor, " length"]]:
        """Ids of a prompt and where its image tokens stand."""
        if prompt not in self._cache:
            self._cache[prompt] = self._tokenize(prompt)
        return self._cache[prompt]

    def _tokenize(self, prompt: str) -> tuple[Tensor, Tensor]:
        end = self._tokenizer.eos_token_id
        ids = [self._tokenizer.bos_token_id]
        is_slot = [False]
        before, slot, after = prompt.partition(_SLOT)
        for text, count in ((before, 0), (after, self._num_image_tokens)):
            if count and slot:
                ids += [end] * count
                is_slot += [True] * count
            words = self._tokenizer(text, add_special_tokens=False).input_ids
            ids += words
            is_slot += [False] * len(words)
        ids, is_slot = ids[: self._length - 1], is_slot[: self._length - 1]
        padding = self._length - len(ids)
        return (
            torch.tensor(ids + [end] * padding),
            torch.tensor(is_slot + [False] * padding),
        )


def random_pairs(
    views: ViewDataset,
    tokenize: PromptTokenizer,
    config: DenoiserConfig,
    rng: np.random.Generator,
    *,
    num_references: int,
    targets_per_reference: int,
    condition_dropout: float,
) -> PairBatch:
    """Draws references, target views of the same objects, and their prompts."""
    objects = rng.integers(0, views.num_objects, num_references)
    num_views = views.images.shape[1]
    targets = np.stack(
        [rng.permutation(num_views)[:targets_per_reference] for _ in objects]
    ).reshape(-1)
    order = np.argsort(objects)
    images = np.empty((num_references, *views.images.shape[2:]), np.uint8)
    images[order] = views.images[objects[order], REFERENCE_VIEW]
    prompts, labels, guided = [], [], []
    for index, target in enumerate(targets):
        reference = index // targets_per_reference
        prompt, label, has_guide = _random_condition(
            views, config, rng, int(objects[reference]), int(target), condition_dropout
        )
        prompts.append(prompt)
        labels.append(label)
        guided.append(has_guide)
    ids, slots = zip(*(tokenize(prompt) for prompt in prompts), strict=True)
    return PairBatch(
        references=augment_references(images, rng),
        object_index=objects,
        target_view=targets,
        input_ids=torch.stack(ids),
        is_image_token=torch.stack(slots),
        class_labels=torch.tensor(labels),
        has_identity=torch.tensor([bool(prompt) for prompt in prompts]),
        has_guide=torch.tensor(guided),
    )


def _random_condition(
    views: ViewDataset,
    config: DenoiserConfig,
    rng: np.random.Generator,
    index: int,
    target: int,
    condition_dropout: float,
) -> tuple[str, int, bool]:
    """A prompt, the view's class, and whether there is a guide.

    Image tokens usually come with a guide, words as often with as without.
    """
    if rng.random() < condition_dropout:
        return "", UNCONDITIONAL_CLASS, False
    if rng.random() < config.guide_alone_share:
        return "", UNCONDITIONAL_CLASS, True
    prompt, label = _random_prompt(views, config, rng, index, target)
    guided_share = 1 - config.guide_dropout if _SLOT in prompt else 0.5
    return prompt, label, bool(rng.random() < guided_share)


def _random_prompt(
    views: ViewDataset,
    config: DenoiserConfig,
    rng: np.random.Generator,
    index: int,
    target: int,
) -> tuple[str, int]:
    """A prompt (with a slot for the image tokens, or words) and the view's class."""
    azimuth, elevation = views.cameras[index, :, :2].T
    noun, primary, secondary = views.captions[index]
    is_worded = rng.random() < config.caption_share
    # Words mean the canonical front; an image, or an object without one, itself.
    front = 0.0 if is_worded and noun != "object" else azimuth[REFERENCE_VIEW]
    relative = float(azimuth[target] - front) + rng.normal(0, 4)
    label = view_class(relative, float(elevation[target]))
    if is_worded:
        text = random_caption(rng, noun, primary, secondary)
    else:
        is_first = rng.random() < 0.5
        text = SUBJECT_TEMPLATES[
            0 if is_first else int(rng.integers(len(SUBJECT_TEMPLATES)))
        ]
    if rng.random() < 0.04:
        return text, UNCONDITIONAL_CLASS
    return f"{text}, {view_words(label)}", label


def augment_references(
    images: NDArray[np.uint8], rng: np.random.Generator
) -> Float[Tensor, "references 4 size size"]:
    """Shifts, scales, brightens and adds noise, so that photographs are in range."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    count = len(pixels)
    transform = torch.zeros(count, 2, 3)
    scale = torch.from_numpy(rng.uniform(0.97, 1.04, count)).float()
    transform[:, 0, 0] = transform[:, 1, 1] = scale
    transform[:, :, 2] = torch.from_numpy(
        rng.uniform(-0.015, 0.015, (count, 2))
    ).float()
    grid = functional.affine_grid(transform, list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(pixels, grid, align_corners=False)
    rgb, alpha = moved[:, :3], moved[:, 3:]
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (count, 3, 1, 1))).float()
    noise = torch.from_numpy(rng.normal(0, 1, rgb.shape).astype(np.float32))
    strength = torch.from_numpy(rng.uniform(0, 0.04, (count, 1, 1, 1))).float()
    rgb = (rgb * gain + noise * strength * alpha).clamp(min=0)
    return torch.cat([torch.minimum(rgb, alpha), alpha], dim=1)
