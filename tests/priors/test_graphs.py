"""`--prior-cuda-graphs`: a replayed prior judges as the eager one does."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.arrangement import warm_up
from realfusion.priors.config import Prompt
from realfusion.priors.graphs import graphing_mode, use_graphs
from realfusion.priors.memory import BALANCED, LOW, OFFLOADED, MemoryPlan
from realfusion.priors.random_weights import TINY, random_prior
from realfusion.priors.score_distillation import (
    ScoreDistillation,
    score_distillation_loss,
)
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.training.config import OptimizerConfig
from realfusion.training.fit import fit
from realfusion.training.presets import SMOKE
from realfusion.training.state import TrainState
from realfusion.training.step import Task

WORDS = Prompt(subject="a duck")
PERPENDICULAR = dataclasses.replace(WORDS, negative_guidance="perpendicular")
CAMERAS = [Camera(), Camera(azimuth_deg=90.0)]


def judge(
    prior: StableDiffusionPrior, seed: int, prompt: Prompt = WORDS, **options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Latents and residual of two views, and the gradient in their pixels."""
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 20, 20, generator=random).to(prior.device)
    images.requires_grad_(True)
    latents = prior.encode(images)
    settings = {"guidance_scale": 7.5} | options
    judged = prior.noise_residual(
        latents,
        prior.condition(prompt, CAMERAS),
        timesteps=torch.randint(0, 1000, (2,), generator=random),
        generator=random,
        **settings,
    )
    score_distillation_loss(latents, judged.residual).backward()
    return latents.detach(), judged.residual, images.grad


@pytest.mark.parametrize("name", ["prior", "class_prior"])
@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        (WORDS, {}),
        (WORDS, {"guidance_scale": 1.0}),
        (WORDS, {"mode": "csd"}),
        (PERPENDICULAR, {"guidance_rescale": 0.5}),
    ],
    ids=["guided", "unguided", "csd", "perpendicular"],
)
def test_replayed_networks_give_the_same_bits(
    name: str,
    prompt: Prompt,
    options: dict[str, Any],
    recorder: Any,
    request: pytest.FixtureRequest,
) -> None:
    prior = request.getfixturevalue(name)
    expected = [judge(prior, seed, prompt, **options) for seed in range(3)]
    assert use_graphs(prior, recorder) == []
    for seed, each in enumerate(expected):
        assert all(map(torch.equal, judge(prior, seed, prompt, **options), each))
    assert recorder.replays == [3, 3, 3], "encoder, its gradient, denoiser"


def test_mixed_precision_is_replayed_as_it_is(recorder: Any) -> None:
    prior = random_prior(TINY, dtype="bfloat16")
    expected = judge(prior, 0)
    use_graphs(prior, recorder)
    assert all(map(torch.equal, judge(prior, 0), expected))


def test_a_run_goes_the_same_way(prior: StableDiffusionPrior, recorder: Any) -> None:
    """Whole steps, with a dynamic loss scale, after the warm-up."""
    config = dataclasses.replace(
        SMOKE,
        iterations=4,
        prior_views=2,
        prior_view_size=16,
        optimizer=OptimizerConfig(loss_scaling="dynamic"),
    )
    settings, curves = config.score_distillation, []
    task = Task(None, ScoreDistillation(prior, WORDS, settings))
    for is_graphed in (False, True):
        if is_graphed:
            use_graphs(prior, recorder)
            warm_up(prior, WORDS, 2, settings)
        state = TrainState(config, seed=0)
        curves.append([each.terms["loss"] for each in fit(state, task, config)])
    # The warm-up's pixels lie otherwise in memory: convolutions round otherwise.
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)
    assert recorder.replays == [5, 5, 5], "the warm-up had the shapes of the run"


