"""Image tokens within prompts, and the heads that supervise them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from realfusion.prior_training.condition_encoder import (
    ConditionEncoder,
    TokenPredictor,
    ViewPredictor,
    small_pictures,
)
from realfusion.prior_training.config import SMOKE
from realfusion.prior_training.prompt_batches import PromptTokenizer
from realfusion.prior_training.vocabulary import build_tokenizer
from realfusion.priors.config import PLACEHOLDER
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.text_conditioning import TextConditioner


@pytest.fixture
def encoder(tmp_path: Path) -> tuple[ConditionEncoder, PromptTokenizer]:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(tmp_path, SMOKE.denoiser.max_text_length)
    conditions = ConditionEncoder(SMOKE.denoiser, tokenizer, 64).eval()
    length = SMOKE.denoiser.max_text_length
    return conditions, PromptTokenizer(tokenizer, 4, length)


def test_prompts_equal_the_products_multi_vector_textual_inversion(
    encoder: tuple[ConditionEncoder, PromptTokenizer], tmp_path: Path
) -> None:
    conditions, tokenize = encoder
    reference = torch.rand(1, 4, 64, 64)
    reference[:, :3] *= reference[:, 3:]
    ids, slots = tokenize("an image of a {}, back view, high")
    with torch.no_grad():
        states, tokens = conditions(reference, ids[None], slots[None])
    tokenizer = build_tokenizer(tmp_path, SMOKE.denoiser.max_text_length)
    product = TextConditioner(tokenizer, conditions.text_encoder)
    product.set_token(LearnedToken(PLACEHOLDER, tokens[0]))
    expected = product.encode([f"an image of a {PLACEHOLDER}, back view, high"])
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-4)


def test_each_target_gets_the_tokens_of_its_reference(
    encoder: tuple[ConditionEncoder, PromptTokenizer],
) -> None:
    conditions, tokenize = encoder
    references = torch.rand(2, 4, 64, 64)
    prompts = ["a {}", "a red mug", "a {}, front view", "a {}"]
    ids, slots = (
        torch.stack(parts)
        for parts in zip(*(tokenize(text) for text in prompts), strict=True)
    )
    with torch.no_grad():
        states, tokens = conditions(references, ids, slots)
        alone, _ = conditions(references[1:], ids[3:], slots[3:])
    torch.testing.assert_close(states[3:], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tokens[0], tokens[1])
    assert not torch.allclose(states[0], states[3])


def test_heads_give_pictures_and_learn_from_them() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([0, 24])
    target = small_pictures(torch.rand(2, 4, 64, 64))
    assert target.shape == (2, 4, 16, 16)
    for head, given in (
        (ViewPredictor(16), torch.randn(2, 5, 16)),
        (TokenPredictor(4 * 8), torch.randn(2, 4, 8)),
    ):
        given.requires_grad_(True)
        picture = head(given, labels)
        assert picture.shape == (2, 4, 16, 16)
        (picture - target).square().mean().backward()
        assert given.grad is not None
        assert given.grad.abs().max() > 0


def test_small_pictures_are_on_white() -> None:
    picture = small_pictures(torch.zeros(1, 4, 64, 64))
    assert (picture[:, :3] == 1).all()
    assert (picture[:, 3] == 0).all()
