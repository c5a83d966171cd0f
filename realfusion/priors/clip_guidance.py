"""CLIP as a prior: every view should be what the photo, or the text, shows.

Dream Fields (Jain, Mildenhall, Barron, Abbeel, Poole, CVPR 2022). CLIP is easily
satisfied by textures that are no object, so each view is put over backgrounds that
change from step to step, cropped a little, and kept from filling the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from realfusion.errors import InputError
from realfusion.priors.clip import ClipEncoder, load_clip
from realfusion.priors.protocol import JudgedViews
from realfusion.priors.registry import PriorRequest
from realfusion.transfer import send

DEFAULT_MODEL = "vit-b-32"
_TEXTURE_DECAY = 1.5  # exponent of the amplitude spectrum of a random texture


@dataclass(frozen=True, kw_only=True)
class ClipGuidanceConfig:
    """How views are varied before CLIP looks at them, and how full they may be."""

    augmentations: int = 4
    """Variations of each view."""
    smallest_crop: float = 0.9
    """Least share of the side that a variation shows (Dream Fields: 154 of 168 px)."""
    largest_blur: float = 0.08
    """Largest standard deviation of a background's blur, in sides of the picture."""
    transmittance_weight: float = 0.5
    """λ of the transmittance term (Dream Fields, Eq. 6); only for text: a photo's mask
    already tells how full the picture is."""
    transmittance_range: tuple[float, float] = (0.4, 0.88)
    """τ, the share of light that must pass the scene, at the start and at the end."""
    transmittance_end: float = 0.05
    """Share of the run after which τ is at its end."""


