"""CLIP: images and words in one space (Radford et al. 2021).

It judges how alike two pictures are, or a picture and a text. The weights are not part
of the package; what is in the Hub's cache, or in a folder, serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.errors import InputError
from realfusion.priors.hub import fetch_snapshot, is_offline
from realfusion.priors.model_files import files_in, is_hub_id
from realfusion.priors.quiet import quiet_model_libraries
from realfusion.transfer import send

CLIP_ALIASES = {
    "vit-b-32": "openai/clip-vit-base-patch32",
    "vit-l-14": "openai/clip-vit-large-patch14",
}
"""Short names, the faster one first."""

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_SETTINGS = ("config.json",)
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


class ClipEncoder:
    """A frozen CLIP: `image_features` and `text_features` point the same way for a
    picture and the words that describe it."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str) -> None:
        """Freeze a loaded model; `load_clip` is the usual way.

        Args:
            model: A `CLIPModel` of transformers, on its device.
            tokenizer: Its `CLIPTokenizer`.
            name: What it is called in reports.
        """
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.model.device

    @property
    def image_size(self) -> int:
        """Side of the square images it looks at, in pixels."""
        return int(self.model.config.vision_config.image_size)

    def image_features(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch num_features"]:
        """Features of images.

        The shorter side is scaled to `image_size`, and the middle is looked at.

        Args:
            images: In [0, 1]; a transparent picture must be composited before.

        Returns:
            Of length 1, float32, on the model's device; differentiable in the images.
        """
        pixels = self._pixels(images.to(self.device))
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        features = self.model.visual_projection(pooled).float()
        return functional.normalize(features, dim=-1)

    @torch.no_grad()
    def text_features(
        self, texts: Sequence[str]
    ) -> Float[Tensor, "batch num_features"]:
        """Features of texts, of length 1, float32, on the model's device; no gradient.

        Raises:
            InputError: If a text is too long: nothing is cut off silently.
        """
        tokens = self.tokenizer(list(texts), padding=True, return_tensors="pt")
        length = self.model.config.text_config.max_position_embeddings
        if tokens.input_ids.shape[1] > length:
            longest = max(texts, key=len)
            raise InputError(
                f"a text for {self.name} must fit into {length} tokens, got "
                f"{tokens.input_ids.shape[1]}: shorten {longest!r}"
            )
        pooled = self.model.text_model(
            input_ids=send(tokens.input_ids, self.device),
            attention_mask=send(tokens.attention_mask, self.device),
        ).pooler_output
        features = self.model.text_projection(pooled).float()
        return functional.normalize(features, dim=-1)

    def _pixels(self, images: Tensor) -> Tensor:
        """Resized, cropped and normalised images, in the model's precision."""
        size, (height, width) = self.image_size, images.shape[-2:]
        if (height, width) != (size, size):
            scale = size / min(height, width)
            shape = (round(height * scale), round(width * scale))
            # With antialiasing, too, where it enlarges: the kernel is PIL's then. What
            # overshoots [0, 1] stays: clamping would cut gradients of plain areas.
            images = functional.interpolate(
                images.float(), shape, mode="bicubic", antialias=True
            )
            top, left = (shape[0] - size) // 2, (shape[1] - size) // 2
            images = images[..., top : top + size, left : left + size]
        mean = images.new_tensor(_MEAN)[:, None, None]
        deviation = images.new_tensor(_DEVIATION)[:, None, None]
        return ((images - mean) / deviation).to(self.model.dtype)


def load_clip(
    source: str | Path = "vit-b-32",
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    offline: bool = False,
) -> ClipEncoder:
    """Load a CLIP model.

    Args:
        source: `vit-b-32`, `vit-l-14`, a Hub id, or a folder in transformers' layout.
        device: Where it computes.
        dtype: Precision of its weights; features are float32 all the same.
        revision: Branch, tag or commit on the Hub.
        offline: Never touch the network.

    Returns:
        The model, frozen.

    Raises:
        InputError: If it is missing, damaged or of another kind, with the remedy.
    """
    from transformers import CLIPModel, CLIPTokenizer

    folder = _locate(str(source), revision, offline=offline)
    try:
        with quiet_model_libraries():
            model, loaded = CLIPModel.from_pretrained(
                str(folder), dtype=dtype, local_files_only=True,
                output_loading_info=True,
            )  # fmt: skip
            tokenizer = CLIPTokenizer.from_pretrained(
                str(folder), local_files_only=True
            )
    except Exception as error:
        # A damaged pickle or configuration can raise nearly anything.
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"the CLIP model {source} cannot be loaded ({type(error).__name__}: "
            f"{reason}): fetch it again"
        ) from error
    if loaded["missing_keys"]:
        raise InputError(
            f"the CLIP model {source} must be a CLIPModel with all its weights; "
            f"{len(loaded['missing_keys'])} are missing: fetch it again"
        )
    name = CLIP_ALIASES.get(str(source), str(source))
    return ClipEncoder(model.to(device), tokenizer, name=name)


def cached_clip(
    sources: Sequence[str] = tuple(CLIP_ALIASES), revision: str | None = None
) -> str | None:
    """The first of `sources` that lies complete in the Hub's cache; asks no network."""
    for source in sources:
        if _cached_folder(CLIP_ALIASES.get(source, source), revision) is not None:
            return source
    return None


def _cached_folder(repository: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "config.json", revision=revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return None if _missing_parts(folder) else folder


def _missing_parts(folder: Path) -> list[str]:
    """What a folder lacks to be a CLIP model."""
    files = files_in(folder)
    missing = [name for name in _SETTINGS if name not in files]
    if not files & set(_WEIGHTS):
        missing.append(_WEIGHTS[0])
    if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= files:
        missing.append("tokenizer.json")
    return missing


def _locate(source: str, revision: str | None, *, offline: bool) -> Path:
    """The folder of a CLIP model, downloaded if need be and allowed."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        repository = CLIP_ALIASES.get(source, source)
        if not is_hub_id(repository):
            raise InputError(
                f"the CLIP model must be {', '.join(CLIP_ALIASES)}, a Hub id or a "
                f"folder in transformers' layout, got {source!r}"
            )
        cached = _cached_folder(repository, revision)
        if cached is not None:
            return cached
        if is_offline(offline):
            why = "" if offline else " (HF_HUB_OFFLINE)"
            raise InputError(
                f"the CLIP model {repository} is not in the local cache and downloads "
                f"are off{why}: run `hf download {repository}` once online, or give a "
                f"local folder"
            )
        folder = _download(repository, revision)
    missing = _missing_parts(folder)
    if missing:
        raise InputError(
            f"the CLIP model {source} must be in transformers' layout; missing: "
            f"{', '.join(missing)}"
        )
    return folder


def _download(repository: str, revision: str | None) -> Path:
    """Settings, tokenizer and one format of the weights, safetensors if offered."""
    where = f"the CLIP model {repository}"
    for weights in _WEIGHTS:
        folder = fetch_snapshot(
            repository,
            (*_SETTINGS, *_TOKENIZERS, weights),
            revision=revision,
            offline=False,
            where=where,
        )
        if (folder / weights).is_file():
            break
    return folder
