from __future__ import annotations

import pytest
import torch

from realfusion.errors import InputError
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.prompts import WeightedText
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.text_conditioning import TextConditioner

THREE_VECTORS = LearnedToken("<thing>", torch.linspace(-1.0, 1.0, 48).reshape(3, 16))


@pytest.fixture
def text(prior: StableDiffusionPrior) -> TextConditioner:
    return prior.text


def test_plain_text_is_what_the_tokenizer_and_encoder_say(
    text: TextConditioner,
) -> None:
    prompt = "A duck's photo, 3 side views!"
    tokens = text.tokenizer(prompt, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        expected = text.text_encoder(tokens.input_ids)[0]
    torch.testing.assert_close(text.encode([prompt]), expected)


def test_token_fills_its_positions_and_leaves_the_table_alone(
    text: TextConditioner,
) -> None:
    table = text.text_encoder.get_input_embeddings().weight
    before, vocabulary = table.clone(), len(text.tokenizer)
    text.set_token(THREE_VECTORS)
    seen = []
    handle = text.text_encoder.encoder.register_forward_pre_hook(
        lambda _m, _a, options: seen.append(options["inputs_embeds"]), with_kwargs=True
    )
    text.encode(["a <e>, b"])
    handle.remove()
    positions = text.text_encoder.embeddings.position_embedding.weight
    torch.testing.assert_close(seen[0][0, 2:5], THREE_VECTORS.vectors + positions[2:5])
    assert torch.equal(table, before)
    assert len(text.tokenizer) == vocabulary
    assert not text.text_encoder.get_input_embeddings()._forward_hooks


def test_own_word_and_placeholder_mean_the_same(text: TextConditioner) -> None:
    text.set_token(THREE_VECTORS)
    states = text.encode(["a photo of a <e>, view", "a photo of a <thing>, view"])
    assert torch.equal(states[0], states[1])


def test_states_equal_those_of_diffusers_with_the_token_loaded(
    prior: StableDiffusionPrior, tmp_path
) -> None:
    """The same prompt through `pipe.load_textual_inversion` and `encode_prompt`."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from realfusion.priors.learned_embeds import save_learned_token

    text = prior.text
    text.set_token(THREE_VECTORS)
    ours = text.encode(["an image of a <thing>, side view"])
    save_learned_token(tmp_path / "learned_embeds.safetensors", THREE_VECTORS)
    pipe = StableDiffusionPipeline(
        vae=prior.vae,
        text_encoder=text.text_encoder,
        tokenizer=text.tokenizer,
        unet=prior.unet,
        scheduler=DDIMScheduler.from_config(
            prior.scheduler.config, steps_offset=1, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.load_textual_inversion(str(tmp_path / "learned_embeds.safetensors"))
    with torch.no_grad():
        theirs, _ = pipe.encode_prompt(
            "an image of a <thing>, side view", "cpu", 1, False
        )
    torch.testing.assert_close(ours, theirs)
    image = pipe(
        "a <thing>", num_inference_steps=2, output_type="np", height=32, width=32
    ).images
    assert image.shape == (1, 32, 32, 3)


def test_mixtures_are_weighted_sums_of_whole_states(text: TextConditioner) -> None:
    """Also where three vectors stand in one text and one word in the other."""
    text.set_token(THREE_VECTORS)
    mixtures = [
        [WeightedText("a <e>, side view", 0.75), WeightedText("a b, side view", 0.25)],
        [WeightedText("a <e>, back view", 1.0)],
    ]
    got = text.encode_mixtures(mixtures)
    assert got.shape == (2, 77, 16)
    token, word, back = text.encode(
        ["a <e>, side view", "a b, side view", "a <e>, back view"]
    )
    torch.testing.assert_close(got[0], 0.75 * token + 0.25 * word)
    torch.testing.assert_close(got[1], back)


def test_gradient_reaches_the_vectors_only(text: TextConditioner) -> None:
    vectors = THREE_VECTORS.vectors.clone().requires_grad_(True)
    text.encode_with_vectors(["a <e>"], vectors).square().sum().backward()
    assert float(vectors.grad.abs().min(dim=1).values.max()) > 0.0
    assert all(p.grad is None for p in text.text_encoder.parameters())


def test_removing_the_token_is_noticed(text: TextConditioner) -> None:
    text.set_token(THREE_VECTORS)
    text.encode(["a <e>"])
    text.set_token(None)
    with pytest.raises(InputError, match="holds <e>, but no token has been learnt"):
        text.encode(["a <e>"])


def test_long_prompts_are_refused_not_cut(text: TextConditioner) -> None:
    with pytest.raises(InputError, match="must fit into 77 tokens, got 102"):
        text.encode(["a " * 100])


def test_token_of_another_width_is_refused(text: TextConditioner) -> None:
    with pytest.raises(InputError, match=r"must be 16 channels wide .* got 8"):
        text.set_token(LearnedToken("<e>", torch.ones(1, 8)))


def test_initial_vectors_come_from_the_word(text: TextConditioner) -> None:
    table = text.text_encoder.get_input_embeddings().weight
    ids = text.tokenizer("ab", add_special_tokens=False).input_ids
    assert torch.equal(text.word_vectors("ab", 4), table[ids + ids])
    torch.testing.assert_close(text.word_vectors("ab", 1)[0], table[ids].mean(dim=0))
    with pytest.raises(InputError, match="initial word must not be empty"):
        text.word_vectors("  ", 1)
