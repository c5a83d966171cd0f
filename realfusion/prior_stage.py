"""The prior of a run: loaded as the memory allows, and taught this very object."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError
from realfusion.listener import RunInterruptedError, RunListener, stop_if_asked
from realfusion.priors.combination import WeightedPriors
from realfusion.priors.config import (
    DEFAULT_CLASS_WORD,
    PLACEHOLDER,
    Prompt,
    TextualInversionConfig,
)
from realfusion.priors.memory import choose_memory_plan, free_memory, next_remedy
from realfusion.priors.protocol import Prior
from realfusion.priors.registry import (
    DIFFUSION,
    PriorRequest,
    PriorSpec,
    parse_priors,
    prepare_other,
)
from realfusion.run_folder import OpenRun
from realfusion.run_metrics import read_metrics, update_metrics
from realfusion.training.out_of_memory import explained
from realfusion.training.photo import reference_camera
from realfusion.word_stage import class_word_of

if TYPE_CHECKING:
    from realfusion.priors.learned_embeds import LearnedToken
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

NUM_WARM_UPS = 3
"""Judgements before the first step: torch.compile with graphs compiles in the first,
records in the second and replays from the third on."""
TOKEN_SUFFIXES = (".safetensors", ".bin", ".pt")


@dataclass(frozen=True)
class PreparedPrior:
    """A prior that knows the object.

    Attributes:
        prior: None for a reconstruction by photo and regularisers alone.
        reason: Which prior and why, in one line.
    """

    prior: Prior | None
    reason: str


@dataclass(frozen=True)
class _Stage:
    """What the priors of a run are prepared with."""

    opened: OpenRun
    options: RunOptions
    rgba: Float[np.ndarray, "size size 4"] | None
    device: torch.device
    listener: RunListener


def prepare_prior(
    opened: OpenRun,
    options: RunOptions,
    rgba: Float[np.ndarray, "size size 4"] | None,
    device: torch.device,
    listener: RunListener,
) -> PreparedPrior:
    """Load the priors and teach them the object (RealFusion, Sec. 3.2).

    Learned tokens are kept as `token.safetensors` and reused.

    Args:
        opened: The run.
        options: What is spared of the memory.
        rgba: The framed picture; None for an object that is only described.
        device: Where to compute.
        listener: Told which prior and why; may stop the inversion.

    Returns:
        The prior with the token in force, or the weighted sum of several.
    """
    stage = _Stage(opened, options, rgba, device, listener)
    config, before = opened.config, read_metrics(opened.folder)
    specs = parse_priors(config.prior)
    listener.stage("prior")
    stop_if_asked(listener, "before the prior was loaded")
    started = time.perf_counter()
    priors: list[Prior] = []
    for index, spec in enumerate(specs):
        prepare = _prepare_diffusion if spec.kind == DIFFUSION else _prepare_other
        priors.append(prepare(stage, spec, index))
    combined = _combined(specs, priors)
    name, reason = "none", "no prior: asked for with --prior none"
    if combined is None:
        listener.note(reason)
    else:
        name = combined.name
        reason = "; ".join(each["reason"] for each in _chosen(stage))
    update_metrics(opened.folder, prior=name, prior_reason=reason)
    if "prior" not in before.get("seconds", {}):  # not the reloading of later starts
        update_metrics(opened.folder, seconds={"prior": time.perf_counter() - started})
    return PreparedPrior(combined, reason)


def _combined(specs: Sequence[PriorSpec], priors: Sequence[Prior]) -> Prior | None:
    """One prior for the training step."""
    if not priors:
        return None
    weights = tuple(spec.weight for spec in specs)
    return priors[0] if weights == (1.0,) else WeightedPriors(tuple(priors), weights)


def _chosen(stage: _Stage) -> list[dict[str, str]]:
    """Name and reason of the priors chosen so far, in the order of `--prior`."""
    return list(read_metrics(stage.opened.folder).get("priors", []))


def _remember(stage: _Stage, index: int, name: str, reason: str) -> None:
    """Tell the user, and later starts, which prior this is and why."""
    stage.listener.note(reason)
    chosen = _chosen(stage)
    chosen[index : index + 1] = [{"name": name, "reason": reason}]
    update_metrics(stage.opened.folder, priors=chosen)


def _prepare_diffusion(stage: _Stage, spec: PriorSpec, index: int) -> Prior:
    """A diffusion model that knows the object's token."""
    from realfusion.priors.memory_estimate import describe_memory
    from realfusion.priors.score_distillation import ScoreDistillation
    from realfusion.priors.selection import resolve_prior

    options, device, listener = stage.options, stage.device, stage.listener
    config = stage.opened.config
    remedy = memory_remedy(config, options)
    source, reason, chosen = spec.source, None, _chosen(stage)
    # A run that "auto" began with one prior must not go on with another.
    if source == "auto" and index < len(chosen):
        source, reason = chosen[index]["name"], chosen[index]["reason"]
    with explained(remedy):
        resolved = resolve_prior(
            source,
            device=device,
            revision=config.prior_revision,
            offline=config.offline,
            memory=choose_memory_plan(options.memory, free_memory(device)),
            vae=config.vae,
        )
    model = resolved.prior
    _remember(stage, index, model.name, reason or resolved.reason)
    prompt = build_prompt(config, model.metadata.subject)
    stop_if_asked(listener, "before textual inversion")
    with explained(remedy):
        word = _teach(stage, model, prompt, index)
    settings = config.reconstruction.score_distillation
    if stage.rgba is not None and settings.body_guide:
        camera = reference_camera(config.reconstruction.reference_camera)
        model.set_photo(torch.from_numpy(stage.rgba), camera)
    model.release_text_encoder()
    num_views = config.reconstruction.prior_views
    if device.type == "cuda" or options.memory != "auto":
        num_sides = 3 if prompt.negative_guidance == "perpendicular" else 2
        listener.note(describe_memory(model, num_views, num_sides=num_sides))
    with explained(remedy):
        _speed_up(stage, model, prompt)
    if config.class_word is None and word is not None:
        prompt = replace(prompt, class_word=word)
    return ScoreDistillation(model, prompt, settings)