class ClipGuidance:
    """CLIP, and the features that every view of the object should have."""

    def __init__(
        self,
        clip: ClipEncoder,
        target: Float[Tensor, "1 num_features"],
        *,
        is_described: bool,
        config: ClipGuidanceConfig | None = None,
    ) -> None:
        """Fix what is looked for; `prepare` is the usual way.

        Args:
            clip: The model.
            target: Features of length 1, of a photo or of a text.
            is_described: Whether they are those of a text.
            config: Augmentations and transmittance; None takes the defaults.
        """
        self.clip = clip
        self.target = target
        self.is_described = is_described
        self.config = ClipGuidanceConfig() if config is None else config

    @property
    def name(self) -> str:
        """The model's name."""
        return f"clip:{self.clip.name}"

    def judge(
        self, views: JudgedViews, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """1 - cos of the features, plus the transmittance term; see `Prior.judge`.

        Dream Fields, Eq. 5 and 6: -cos(g(I(θ)), h(y)) - λ min(τ, mean T).
        """
        varied = augment(views, self.config, generator)
        likeness = self.clip.image_features(varied) @ self.target.T
        loss = 1.0 - likeness.mean()
        if not self.is_described:
            return loss
        return loss + transmittance_loss(views, self.config)

    def figures(self) -> Mapping[str, float]:
        """Nothing that the curves do not show."""
        return {}


def prepare(request: PriorRequest) -> ClipGuidance:
    """CLIP guidance towards the user's words, or else towards the photo.

    Args:
        request: Model, words and photo.

    Returns:
        The prior.

    Raises:
        InputError: The model is missing, or the words do not fit.
    """
    clip = load_clip(
        request.source or DEFAULT_MODEL, device=request.device, offline=request.offline
    )
    text = request.text
    if text is not None and "<e>" in text:
        raise InputError(
            "--prior clip cannot read <e>, which only diffusion priors learn; leave "
            "it out of the prompt"
        )
    if text is not None:
        target = clip.text_features([text])
    elif request.rgba is not None:
        target = photo_features(clip, request.rgba)
    else:
        raise InputError("--prior clip needs a photo or a text")
    return ClipGuidance(clip, target, is_described=request.rgba is None)


@torch.no_grad()
def photo_features(
    clip: ClipEncoder, rgba: Float[Tensor, "height width 4"]
) -> Float[Tensor, "1 num_features"]:
    """Features of a cut-out photo, whatever is behind it.

    Args:
        clip: The model.
        rgba: Straight alpha in [0, 1].

    Returns:
        The mean over plain backgrounds from black to white, of length 1.
    """
    image = rgba.permute(2, 0, 1).to(clip.device, torch.float32)
    colours, alpha = image[:3], image[3:]
    shades = torch.linspace(0.0, 1.0, 5, device=image.device)
    pictures = torch.stack(
        [colours * alpha + (1.0 - alpha) * shade for shade in shades]
    )
    mean = clip.image_features(pictures).mean(dim=0, keepdim=True)
    return functional.normalize(mean, dim=-1)


def augment(
    views: JudgedViews, config: ClipGuidanceConfig, generator: torch.Generator
) -> Float[Tensor, "variations 3 height width"]:
    """Variations of views: other backgrounds, and crops (Dream Fields, Sec. 3.3).

    Args:
        views: Square pictures of the object.
        config: How many, and how much they vary.
        generator: CPU generator.

    Returns:
        `augmentations` times as many pictures, differentiable in the views.
    """
    size, device = views.images.shape[-1], views.images.device
    varied = []
    for _ in range(config.augmentations):
        behind = torch.stack(
            [random_background(size, config, generator) for _ in range(len(views))]
        )
        crop = _random_crop(len(views), config.smallest_crop, generator)
        pictures = views.over(send(behind, device))
        grid = functional.affine_grid(
            send(crop, device), list(pictures.shape), align_corners=False
        )
        varied.append(
            functional.grid_sample(
                pictures, grid, padding_mode="border", align_corners=False
            )
        )
    return torch.cat(varied)


def transmittance_loss(
    views: JudgedViews, config: ClipGuidanceConfig
) -> Float[Tensor, ""]:
    """-λ min(τ, mean T), τ rising over the first steps (Dream Fields, Eq. 6)."""
    low, high = config.transmittance_range
    share = min(views.progress / config.transmittance_end, 1.0)
    passing = (1.0 - views.opacities).mean()
    return -config.transmittance_weight * passing.clamp(max=low + share * (high - low))


def random_background(
    size: int, config: ClipGuidanceConfig, generator: torch.Generator
) -> Float[Tensor, "3 size size"]:
    """Noise, a checkerboard or a random texture, blurred (Dream Fields, Sec. 3.3)."""
    kind = int(torch.randint(3, (), generator=generator))
    if kind == 0:
        image = torch.rand(3, size, size, generator=generator)
    elif kind == 1:
        image = _checkerboard(size, generator)
    else:
        image = _texture(size, generator)
    deviation = config.largest_blur * size * float(torch.rand((), generator=generator))
    spectrum = torch.fft.rfft2(image)
    gain = torch.exp(-2.0 * (torch.pi * deviation * _frequencies(size)).square())
    return torch.fft.irfft2(spectrum * gain, s=(size, size)).clamp(0.0, 1.0)


def _checkerboard(size: int, generator: torch.Generator) -> Tensor:
    cells = int(torch.randint(2, 9, (), generator=generator))
    index = torch.arange(size) * cells // size
    is_odd = ((index[:, None] + index) % 2).bool()
    first, second = torch.rand(2, 3, 1, 1, generator=generator)
    return torch.where(is_odd, first, second)


def _texture(size: int, generator: torch.Generator) -> Tensor:
    """A random picture whose amplitudes fall with frequency, as in photographs."""
    spectrum = torch.fft.rfft2(torch.randn(3, size, size, generator=generator))
    decay = (_frequencies(size) * size).clamp(min=1.0) ** -_TEXTURE_DECAY
    image = torch.fft.irfft2(spectrum * decay, s=(size, size))
    low, high = image.amin(dim=(1, 2), keepdim=True), image.amax((1, 2), keepdim=True)
    return (image - low) / (high - low).clamp(min=1e-6)


def _frequencies(size: int) -> Tensor:
    """Cycles a pixel of each entry of a real spectrum."""
    return torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size))


def _random_crop(count: int, smallest: float, generator: torch.Generator) -> Tensor:
    """Affine maps to squares within the pictures, [count, 2, 3]."""
    draws = torch.rand(count, 3, generator=generator)
    side = smallest + (1.0 - smallest) * draws[:, 0]
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = side
    maps[:, :, 2] = (2.0 * draws[:, 1:] - 1.0) * (1.0 - side)[:, None]
    return maps
