"""All that a step leaves to chance or to a schedule, decided before it begins.

What is drawn here on the host, the step only computes with: a pure function of
parameters and tensors, that never waits for numbers, and that a CUDA graph can repeat
with the tensors' new contents.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from realfusion.cameras.camera import Camera, Rays, pixel_rays
from realfusion.cameras.sampling import sample_camera
from realfusion.fields.config import BackgroundConfig, BackgroundMode
from realfusion.rendering.shading import Shading, ShadingMode, sample_shading
from realfusion.training.config import ReconstructionConfig
from realfusion.training.photo import Photo
from realfusion.training.schedules import average_share, term_weights
from realfusion.transfer import refill, send


@dataclass(frozen=True)
class StepDraw:
    """Random numbers and scheduled values of one step.

    Attributes:
        progress: Fraction of the run that is done, in [0, 1).
        cameras: Of the random views.
        shading_modes: How the random views are lit.
        pixels: Pixels of the photo that are looked at.
        photo_jitter: Place of the samples in their intervals, one number a pixel.
        photo_background: Colour behind the photo's pixels, unless it is learned.
        camera_to_world: Poses of `cameras` (float64).
        focal_px: Focal lengths of `cameras` (float64).
        lights: Directions of the light, one a view.
        view_jitter: As `photo_jitter`, one number a ray of each view.
        view_backgrounds: As `photo_background`, one a view.
        weights: Weights of all terms, in the order of `ObjectiveConfig`.
        average_share: How far the averaged parameters move to the current ones.
    """

    progress: float
    cameras: tuple[Camera, ...]
    shading_modes: tuple[ShadingMode, ...]
    pixels: Int64[Tensor, " num_pixels"]
    photo_jitter: Float[Tensor, " num_pixels"]
    photo_background: Float[Tensor, 3]
    camera_to_world: Float[Tensor, "num_views 4 4"]
    focal_px: Float[Tensor, " num_views"]
    lights: Float[Tensor, "num_views 3"]
    view_jitter: Float[Tensor, "num_views num_rays"]
    view_backgrounds: Float[Tensor, "num_views 3"]
    weights: Float[Tensor, " num_terms"]
    average_share: Float[Tensor, ""]

    def tensors(self) -> dict[str, Tensor]:
        """The parts that a step computes with, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: each for name, each in values.items() if isinstance(each, Tensor)}

    def to(self, device: torch.device) -> StepDraw:
        """The same on a device, which is not waited for."""
        moved = {name: send(each, device) for name, each in self.tensors().items()}
        return replace(self, **moved)  # type: ignore[arg-type]

    def refill(self, other: StepDraw) -> StepDraw:
        """Another draw in these very tensors, without waiting for their device."""
        mine = self.tensors()
        for name, tensor in other.tensors().items():
            refill(mine[name], tensor)
        return replace(other, **mine)  # type: ignore[arg-type]

    def rays(self, view: int, size: int, *, shrink: int = 1) -> Rays:
        """Rays of a random view, computed on the device.

        Args:
            view: Which one.
            size: Pixels a side of the random views.
            shrink: Pixels a side of the squares that share a ray.
        """
        side = max(size // shrink, 1)
        focal_px = self.focal_px[view] * (side / size)
        return pixel_rays(self.camera_to_world[view], focal_px, side, side)

    def shading(self, view: int, ambient: float) -> Shading:
        """How a random view is lit."""
        return Shading(self.shading_modes[view], self.lights[view], ambient)


def draw_step(
    photo: Photo | None,
    config: ReconstructionConfig,
    step: int,
    generator: torch.Generator,
) -> StepDraw:
    """Draw everything random of a step but the prior's noise.

    Args:
        photo: Tells how many pixels there are; none without a photo.
        config: Numbers of rays and views, cameras, shading, schedules.
        step: Steps done before.
        generator: CPU generator; the same count of numbers is drawn in every step.

    Returns:
        The draw, on the CPU.
    """
    progress = step / config.iterations
    size = config.prior_view_size
    num_pixels = 0 if photo is None else len(photo.alpha)
    pixels = _choose_pixels(num_pixels, config.reference_rays, generator)
    mode = config.background.reference_view
    photo_background = _draw_background(mode, config.background, generator)
    photo_jitter = torch.rand(len(pixels), generator=generator)
    cameras, shadings, backgrounds, jitters = [], [], [], []
    for _ in range(config.prior_views):
        camera = sample_camera(config.cameras, generator)
        cameras.append(camera)
        shadings.append(sample_shading(config.shading, progress, camera, generator))
        mode = config.background.prior_views
        backgrounds.append(_draw_background(mode, config.background, generator))
        jitters.append(torch.rand(size * size, generator=generator))
    free = [camera.free() for camera in cameras]
    weights = term_weights(config.objective, progress)
    return StepDraw(
        progress=progress,
        cameras=tuple(cameras),
        shading_modes=tuple(shading.mode for shading in shadings),
        pixels=pixels,
        photo_jitter=photo_jitter,
        photo_background=photo_background,
        camera_to_world=torch.stack([camera.camera_to_world for camera in free]),
        focal_px=torch.tensor(
            [camera.focal_px(size) for camera in free], dtype=torch.float64
        ),
        lights=torch.tensor([shading.light for shading in shadings]),
        view_jitter=torch.stack(jitters),
        view_backgrounds=torch.stack(backgrounds),
        weights=torch.tensor(list(weights.values())),
        average_share=torch.tensor(average_share(config.optimizer, step + 1)),
    )


def _choose_pixels(total: int, count: int, generator: torch.Generator) -> Tensor:
    if count >= total:
        return torch.arange(total)
    return torch.randint(total, (count,), generator=generator)


def _draw_background(
    mode: BackgroundMode, config: BackgroundConfig, generator: torch.Generator
) -> Tensor:
    """White, or now and then a random colour."""
    draws = torch.rand(4, generator=generator)
    if mode == "random" and draws[3] < config.random_probability:
        return draws[:3]
    return torch.ones(3)
