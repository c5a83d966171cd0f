"""Number by number against diffusers' own pipeline, in float32.

On small models, and with text encoders of the full width of Stable Diffusion 1.5 and
2.1. `tools/check_full_size.py` does the same with a denoiser of full size.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import add_noise
from realfusion.priors.learned_embeds import (
    LearnedToken,
    load_learned_token,
    save_learned_token,
)
from realfusion.priors.random_weights import TINY, ModelShape, random_prior
from realfusion.priors.sampling import sample_views
from realfusion.priors.stable_diffusion import StableDiffusionPrior

SHARED = Path(
    os.environ.get("REALFUSION_SHARED", Path(__file__).resolve().parents[3] / "shared")
)
V_PREDICTION = dataclasses.replace(TINY, prediction_type="v_prediction")
SD15_TEXT = dataclasses.replace(TINY, text_width=768, text_layers=2, text_heads=12)
SD21_TEXT = dataclasses.replace(
    V_PREDICTION, text_width=1024, text_layers=2, text_heads=16
)
SHAPES = {
    "epsilon": TINY,
    "v_prediction": V_PREDICTION,
    "sd15_text": SD15_TEXT,
    "sd21_text": SD21_TEXT,
}
TEXT = "an image of a <e>, side view"
SIZE = 32


@pytest.fixture(params=SHAPES.values(), ids=SHAPES.keys())
def shaped(request: pytest.FixtureRequest) -> StableDiffusionPrior:
    return random_prior(request.param, dtype="float32")


def pipeline_of(prior: StableDiffusionPrior) -> Any:
    """The pipeline of diffusers around the very same networks."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline(
        vae=prior.vae,
        text_encoder=prior.text.text_encoder,
        tokenizer=prior.text.tokenizer,
        unet=prior.unet,
        scheduler=DDIMScheduler.from_config(
            dict(prior.scheduler.config),
            clip_sample=False,
            set_alpha_to_one=True,
            steps_offset=1,
            timestep_spacing="trailing",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_token(shape: ModelShape, num_vectors: int) -> LearnedToken:
    generator = torch.Generator().manual_seed(num_vectors)
    vectors = torch.randn(num_vectors, shape.text_width, generator=generator)
    return LearnedToken("<e>", 0.1 * vectors)


def load_into(pipe: Any, token: LearnedToken, folder: Path) -> None:
    """What a user of diffusers does with our file."""
    path = folder / "learned_embeds.safetensors"
    save_learned_token(path, token)
    pipe.load_textual_inversion(str(path))


@pytest.mark.parametrize("num_vectors", [1, 4])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_prompt_embeddings(shape: ModelShape, num_vectors: int, tmp_path: Path) -> None:
    prior = random_prior(shape, dtype="float32")
    prior.set_token(make_token(shape, num_vectors))
    ours = prior.text.encode([TEXT, "a duck", ""])
    pipe = pipeline_of(prior)
    load_into(pipe, make_token(shape, num_vectors), tmp_path)
    with torch.no_grad():
        theirs = [
            pipe.encode_prompt(text, "cpu", 1, False)[0][0]
            for text in (TEXT, "a duck", "")
        ]
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=1e-5, atol=1e-5)


def test_latents_and_images(shaped: StableDiffusionPrior) -> None:
    """Encoding as image-to-image has it (the mean in place of a sample), decoding."""
    pipe = pipeline_of(shaped)
    images = torch.rand(2, 3, SIZE, SIZE)
    pixels = pipe.image_processor.preprocess(images)
    with torch.no_grad():
        theirs = pipe.vae.encode(pixels).latent_dist.mode()
    theirs = theirs * pipe.vae.config.scaling_factor
    ours = shaped.encode(images)
    torch.testing.assert_close(ours, theirs)
    with torch.no_grad():
        decoded = pipe.vae.decode(theirs / pipe.vae.config.scaling_factor)[0]
    torch.testing.assert_close(
        shaped.decode(ours), pipe.image_processor.postprocess(decoded, "pt")
    )


@pytest.mark.parametrize("timestep", [1, 20, 500, 980])
def test_guided_noise(shaped: StableDiffusionPrior, timestep: int) -> None:
    """Both halves as the pipeline combines them; ε of v as the scheduler derives it."""
    scale, generator = 7.5, torch.Generator().manual_seed(timestep)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=generator)
    steps = torch.tensor([timestep])
    pipe = pipeline_of(shaped)
    noisy = pipe.scheduler.add_noise(clean, noise, steps)
    torch.testing.assert_close(
        add_noise(clean, noise, shaped.alphas_cumprod[steps]), noisy
    )
    with torch.no_grad():
        positive, negative = pipe.encode_prompt("a duck", "cpu", 1, True, "a cat")
        halves = pipe.unet(
            torch.cat([noisy] * 2),
            steps,
            encoder_hidden_states=torch.cat([negative, positive]),
        ).sample
    without, with_text = halves.chunk(2)
    expected = without + scale * (with_text - without)
    if shaped.scheduler.config.prediction_type == "v_prediction":
        alpha = pipe.scheduler.alphas_cumprod[timestep]
        expected = alpha.sqrt() * expected + (1 - alpha).sqrt() * noisy
    prompt = Prompt(subject="a duck", negative="a cat", view_words=False)
    ours = shaped.guided_noise(
        noisy, steps, shaped.condition(prompt, [Camera()]), guidance_scale=scale
    )
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_whole_sampling_run_with_our_token_loaded_into_the_pipeline(
    shaped: StableDiffusionPrior, tmp_path: Path
) -> None:
    """Ten steps of DDIM with guidance, image for image."""
    token = make_token(
        dataclasses.replace(TINY, text_width=shaped.text.width), num_vectors=3
    )
    shaped.set_token(token)
    prompt = Prompt(subject="an image of a <e>", negative="a cat", view_words=False)
    ours = sample_views(
        shaped,
        prompt,
        [Camera()],
        generator=torch.Generator().manual_seed(5),
        num_steps=10,
        guidance_scale=4.0,
    )
    pipe = pipeline_of(shaped)
    load_into(pipe, token, tmp_path)
    theirs = pipe(
        "an image of a <e>",
        negative_prompt="a cat",
        height=SIZE,
        width=SIZE,
        num_inference_steps=10,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).images
    assert float(ours.std()) > 0.01
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_tokens_of_the_release_change_exactly_their_own_positions() -> None:
    paths = sorted((SHARED / "examples").glob("*_learned_embeds.bin"))
    if not paths:
        pytest.skip("the release's embeddings are not at hand")
    prior = random_prior(SD15_TEXT, dtype="float32")
    embedding = prior.text.text_encoder.get_input_embeddings()
    seen: list[torch.Tensor] = []
    prior.text.text_encoder.encoder.register_forward_pre_hook(
        lambda _module, _inputs, options: seen.append(options["inputs_embeds"]),
        with_kwargs=True,
    )
    table = embedding.weight.clone()
    prior.text.encode(["an image of a cat"])
    for path in paths:
        token = load_learned_token(path, width=768)
        prior.set_token(token)
        prior.text.encode([f"an image of a {token.placeholder}"])
        # "an image of a": one id a letter in this vocabulary, after the start mark.
        place = 1 + len("animageofa")
        positions = prior.text.text_encoder.embeddings.position_embedding.weight
        torch.testing.assert_close(
            seen[-1][0, place] - positions[place], token.vectors[0]
        )
        assert torch.equal(seen[-1][0, :place], seen[0][0, :place])
        prior.text.encode(["an image of a cat"])
        assert torch.equal(seen[-1], seen[0])
        assert torch.equal(embedding.weight, table)
