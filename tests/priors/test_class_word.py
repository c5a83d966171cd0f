from __future__ import annotations

import string
from pathlib import Path

import pytest
import torch

from realfusion.errors import InputError, NonFiniteError
from realfusion.priors import class_word
from realfusion.priors.class_word import (
    WordScore,
    WordSearchConfig,
    clip_words,
    photo_of,
    score_words,
    single_token_words,
)
from realfusion.priors.clip import load_clip
from realfusion.priors.common_nouns import COMMON_NOUNS
from realfusion.priors.config import AugmentationConfig
from realfusion.priors.random_weights import save_random_clip
from realfusion.priors.stable_diffusion import StableDiffusionPrior

LETTERS = list(string.ascii_lowercase)  # the tiny tokenizer's words of one token
ALL_PROBES = WordSearchConfig(rounds=(3,), num_views=2)


def search(
    prior: StableDiffusionPrior,
    photo: torch.Tensor,
    words: list[str],
    config: WordSearchConfig = ALL_PROBES,
    seed: int = 0,
) -> tuple[WordScore, ...]:
    generator = torch.Generator().manual_seed(seed)
    *others, last = score_words(prior, photo, words, generator, config)
    assert all(item.scores is None for item in others)
    assert last.scores is not None
    return last.scores


def losses(scores: tuple[WordScore, ...]) -> dict[str, float]:
    return {score.word: score.loss for score in scores}


