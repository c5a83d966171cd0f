"""`--memory`: what is spared changes the results by rounding alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.arrangement import compile_networks, warm_up
from realfusion.priors.config import Prompt, ScoreDistillationConfig
from realfusion.priors.memory import (
    BALANCED,
    GIB,
    HIGH,
    LOW,
    OFFLOADED,
    MemoryPlan,
    choose_memory_plan,
    free_memory,
    next_remedy,
)
from realfusion.priors.memory_estimate import describe_memory, estimate_memory
from realfusion.priors.random_weights import TINY, ModelShape, random_prior
from realfusion.priors.stable_diffusion import StableDiffusionPrior

WORDS = Prompt(subject="a duck")
CAMERAS = [Camera(), Camera(azimuth_deg=90.0)]
LARGER = dataclasses.replace(
    TINY,
    latent_size=16,
    unet_channels=(16, 32),
    vae_channels=(8, 16, 16),
    num_class_embeds=25,
)


def judge(prior: StableDiffusionPrior) -> tuple[torch.Tensor, torch.Tensor]:
    """Residual of two views, and the gradient of their latents in the images."""
    size = prior.image_size
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    images.requires_grad_(True)
    latents = prior.encode(images)
    judged = prior.noise_residual(
        latents,
        prior.condition(WORDS, CAMERAS),
        timesteps=torch.tensor([100, 700]),
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(1),
    )
    (latents * judged.residual).sum().backward()
    return judged.residual, images.grad


@pytest.mark.parametrize("plan", [BALANCED, LOW, OFFLOADED], ids=lambda plan: plan.name)
def test_saving_memory_changes_nothing(plan: MemoryPlan) -> None:
    spared = random_prior(TINY, dtype="float32", memory=plan)
    spared.release_text_encoder()
    free = random_prior(TINY, dtype="float32")
    for ours, theirs in zip(judge(spared), judge(free), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_low_memory_sends_one_latent_at_a_time() -> None:
    prior = random_prior(TINY, dtype="float32", memory=LOW)
    unet_batches, vae_batches = [], []
    prior.unet.register_forward_pre_hook(
        lambda _module, inputs: unet_batches.append(len(inputs[0]))
    )
    prior.vae.encoder.register_forward_pre_hook(
        lambda _module, inputs: vae_batches.append(len(inputs[0]))
    )
    judge(prior)
    assert unet_batches == [1, 1, 1, 1]
    assert vae_batches == [1, 1]


def test_offloaded_weights_are_not_kept_on_the_device() -> None:
    prior = random_prior(TINY, dtype="float32", memory=OFFLOADED)
    judge(prior)
    assert all(each.is_meta for each in prior.unet.parameters())
    assert prior.device.type == "cpu"


def test_released_text_encoder_still_answers(device: torch.device) -> None:
    prior = random_prior(TINY, device=device, memory=BALANCED)
    before = prior.condition(WORDS, CAMERAS).context
    prior.release_text_encoder()
    assert prior.text.device.type == "cpu"
    unseen = prior.condition(Prompt(subject="a cat"), CAMERAS).context
    assert unseen.device.type == device.type
    torch.testing.assert_close(prior.condition(WORDS, CAMERAS).context, before)
    kept = random_prior(TINY, device=device)
    kept.release_text_encoder()
    assert kept.text.device.type == device.type


@pytest.mark.parametrize(
    ("mode", "free", "plan"),
    [
        ("auto", None, HIGH),
        ("auto", 40 * GIB, HIGH),
        ("auto", 16 * GIB, BALANCED),
        ("auto", 8 * GIB, LOW),
        ("auto", 4 * GIB, OFFLOADED),
        ("low", None, LOW),
        ("low", 80 * GIB, LOW),
        ("low", 4 * GIB, OFFLOADED),
        ("high", 1 * GIB, HIGH),
    ],
)
def test_plan_follows_the_mode_and_the_free_memory(
    mode: str, free: int | None, plan: MemoryPlan
) -> None:
    assert choose_memory_plan(mode, free) == plan


def test_a_cpu_is_not_scarce() -> None:
    assert free_memory(torch.device("cpu")) is None


def test_remedies_come_one_after_the_other() -> None:
    assert next_remedy("auto", "own", 4, 96) == "--memory low"
    assert next_remedy("low", "own", 4, 96) == "--views-per-step 1"
    assert next_remedy("low", "own", 1, 96) == "--vae tiny"
    assert next_remedy("low", "tiny", 1, 96).endswith("prior-view-size 64")
    assert next_remedy("low", "tiny", 1, 64).endswith("--device cpu")


def saved_bytes(prior: StableDiffusionPrior) -> int:
    """What autograd really keeps of one encoding, each storage once."""
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    size = prior.image_size
    images = torch.rand(1, 3, size, size, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        prior.encode(images)
    weights = {p.untyped_storage().data_ptr() for p in prior.vae.parameters()}
    return sum(size for key, size in storages.items() if key not in weights)


@pytest.mark.parametrize("shape", [TINY, LARGER])
def test_estimate_is_near_what_autograd_keeps(shape: ModelShape) -> None:
    prior = random_prior(shape, dtype="float32")
    estimate, kept = estimate_memory(prior), saved_bytes(prior)
    assert kept < estimate.encoding < 2.0 * kept
    assert estimate.weights == sum(
        4 * each.numel()
        for module in (prior.unet, prior.vae, prior.text.text_encoder)
        for each in module.parameters()
    )


def test_each_plan_is_estimated_below_the_one_before() -> None:
    prior = random_prior(LARGER, dtype="float32")
    peaks = [
        estimate_memory(prior, num_views=4, plan=plan).peak
        for plan in (HIGH, BALANCED, LOW, OFFLOADED)
    ]
    assert peaks == sorted(set(peaks), reverse=True)
    assert "estimated from shapes, not measured" in describe_memory(prior, 4)


def test_perpendicular_guidance_takes_half_as_much_again() -> None:
    prior = random_prior(LARGER, dtype="float32")
    two, three = (
        estimate_memory(prior, num_views=4, num_sides=sides, plan=HIGH).denoising
        for sides in (2, 3)
    )
    assert 1.3 * two < three < 1.6 * two


# Dynamo itself looks at the gradient of an input that is no leaf.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_networks_give_the_same(prior: StableDiffusionPrior) -> None:
    expected = judge(prior)
    compile_networks(prior, backend="eager")
    warm_up(prior, WORDS, 2, ScoreDistillationConfig())
    for ours, theirs in zip(judge(prior), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