def _teach(
    stage: _Stage, model: StableDiffusionPrior, prompt: Prompt, index: int
) -> str | None:
    """Give `<e>` its meaning, if the prompt has it; returns the class word found."""
    if PLACEHOLDER not in prompt.subject:
        stage.listener.note(f"the prompt has no {PLACEHOLDER}, so no token is learned")
        if unknown := _unknown_words(model, prompt.subject):
            stage.listener.note(
                f"this prior was not taught {', '.join(unknown)}: what it makes of "
                f"them is chance"
            )
        return None
    word: str | None = None
    if stage.rgba is not None and not _is_token_file(stage.opened.config):
        word = class_word_of(stage.opened, stage.rgba, model, index, stage.listener)
    model.set_token(_learn_token(stage, model, prompt, word, index))
    return word


def _speed_up(stage: _Stage, model: StableDiffusionPrior, prompt: Prompt) -> None:
    """Compile the networks, or have graphs repeat them, as the options say."""
    from realfusion.priors.arrangement import compile_networks, warm_up
    from realfusion.priors.graphs import graphing_mode, use_graphs

    options, listener = stage.options, stage.listener
    wants_graphs, ways = options.prior_cuda_graphs, []
    if options.compile_prior:
        mode = graphing_mode(model) if wants_graphs else None
        compile_networks(model, mode=mode)
        ways.append("torch.compile")
    if wants_graphs:
        for reason in use_graphs(model):
            listener.note(reason)
        ways += [] if model.graphs is None else ["CUDA graphs"]
    if not ways:
        return
    listener.stage("preparing the prior", NUM_WARM_UPS)
    settings = stage.opened.config.reconstruction
    started = time.perf_counter()
    for done in range(NUM_WARM_UPS):
        stop_if_asked(listener, "before the prior was prepared")
        warm_up(model, prompt, settings.prior_views, settings.score_distillation)
        seconds = time.perf_counter() - started
        listener.advance(done + 1, {"seconds": seconds})
    listener.note(f"preparing the prior ({', '.join(ways)}) took {seconds:.1f} s")


def _unknown_words(model: StableDiffusionPrior, text: str) -> list[str]:
    """The words that a prior with a vocabulary of its own has only letters for."""
    if model.metadata.view_vocabulary is None:
        return []
    words = dict.fromkeys(re.findall(r"[^\W\d_]+", text))
    return [word for word in words if model.text.num_pieces(word) > 1]


