"""Shards of rendered procedural objects on disk, and all of them in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realfusion.procedural.views import generate_views

FIRST_SEED = 10_000_000
"""First object that the diffusion model sees. The shape estimator learns from the ones
before it: its guesses of objects that it has seen would be better than those of any
photo, and the denoiser would rely on them too much."""


@dataclass(frozen=True, kw_only=True)
class ViewDataset:
    """Views of many objects; an object's views follow one another."""

    images: NDArray[np.uint8]
    """``[num_objects, num_views, size, size, 4]``: premultiplied colour, alpha."""
    cameras: NDArray[np.float32]
    """``[num_objects, num_views, 4]``, as :class:`ObjectViews` has them."""
    captions: list[tuple[str, str, str]]
    """Noun, main colour and detail colour of each object."""

    @property
    def num_objects(self) -> int:
        """Number of objects."""
        return len(self.captions)


def generate_dataset(
    first_seed: int,
    num_objects: int,
    *,
    split: str = "train",
    num_views: int = 6,
    size: int = 64,
) -> ViewDataset:
    """Generates objects ``first_seed ...`` of a split and renders their views."""
    images = np.empty((num_objects, num_views, size, size, 4), np.uint8)
    cameras = np.empty((num_objects, num_views, 4), np.float32)
    captions = []
    for index in range(num_objects):
        seed = first_seed + index
        views = generate_views(seed, split=split, num_views=num_views, size=size)
        images[index], cameras[index] = views.images, views.cameras
        subject = views.subject
        captions.append((subject.noun, subject.primary, subject.secondary))
    return ViewDataset(images=images, cameras=cameras, captions=captions)


def shard_path(folder: Path, index: int) -> Path:
    """Where shard ``index`` of a folder lies."""
    return folder / f"shard_{index:04d}"


def write_shards(
    folder: Path,
    shard_indices: range,
    *,
    objects_per_shard: int,
    num_views: int = 6,
    size: int = 64,
) -> Iterator[Path]:
    """Writes the shards that are missing, one at a time; yields each when it is there.

    Shard i holds objects ``FIRST_SEED + i * objects_per_shard ...`` of the training
    split. A shard appears by an atomic rename, so that a stopped run is continued by
    calling again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in shard_indices:
        target = shard_path(folder, index)
        if not target.is_dir():
            shard = generate_dataset(
                FIRST_SEED + index * objects_per_shard,
                objects_per_shard,
                num_views=num_views,
                size=size,
            )
            _write(target, shard)
        yield target


def load_shards(folders: list[Path]) -> ViewDataset:
    """Reads shards into one dataset (the images of a single one stay on disk)."""
    parts = [_read(folder) for folder in folders]
    if len(parts) == 1:
        return parts[0]
    return ViewDataset(
        images=np.concatenate([part.images for part in parts]),
        cameras=np.concatenate([part.cameras for part in parts]),
        captions=[caption for part in parts for caption in part.captions],
    )


def _write(target: Path, shard: ViewDataset) -> None:
    scratch = target.with_name(f"{target.name}.{os.getpid()}.partial")
    scratch.mkdir(parents=True, exist_ok=True)
    np.save(scratch / "images.npy", shard.images)
    np.save(scratch / "cameras.npy", shard.cameras)
    (scratch / "captions.json").write_text(json.dumps(shard.captions))
    scratch.rename(target)


def _read(folder: Path) -> ViewDataset:
    captions = json.loads((folder / "captions.json").read_text())
    return ViewDataset(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        cameras=np.load(folder / "cameras.npy"),
        captions=[(noun, first, second) for noun, first, second in captions],
    )
