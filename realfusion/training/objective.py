"""The objective of one step, as the paper writes it (RealFusion, Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion import losses
from realfusion.cameras.camera import Rays
from realfusion.fields.config import BackgroundMode
from realfusion.priors.protocol import JudgedViews, Prior
from realfusion.rendering.capacity import SampleCounts
from realfusion.rendering.renderer import Rendered
from realfusion.rendering.scene import Scene
from realfusion.rendering.shading import Shading
from realfusion.training.body_anchor import BodyAnchor
from realfusion.training.config import (
    ObjectiveConfig,
    ReconstructionConfig,
    TermConfig,
)
from realfusion.training.draws import StepDraw
from realfusion.training.photo import Pixels
from realfusion.training.schedules import term_weight

Terms = dict[str, Tensor]
TERM_NAMES = tuple(item.name for item in fields(ObjectiveConfig))
_SURFACE_TERMS = ("normal_smoothness", "orientation", "entropy", "sparsity")


@dataclass(frozen=True)
class View:
    """Rays of the scene and what lies behind it.

    Attributes:
        rendered: The object alone.
        background: Colours behind it, [3] or [num_rays, 3].
    """

    rendered: Rendered
    background: Tensor

    @property
    def rgb(self) -> Float[Tensor, "num_rays 3"]:
        """Colours of the object over the background."""
        return self.rendered.over(self.background)


def render_photo(
    scene: Scene,
    pixels: Pixels,
    config: ReconstructionConfig,
    draw: StepDraw,
    room: SampleCounts | None = None,
) -> View:
    """Look through some pixels of the photo.

    Args:
        scene: What is optimised.
        pixels: Those of the step, with their rays.
        config: Background.
        draw: Jitter and background.
        room: Rows of samples; see `VolumeRenderer.render`.

    Returns:
        The pixels' rays.
    """
    rays, mode = pixels.rays, config.background.reference_view
    rendered = scene.render(
        rays,
        shading=Shading("albedo"),
        with_normals=False,
        jitter=draw.photo_jitter,
        room=room,
    )
    return View(rendered, _background(scene, rays, mode, draw.photo_background))


def render_views(
    scene: Scene,
    config: ReconstructionConfig,
    draw: StepDraw,
    room: SampleCounts | None = None,
) -> list[View]:
    """Look at the scene from random sides.

    Args:
        scene: What is optimised.
        config: Size of the views, shading and background.
        draw: Cameras, light, jitter and backgrounds.
        room: Rows of samples a view; see `VolumeRenderer.render`.

    Returns:
        The views, row by row from the top left.
    """
    views, objective = [], config.objective
    with_normals = objective.normal_smoothness.is_used or objective.orientation.is_used
    for index in range(config.prior_views):
        rays = draw.rays(index, config.prior_view_size)
        mode = config.background.prior_views
        background = _background(scene, rays, mode, draw.view_backgrounds[index])
        rendered = scene.render(
            rays,
            shading=draw.shading(index, config.shading.ambient),
            with_normals=with_normals,
            jitter=draw.view_jitter[index],
            room=room,
        )
        views.append(View(rendered, background))
    return views


def reconstruction_terms(
    view: View,
    pixels: Pixels,
    config: ReconstructionConfig,
    loss_scale: Float[Tensor, ""],
) -> Terms:
    """The reference view must look like the photo, and be opaque where it is.

    Args:
        view: Pixels of the photo as the scene shows them.
        pixels: The same as the photo has them.
        config: Clipping of the terms.
        loss_scale: Factor on the gradients that are clipped.

    Returns:
        The terms `image` and `mask`, scalar and unweighted.
    """
    rgb = _clipped(view.rgb, config.objective.image, loss_scale)
    opacity = _clipped(view.rendered.opacity, config.objective.mask, loss_scale)
    target = pixels.over(view.background.detach())
    return {
        "image": losses.image_loss(rgb, target),
        "mask": losses.mask_loss(opacity, pixels.alpha),
    }


def prior_terms(
    views: list[View],
    prior: Prior | None,
    config: ReconstructionConfig,
    draw: StepDraw,
    loss_scale: Float[Tensor, ""],
    generator: torch.Generator,
) -> Terms:
    """Every other view must look right to the prior (RealFusion, Sec. 3.1).

    Args:
        views: The random views.
        prior: Judges them; None leaves the term out.
        config: Weight and clipping of the term.
        draw: The cameras of the views.
        loss_scale: Factor on the gradients that are clipped.
        generator: CPU generator of all that the prior leaves to chance.

    Returns:
        The term `prior`; nothing without a prior or while its weight is 0.
    """
    term = config.objective.prior
    if prior is None or term_weight(term, draw.progress) == 0.0:
        return {}

    def pictures(values: list[Tensor]) -> Float[Tensor, "batch channels height width"]:
        size = config.prior_view_size
        flat = _clipped(torch.stack(values), term, loss_scale)
        return flat.reshape(len(values), size, size, -1).permute(0, 3, 1, 2)

    judged = JudgedViews(
        images=pictures([view.rgb for view in views]),
        colours=pictures([view.rendered.rgb for view in views]),
        opacities=pictures([view.rendered.opacity for view in views]),
        cameras=draw.cameras,
        progress=draw.progress,
    )
    return {"prior": prior.judge(judged, generator)}


def body_terms(
    views: list[View],
    anchor: BodyAnchor | None,
    config: ReconstructionConfig,
    draw: StepDraw,
    loss_scale: Float[Tensor, ""],
) -> Terms:
    """No view may leave the body that the run began with too far behind.

    Args:
        views: The random views.
        anchor: That body; None leaves the term out.
        config: Clipping of the term.
        draw: The rays of the views.
        loss_scale: Factor on the gradients that are clipped.

    Returns:
        The term `body`.
    """
    if anchor is None:
        return {}
    size, values = config.prior_view_size, []
    for index, view in enumerate(views):
        rendered = view.rendered
        flat = torch.cat([rendered.rgb, rendered.opacity[:, None]], dim=-1)
        flat = _clipped(flat, config.objective.body, loss_scale)
        shown = flat.T.reshape(4, size, size)
        values.append(anchor.loss(draw.rays(index, size, shrink=2), shown))
    return {"body": torch.stack(values).mean()}


def surface_terms(
    views: list[View], config: ReconstructionConfig, loss_scale: Float[Tensor, ""]
) -> Terms:
    """Every other view must be a smooth, solid surface.

    Args:
        views: The random views.
        config: Clipping of the terms.
        loss_scale: Factor on the gradients that are clipped.

    Returns:
        Those of the terms `normal_smoothness`, `orientation`, `entropy` and `sparsity`
        that have a weight at any time of the run.
    """
    terms: Terms = {}
    for name in _SURFACE_TERMS:
        term: TermConfig = getattr(config.objective, name)
        if term.is_used:
            values = [
                _surface_term(name, view.rendered, term, config, loss_scale)
                for view in views
            ]
            terms[name] = torch.stack(values).mean()
    return terms


def _surface_term(
    name: str,
    rendered: Rendered,
    term: TermConfig,
    config: ReconstructionConfig,
    loss_scale: Float[Tensor, ""],
) -> Float[Tensor, ""]:
    """One of the surface terms of one view."""
    if name == "normal_smoothness":
        size = config.prior_view_size
        normals = _clipped(rendered.normals, term, loss_scale)
        return losses.normal_smoothness_loss(
            normals.reshape(size, size, 3), rendered.opacity.reshape(size, size)
        )
    if name == "orientation":
        back_facing = _clipped(rendered.back_facing, term, loss_scale)
        return losses.orientation_loss(back_facing)
    opacity = _clipped(rendered.opacity, term, loss_scale)
    if name == "entropy":
        return losses.opacity_entropy_loss(opacity)
    return losses.opacity_sparsity_loss(opacity)


def weighted_sum(
    terms: Terms, weights: Float[Tensor, " num_terms"]
) -> Float[Tensor, ""]:
    """The objective: one scalar for one backward pass.

    Args:
        terms: Some or all terms.
        weights: Weights of all terms, in the order of `ObjectiveConfig`.

    Returns:
        Their weighted sum.
    """
    weight = dict(zip(TERM_NAMES, weights.unbind(), strict=True))
    return torch.stack([weight[name] * terms[name] for name in terms]).sum()


def _clipped(values: Tensor, term: TermConfig, loss_scale: Tensor) -> Tensor:
    """The input of a term, behind that term's own gradient clipping."""
    if term.clip is None:
        return values
    return losses.clip_gradient(values, term.clip * loss_scale)


def _background(
    scene: Scene, rays: Rays, mode: BackgroundMode, drawn: Tensor
) -> Tensor:
    """Colour behind the object, [3] or [num_rays, 3]."""
    if mode != "learned":
        return drawn
    if scene.background is None:
        raise ValueError("a learned background needs a scene that has one")
    return scene.background(rays.directions)
