"""What the prior paints before any distillation: identity, views, copies.

Views of held-out objects are sampled from the image tokens of one view and compared
with the rendered truth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.cameras.camera import Camera
from realfusion.priors.config import Prompt
from realfusion.priors.guidance import denoised_from_noise
from realfusion.priors.sampling import first_latents, sample_views
from realfusion.priors.stable_diffusion import StableDiffusionPrior
from realfusion.priors.view_guide import guessed_latents
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import ObjectView, random_light, render_views

Conditions = Literal["all", "without guide", "nothing"]
"""What a prior is told of an object: image tokens and the picture of the guessed body,
the tokens alone, or, as a control, no more than "an object"."""

_NUM_AZIMUTHS = 8
_ELEVATION_DEG = 15.0
NOISIEST_TIMESTEP = 980
DISTILLED_TIMESTEP = 700
"""In the midst of the noise that `fast` and `default` distil from at first."""
_IDENTITY_POOL = 32
"""Objects that the views of one are told from."""
_ALIKE_DB = 20.0
"""PSNR of two views to one another from which on they look alike: an object with such a
pair does not tell from where it is seen."""


@dataclass(frozen=True, kw_only=True)
class HeldOutViews:
    """Truth for scoring: eight views around each object."""

    references: Float[Tensor, "objects 4 size size"]
    """View 0 with straight alpha."""
    truth: Float[Tensor, "objects 8 3 size size"]
    """On white, in [0, 1]; view k at 45 k degrees from the reference."""


@dataclass(frozen=True, kw_only=True)
class PriorScores:
    """Scores over the held-out objects; the copy repeats the reference view."""

    num_objects: int
    guidance_scale: float
    psnr_db: float
    """Of the seven other views."""
    mask_iou: float
    """Of the seven other views."""
    copy_psnr_db: float
    copy_mask_iou: float
    identity_top1: float
    """Share of views nearest to the truth of their own object, at the same view, among
    32 objects (or as many as there are in the last pool)."""
    view_top1: float
    """Share of views nearest to their own of the object's eight true views."""
    view_within_one: float
    """The same, a neighbouring view counted as right."""
    num_distinct: int
    """Objects no two of whose eight true views look alike."""
    view_top1_distinct: float | None
    """The share among those objects alone; None if there are none."""
    copy_view_top1: float
    """What repeating the reference would get: one in eight."""


def held_out_views(
    split: str, num_objects: int, *, size: int = 64, first_seed: int = 0
) -> HeldOutViews:
    """Renders held-out objects from eight sides, starting from a random one."""
    references, truth = [], []
    for seed in range(first_seed, first_seed + num_objects):
        rng = np.random.default_rng([23, seed])
        subject = generate_object(seed, split=split)
        start = rng.uniform(-40, 40)
        views = [
            ObjectView(azimuth_deg=start + 45.0 * k, elevation_deg=_ELEVATION_DEG)
            for k in range(_NUM_AZIMUTHS)
        ]
        images = render_views(subject.mesh, views, random_light(rng), size=size)
        rgba = torch.from_numpy(images).permute(0, 3, 1, 2)
        truth.append(rgba[:, :3] + 1 - rgba[:, 3:])
        colour = rgba[0, :3] / rgba[0, 3:].clamp(min=1e-6)
        references.append(torch.cat([colour.clamp(0, 1), rgba[0, 3:]]))
    return HeldOutViews(references=torch.stack(references), truth=torch.stack(truth))


