"""The prior of a run: loaded as the memory allows, and taught this very object."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError
from realfusion.listener import RunInterruptedError, RunListener, stop_if_asked
from realfusion.priors.config import PLACEHOLDER, Prompt, TextualInversionConfig
from realfusion.priors.memory import choose_memory_plan, free_memory, next_remedy
from realfusion.run_folder import OpenRun
from realfusion.run_metrics import read_metrics, update_metrics
from realfusion.training.out_of_memory import explained
from realfusion.training.photo import reference_camera
from realfusion.word_stage import class_word_of

if TYPE_CHECKING:
    from realfusion.priors.learned_embeds import LearnedToken
    from realfusion.priors.stable_diffusion import StableDiffusionPrior

TOKEN_SUFFIXES = (".safetensors", ".bin", ".pt")


@dataclass(frozen=True)
class PreparedPrior:
    """A prior that knows the object, and what to ask it for.

    Attributes:
        prior: None for a reconstruction by photo and regularisers alone.
        prompt: None without a prior.
        reason: Which prior and why, in one line.
        class_word: The word that the learned token started from; None where it came
            from the photo or from a file, and without a token.
    """

    prior: StableDiffusionPrior | None
    prompt: Prompt | None
    reason: str
    class_word: str | None = None


def prepare_prior(
    opened: OpenRun,
    options: RunOptions,
    rgba: Float[np.ndarray, "size size 4"],
    device: torch.device,
    listener: RunListener,
) -> PreparedPrior:
    """Load the prior and teach it the object (RealFusion, Sec. 3.2).

    The learned token is kept as `token.safetensors` and reused.

    Args:
        opened: The run.
        options: What is spared of the memory.
        rgba: The framed picture.
        device: Where to compute.
        listener: Told which prior and why; may stop the inversion.

    Returns:
        The prior with the token in force.
    """
    from realfusion.priors.arrangement import compile_networks, warm_up
    from realfusion.priors.memory_estimate import describe_memory
    from realfusion.priors.selection import resolve_prior

    config, before = opened.config, read_metrics(opened.folder)
    remedy = memory_remedy(config, options)
    listener.stage("prior")
    stop_if_asked(listener, "before the prior was loaded")
    started = time.perf_counter()
    # A run that "auto" began with one prior must not go on with another.
    is_continued = config.prior == "auto" and isinstance(before.get("prior"), str)
    with explained(remedy):
        resolved = resolve_prior(
            before["prior"] if is_continued else config.prior,
            device=device,
            revision=config.prior_revision,
            offline=config.offline,
            memory=choose_memory_plan(options.memory, free_memory(device)),
            vae=config.vae,
        )
    if is_continued:
        resolved = replace(resolved, reason=before.get("prior_reason", resolved.reason))
    listener.note(resolved.reason)
    name = "none" if resolved.prior is None else resolved.prior.name
    update_metrics(opened.folder, prior=name, prior_reason=resolved.reason)
    if resolved.prior is None:
        return PreparedPrior(None, None, resolved.reason)
    prior = resolved.prior
    prompt = build_prompt(config, prior.metadata.subject)
    stop_if_asked(listener, "before textual inversion")
    class_word: str | None = None
    if PLACEHOLDER in prompt.subject:
        with explained(remedy):
            if not _is_token_file(config):
                class_word = class_word_of(opened, rgba, prior, listener)
            prior.set_token(
                _learn_token(opened, rgba, prior, prompt, class_word, listener)
            )
    else:
        listener.note(f"the prompt has no {PLACEHOLDER}, so no token is learned")
    prior.release_text_encoder()
    num_views = config.reconstruction.prior_views
    if device.type == "cuda" or options.memory != "auto":
        listener.note(describe_memory(prior, num_views))
    if options.compile_prior:
        listener.stage("compiling the prior")
        compile_networks(prior)
        with explained(remedy):
            warm_up(prior, prompt, num_views)
    if "prior" not in before.get("seconds", {}):  # not the reloading of later starts
        update_metrics(opened.folder, seconds={"prior": time.perf_counter() - started})
    return PreparedPrior(prior, prompt, resolved.reason, class_word)


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
        config: The user's words and the kind of negative guidance.
        subject: The prior's own words, where the user gave none.

    Returns:
        The prompt; words for the view are added per camera.
    """
    distillation = config.reconstruction.score_distillation
    return Prompt(
        subject=config.prompt or subject,
        negative=config.negative_prompt,
        negative_guidance=distillation.negative_guidance,
        perpendicular_weight=distillation.perpendicular_weight,
    )


def _learn_token(
    opened: OpenRun,
    rgba: Float[np.ndarray, "size size 4"],
    prior: StableDiffusionPrior,
    prompt: Prompt,
    class_word: str | None,
    listener: RunListener,
) -> LearnedToken:
    """The token of this object: kept from before, from a file, or learned now."""
    from realfusion.priors.learned_embeds import load_learned_token, save_learned_token
    from realfusion.priors.textual_inversion import invert

    config, path = opened.config, opened.folder.token
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
    settings = _inversion_settings(config, class_word)
    listener.stage("textual inversion", settings.steps)
    generator = torch.Generator().manual_seed(config.seed)
    token: LearnedToken | None = None
    progress_items = invert(
        prior,
        torch.from_numpy(rgba),
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
