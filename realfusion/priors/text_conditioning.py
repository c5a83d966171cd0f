"""From words to the text states a denoiser attends to, with learned tokens in place.

The tokenizer and the embedding table are never changed. A learned token fills as many
positions of the prompt as it has vectors, and a forward hook puts the vectors there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from realfusion.errors import InputError
from realfusion.priors.config import PLACEHOLDER
from realfusion.priors.learned_embeds import LearnedToken, check_token_width
from realfusion.priors.prompts import WeightedText
from realfusion.transfer import send


@dataclass(frozen=True)
class TokenizedText:
    """Token ids, and which vector of the learned token stands where.

    Attributes:
        ids: Padded token ids.
        slots: Index of the vector at each position, -1 for ordinary tokens.
    """

    ids: Int[Tensor, "batch tokens"]
    slots: Int[Tensor, "batch tokens"]


class TextConditioner:
    """A tokenizer and a CLIP text encoder, frozen, with a cache of text states."""

    def __init__(self, tokenizer: Any, text_encoder: nn.Module) -> None:
        """Freeze the text encoder and start with no learned token.

        Args:
            tokenizer: A CLIP tokenizer of transformers.
            text_encoder: A `CLIPTextModel`.
        """
        self.tokenizer = tokenizer
        self.text_encoder = text_encoder.eval().requires_grad_(False)
        self._embedding: nn.Embedding = text_encoder.get_input_embeddings()  # type: ignore[operator]
        self._states_device = self._embedding.weight.device
        self._states: dict[str, Tensor] = {}
        self._token: LearnedToken | None = None

    @property
    def width(self) -> int:
        """Channels of one input embedding."""
        return self._embedding.weight.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the text encoder computes."""
        return self._embedding.weight.device

    @property
    def token(self) -> LearnedToken | None:
        """The learned token in force."""
        return self._token

    def set_token(self, token: LearnedToken | None) -> None:
        """Put a learned token in force (None removes it) and forget cached states.

        Raises:
            InputError: If its width is not the text encoder's.
        """
        if token is not None:
            check_token_width(token, self.width)
        self._token = token
        self._states.clear()

    def release(self) -> None:
        """Move the text encoder to the host; states still come where they came."""
        self.text_encoder.to("cpu")

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> Float[Tensor, "batch tokens channels"]:
        """Text states of each text, computed once per text and learned token."""
        unseen = [text for text in dict.fromkeys(texts) if text not in self._states]
        if unseen:
            vectors = None if self._token is None else self._token.vectors
            for text, states in zip(unseen, self._run(unseen, vectors), strict=True):
                self._states[text] = states.to(self._states_device)
        return torch.stack([self._states[text] for text in texts])

    @torch.no_grad()
    def encode_mixtures(
        self, mixtures: Sequence[Sequence[WeightedText]]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Weighted sums of text states, one a mixture.

        Every text is padded to the model's length, so that states add up position by
        position also where a learned token of several vectors stands for one word.

        Args:
            mixtures: At least one text each, with shares that sum to 1.

        Returns:
            The states; those of the texts are computed once, as in `encode`.
        """
        parts = [part for mixture in mixtures for part in mixture]
        rows = [row for row, mixture in enumerate(mixtures) for _ in mixture]
        shares = torch.zeros(len(mixtures), len(parts))
        shares[rows, range(len(parts))] = torch.tensor([part.share for part in parts])
        states = self.encode([part.text for part in parts])
        weights = send(shares, states.device).to(states.dtype)
        return torch.einsum("mp,ptc->mtc", weights, states)

    def encode_with_vectors(
        self, texts: Sequence[str], vectors: Float[Tensor, "num_vectors channels"]
    ) -> Float[Tensor, "batch tokens channels"]:
        """Text states with `vectors` as the learned token; differentiable in them."""
        return self._run(texts, vectors).to(self._states_device)

    def word_vectors(
        self, word: str, num_vectors: int
    ) -> Float[Tensor, "num_vectors channels"]:
        """Input embeddings to start a token from: a word's pieces, repeated.

        A word of more pieces than vectors gives the mean of its pieces in each row.

        Raises:
            InputError: If the word is empty.
        """
        ids = self._ids_of(word)
        if not ids:
            raise InputError(
                f"the token's initial word must not be empty, got {word!r}"
            )
        pieces = self._embedding.weight[torch.tensor(ids, device=self.device)]
        pieces = pieces.detach().float()
        if len(ids) > num_vectors:
            pieces = pieces.mean(dim=0, keepdim=True)
        return pieces[torch.arange(num_vectors) % pieces.shape[0]].clone()

    def num_pieces(self, word: str) -> int:
        """How many tokens the tokenizer makes of a word."""
        return len(self._ids_of(word))

    def tokenize(self, texts: Sequence[str], num_vectors: int) -> TokenizedText:
        """Token ids of each text with room for a learned token of `num_vectors`.

        Raises:
            InputError: If a text is too long (nothing is cut off silently), or holds
                the placeholder although no token was learnt.
        """
        rows = [self._tokenize_one(text, num_vectors) for text in texts]
        ids = torch.tensor([row[0] for row in rows])
        slots = torch.tensor([row[1] for row in rows])
        return TokenizedText(send(ids, self.device), send(slots, self.device))

    def _run(self, texts: Sequence[str], vectors: Tensor | None) -> Tensor:
        tokenized = self.tokenize(texts, 0 if vectors is None else vectors.shape[0])
        with _vectors_in_place(self._embedding, tokenized.slots, vectors):
            return self.text_encoder(tokenized.ids)[0]

    def _tokenize_one(self, text: str, num_vectors: int) -> tuple[list[int], list[int]]:
        tokenizer = self.tokenizer
        ids, slots = [tokenizer.bos_token_id], [-1]
        for part in self._placeholder_pattern().split(text):
            if part in self._placeholders():
                if num_vectors == 0:
                    raise InputError(
                        f"the prompt {text!r} holds {part}, but no token has been "
                        f"learnt: invert the image first, or name the object in words"
                    )
                # Any valid id serves: the hook replaces what it looks up.
                ids += [tokenizer.eos_token_id] * num_vectors
                slots += range(num_vectors)
            else:
                words = self._ids_of(part)
                ids += words
                slots += [-1] * len(words)
        ids.append(tokenizer.eos_token_id)
        slots.append(-1)
        length = self.tokenizer.model_max_length
        if len(ids) > length:
            raise InputError(
                f"the prompt must fit into {length} tokens, got {len(ids)}: shorten "
                f"{text!r}"
            )
        padding = length - len(ids)
        ids += [tokenizer.pad_token_id] * padding
        slots += [-1] * padding
        return ids, slots

    def _ids_of(self, text: str) -> list[int]:
        if not text.strip():
            return []
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _placeholders(self) -> set[str]:
        return {PLACEHOLDER} | ({self._token.placeholder} if self._token else set())

    def _placeholder_pattern(self) -> re.Pattern[str]:
        words = sorted(self._placeholders(), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, words))})")


@contextmanager
def _vectors_in_place(
    embedding: nn.Embedding, slots: Tensor, vectors: Tensor | None
) -> Iterator[None]:
    if vectors is None:
        yield
        return

    def replace(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        rows = vectors.to(output.device, output.dtype)[slots.clamp(min=0)]
        return torch.where((slots >= 0)[..., None], rows, output)

    handle = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
