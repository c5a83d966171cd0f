"""From one image to a 360° model: image -> token -> field -> outputs.

RealFusion (Melas-Kyriazi et al., CVPR 2023) in four stages, each of which continues
where an interrupted run left off:

1. `prepare_input`: the photo, cut out and framed.
2. `prior_stage.prepare_prior`: single-image textual inversion teaches the prior this
   very object.
3. `reconstruction_stage.reconstruct`: a radiance field is fitted to the photo, while
   the prior judges it from random viewpoints; `training.step.update_scene` is a step.
4. `outputs.export`: turntable, mesh, figures and a page to look at.

With words instead of an image the first stage has nothing to do, and the prior judges
every side: DreamFusion (Poole et al., ICLR 2023).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from realfusion.config import RunConfig, RunOptions
from realfusion.devices import choose_device
from realfusion.io.framing import frame_object
from realfusion.io.images import read_image, write_png
from realfusion.io.matting import Matte, matte
from realfusion.listener import RunListener, stop_if_asked
from realfusion.outputs import export
from realfusion.prior_stage import prepare_prior
from realfusion.reconstruction_stage import reconstruct
from realfusion.run_folder import OpenRun, RunFolder, load_run, open_run
from realfusion.run_lock import exclusive
from realfusion.run_metrics import update_metrics
from realfusion.run_state import load_state

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
    listener.stage("input")
    device = choose_device(options.device, listener)
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
        state, history = load_state(opened, choose_device(device, listener))
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