@torch.no_grad()
def estimate_views(
    prior: StableDiffusionPrior,
    reference: Float[Tensor, "4 size size"],
    cameras: list[Camera],
    *,
    seed: int,
    conditions: Conditions = "all",
    timestep: int = NOISIEST_TIMESTEP,
) -> Float[Tensor, "views 3 size size"]:
    """x̂_0 from the noised guide, or noise alone, in one step and without guidance.

    The mean of what the prior expects to see: where score distillation pulls a view of
    the guessed body, with which a reconstruction begins. Softer than a sample, and
    nearer to the truth.

    Args:
        prior: A prior with an image encoder.
        reference: RGBA, straight alpha, in [0, 1]; its camera has azimuth 0.
        cameras: The views.
        seed: Of the noise.
        conditions: What the prior is told of the object.
        timestep: The noise level.

    Returns:
        Images in [0, 1].
    """
    conditioning = prior.condition(
        _object_prompt(prior, reference, conditions), cameras
    )
    size = prior.image_size // prior.latent_factor
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(cameras), 4, size, size, generator=generator)
    noise = noise.to(prior.device)
    steps = torch.full((len(cameras),), timestep, device=prior.device)
    noisy = first_latents(conditioning, noise, prior.alphas_cumprod[steps])
    predicted = prior.predict_noise(
        noisy,
        steps,
        conditioning.context,
        conditioning.class_labels,
        conditioning.guide,
    )
    return prior.decode(
        denoised_from_noise(predicted, noisy, prior.alphas_cumprod[steps])
    )


@torch.no_grad()
def guessed_views(
    prior: StableDiffusionPrior, reference: Float[Tensor, "4 size size"]
) -> Float[Tensor, "8 3 size size"]:
    """What guides the estimates: pictures of the body that is guessed from the image.

    Args:
        prior: A guided prior with an image encoder.
        reference: RGBA, straight alpha, in [0, 1]; its camera has azimuth 0.

    Returns:
        The guides, decoded, from `orbit_cameras`; in [0, 1].

    Raises:
        ValueError: If the prior has no guide.
    """
    prompt = _object_prompt(prior, reference, "all")
    guide = prior.condition(prompt, orbit_cameras()).guide
    if guide is None:
        raise ValueError("guesses must be of a guided prior, got one without a guide")
    return prior.decode(guessed_latents(guide))


def _object_prompt(
    prior: StableDiffusionPrior, reference: Tensor, conditions: Conditions
) -> Prompt:
    """What to ask for; the image's token and guide are put in force if asked for."""
    image = reference.permute(1, 2, 0)
    camera = Camera(elevation_deg=_ELEVATION_DEG)
    prior.set_photo(image if conditions == "all" else None, camera)
    if conditions == "nothing":
        return Prompt(subject="an object")
    prior.set_token(prior.encode_image_token(image))
    return Prompt(subject=prior.metadata.subject)


def orbit_cameras() -> list[Camera]:
    """Eight views around the object, 45 degrees apart."""
    return [
        Camera(azimuth_deg=360.0 / _NUM_AZIMUTHS * k, elevation_deg=_ELEVATION_DEG)
        for k in range(_NUM_AZIMUTHS)
    ]


def score_views(
    generated: Float[Tensor, "objects 8 3 size size"],
    truth: Float[Tensor, "objects 8 3 size size"],
    *,
    guidance_scale: float,
) -> PriorScores:
    """Compares generated with true views."""
    copied = truth[:, :1].expand_as(truth)
    within = _squared_distances(generated[:, :, None], truth[:, None])
    nearest = within.argmin(dim=2)
    own = torch.arange(_NUM_AZIMUTHS)
    offset = (nearest - own).abs()
    offset = torch.minimum(offset, _NUM_AZIMUTHS - offset)
    apart = _squared_distances(truth[:, :, None], truth[:, None])
    apart = apart + torch.diag(torch.full((_NUM_AZIMUTHS,), torch.inf))
    is_distinct = apart.amin(dim=(1, 2)) > 10 ** (-0.1 * _ALIKE_DB)
    of_distinct = (offset == 0)[is_distinct].float().mean()
    is_own = torch.cat(
        [
            _squared_distances(views[:, None], pool[None]).argmin(dim=1)
            == torch.arange(len(pool))[:, None]
            for views, pool in zip(
                generated.split(_IDENTITY_POOL),
                truth.split(_IDENTITY_POOL),
                strict=True,
            )
        ]
    )
    return PriorScores(
        num_objects=len(truth),
        guidance_scale=guidance_scale,
        psnr_db=_mean_psnr_db(generated[:, 1:], truth[:, 1:]),
        mask_iou=_mean_iou(generated[:, 1:], truth[:, 1:]),
        copy_psnr_db=_mean_psnr_db(copied[:, 1:], truth[:, 1:]),
        copy_mask_iou=_mean_iou(copied[:, 1:], truth[:, 1:]),
        identity_top1=float(is_own.float().mean()),
        view_top1=float((offset == 0).float().mean()),
        view_within_one=float((offset <= 1).float().mean()),
        num_distinct=int(is_distinct.sum()),
        view_top1_distinct=float(of_distinct) if is_distinct.any() else None,
        copy_view_top1=1 / _NUM_AZIMUTHS,
    )