def _prepare_other(stage: _Stage, spec: PriorSpec, index: int) -> Prior:
    """A prior of another kind."""
    config, rgba = stage.opened.config, stage.rgba
    with explained(memory_remedy(config, stage.options)):
        request = PriorRequest(
            source=spec.source,
            device=stage.device,
            offline=config.offline,
            text=config.text or config.prompt,
            rgba=None if rgba is None else torch.from_numpy(rgba),
        )
        prior = prepare_other(spec.kind, request)
    _remember(stage, index, prior.name, f"prior {prior.name}: asked for")
    return prior


def memory_remedy(config: RunConfig, options: RunOptions) -> str:
    """The flag to try after memory ran out."""
    settings = config.reconstruction
    has_prior = config.prior != "none"
    return next_remedy(
        options.memory if has_prior else "low",
        config.vae if has_prior else "none",
        settings.prior_views,
        settings.prior_view_size,
    )


def build_prompt(config: RunConfig, subject: str) -> Prompt:
    """What the prior is asked for.

    Args:
        config: The user's words and what guidance makes of them.
        subject: The prior's own words, where the user gave none.

    Returns:
        The prompt; words for the view are added per camera.

    Raises:
        InputError: Token blending has no token to blend, or no class word.
    """
    distillation = config.reconstruction.score_distillation
    class_word = config.class_word
    if class_word is None:
        class_word = DEFAULT_CLASS_WORD
    return Prompt(
        subject=config.text or config.prompt or subject,
        negative=config.negative_prompt,
        negative_guidance=distillation.negative_guidance,
        perpendicular_weight=distillation.perpendicular_weight,
        perpendicular_weighting=distillation.perpendicular_weighting,
        view_words=distillation.view_words,
        negative_view_words=distillation.negative_view_words,
        interpolate_views=distillation.interpolate_views,
        token_blending=distillation.token_blending,
        class_word=class_word,
    )


def _learn_token(
    stage: _Stage,
    prior: StableDiffusionPrior,
    prompt: Prompt,
    class_word: str | None,
    index: int,
) -> LearnedToken:
    """The token of this object: kept from before, from a file, or learned now."""
    from realfusion.priors.learned_embeds import load_learned_token, save_learned_token
    from realfusion.priors.textual_inversion import invert, num_inversion_steps

    config, listener = stage.opened.config, stage.listener
    path = stage.opened.folder.token(index)
    if path.exists():
        try:
            return load_learned_token(path)
        except InputError as error:
            raise InputError(f"{error}; delete it to learn the token anew") from error
    if _is_token_file(config):
        given = load_learned_token(config.token)
        prior.set_token(given)  # refuses a token of another width before it is kept
        save_learned_token(path, given)
        return given
    if stage.rgba is None:
        raise InputError(
            f"{PLACEHOLDER} in the prompt is learned from a photo: give one, or a "
            f"learned token with --token FILE"
        )
    settings = _inversion_settings(config, class_word)
    if steps := num_inversion_steps(prior, settings):
        listener.stage("textual inversion", steps)
    elif settings.use_image_encoder and prior.image_encoder is not None:
        listener.note("the token is read off the photo by the prior's image encoder")
    else:
        listener.note(f"the token stays what it starts from, {settings.init_word!r}")
    generator = torch.Generator().manual_seed(config.seed)
    token: LearnedToken | None = None
    progress_items = invert(
        prior,
        torch.from_numpy(stage.rgba),
        settings,
        generator,
        prompt=prompt,
        camera=reference_camera(config.reconstruction.reference_camera),
    )
    for progress in progress_items:
        figures = {} if progress.loss is None else {"loss": progress.loss}
        listener.advance(progress.step, figures)
        token = progress.token or token
        if listener.should_stop():
            raise RunInterruptedError(
                "stopped during textual inversion; the same command starts it again"
            )
    assert token is not None, "textual inversion ended without a token"
    save_learned_token(path, token)
    return token


def _is_token_file(config: RunConfig) -> bool:
    return Path(config.token).suffix in TOKEN_SUFFIXES


def _inversion_settings(
    config: RunConfig, class_word: str | None
) -> TextualInversionConfig:
    """The inversion from the class word, if there is one."""
    if class_word is None:
        return config.inversion
    return replace(config.inversion, init_word=class_word, use_image_encoder=False)
