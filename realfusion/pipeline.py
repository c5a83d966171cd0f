"""From one image to a 360° model: image -> token -> field -> outputs.

RealFusion (Melas-Kyriazi et al., CVPR 2023) in four stages, each of which continues
where an interrupted run left off:

1. `prepare_input`: the photo, cut out and framed.
2. `prepare_prior`: single-image textual inversion teaches the prior this very object.
3. `reconstruct`: a radiance field is fitted to the photo, while the prior judges it
   from random viewpoints.
4. `realfusion.outputs.export`: turntable, mesh, figures and a page to look at.

With words instead of an image the first stage has nothing to do, and the prior judges
every side: DreamFusion (Poole et al., ICLR 2023).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from realfusion.config import RunConfig, RunOptions
from realfusion.errors import InputError
from realfusion.io.framing import frame_object
from realfusion.io.images import read_image, write_png
from realfusion.io.matting import Matte, matte
from realfusion.listener import RunInterruptedError, RunListener, stop_if_asked
from realfusion.outputs import export, write_preview
from realfusion.prior_stage import PreparedPrior, memory_remedy, prepare_prior
from realfusion.run_folder import OpenRun, RunFolder, load_run, open_run
from realfusion.run_lock import exclusive
from realfusion.run_metrics import update_metrics
from realfusion.training.body_anchor import BodyAnchor
from realfusion.training.checkpoint import (
    load_checkpoint,
    read_index,
    save_checkpoint,
)
from realfusion.training.config import TermConfig
from realfusion.training.fit import fit
from realfusion.training.history import History
from realfusion.training.initial_shape import fit_initial_shape, initial_body
from realfusion.training.out_of_memory import saved_before_explained
from realfusion.training.photo import prepare_photo, reference_camera
from realfusion.training.schedules import active_levels
from realfusion.training.state import TrainState
from realfusion.training.step import Task

Stage = Literal["token", "field", "outputs"]


def run(
    config: RunConfig,
    options: RunOptions,
    listener: RunListener,
    *,
    until: Stage = "outputs",
) -> RunFolder:
    """One image in, a folder with a 360° model out.

    Args:
        config: What decides the result.
        options: Where to compute and to write.
        listener: Watches, and may ask the run to stop.
        until: The last stage to do.

    Returns:
        The run folder.

    Raises:
        InputError: Something the user gave cannot be used; nothing is overwritten.
        RunInterruptedError: The listener asked to stop; the state is saved.
        NonFiniteError: The optimisation diverged again and again.
    """
    device = choose_device(options.device)
    listener.stage("input")
    picture = None
    if config.image is not None:
        picture = matte(read_image(config.image), config.input.matting)
    stop_if_asked(listener, "before anything was written")
    with exclusive(options.out):
        opened = open_run(options.out, config, overwrite=options.overwrite)
        rgba = None if picture is None else prepare_input(opened, picture, listener)
        prepared = prepare_prior(opened, options, rgba, device, listener)
        if until == "token":
            return opened.folder
        state, history = reconstruct(opened, options, rgba, prepared, device, listener)
        if until == "outputs":
            export(opened, state, history, listener)
    return opened.folder


def export_run(root: Path, device: str, listener: RunListener) -> RunFolder:
    """Make the outputs of a run anew from its checkpoint."""
    opened = load_run(root)
    with exclusive(root):
        state, history = load_state(opened, choose_device(device))
        export(opened, state, history, listener)
    return opened.folder


def prepare_input(
    opened: OpenRun, picture: Matte, listener: RunListener
) -> Float[np.ndarray, "size size 4"]:
    """Frame the cut-out object and save it as `input.png`.

    Args:
        opened: The run.
        picture: The photo with its matte.
        listener: Told how the object was cut out.

    Returns:
        The framed picture as the file holds it (8 bits a channel), straight alpha.
    """
    settings = opened.config.input
    rgba = frame_object(
        picture.rgba,
        size=settings.size,
        object_fraction=settings.object_fraction,
        recenter=settings.recenter,
    )
    quantised = np.round(rgba * 255.0).astype(np.uint8)
    write_png(opened.folder.input, quantised)
    coverage = float(rgba[..., 3].mean())
    how = {
        "alpha": "the image's own alpha",
        "grabcut": "GrabCut",
        "rembg": "rembg",
    }[picture.method]
    listener.note(
        f"object cut out by {how}, {coverage:.0%} of the frame: see "
        f"{opened.folder.input}"
    )
    update_metrics(opened.folder, matting=picture.method)
    return quantised.astype(np.float32) / 255.0


def reconstruct(
    opened: OpenRun,
    options: RunOptions,
    rgba: Float[np.ndarray, "size size 4"] | None,
    prepared: PreparedPrior,
    device: torch.device,
    listener: RunListener,
) -> tuple[TrainState, History]:
    """Fit the field to the photo under the prior (RealFusion, Sec. 3.3 and 3.4).

    Args:
        opened: The run; its checkpoint is continued.
        options: Intervals of checkpoints and previews.
        rgba: The framed picture; None where only the prior knows the object.
        prepared: The prior.
        device: Where to compute.
        listener: Told every step; may ask to stop.

    Returns:
        The final state and the curves.

    Raises:
        RunInterruptedError: The listener asked to stop; the state is saved.
        NonFiniteError: The optimisation diverged again and again.
    """
    config, folder = opened.config.reconstruction, opened.folder
    camera = reference_camera(config.reference_camera)
    photo = None
    if rgba is not None:
        picture, size = torch.from_numpy(rgba), config.reference_size
        photo = prepare_photo(picture, size=size, camera=camera, device=device)
    body, anchor = None, None
    if photo is not None:
        has_prior = prepared.prior is not None
        body = initial_body(photo, config.initial_shape, has_prior=has_prior)
    if body is not None and config.objective.body != TermConfig(initial=0.0):
        anchor = BodyAnchor(body, camera, device)
    index = read_index(folder.checkpoint)
    if index is None:
        state = _new_state(opened, device)
        history, before = History(), 0.0
        if body is not None:
            stop_if_asked(listener, "before the reconstruction")
            levels = active_levels(config.coarse_to_fine, config.field.num_levels, 0.0)
            fit_initial_shape(
                state.scene.field,
                body,
                config.initial_shape,
                num_active_levels=levels,
                generator=state.generator,
            )
            state.reset_average()
    else:
        state, history = load_state(opened, device)
        before = index.seconds
        if 0 < state.step < config.iterations:
            listener.note(f"continuing at step {state.step} of {config.iterations}")

    listener.stage("reconstruction", config.iterations)
    listener.advance(state.step, {})
    started = time.perf_counter()

    def save() -> None:
        seconds = before + time.perf_counter() - started
        save_checkpoint(
            folder.checkpoint,
            state,
            fingerprint=opened.fingerprint,
            seconds=seconds,
            history=history,
        )
        update_metrics(
            folder,
            iterations=state.step,
            iterations_per_second=state.step / seconds,
            seconds={"reconstruction": seconds},
            recoveries=state.recoveries,
            **state.loss_scale.figures(),
        )
        if prepared.prior is not None:
            update_metrics(folder, **prepared.prior.figures())

    task = Task(photo, prepared.prior, anchor)
    steps = fit(state, task, config, cuda_graphs=options.cuda_graphs)
    remedy = memory_remedy(opened.config, options)
    for result in saved_before_explained(steps, save, remedy):
        history.append(result.step, result.terms, result.message)
        if result.message:
            listener.note(result.message)
        listener.advance(result.step, result.terms)
        if _is_due(result.step, options.preview_interval):
            write_preview(folder, state, camera)
        stopping = listener.should_stop()
        if stopping or _is_due(result.step, options.checkpoint_interval):
            save()
        if stopping and state.step < config.iterations:
            raise RunInterruptedError(
                f"stopped at step {state.step} of {config.iterations}; the same "
                f"command continues from there"
            )
    figures = {} if prepared.prior is None else prepared.prior.figures()
    if clipped := figures.get("clipped_latents"):
        listener.note(f"{clipped} latent values were clipped before the prior saw them")
    if skipped := state.loss_scale.figures().get("skipped_steps"):
        listener.note(f"steps left out because a gradient overflowed: {skipped}")
    if index is None or index.step < state.step:
        save()
        if options.preview_interval and not _is_due(
            state.step, options.preview_interval
        ):
            write_preview(folder, state, camera)
    return state, history


def load_state(opened: OpenRun, device: torch.device) -> tuple[TrainState, History]:
    """The state and the curves in a run's checkpoint.

    Args:
        opened: The run.
        device: Where the scene is put.

    Returns:
        State and curves.

    Raises:
        InputError: There is no checkpoint, it is damaged, or of other settings.
    """
    folder, config = opened.folder, opened.config
    index = read_index(folder.checkpoint)
    if index is None:
        raise InputError(
            f"{folder.root} has no checkpoint yet; run `realfusion-run` on its image"
        )
    if index.fingerprint != opened.fingerprint:
        raise InputError(
            f"{folder.checkpoint} belongs to another image or other settings; delete "
            f"it to start anew"
        )
    state = _new_state(opened, device)
    load_checkpoint(folder.checkpoint, state, index)
    state.scene.num_active_levels = active_levels(
        config.reconstruction.coarse_to_fine,
        config.reconstruction.field.num_levels,
        state.step / config.reconstruction.iterations,
    )
    return state, index.history


def _new_state(opened: OpenRun, device: torch.device) -> TrainState:
    """The state a run begins with."""
    config = opened.config
    return TrainState(
        config.reconstruction,
        seed=config.seed,
        device=device,
        has_prior=config.prior != "none",
    )


def choose_device(name: str) -> torch.device:
    """The device a name stands for; InputError if this machine lacks it."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: torch finds no CUDA device; see `realfusion doctor`, or "
            "use --device cpu"
        )
    return torch.device(name)


def _is_due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
