from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError, NonFiniteError
from realfusion.priors import textual_inversion
from realfusion.priors.config import (
    DEFAULT_INVERSION,
    FAST_INVERSION,
    PAPER_INVERSION,
    AugmentationConfig,
    Prompt,
    TextualInversionConfig,
)
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.random_weights import TINY, random_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.textual_inversion import (
    InversionProgress,
    invert,
    num_inversion_steps,
)

QUICK = TextualInversionConfig(
    steps=12,
    refinement_steps=12,
    learning_rate=1.0,
    batch_size=2,
    pool_size=8,
    heldout_size=8,
    evaluate_every=4,
    num_vectors=2,
    init_word="ab",
)


def run(
    prior: StableDiffusionPrior,
    photo: torch.Tensor,
    config: TextualInversionConfig,
    seed: int = 0,
) -> list[InversionProgress]:
    return list(invert(prior, photo, config, torch.Generator().manual_seed(seed)))


ENCODED = torch.linspace(-0.5, 0.5, 48).cos().reshape(3, 16)


class ConstantEncoder(nn.Module):
    """An image encoder that reads the same three vectors off every image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1] == 4
        return ENCODED.expand(images.shape[0], -1, -1)


def test_heldout_loss_falls_and_the_best_token_is_kept(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    items = run(prior, photo, QUICK)
    losses = [item.heldout_loss for item in items if item.heldout_loss is not None]
    assert len(losses) == 4
    assert min(losses) < losses[0] - 1e-4
    assert items[-1].token.vectors.shape == (2, 16)
    assert all(item.token is None for item in items[:-1])
    assert [item.step for item in items] == [*range(13), 12]


def test_nothing_of_the_prior_changes(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    modules = (prior.unet, prior.vae, prior.text.text_encoder)
    before = [p.clone() for module in modules for p in module.parameters()]
    run(prior, photo, dataclasses.replace(QUICK, steps=3))
    after = [p for module in modules for p in module.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)
    assert prior.token is None


def test_same_seed_same_token(prior: StableDiffusionPrior, photo: torch.Tensor) -> None:
    config = dataclasses.replace(QUICK, steps=6, evaluate_every=2)
    tokens = [run(prior, photo, config, seed)[-1].token for seed in (1, 1, 2)]
    assert torch.equal(tokens[0].vectors, tokens[1].vectors)
    assert not torch.equal(tokens[0].vectors, tokens[2].vectors)


def test_stops_early_with_the_best_token(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the best look come as many as the patience; the best vectors are kept."""
    seen = []
    losses = [1.0, 0.9, 0.8, 0.85, 0.81, 0.9, 0.1]

    def scripted(_inversion: object, vectors: torch.Tensor) -> float:
        seen.append(vectors.detach().clone())
        return losses[len(seen) - 1]

    monkeypatch.setattr(textual_inversion._Inversion, "_heldout_loss", scripted)
    config = dataclasses.replace(QUICK, steps=40, evaluate_every=1, patience=3)
    token = run(prior, photo, config)[-1].token
    assert len(seen) == 6
    assert torch.equal(token.vectors, seen[2])


def test_the_start_is_kept_when_nothing_improves(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        textual_inversion._Inversion, "_heldout_loss", lambda _self, _vectors: 1.0
    )
    config = dataclasses.replace(QUICK, steps=4, evaluate_every=1)
    token = run(prior, photo, config)[-1].token
    assert torch.equal(token.vectors, prior.text.word_vectors("ab", 2))