def let_one_word_be_exact(
    prior: StableDiffusionPrior, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The denoiser errs by how far the text is from that of `word`."""
    noises: dict[bytes, torch.Tensor] = {}
    add = class_word.add_noise

    def remember(latents, noise, alphas_cumprod):
        noisy = add(latents, noise, alphas_cumprod)
        noises.update(
            (bytes(one.numpy()), n) for one, n in zip(noisy, noise, strict=True)
        )
        return noisy

    def predict(noisy, timesteps, context, class_labels=None):
        right = prior.text.encode([photo_of(word)])
        distance = (context - right).square().mean(dim=(1, 2))[:, None, None, None]
        exact = [noises[bytes(one.contiguous().numpy())] for one in noisy]
        return torch.stack(exact) + distance

    monkeypatch.setattr(class_word, "add_noise", remember)
    monkeypatch.setattr(prior, "predict_noise", predict)


def test_nouns_are_many_different_single_words() -> None:
    assert 300 <= len(COMMON_NOUNS) <= 350
    assert len(set(COMMON_NOUNS)) == len(COMMON_NOUNS)
    assert all(noun.isalpha() and noun.islower() for noun in COMMON_NOUNS)
    assert {"teapot", "cat", "chair", "car"} <= set(COMMON_NOUNS)


def test_words_stand_in_a_sentence_with_their_article() -> None:
    assert photo_of("teapot") == "a photo of a teapot"
    assert photo_of("apple") == "a photo of an apple"


def test_words_of_several_tokens_are_skipped(prior: StableDiffusionPrior) -> None:
    assert prior.text.num_pieces("cat") == 3
    assert single_token_words(prior.text, ["a", "cat", "b", "a"]) == ["a", "b"]


@pytest.mark.parametrize("word", ["a", "m", "z"])
def test_the_word_that_predicts_best_is_first(
    prior: StableDiffusionPrior,
    photo: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
) -> None:
    let_one_word_be_exact(prior, word, monkeypatch)
    first, second, *_ = search(prior, photo, LETTERS, WordSearchConfig())
    assert first.word == word
    assert first.loss == pytest.approx(0.0, abs=1e-12)
    assert second.loss > 1e-9


def test_all_words_meet_the_same_noise(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    """A word's loss depends neither on the other words nor on the batches."""
    together = losses(search(prior, photo, LETTERS))
    alone = losses(search(prior, photo, ["q"]))
    assert alone["q"] == pytest.approx(together["q"], rel=1e-5)
    split = WordSearchConfig(rounds=(3,), num_views=2, batch_size=5)
    mixed = losses(search(prior, photo, LETTERS[::-1], split))
    assert mixed == pytest.approx(together, rel=1e-5)
    assert len(set(together.values())) > 1
    other = losses(search(prior, photo, LETTERS, seed=1))
    assert abs(other["q"] - together["q"]) > 1e-3


def test_same_seed_same_scores(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    assert search(prior, photo, LETTERS) == search(prior, photo, LETTERS)


def test_the_worse_words_drop_out_early(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    config = WordSearchConfig(rounds=(1, 3, 4), kept_share=0.5, batch_size=4)
    generator = torch.Generator().manual_seed(0)
    items = list(score_words(prior, photo, LETTERS[:10], generator, config))
    scores = items[-1].scores
    assert [score.num_probes for score in scores] == [4] * 3 + [3] * 2 + [1] * 5
    assert sorted(losses(scores)) == LETTERS[:10]
    for count in (1, 3, 4):
        of_round = [score.loss for score in scores if score.num_probes == count]
        assert of_round == sorted(of_round)
    assert items[0].done == 0
    done = [item.done for item in items]
    assert done == sorted(done)
    assert {item.total for item in items} == {10 * 1 + 5 * 2 + 3 * 1}
    assert done[-1] == items[-1].total
    one_round = losses(
        search(prior, photo, LETTERS[:10], WordSearchConfig(rounds=(1,)))
    )
    config = WordSearchConfig(rounds=(1, 2), kept_share=0.5)
    kept = {s.word for s in search(prior, photo, LETTERS[:10], config)[:5]}
    assert kept == set(sorted(one_round, key=one_round.__getitem__)[:5])


def test_the_search_may_be_left_at_any_time(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    before = [p.clone() for p in prior.unet.parameters()]
    items = score_words(prior, photo, LETTERS, torch.Generator(), ALL_PROBES)
    next(items)
    next(items)
    items.close()
    after = list(prior.unet.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert prior.token is None


def test_errors_outside_the_mask_hardly_count(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = AugmentationConfig(
        rotation_deg=0.0, scale_range=(1.0, 1.0), translation=0.0, blur_probability=0.0
    )
    noises: list[torch.Tensor] = []
    add = class_word.add_noise

    def remember(latents, noise, alphas_cumprod):
        noises.append(noise[0])
        return add(latents, noise, alphas_cumprod)

    def predict(noisy, timesteps, context, class_labels=None):
        wrong = noises[-1].expand_as(noisy).clone()
        wrong[..., 0, :] += 1.0  # the first row of eight is background
        return wrong

    monkeypatch.setattr(class_word, "add_noise", remember)
    monkeypatch.setattr(prior, "predict_noise", predict)
    found = []
    for weight in (0.0, 1.0):
        config = WordSearchConfig(
            rounds=(1,), background_weight=weight, augmentation=still
        )
        found.append(search(prior, photo, ["a"], config)[0].loss)
    assert found[0] < 0.02
    assert found[1] == pytest.approx(1 / 8, rel=1e-3)


def test_priors_with_view_classes_are_asked_without_a_view(
    class_prior: StableDiffusionPrior,
    photo: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = set()
    predict = class_prior.predict_noise

    def record(noisy, timesteps, context, class_labels=None):
        labels.update(class_labels.tolist())
        return predict(noisy, timesteps, context, class_labels)

    monkeypatch.setattr(class_prior, "predict_noise", record)
    search(class_prior, photo, ["a"])
    assert labels == {class_prior.view_class_label(None)}


def test_runs_on_the_device(device: torch.device, photo: torch.Tensor) -> None:
    from realfusion.priors.random_weights import TINY, random_prior

    scores = search(random_prior(TINY, device=device), photo, LETTERS[:5])
    assert len(scores) == 5


def test_noise_levels_of_any_first_probes_are_spread(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    config = WordSearchConfig()
    probes = class_word._make_probes(prior, photo, config, torch.Generator())
    timesteps = probes.timesteps.tolist()
    assert min(timesteps) >= 299
    assert max(timesteps) <= 800
    assert max(timesteps[:4]) - min(timesteps[:4]) > 250
    gaps = torch.tensor(sorted(timesteps)).diff()
    assert int(gaps.max()) < 60


def test_bad_inputs_are_refused(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="must be a word to choose from"):
        search(prior, photo, [])
    with pytest.raises(InputError, match="empty mask"):
        search(prior, torch.zeros(8, 8, 4), ["a"])
    monkeypatch.setattr(prior, "predict_noise", lambda noisy, *_: noisy * float("nan"))
    with pytest.raises(NonFiniteError, match="loss of 'b' must be finite, got nan"):
        search(prior, photo, ["b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": ()}, "`rounds` must be positive and rising"),
        ({"rounds": (0, 2)}, "`rounds` must be positive and rising"),
        ({"rounds": (2, 2)}, "`rounds` must be positive and rising"),
        ({"kept_share": 0.0}, "`kept_share` must lie within"),
        ({"batch_size": 0}, "`batch_size` must be positive, got 0"),
    ],
)
def test_settings_that_compare_nothing_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        WordSearchConfig(**options)


def test_clip_ranks_by_cosine(
    tmp_path: Path, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_random_clip(tmp_path)
    encoder = load_clip(tmp_path)
    words = ["cat", "apple", "chair", "cat"]
    scores = clip_words(encoder, photo, words, torch.Generator().manual_seed(0))
    assert sorted(losses(scores)) == ["apple", "cat", "chair"]
    assert [s.loss for s in scores] == sorted(s.loss for s in scores)
    assert all(0.0 <= score.loss <= 2.0 for score in scores)
    again = clip_words(encoder, photo, words[::-1], torch.Generator().manual_seed(0))
    assert losses(again) == pytest.approx(losses(scores), abs=1e-6)

    wanted = encoder.text_features(["a photo of a chair"])
    monkeypatch.setattr(
        encoder, "image_features", lambda images: wanted.expand(len(images), -1)
    )
    best = clip_words(encoder, photo, words, torch.Generator())[0]
    assert best.word == "chair"
    assert best.loss == pytest.approx(0.0, abs=1e-5)
    with pytest.raises(InputError, match="empty mask"):
        clip_words(encoder, torch.zeros(8, 8, 4), words, torch.Generator())
