"""Writes held-out procedural objects for `realfusion benchmark-quality`.

    python -m benchmarks.held_out_objects OUT --count 12

Presets are tuned on these, which the embedded prior never saw, so that scanned objects
remain an independent check. Half are of families that training left out, half are new
instances of trained families; the format is that of
`realfusion.evaluation.ground_truth`, without a surface (the meshes overlap inside).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from realfusion.io.images import write_png
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import ObjectView, random_light, render_views

SPLITS = ("held_out_instances", "held_out_families")
ELEVATION_DEG = 15.0
INPUT_SIZE, VIEW_SIZE = 256, 128
LARGEST_TURN_DEG = 40.0


def truth_views() -> list[ObjectView]:
    """Eleven around the object, four from above, one from below."""
    around = [(30.0 * k, ELEVATION_DEG) for k in range(1, 12)]
    above = [(90.0 * k, 50.0) for k in range(4)]
    return [
        ObjectView(azimuth_deg=azimuth, elevation_deg=elevation)
        for azimuth, elevation in [*around, *above, (200.0, -15.0)]
    ]


def write_object(folder: Path, seed: int, split: str) -> None:
    """Renders one object, photographed from near its front."""
    rng = np.random.default_rng([29, seed])
    subject = generate_object(seed, split=split)
    turn = float(rng.uniform(-LARGEST_TURN_DEG, LARGEST_TURN_DEG))
    light = random_light(rng)
    front = ObjectView(azimuth_deg=0.0, elevation_deg=ELEVATION_DEG)
    views = truth_views()

    def render(view: ObjectView, size: int) -> np.ndarray:
        turned = ObjectView(
            azimuth_deg=view.azimuth_deg + turn, elevation_deg=view.elevation_deg
        )
        image = render_views(subject.mesh, [turned], light, size=size)[0]
        image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
        image[image[..., 3] == 0] = (1, 1, 1, 0)
        return np.round(image.clip(0, 1) * 255).astype(np.uint8)

    write_png(folder / "input.png", render(front, INPUT_SIZE))
    for index, view in enumerate(views):
        write_png(folder / f"view_{index:02d}.png", render(view, VIEW_SIZE))
    cameras = [
        {
            "azimuth_deg": view.azimuth_deg,
            "elevation_deg": view.elevation_deg,
            "radius": view.radius,
            "fov_y_deg": view.fov_y_deg,
        }
        for view in [front, *views]
    ]
    document = {"input": cameras[0], "views": cameras[1:]}
    (folder / "cameras.json").write_text(json.dumps(document, indent=1))


def main() -> None:
    """Write the objects."""
    parser = argparse.ArgumentParser(prog="benchmarks.held_out_objects")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=1000)
    given = parser.parse_args()
    for index in range(given.count):
        seed, split = given.first_seed + index // 2, SPLITS[index % 2]
        noun = generate_object(seed, split=split).noun.replace(" ", "_")
        folder = given.out / f"{split.removeprefix('held_out_')}_{seed}_{noun}"
        write_object(folder, seed, split)
        print(folder)


if __name__ == "__main__":
    main()
