"""Shards of images with the bodies behind them, on disk and in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from realfusion.prior_training.dataset import shard_path
from realfusion.procedural.bodies import ObjectBodies, generate_bodies

_SHARDS_A_BATCH = 6
"""Shards that a batch is drawn from."""


@dataclass(frozen=True)
class ShapeBatch:
    """Examples for the shape estimator."""

    images: Float[Tensor, "batch 4 size size"]
    """Colour times alpha, alpha; in [0, 1]."""
    back_colours: Float[Tensor, "batch 3 size size"]
    """Colour of the last surface along each ray; 0 where there is none."""
    occupancy: UInt8[Tensor, "batch size size num_planes"]
    """1 inside the object, along each pixel's ray."""
    elevation_deg: Float[Tensor, batch]
    """Of the camera."""

    def to(self, device: torch.device) -> ShapeBatch:
        """The batch on another device."""
        return ShapeBatch(*(getattr(self, f.name).to(device) for f in fields(self)))


def generate_shape_shard(
    first_seed: int, num_objects: int, *, split: str = "train", size: int = 64
) -> ObjectBodies:
    """Generates objects ``first_seed ...`` of a split, two views of each."""
    made = [
        generate_bodies(first_seed + index, split=split, size=size)
        for index in range(num_objects)
    ]
    return ObjectBodies(
        **{
            field.name: np.concatenate([getattr(each, field.name) for each in made])
            for field in fields(ObjectBodies)
        }
    )


def write_shape_shards(
    folder: Path, count: int, *, objects_per_shard: int, size: int
) -> Iterator[Path]:
    """Writes the shards that are missing, one at a time; yields each when it is there.

    A shard appears by an atomic rename: calling again continues a stopped run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        target = shard_path(folder, index)
        if not target.is_dir():
            shard = generate_shape_shard(
                index * objects_per_shard, objects_per_shard, size=size
            )
            _write(target, shard)
        yield target


def load_shape_shard(folder: Path) -> ObjectBodies:
    """Reads a shard; its arrays stay on disk until they are looked at."""
    return ObjectBodies(
        **{
            field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r")
            for field in fields(ObjectBodies)
        }
    )


def random_shape_batch(
    shards: list[ObjectBodies], batch_size: int, generator: torch.Generator
) -> ShapeBatch:
    """Views drawn from a few random shards, half of them mirrored."""
    draws = min(_SHARDS_A_BATCH, batch_size)
    chosen = torch.randint(len(shards), (draws,), generator=generator)
    parts = []
    for position, shard in enumerate(chosen.tolist()):
        views = len(shards[shard].elevation_deg)
        share = batch_size // draws + (position < batch_size % draws)
        places = torch.randint(views, (share,), generator=generator)
        parts.append((shards[shard], places.sort().values.numpy()))
    mirrored = torch.rand(batch_size, generator=generator) < 0.5
    return _assemble(parts, mirrored)


def shape_batch(bodies: ObjectBodies, places: slice) -> ShapeBatch:
    """Some views of a shard as they are."""
    indices = np.arange(len(bodies.elevation_deg))[places]
    return _assemble([(bodies, indices)], torch.zeros(len(indices), dtype=torch.bool))


def _assemble(
    parts: list[tuple[ObjectBodies, NDArray[np.int64]]], mirrored: Tensor
) -> ShapeBatch:
    def gather(name: str) -> Tensor:
        values = np.concatenate([getattr(shard, name)[at] for shard, at in parts])
        tensor = torch.from_numpy(
            values.view(np.int64) if name == "occupancy" else values
        )
        if tensor.ndim == 1:
            return tensor
        flips = mirrored.view(-1, *[1] * (tensor.ndim - 1))
        return torch.where(flips, tensor.flip(2), tensor)

    words = gather("occupancy").contiguous().numpy()
    bits = np.unpackbits(words.view(np.uint8), bitorder="little")
    return ShapeBatch(
        images=gather("images").permute(0, 3, 1, 2).float() / 255,
        back_colours=gather("back_colours").permute(0, 3, 1, 2).float() / 255,
        occupancy=torch.from_numpy(bits.reshape(*words.shape, -1)),
        elevation_deg=gather("elevation_deg"),
    )


def _write(target: Path, shard: ObjectBodies) -> None:
    scratch = target.with_name(f"{target.name}.{os.getpid()}.partial")
    scratch.mkdir(parents=True, exist_ok=True)
    for field in fields(ObjectBodies):
        np.save(scratch / f"{field.name}.npy", getattr(shard, field.name))
    scratch.rename(target)
