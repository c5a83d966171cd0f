"""CLIP as a prior, against Dream Fields' formulas, on a small model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.priors.clip import ClipEncoder, load_clip
from realfusion.priors.clip_guidance import (
    ClipGuidance,
    ClipGuidanceConfig,
    augment,
    photo_features,
    prepare,
    random_background,
    transmittance_loss,
)
from realfusion.priors.protocol import JudgedViews, Prior
from realfusion.priors.random_weights import save_random_clip
from realfusion.priors.registry import PriorRequest

CONFIG = ClipGuidanceConfig()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_random_clip(tmp_path / "clip")
    return tmp_path / "clip"


@pytest.fixture
def clip(folder: Path) -> ClipEncoder:
    return load_clip(folder)


@pytest.fixture
def views(generator: torch.Generator) -> JudgedViews:
    opacities = torch.zeros(2, 1, 24, 24)
    opacities[:, :, 6:18, 6:18] = 1.0
    colours = torch.rand(2, 3, 24, 24, generator=generator) * opacities
    return JudgedViews(
        images=colours + 1.0 - opacities,
        colours=colours.requires_grad_(),
        opacities=opacities.requires_grad_(),
        cameras=(Camera(), Camera(azimuth_deg=180.0)),
        progress=0.5,
    )


def request(
    folder: Path, *, text: str | None = None, rgba: torch.Tensor | None = None
) -> PriorRequest:
    return PriorRequest(
        source=str(folder),
        device=torch.device("cpu"),
        offline=True,
        text=text,
        rgba=rgba,
    )


def test_the_loss_is_one_minus_the_cosine_of_what_clip_sees(
    clip: ClipEncoder, views: JudgedViews
) -> None:
    guidance = ClipGuidance(clip, clip.text_features(["a cat"]), is_described=False)
    assert isinstance(guidance, Prior)
    loss = guidance.judge(views, torch.Generator().manual_seed(3))
    seen = augment(views, CONFIG, torch.Generator().manual_seed(3))
    likeness = clip.image_features(seen) @ clip.text_features(["a cat"])[0]
    torch.testing.assert_close(loss, 1.0 - likeness.mean())
    loss.backward()
    assert float(views.colours.grad.abs().sum()) > 0
    assert float(views.opacities.grad.abs().sum()) > 0


def test_descending_it_makes_a_view_more_alike(
    clip: ClipEncoder, generator: torch.Generator
) -> None:
    target = clip.text_features(["a teapot"])
    guidance = ClipGuidance(clip, target, is_described=False)
    image = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([image], lr=0.05)
    likeness = []
    for _ in range(40):
        views = JudgedViews(image, image, torch.ones(1, 1, 32, 32), (Camera(),), 0.0)
        optimizer.zero_grad()
        guidance.judge(views, generator).backward()
        optimizer.step()
        with torch.no_grad():
            likeness.append(float(clip.image_features(image)[0] @ target[0]))
    assert likeness[-1] > likeness[0] + 0.1


@pytest.mark.parametrize(
    ("progress", "opacity", "expected"),
    [
        (0.0, 0.9, -0.5 * 0.1),  # fuller than asked for: all of it counts
        (0.0, 0.2, -0.5 * 0.4),  # emptier than τ = .4: no more to gain
        (0.025, 0.2, -0.5 * 0.64),  # τ half-way
        (0.9, 0.05, -0.5 * 0.88),
    ],
)
def test_transmittance_is_wanted_up_to_its_share(
    progress: float, opacity: float, expected: float
) -> None:
    opacities = torch.full((1, 1, 4, 4), opacity)
    blank = torch.zeros(1, 3, 4, 4)
    views = JudgedViews(blank, blank, opacities, (Camera(),), progress)
    assert float(transmittance_loss(views, CONFIG)) == pytest.approx(expected, abs=1e-6)


def test_only_words_ask_for_transmittance(
    clip: ClipEncoder, views: JudgedViews
) -> None:
    target = clip.text_features(["a cat"])
    of_photo, of_text = (
        ClipGuidance(clip, target, is_described=is_described).judge(
            views, torch.Generator().manual_seed(0)
        )
        for is_described in (False, True)
    )
    torch.testing.assert_close(of_text - of_photo, transmittance_loss(views, CONFIG))


def test_variations_keep_the_object_and_change_what_is_behind(
    views: JudgedViews, generator: torch.Generator
) -> None:
    config = ClipGuidanceConfig(augmentations=6, smallest_crop=1.0)
    varied = augment(views, config, generator).detach()
    assert varied.shape == (12, 3, 24, 24)
    middle = varied.reshape(6, 2, 3, 24, 24)[..., 7:17, 7:17]
    torch.testing.assert_close(
        middle, views.colours[None, ..., 7:17, 7:17].expand_as(middle)
    )
    assert float(varied[..., :5, :].std(dim=0).mean()) > 0.05
    again = augment(views, config, torch.Generator().manual_seed(5))
    same = augment(views, config, torch.Generator().manual_seed(5))
    assert torch.equal(again, same), "the generator decides everything"


def test_backgrounds_are_pictures_of_every_kind(generator: torch.Generator) -> None:
    pictures = torch.stack(
        [random_background(32, CONFIG, generator) for _ in range(60)]
    )
    assert float(pictures.min()) >= 0.0
    assert float(pictures.max()) <= 1.0
    roughness = pictures.diff(dim=-1).abs().mean(dim=(1, 2, 3))
    assert float(roughness.max()) > 5 * float(roughness.min())
    assert float(pictures.mean()) == pytest.approx(0.5, abs=0.1)


def test_a_photo_is_most_like_itself(
    folder: Path, clip: ClipEncoder, generator: torch.Generator
) -> None:
    rgba = torch.rand(32, 32, 4, generator=generator)
    rgba[..., 3] = 1.0
    target = photo_features(clip, rgba)
    torch.testing.assert_close(target.norm(), torch.tensor(1.0))
    likeness = clip.image_features(rgba[..., :3].permute(2, 0, 1)[None]) @ target.T
    assert float(likeness) == pytest.approx(1.0, abs=1e-5)
    prepared = prepare(request(folder, rgba=rgba))
    torch.testing.assert_close(prepared.target, target)
    assert not prepared.is_described
    assert prepared.name == f"clip:{folder}"


def test_words_come_before_the_photo(folder: Path, clip: ClipEncoder) -> None:
    rgba = torch.ones(32, 32, 4)
    prepared = prepare(request(folder, text="a cat", rgba=rgba))
    torch.testing.assert_close(prepared.target, clip.text_features(["a cat"]))
    assert not prepared.is_described, "the photo's mask tells how full the picture is"
    assert prepare(request(folder, text="a cat")).is_described


def test_what_clip_cannot_look_for_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="<e>"):
        prepare(request(folder, text="an image of a <e>"))
    with pytest.raises(InputError, match="photo or a text"):
        prepare(request(folder))
    with pytest.raises(InputError, match="missing"):
        prepare(request(tmp_path, text="a cat"))
