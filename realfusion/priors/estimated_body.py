"""A body as a trained network guesses it from the photo."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.cameras.camera import Camera
from realfusion.cameras.image_plane import (
    Projection,
    blurred_colours,
    look_up,
    resized,
    width_at_origin,
)
from realfusion.priors.shape_estimator import ShapeEstimator

_SIZES = (1.0, 0.93, 0.86)  # of the photo in the frames that the network is shown
_FRONT_BLUR = 0.015
_BACK_BLUR = 0.03
_BIAS = 0.5  # log-odds; inside from odds of .38 on: best for intersection over union
_SURE = 1.0  # log-odds of the likeliest slice of a column, at least
_UNKNOWN = -1.0  # log-odds of the likeliest slice below which its depth is not known
_THINNEST_BODY = 3  # slices of such a column that are filled, at least
_OUTLINE_SHARPNESS = 20.0  # log-odds a unit of alpha
_THINNEST = 0.05  # part of the depth over which colours go from front to back


class EstimatedBody:
    """What :class:`ShapeEstimator` sees in the photo, as a body to start from.

    Inside the photo's outline the estimate decides, and the outline is the photo's. The
    colours go from the photo's, at the front, to the estimated ones at the back.

    Args:
        photo: Square, colour times alpha and alpha.
        camera: The camera that took it.
        estimator: The trained network.
    """

    def __init__(
        self,
        photo: Float[Tensor, "4 size size"],
        camera: Camera,
        estimator: ShapeEstimator,
    ) -> None:
        config = estimator.config
        self._project = Projection(camera, photo.device)
        image = resized(photo, config.image_size)
        logits, back_colours = _estimate(estimator, image, camera.elevation_deg)
        self._alpha = photo[3:]
        surety = _filled(logits)
        self._surety = torch.where(image[3] > 0.02, surety, -1.0)
        self._front_to_back = _ends(self._surety > 0)
        self._front = blurred_colours(image, _FRONT_BLUR)
        back = torch.cat([back_colours * image[3:], image[3:]])
        self._back = blurred_colours(back, _BACK_BLUR)
        # Another lens than the network assumes shows the same object larger or smaller.
        assumed = Camera(radius=config.radius, fov_y_deg=config.fov_y_deg)
        scale = width_at_origin(camera) / width_at_origin(assumed)
        self._extent = config.extent * scale

    def at(
        self, points: Float[Tensor, "num_points 3"]
    ) -> tuple[Float[Tensor, num_points], Float[Tensor, "num_points 3"]]:
        """How surely world points are inside, in [-1, 1], and their colours."""
        places, depth = self._project(points)
        depth = depth / self._extent
        grid = torch.cat([places, depth[:, None]], dim=-1).view(1, 1, 1, -1, 3)
        surety = functional.grid_sample(
            self._surety[None, None], grid, padding_mode="border", align_corners=False
        ).view(-1)
        surety = torch.where(depth.abs() > 1.0, -1.0, surety)
        outline = (look_up(self._alpha, places)[:, 0] - 0.5) * _OUTLINE_SHARPNESS
        first, last = look_up(self._front_to_back, places).unbind(-1)
        share = (depth - first) / (last - first).clamp(min=_THINNEST)
        front, back = look_up(self._front, places), look_up(self._back, places)
        colours = torch.lerp(front, back, share.clamp(0.0, 1.0)[:, None])
        return torch.minimum(surety, outline).clamp(-1.0, 1.0), colours


@torch.no_grad()
def _estimate(
    estimator: ShapeEstimator, image: Float[Tensor, "4 size size"], elevation_deg: float
) -> tuple[Float[Tensor, "num_planes size size"], Float[Tensor, "3 size size"]]:
    """Log-odds and colours behind an image: the mean over sizes and their mirrors."""
    device = next(estimator.parameters()).device
    shown = torch.cat([_magnified(image[None], size) for size in _SIZES])
    both = torch.cat([shown, shown.flip(-1)]).to(device)
    estimate = estimator(both, torch.full((len(both),), elevation_deg, device=device))
    logits, colours = (
        0.5 * (own + mirrored.flip(-1))
        for own, mirrored in (
            values.to(image).chunk(2)
            for values in (estimate.logits, estimate.back_colours)
        )
    )
    # An object that is shown smaller is so along the ray as well.
    logits = _mean_of_sizes(logits[:, None])[0]
    return logits, _mean_of_sizes(colours)


def _mean_of_sizes(values: Float[Tensor, "sizes channels ..."]) -> Tensor:
    """The mean of what was seen at each of the sizes, brought back to the first."""
    back = [
        _magnified(each[None], 1.0 / size)[0]
        for each, size in zip(values, _SIZES, strict=True)
    ]
    return torch.stack(back).mean(dim=0)


def _magnified(values: Float[Tensor, "batch channels ..."], factor: float) -> Tensor:
    """Pictures or volumes about their middle, as large as before; 0 beyond."""
    if factor == 1.0:
        return values
    axes = values.ndim - 2
    matrix = torch.eye(axes, axes + 1, device=values.device) / factor
    grid = functional.affine_grid(
        matrix.expand(len(values), -1, -1), list(values.shape), align_corners=False
    )
    return functional.grid_sample(values, grid, align_corners=False)


def _filled(
    logits: Float[Tensor, "num_planes size size"],
) -> Float[Tensor, "num_planes size size"]:
    """How surely each slice is inside, positive where it is filled.

    The photo shows something at every visible pixel, so every column is filled
    somewhere: around its likeliest slice, though that may be less likely than not.
    """
    odds = logits + _BIAS
    peak = odds.amax(dim=0)
    raised = odds + (_SURE - peak).clamp(min=0.0)
    return torch.where(peak > _UNKNOWN, raised, _filled_thinly(logits))


def _filled_thinly(
    logits: Float[Tensor, "num_planes size size"],
) -> Float[Tensor, "num_planes size size"]:
    """The likeliest slices of columns whose depth is not known, such as a stem's.

    As many as are expected to be filled, the sum of the probabilities: raised as a
    whole, a flat column would be filled from end to end.
    """
    expected = logits.sigmoid().sum(dim=0, keepdim=True).round().long()
    count = expected.clamp(_THINNEST_BODY, len(logits) - 1)
    ordered = logits.sort(dim=0, descending=True).values
    threshold = 0.5 * (ordered.gather(0, count - 1) + ordered.gather(0, count))
    height = (ordered[:1] - threshold).clamp(1e-3, 1.0)
    return (logits - threshold) / height


def _ends(inside: Tensor) -> Float[Tensor, "2 size size"]:
    """First and last depth of each column that is inside, in [-1, 1]; 0 if none is."""
    planes = len(inside)
    filled = inside.any(dim=0)
    first = inside.int().argmax(dim=0)
    last = planes - inside.flip(0).int().argmax(dim=0)
    ends = torch.stack([first, last]).float() * (2.0 / planes) - 1.0
    return torch.where(filled, ends, 0.0)
