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


@dataclass(frozen=True, kw_only=True)
class ViewDataset:
    """Views of many objects; an object's views follow one another."""

    images: NDArray[np.uint8]
    """``[num_objects, num_views, size, size, 4]``: premultiplied colour, alpha."""
    azimuth_deg: NDArray[np.float32]
    """``[num_objects, num_views]``."""
    elevation_deg: NDArray[np.float32]
    """``[num_objects, num_views]``."""
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
    azimuth = np.empty((num_objects, num_views), np.float32)
    elevation = np.empty_like(azimuth)
    captions = []
    for index in range(num_objects):
        seed = first_seed + index
        views = generate_views(seed, split=split, num_views=num_views, size=size)
        images[index] = views.images
        azimuth[index], elevation[index] = views.azimuth_deg, views.elevation_deg
        subject = views.subject
        captions.append((subject.noun, subject.primary, subject.secondary))
    return ViewDataset(
        images=images, azimuth_deg=azimuth, elevation_deg=elevation, captions=captions
    )


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

    Shard i holds objects ``i * objects_per_shard ...`` of the training split. A shard
    appears by an atomic rename, so that a stopped run is continued by calling again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in shard_indices:
        target = shard_path(folder, index)
        if not target.is_dir():
            shard = generate_dataset(
                index * objects_per_shard,
                objects_per_shard,
                num_views=num_views,
                size=size,
            )
            _write(target, shard)
        yield target


def load_shards(folders: list[Path]) -> ViewDataset:
    """Reads shards into one dataset (images stay memory-mapped per shard if single)."""
    parts = [_read(folder) for folder in folders]
    if len(parts) == 1:
        return parts[0]
    return ViewDataset(
        images=np.concatenate([part.images for part in parts]),
        azimuth_deg=np.concatenate([part.azimuth_deg for part in parts]),
        elevation_deg=np.concatenate([part.elevation_deg for part in parts]),
        captions=[caption for part in parts for caption in part.captions],
    )


def _write(target: Path, shard: ViewDataset) -> None:
    scratch = target.with_name(f"{target.name}.{os.getpid()}.partial")
    scratch.mkdir(parents=True, exist_ok=True)
    np.save(scratch / "images.npy", shard.images)
    np.save(scratch / "angles.npy", np.stack([shard.azimuth_deg, shard.elevation_deg]))
    (scratch / "captions.json").write_text(json.dumps(shard.captions))
    scratch.rename(target)


def _read(folder: Path) -> ViewDataset:
    azimuth, elevation = np.load(folder / "angles.npy")
    captions = json.loads((folder / "captions.json").read_text())
    return ViewDataset(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        azimuth_deg=azimuth,
        elevation_deg=elevation,
        captions=[(noun, first, second) for noun, first, second in captions],
    )
