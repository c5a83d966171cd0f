"""The objective of one step, as the paper writes it (RealFusion, Eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from realfusion import losses
from realfusion.cameras.camera import Camera, Rays
from realfusion.cameras.sampling import sample_camera
from realfusion.fields.config import BackgroundMode
from realfusion.priors.config import Prompt
from realfusion.priors.protocol import DiffusionPrior
from realfusion.priors.score_distillation import (
    sample_timesteps,
    weighted_residual,
)
from realfusion.rendering.renderer import Rendered
from realfusion.rendering.scene import Scene
from realfusion.rendering.shading import Shading, sample_shading
from realfusion.training.config import (
    ObjectiveConfig,
    ReconstructionConfig,
    TermConfig,
)
from realfusion.training.photo import Photo
from realfusion.training.schedules import term_weight

Terms = dict[str, Tensor]


def reconstruction_terms(
    scene: Scene,
    photo: Photo,
    config: ReconstructionConfig,
    generator: torch.Generator,
) -> Terms:
    """The reference view must look like the photo, and be opaque where it is.

    Args:
        scene: What is optimised.
        photo: The photo and its rays.
        config: Number of rays, background.
        generator: CPU generator of pixels, jitter and background.

    Returns:
        The terms `image` and `mask`, scalar and unweighted.
    """
    pixels = _choose_pixels(photo, config.reference_rays, generator)
    rays = photo.rays.select(pixels)
    mode = config.background.reference_view
    background = _background(scene, rays, mode, config, generator)
    rendered = scene.render(
        rays, shading=Shading("albedo"), with_normals=False, generator=generator
    )
    rgb = _clipped(rendered.over(background), config.objective.image, config)
    opacity = _clipped(rendered.opacity, config.objective.mask, config)
    return {
        "image": losses.image_loss(rgb, photo.over(background.detach(), pixels)),
        "mask": losses.mask_loss(opacity, photo.alpha[pixels]),
    }


def prior_terms(
    scene: Scene,
    prior: DiffusionPrior | None,
    prompt: Prompt | None,
    photo: Photo,
    config: ReconstructionConfig,
    progress: float,
    generator: torch.Generator,
) -> Terms:
    """Every other view must look right to the prior, and be a smooth, solid surface.

    Without a prior the same views are rendered and regularised.

    Args:
        scene: What is optimised.
        prior: Judges the views; None leaves that term out.
        prompt: Describes the object; needed with a prior.
        photo: Tells where the front is.
        config: Cameras, shading, score distillation.
        progress: Fraction of the run that is done, in [0, 1].
        generator: CPU generator of all that is random.

    Returns:
        The terms `prior`, `normal_smoothness`, `orientation`, `entropy`, `sparsity`.
    """
    size = config.prior_view_size
    cameras, pictures, views = [], [], []
    for _ in range(config.prior_views):
        camera = sample_camera(config.cameras, generator)
        shading = sample_shading(config.shading, progress, camera, generator)
        rays = camera.rays(size, size, device=photo.alpha.device)
        mode = config.background.prior_views
        background = _background(scene, rays, mode, config, generator)
        view = scene.render(rays, shading=shading, generator=generator)
        pictures.append(view.over(background).T.reshape(3, size, size))
        cameras.append(camera)
        views.append(view)
    terms = _regularisation_terms(views, config)
    if prior is None or term_weight(config.objective.prior, progress) == 0.0:
        return terms
    if prompt is None:
        raise ValueError("prompt must be given with a prior, got None")
    images = torch.stack(pictures)
    judged = _score_distillation(
        prior, prompt, images, cameras, config, progress, generator
    )
    return {"prior": judged} | terms


def weighted_sum(terms: Terms, config: ObjectiveConfig, progress: float) -> Tensor:
    """The objective: one scalar for one backward pass."""
    weighted = [
        term_weight(getattr(config, name), progress) * value
        for name, value in terms.items()
    ]
    return torch.stack(weighted).sum()


def _score_distillation(
    prior: DiffusionPrior,
    prompt: Prompt,
    images: Tensor,
    cameras: list[Camera],
    config: ReconstructionConfig,
    progress: float,
    generator: torch.Generator,
) -> Tensor:
    settings = config.score_distillation
    latents = _clipped(prior.encode(images), config.objective.prior, config)
    timesteps = sample_timesteps(
        settings, progress, len(cameras), prior.num_train_timesteps, generator
    )
    judged = prior.noise_residual(
        latents.detach(),
        prior.condition(prompt, cameras),
        timesteps=timesteps,
        guidance_scale=settings.guidance_scale,
        guidance_rescale=settings.guidance_rescale,
        generator=generator,
    )
    gradient = weighted_residual(settings, judged.residual, judged.alphas_cumprod)
    return losses.score_distillation_loss(latents, gradient)


def _regularisation_terms(views: list[Rendered], config: ReconstructionConfig) -> Terms:
    size, objective = config.prior_view_size, config.objective
    named: dict[str, list[Tensor]] = {}
    for view in views:
        normals = _clipped(view.normals, objective.normal_smoothness, config)
        normals = normals.reshape(size, size, 3)
        back_facing = _clipped(view.back_facing, objective.orientation, config)
        uncertain = _clipped(view.opacity, objective.entropy, config)
        opaque = _clipped(view.opacity, objective.sparsity, config)
        values = {
            "normal_smoothness": losses.normal_smoothness_loss(normals),
            "orientation": losses.orientation_loss(back_facing),
            "entropy": losses.opacity_entropy_loss(uncertain),
            "sparsity": losses.opacity_sparsity_loss(opaque),
        }
        for name, value in values.items():
            named.setdefault(name, []).append(value)
    return {name: torch.stack(values).mean() for name, values in named.items()}


def _clipped(values: Tensor, term: TermConfig, config: ReconstructionConfig) -> Tensor:
    """The input of a term, behind that term's own gradient clipping."""
    if term.clip is None:
        return values
    return losses.clip_gradient(values, term.clip * config.optimizer.loss_scale)


def _choose_pixels(photo: Photo, count: int, generator: torch.Generator) -> Tensor:
    total = len(photo.alpha)
    if count >= total:
        return torch.arange(total, device=photo.alpha.device)
    picks = torch.randint(total, (count,), generator=generator)
    return picks.to(photo.alpha.device)


def _background(
    scene: Scene,
    rays: Rays,
    mode: BackgroundMode,
    config: ReconstructionConfig,
    generator: torch.Generator,
) -> Tensor:
    """Colour behind the object, [3] or [num_rays, 3]."""
    draws = torch.rand(4, generator=generator)
    if mode == "learned":
        if scene.background is None:
            raise ValueError("a learned background needs a scene that has one")
        return scene.background(rays.directions)
    if mode == "random" and draws[3] < config.background.random_probability:
        return draws[:3].to(rays.directions)
    return torch.ones(3, device=rays.directions.device)
