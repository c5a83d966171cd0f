from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors.azimuth_weights import perpendicular_strength
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import perpendicularly_guided
from realfusion.priors.learned_embeds import LearnedToken
from realfusion.priors.stable_diffusion import StableDiffusionPrior

WORDS = Prompt(subject="a duck")
TOKEN = LearnedToken("<e>", torch.linspace(-1.0, 1.0, 48).reshape(3, 16))


def state(prior: StableDiffusionPrior, text: str) -> torch.Tensor:
    return prior.text.encode([text])[0]


def test_text_states_are_blended_by_azimuth(prior: StableDiffusionPrior) -> None:
    prompt = dataclasses.replace(WORDS, interpolate_views=True)
    cameras = [Camera(azimuth_deg=0.0), Camera(azimuth_deg=120.0)]
    context = prior.condition(prompt, cameras).context
    side, back = state(prior, "a duck, side view"), state(prior, "a duck, back view")
    torch.testing.assert_close(context[0], state(prior, "a duck, front view"))
    torch.testing.assert_close(context[1], torch.lerp(side, back, 1 / 3))


def test_view_classes_stay_those_of_the_nearest_bin(
    class_prior: StableDiffusionPrior,
) -> None:
    prompt = dataclasses.replace(WORDS, interpolate_views=True)
    cameras = [Camera(azimuth_deg=azimuth) for azimuth in (10.0, 30.0, 60.0)]
    conditioning = class_prior.condition(prompt, cameras)
    assert conditioning.class_labels is not None
    assert conditioning.class_labels.tolist() == [0, 3, 3]
    front = state(class_prior, "a duck, front right view")
    side = state(class_prior, "a duck, right side view")
    torch.testing.assert_close(conditioning.context[2], torch.lerp(front, side, 1 / 3))


def test_the_token_gives_way_to_its_class_word_behind(
    prior: StableDiffusionPrior,
) -> None:
    prior.set_token(TOKEN)
    prompt = Prompt(subject="a <e>", token_blending=0.6, class_word="duck")
    cameras = [Camera(azimuth_deg=azimuth) for azimuth in (0.0, 90.0, 180.0)]
    context = prior.condition(prompt, cameras).context
    for row, (view, share) in enumerate((("front", 0.0), ("side", 0.3), ("back", 0.6))):
        token = state(prior, f"a <e>, {view} view")
        word = state(prior, f"a duck, {view} view")
        torch.testing.assert_close(context[row], torch.lerp(token, word, share))


def test_options_that_are_off_change_no_bit(class_prior: StableDiffusionPrior) -> None:
    cameras = [Camera(azimuth_deg=azimuth) for azimuth in (0.0, 100.0)]
    conditioning = class_prior.condition(WORDS, cameras)
    texts = ["a duck, front view", "a duck, right side view"]
    assert torch.equal(conditioning.context, class_prior.text.encode(texts))
    assert conditioning.perpendicular_weight == 1.0


@pytest.mark.parametrize("negative", ["", "a b c"])
def test_negative_prompt_of_own_vocabulary_holds_other_views(
    class_prior: StableDiffusionPrior, negative: str
) -> None:
    prompt = dataclasses.replace(WORDS, negative=negative, negative_view_words=True)
    conditioning = class_prior.condition(prompt, [Camera(azimuth_deg=180.0)])
    named = "front view, front right view, right side view, left side view, "
    text = f"{negative}, {named}front left view".removeprefix(", ")
    torch.testing.assert_close(
        conditioning.negative_context[0], state(class_prior, text)
    )
    assert conditioning.negative_class_labels is not None
    assert conditioning.negative_class_labels.tolist() == [24]


def test_each_view_is_pushed_by_its_own_perpendicular_weight(
    prior: StableDiffusionPrior, generator: torch.Generator
) -> None:
    prompt = dataclasses.replace(
        WORDS,
        negative_guidance="perpendicular",
        perpendicular_weight=0.5,
        perpendicular_weighting="by_azimuth",
    )
    angles = (0.0, 60.0, 150.0)
    conditioning = prior.condition(
        prompt, [Camera(azimuth_deg=each) for each in angles]
    )
    weights = torch.tensor([0.5 * perpendicular_strength(each) for each in angles])
    torch.testing.assert_close(conditioning.perpendicular_weight, weights)
    noisy = torch.randn(3, 4, 8, 8, generator=generator)
    steps = torch.tensor([30, 500, 950])
    got = prior.guided_noise(noisy, steps, conditioning, guidance_scale=5.0)
    neutral = conditioning.unconditional_context
    assert neutral is not None
    with torch.no_grad():
        sides = [
            prior.predict_noise(noisy, steps, context)
            for context in (
                neutral,
                conditioning.negative_context,
                conditioning.context,
            )
        ]
    expected = perpendicularly_guided(*sides, 5.0, weights)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_blend_needs_the_token_too(prior: StableDiffusionPrior) -> None:
    with pytest.raises(InputError, match="no token has been learnt"):
        prior.condition(Prompt(token_blending=1.0), [Camera(azimuth_deg=90.0)])