def score_prior(
    folder: Path,
    *,
    split: str,
    num_objects: int,
    first_seed: int = 0,
    guidance_scale: float = 3.0,
    num_steps: int = 12,
    conditions: Conditions = "all",
    timestep: int | None = None,
    grid_path: Path | None = None,
) -> PriorScores:
    """Scores an exported prior on held-out objects.

    Args:
        folder: The exported prior.
        split: ``"held_out_instances"`` or ``"held_out_families"``.
        num_objects: How many objects.
        first_seed: Number of the first one within its split.
        guidance_scale: Of the sampling.
        num_steps: DDIM steps.
        conditions: What the prior is told of the objects.
        timestep: Score :func:`estimate_views` at this noise level; None for samples.
        grid_path: Where to write a picture of the first objects: reference, eight
            generated views, and the truth below them.

    Returns:
        The scores.
    """
    prior = StableDiffusionPrior.from_pretrained(folder)
    views = held_out_views(
        split, num_objects, size=prior.image_size, first_seed=first_seed
    )
    if timestep is not None:
        guidance_scale = 1.0
    painted_views = []
    for index, reference in enumerate(views.references):
        if timestep is not None:
            painted = estimate_views(
                prior,
                reference,
                orbit_cameras(),
                seed=index,
                conditions=conditions,
                timestep=timestep,
            )
        else:
            painted = sample_views(
                prior,
                _object_prompt(prior, reference, conditions),
                orbit_cameras(),
                generator=torch.Generator().manual_seed(index),
                num_steps=num_steps,
                guidance_scale=guidance_scale,
                is_noise_shared=False,
            )
        painted_views.append(painted.cpu())
    generated = torch.stack(painted_views)
    if grid_path is not None:
        write_grid(grid_path, views, generated, rows=12)
    return score_views(generated, views.truth, guidance_scale=guidance_scale)


def write_grid(
    path: Path,
    views: HeldOutViews,
    generated: Float[Tensor, "objects 8 3 size size"],
    *,
    rows: int,
) -> None:
    """Writes generated views over the true ones as a PNG."""
    from PIL import Image

    lines = []
    for index in range(min(rows, len(generated))):
        reference = views.truth[index, 0]
        blank = torch.ones_like(reference)
        lines.append(torch.cat([reference, *generated[index]], dim=2))
        lines.append(torch.cat([blank, *views.truth[index]], dim=2))
    pixels = (torch.cat(lines, dim=1).permute(1, 2, 0).clamp(0, 1) * 255).byte()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)


def as_record(scores: PriorScores) -> dict[str, object]:
    """Scores as rounded JSON values."""
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in asdict(scores).items()
    }


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).square().mean(dim=(-3, -2, -1))


def _mean_psnr_db(images: Tensor, truth: Tensor) -> float:
    error = _squared_distances(images, truth).clamp(min=1e-6)
    return float((-10 * error.log10()).mean())


def _mean_iou(images: Tensor, truth: Tensor) -> float:
    """Of everything that is not nearly white."""
    first, second = (x.amin(dim=-3) < 0.93 for x in (images, truth))
    union = (first | second).sum(dim=(-2, -1)).clamp(min=1)
    return float(((first & second).sum(dim=(-2, -1)) / union).mean())