def test_image_encoder_gives_the_start(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    prior.image_encoder = ConstantEncoder()
    config = dataclasses.replace(QUICK, refinement_steps=0)
    token = run(prior, photo, config)[-1].token
    assert torch.equal(token.vectors, ENCODED)
    refined = run(prior, photo, QUICK)[-1].token
    assert refined.vectors.shape == (3, 16)
    assert not torch.equal(refined.vectors, token.vectors)
    words = dataclasses.replace(config, use_image_encoder=False, steps=0)
    assert run(prior, photo, words)[-1].token.num_vectors == 2
    planned = [num_inversion_steps(prior, each) for each in (QUICK, config, words)]
    assert planned == [QUICK.refinement_steps, 0, 0]


def test_anchor_keeps_the_token_near_its_start(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    prior.image_encoder = ConstantEncoder()
    distances = []
    for weight in (0.0, 100.0):
        config = dataclasses.replace(
            QUICK, anchor_weight=weight, refinement_learning_rate=0.3
        )
        vectors = run(prior, photo, config)[-1].token.vectors
        distances.append(float((vectors - ENCODED).norm()))
    assert distances[1] < 0.5 * distances[0]


def test_class_prior_is_told_the_view_of_the_photo(
    class_prior: StableDiffusionPrior,
    photo: torch.Tensor,
    generator: torch.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = set()
    predict = class_prior.predict_noise

    def record(noisy, timesteps, context, class_labels=None):
        labels.update(class_labels.tolist())
        return predict(noisy, timesteps, context, class_labels)

    monkeypatch.setattr(class_prior, "predict_noise", record)
    config = dataclasses.replace(QUICK, steps=1)
    list(invert(class_prior, photo, config, generator))
    assert labels == {0}
    labels.clear()
    camera = Camera(elevation_deg=40.0)
    list(invert(class_prior, photo, config, generator, camera=camera))
    assert labels == {1}


def test_prompt_names_the_view_only_when_asked(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = set()
    encode = prior.text.encode_with_vectors

    def record(prompts, vectors):
        texts.update(prompts)
        return encode(prompts, vectors)

    monkeypatch.setattr(prior.text, "encode_with_vectors", record)
    run(prior, photo, dataclasses.replace(QUICK, steps=1))
    assert texts == {"an image of a <e>, front view"}
    texts.clear()
    run(prior, photo, dataclasses.replace(QUICK, steps=1, describe_view=False))
    assert texts == {"an image of a <e>"}


def test_half_precision_denoiser_still_learns(photo: torch.Tensor) -> None:
    prior = random_prior(TINY, dtype="float16")
    items = run(prior, photo, dataclasses.replace(QUICK, steps=12, evaluate_every=4))
    losses = [item.heldout_loss for item in items if item.heldout_loss is not None]
    assert min(losses) < losses[0]


def test_inversion_runs_on_the_device(
    device: torch.device, photo: torch.Tensor
) -> None:
    prior = random_prior(TINY, device=device)
    token = run(prior, photo, dataclasses.replace(QUICK, steps=2))[-1].token
    assert token.vectors.device.type == "cpu"
    prior.set_token(token)
    states = prior.condition(Prompt(), [Camera()]).context
    assert states.device.type == device.type


def test_masked_loss_ignores_the_background(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    """With weight 0 outside, the background's noise does not enter the loss."""
    losses = []
    for white in (1.0, 0.0):
        augmentation = AugmentationConfig(white_background_probability=white)
        config = dataclasses.replace(
            QUICK, steps=1, background_weight=0.0, augmentation=augmentation
        )
        losses.append(run(prior, photo, config)[0].heldout_loss)
    config = dataclasses.replace(QUICK, steps=1, background_weight=1.0)
    everywhere = run(prior, photo, config)[0].heldout_loss
    assert abs(losses[0] - losses[1]) < abs(losses[0] - everywhere)


def test_non_finite_loss_names_the_step(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    predict = prior.predict_noise

    def poisoned(*args: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        noise = predict(*args)
        return noise * float("nan") if len(calls) > 3 else noise

    monkeypatch.setattr(prior, "predict_noise", poisoned)
    with pytest.raises(NonFiniteError, match="got nan at step 3"):
        run(prior, photo, QUICK)


def make_inversion(
    prior: StableDiffusionPrior, photo: torch.Tensor, **options: int
) -> textual_inversion._Inversion:
    config = dataclasses.replace(QUICK, **options)
    generator = torch.Generator().manual_seed(0)
    return textual_inversion._Inversion(prior, photo, config, generator, None, None)


def test_the_oldest_of_the_pool_are_replaced_at_each_look(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    inversion = make_inversion(prior, photo, pool_size=5, refresh_size=2)
    kept = inversion.pool.latents.clone()
    replaced = []
    for progress in inversion.run():
        if progress.heldout_loss is not None and progress.step > 0:
            changed = (inversion.pool.latents != kept).flatten(1).any(dim=1)
            replaced.append(changed.nonzero().flatten().tolist())
            kept = inversion.pool.latents.clone()
    assert replaced == [[0, 1], [2, 3], [0, 4]]


def test_a_pool_may_stand_still(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    inversion = make_inversion(prior, photo, refresh_size=0)
    before = inversion.pool.latents.clone()
    assert len(list(inversion.run())) == 14
    assert torch.equal(inversion.pool.latents, before)


def test_losses_are_read_late_where_the_device_runs_ahead(
    prior: StableDiffusionPrior, photo: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(make_inversion(prior, photo).run())
    late = make_inversion(prior, photo)
    late.reads_at_once = False
    items = list(late.run())
    read = [item.step for item in items if item.loss is not None]
    assert read == [4, 8, 12]
    for item, other in zip(items, expected, strict=True):
        assert item.loss in (None, other.loss)
    assert torch.equal(items[-1].token.vectors, expected[-1].token.vectors)

    predict, calls = prior.predict_noise, []

    def poisoned(*args: torch.Tensor) -> torch.Tensor:
        calls.append(None)
        return predict(*args) * (float("nan") if len(calls) > 3 else 1.0)

    late = make_inversion(prior, photo)
    late.reads_at_once = False
    monkeypatch.setattr(prior, "predict_noise", poisoned)
    with pytest.raises(NonFiniteError, match="got nan at step 3"):
        list(late.run())


def test_bad_inputs_are_refused(
    prior: StableDiffusionPrior, photo: torch.Tensor, generator: torch.Generator
) -> None:
    with pytest.raises(InputError, match="empty mask"):
        next(invert(prior, torch.zeros(8, 8, 4), QUICK, generator))
    words = Prompt(subject="a duck")
    with pytest.raises(InputError, match="must hold <e> for textual inversion"):
        next(invert(prior, photo, QUICK, generator, prompt=words))


def test_presets_are_what_they_say() -> None:
    assert (PAPER_INVERSION.steps, PAPER_INVERSION.num_vectors) == (3000, 1)
    assert PAPER_INVERSION.augmentation.flip_probability == 0.5
    assert not PAPER_INVERSION.describe_view
    assert FAST_INVERSION.refinement_steps == DEFAULT_INVERSION.refinement_steps == 0
    with pytest.raises(ValueError, match="`batch_size` must be positive, got 0"):
        TextualInversionConfig(batch_size=0)
    with pytest.raises(ValueError, match="`learning_rate` must be positive"):
        TextualInversionConfig(learning_rate=0.0)


def test_learned_token_serves_the_prior(
    prior: StableDiffusionPrior, photo: torch.Tensor
) -> None:
    token = run(prior, photo, dataclasses.replace(QUICK, steps=1))[-1].token
    assert isinstance(token, LearnedToken)
    prior.set_token(token)
    assert prior.condition(Prompt(), [Camera()]).context.shape == (1, 77, 16)
