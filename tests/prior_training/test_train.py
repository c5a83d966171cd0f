"""The whole training on the smoke configuration: export, resume, card."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from realfusion.cameras.camera import Camera
from realfusion.errors import InputError
from realfusion.prior_training.config import SMOKE, DataConfig
from realfusion.prior_training.train import train_prior
from realfusion.priors.config import Prompt
from realfusion.priors.stable_diffusion import StableDiffusionPrior

Record = tuple[str, int, int, dict[str, float]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    out: Path = tmp_path_factory.mktemp("training")
    reports: list[Record] = []
    config = dataclasses.replace(SMOKE, device="cpu")
    train_prior(config, out, progress=lambda *record: reports.append(record))
    return out, reports


def test_every_stage_reports_its_end(
    trained: tuple[Path, list[Record]],
) -> None:
    last = {stage: (step, total) for stage, step, total, _ in trained[1]}
    assert set(last) == {
        "data",
        "autoencoder",
        "decoder",
        "latents",
        "guides",
        "encoders",
        "denoiser",
        "scores",
        "bodies",
        "shape estimator",
    }
    assert all(step == total for step, total in last.values())


def test_the_export_drives_the_product(trained: tuple[Path, list[Record]]) -> None:
    folder = trained[0] / "prior"
    prior = StableDiffusionPrior.from_pretrained(folder)
    token = prior.encode_image_token(torch.rand(64, 64, 4))
    assert token is not None
    assert token.vectors.shape == (4, 32)
    prior.set_token(token)
    prompt = Prompt(subject=prior.metadata.subject)
    conditioning = prior.condition(prompt, [Camera(azimuth_deg=180.0)])
    assert conditioning.class_labels is not None
    assert conditioning.class_labels.tolist() == [12]
    assert prior.image_size == 64
    assert (
        load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")[
            "conv_in.weight"
        ].dtype
        is torch.float16
    )


def test_the_card_and_the_record_tell_the_training(
    trained: tuple[Path, list[Record]],
) -> None:
    folder = trained[0] / "prior"
    record = json.loads((folder / "realfusion_prior.json").read_text())["training"]
    assert record["objects"] == 4
    assert record["samples"] == 8
    assert record["configuration"]["seed"] == 0
    for name in (
        "held_out_families",
        "held_out_instances_at_980",
        "held_out_instances_without_guide",
    ):
        assert record["scores"][name]["num_objects"] == 1
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| view_top1 |" in card
    assert record["shape_estimator"]["samples"] == 8
    assert 0 <= record["shape_estimator"]["iou_held_out_families"] <= 1
    assert "## Shape estimator" in card
    assert (trained[0] / "samples.png").is_file()


def test_a_longer_configuration_goes_on_from_the_checkpoint(
    trained: tuple[Path, list[Record]],
) -> None:
    denoiser = dataclasses.replace(SMOKE.denoiser, steps=3)
    config = dataclasses.replace(SMOKE, device="cpu", denoiser=denoiser)
    reports: list[Record] = []
    train_prior(config, trained[0], progress=lambda *record: reports.append(record))
    steps = [step for stage, step, _, _ in reports if stage == "denoiser"]
    assert steps == [3]
    assert not any(stage in ("autoencoder", "encoders") for stage, *_ in reports)


def test_a_broken_number_of_objects_is_refused(tmp_path: Path) -> None:
    data = DataConfig(num_objects=7, objects_per_shard=4)
    config = dataclasses.replace(SMOKE, data=data)
    with pytest.raises(ValueError, match="`num_objects` must be a positive multiple"):
        train_prior(config, tmp_path)


def test_the_shape_estimator_alone_leaves_the_rest_of_a_prior(
    trained: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    first = trained[0] / "prior"
    settings = dataclasses.replace(SMOKE.shape_estimator, steps=3)
    config = dataclasses.replace(
        SMOKE,
        device="cpu",
        part="shape-estimator",
        initial_prior=str(first),
        shape_estimator=settings,
    )
    prior = train_prior(config, tmp_path)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (prior / weights).read_bytes() == (first / weights).read_bytes()
    weights = "shape_estimator/model.safetensors"
    assert (prior / weights).read_bytes() != (first / weights).read_bytes()
    record, before = (
        json.loads((folder / "realfusion_prior.json").read_text())["training"]
        for folder in (prior, first)
    )
    assert record["shape_estimator"]["samples"] == 12
    assert record["samples"] == before["samples"], "the diffusion model's own"


def test_a_shape_estimator_of_another_shape_is_refused(
    trained: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    settings = dataclasses.replace(SMOKE.shape_estimator, widths=(8, 8, 16))
    config = dataclasses.replace(
        SMOKE,
        device="cpu",
        part="shape-estimator",
        initial_prior=str(trained[0] / "prior"),
        shape_estimator=settings,
    )
    with pytest.raises(InputError, match=r"shape, got widths \(8, 8, 8\) for \(8,"):
        train_prior(config, tmp_path)
    assert not (tmp_path / "bodies").exists()


def test_the_decoder_alone_leaves_the_rest_of_a_prior(
    trained: tuple[Path, list[Record]], tmp_path: Path
) -> None:
    first = trained[0] / "prior"
    config = dataclasses.replace(
        SMOKE, device="cpu", part="decoder", initial_prior=str(first)
    )
    prior = train_prior(config, tmp_path)
    for part in ("unet", "text_encoder", "image_encoder", "shape_estimator"):
        (weights,) = (first / part).glob("*.safetensors")
        assert (prior / part / weights.name).read_bytes() == weights.read_bytes()
    before, after = (
        load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
        for folder in (first, prior)
    )
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed
    assert all(name.startswith(("decoder.", "post_quant_conv.")) for name in changed)
    record, of_first = (
        json.loads((folder / "realfusion_prior.json").read_text())["training"]
        for folder in (prior, first)
    )
    assert record["decoder"]["samples"] == 4
    assert record["samples"] == of_first["samples"], "the diffusion model's own"
    assert "autoencoder's decoder" in (prior / "MODEL_CARD.md").read_text()
