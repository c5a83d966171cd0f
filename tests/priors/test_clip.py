from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from realfusion.errors import InputError
from realfusion.priors import clip
from realfusion.priors.clip import ClipEncoder, cached_clip, load_clip
from realfusion.priors.random_weights import save_random_clip


@pytest.fixture
def encoder(tmp_path: Path) -> ClipEncoder:
    """A CLIP with random weights, 32 px."""
    save_random_clip(tmp_path / "clip")
    return load_clip(tmp_path / "clip")


def test_features_are_those_of_transformers(
    encoder: ClipEncoder, generator: torch.Generator
) -> None:
    images = torch.rand(2, 3, 32, 32, generator=generator)
    mean = torch.tensor(clip._MEAN)[:, None, None]
    deviation = torch.tensor(clip._DEVIATION)[:, None, None]
    texts = ["a cat", "a photo of a teapot"]
    tokens = encoder.tokenizer(texts, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        expected = encoder.model(
            **tokens, pixel_values=(images - mean) / deviation, return_dict=True
        )
    torch.testing.assert_close(encoder.image_features(images), expected.image_embeds)
    torch.testing.assert_close(encoder.text_features(texts), expected.text_embeds)


def test_features_have_length_one_and_the_images_a_gradient(
    encoder: ClipEncoder, generator: torch.Generator
) -> None:
    images = torch.rand(2, 3, 48, 48, generator=generator, requires_grad=True)
    features = encoder.image_features(images)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(encoder.text_features(["a"]).norm(), torch.tensor(1.0))
    features[:, 0].sum().backward()
    assert float(images.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in encoder.model.parameters())


def test_a_text_has_the_same_features_in_any_company(encoder: ClipEncoder) -> None:
    alone = encoder.text_features(["a cat"])
    both = encoder.text_features(["a cat", "a photo of a very large teapot"])
    torch.testing.assert_close(alone[0], both[0])


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (80, 48), (20, 24)])
def test_images_are_resized_as_pil_does_and_cropped_in_the_middle(
    encoder: ClipEncoder, generator: torch.Generator, size: tuple[int, int]
) -> None:
    image = torch.rand(1, 3, *size, generator=generator)
    scale = 32 / min(size)
    height, width = round(size[0] * scale), round(size[1] * scale)
    planes = [
        Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC)
        for plane in image[0]
    ]
    top, left = (height - 32) // 2, (width - 32) // 2
    middle = np.stack(planes)[:, top : top + 32, left : left + 32]
    mean = np.array(clip._MEAN)[:, None, None]
    expected = (middle - mean) / np.array(clip._DEVIATION)[:, None, None]
    np.testing.assert_allclose(encoder._pixels(image)[0], expected, atol=2e-5)


def test_half_precision_weights_give_float32_features(tmp_path: Path) -> None:
    save_random_clip(tmp_path)
    encoder = load_clip(tmp_path, dtype=torch.bfloat16)
    images = torch.rand(1, 3, 32, 32)
    features = encoder.image_features(images)
    assert features.dtype == torch.float32
    exact = load_clip(tmp_path).image_features(images)
    assert float((features * exact).sum()) > 0.99


def test_runs_on_the_device(tmp_path: Path, device: torch.device) -> None:
    save_random_clip(tmp_path)
    encoder = load_clip(tmp_path, device=device)
    assert encoder.image_features(torch.rand(1, 3, 40, 40)).device.type == device.type
    assert encoder.text_features(["a"]).device.type == device.type


def test_a_text_that_is_too_long_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(InputError, match="must fit into 77 tokens, got 102: shorten"):
        encoder.text_features(["a", "a" * 100])


def test_the_cache_is_found_by_alias_and_by_hub_id(cached_clip_folder: Path) -> None:
    assert cached_clip() == "vit-b-32"
    assert cached_clip(["vit-l-14"]) is None
    assert load_clip(offline=True).name == "openai/clip-vit-base-patch32"
    assert load_clip("openai/clip-vit-base-patch32").image_size == 32
    (cached_clip_folder / "model.safetensors").unlink()
    assert cached_clip() is None


@pytest.mark.usefixtures("hub_cache")
def test_nothing_is_found_in_an_empty_cache() -> None:
    assert cached_clip() is None
    with pytest.raises(InputError, match=r"patch14 is not in the local .* downloads"):
        load_clip("vit-l-14", offline=True)


def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be vit-b-32, vit-l-14, a Hub id or a"):
        load_clip("vit_b")
    with pytest.raises(InputError, match=r"missing: config\.json, model\.safet"):
        load_clip(tmp_path)
    save_random_clip(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(
        InputError, match=r"cannot be loaded .*: fetch it again"
    ) as found:
        load_clip(tmp_path)
    assert "\n" not in str(found.value)


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_random_clip(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="1 are missing"):
        load_clip(tmp_path)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.usefixtures("hub_cache")
def test_one_format_of_the_weights_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    asked = []

    def fetch(_repository: str, patterns: tuple[str, ...], **_options: object) -> Path:
        asked.append(patterns[-1])
        (tmp_path / "config.json").touch()
        (tmp_path / "tokenizer.json").touch()
        if patterns[-1] == weights:
            (tmp_path / weights).touch()
        return tmp_path

    monkeypatch.setattr(clip, "fetch_snapshot", fetch)
    monkeypatch.setattr(clip, "is_offline", lambda offline: offline)
    assert clip._locate("vit-b-32", None, offline=False) == tmp_path
    assert asked[-1] == weights
