"""What the decoder alone is trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from realfusion.prior_training.autoencoder import (
    build_autoencoder,
    composite_premultiplied,
    reconstruction_psnr_db,
)
from realfusion.prior_training.config import SMOKE
from realfusion.prior_training.dataset import generate_dataset
from realfusion.prior_training.decoder import decoding_loss, train_decoder
from realfusion.prior_training.latents import encode_views


def test_the_loss_is_half_the_logarithm_of_the_error_and_the_psnr_beside_it() -> None:
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    loss, psnr_db = decoding_loss(images + 0.2, images)
    assert loss.item() == pytest.approx(
        0.5 * torch.tensor(0.0401).log().item(), abs=1e-5
    )
    assert psnr_db.item() == pytest.approx(20.0, abs=1e-4)
    nearer, _ = decoding_loss(images + 0.1, images)
    assert nearer < loss


def test_training_goes_on_from_its_checkpoint_and_decodes_better(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    views = generate_dataset(0, 4, num_views=2)
    autoencoder = build_autoencoder(SMOKE.autoencoder, 64).eval()
    latents = encode_views(autoencoder, views.images, mixed_precision=False)
    images = composite_premultiplied(
        torch.from_numpy(views.images.reshape(8, 64, 64, 4))
    )
    before = reconstruction_psnr_db(autoencoder, images)
    steps_seen: list[int] = []
    for steps in (10, 40):
        settings = dataclasses.replace(
            SMOKE.autoencoder, decoder_steps=steps, full_batch_size=8
        )
        config = dataclasses.replace(
            SMOKE, device="cpu", mixed_precision=False, autoencoder=settings
        )
        train_decoder(
            autoencoder,
            views,
            latents,
            config,
            tmp_path,
            lambda stage, step, total, measured: steps_seen.append(step),
        )
    assert steps_seen == [10, 20, 30, 40]
    assert reconstruction_psnr_db(autoencoder, images) > before + 1.0
    again = encode_views(autoencoder, views.images, mixed_precision=False)
    assert (again == latents).all(), "the encoder is as it was"