def test_what_is_learnt_later_still_has_its_gradient(
    prior: StableDiffusionPrior, recorder: Any
) -> None:
    use_graphs(prior, recorder)
    context = torch.rand(1, 77, TINY.text_width, requires_grad=True)
    noisy = torch.rand(1, 4, 8, 8)
    prior.predict_noise(noisy, torch.tensor([5]), context).sum().backward()
    assert context.grad.abs().sum() > 0.0
    assert recorder.recordings == []


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (LOW, "one view and one side of guidance at a time"),
        (OFFLOADED, "weights with the host"),
    ],
)
def test_a_plan_that_moves_or_cuts_has_no_graphs(
    plan: MemoryPlan, reason: str, recorder: Any
) -> None:
    prior = random_prior(TINY, dtype="float32", memory=plan)
    (line,) = use_graphs(prior, recorder)
    assert line.startswith("the prior runs without CUDA graphs: --memory")
    assert reason in line
    assert prior.graphs is None
    judge(prior, 0)


def test_a_recomputed_encoder_stays_as_it_is(recorder: Any) -> None:
    prior = random_prior(TINY, dtype="float32", memory=BALANCED)
    expected = judge(prior, 0)
    (line,) = use_graphs(prior, recorder)
    assert line.startswith("the prior's autoencoder runs without CUDA graphs")
    assert all(map(torch.equal, judge(prior, 0), expected))
    assert recorder.replays == [1], "the denoiser"


def test_without_a_cuda_device_one_line_says_so(prior: StableDiffusionPrior) -> None:
    (line,) = use_graphs(prior)
    assert "need a CUDA device" in line
    assert prior.graphs is None


def test_graphs_of_torch_compile_are_enough(
    prior: StableDiffusionPrior, recorder: Any
) -> None:
    assert graphing_mode(prior) is None, "not on a CPU"
    prior._device = torch.device("cuda")
    assert graphing_mode(prior) == "reduce-overhead"
    prior.max_batch = 1
    assert graphing_mode(prior) is None
    prior.memory, prior.max_batch = BALANCED, None
    assert graphing_mode(prior) is None
    prior.compile_mode = "reduce-overhead"
    assert use_graphs(prior, recorder) == [
        "the prior's CUDA graphs are torch.compile's own"
    ]
    assert prior.graphs is None


def test_graphs_do_not_keep_the_prior_in_memory(recorder: Any) -> None:
    prior = random_prior(TINY, dtype="float32")
    use_graphs(prior, recorder)
    gc.collect()
    alive = weakref.ref(prior)
    del prior
    assert alive() is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestOnCuda:
    """What only a device can show; the suite of `benchmarks/gpu.py` runs it."""

    @pytest.mark.parametrize("dtype", ["float32", "auto"])
    @pytest.mark.parametrize("prompt", [WORDS, PERPENDICULAR], ids=["two", "three"])
    def test_graphs_judge_as_eager_calls_do(self, dtype: str, prompt: Prompt) -> None:
        prior = random_prior(TINY, device="cuda", dtype=dtype)
        expected = [judge(prior, seed, prompt) for seed in range(4)]
        assert use_graphs(prior) == []
        # Another algorithm of a convolution may be chosen in a capture.
        close = {"rtol": 1e-3, "atol": 1e-5} if dtype == "float32" else {
            "rtol": 5e-2, "atol": 5e-3,
        }  # fmt: skip
        for seed, each in enumerate(expected):
            for ours, theirs in zip(judge(prior, seed, prompt), each, strict=True):
                torch.testing.assert_close(ours, theirs, **close)

    @pytest.mark.filterwarnings("ignore:Synchronization debug mode")
    def test_a_replayed_judgement_waits_for_nothing(self) -> None:
        prior = random_prior(TINY, device="cuda")
        use_graphs(prior)
        judge(prior, 0)
        torch.cuda.set_sync_debug_mode("error")
        try:
            images = torch.rand(2, 3, 32, 32, device="cuda", requires_grad=True)
            latents = prior.encode(images)
            judged = prior.noise_residual(
                latents,
                prior.condition(WORDS, CAMERAS),
                timesteps=torch.tensor([30, 500]),
                guidance_scale=7.5,
                generator=torch.Generator(),
            )
            score_distillation_loss(latents, judged.residual).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert images.grad.isfinite().all()

    def test_judgements_do_not_need_more_memory_each_time(self) -> None:
        prior = random_prior(TINY, device="cuda")
        use_graphs(prior)
        for seed in range(3):
            judge(prior, seed)
        before = torch.cuda.memory_reserved()
        for seed in range(8):
            judge(prior, seed)
        assert torch.cuda.memory_reserved() == before
