"""Ray marching of a 96 x 96 view of a ball in a 128^3 grid, 512 steps across."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.ops.roofline import record_floor
from realfusion.ops import march_rays, morton_decode, pack_occupancy
from realfusion.ops.reference import ray_marching as reference

SIZE = 96
BOUND = 0.75
RESOLUTION = 128
STEP_SIZE = 2.0 * math.sqrt(3.0) * BOUND / 512
MARCHERS = {"native": march_rays, "reference": reference.march_rays}
ROUNDS = {"native": 15, "reference": 3}
# A step: its distance (2), point (6), cell (6) and the Morton code (about 30).
OPERATIONS_A_STEP = 44


@pytest.fixture
def scene(device):
    cells = morton_decode(torch.arange(RESOLUTION**3))
    centres = (cells + 0.5) * (2.0 * BOUND / RESOLUTION) - BOUND
    occupancy = pack_occupancy((0.5 - centres.norm(dim=1)).clamp(min=0.0), 0.0)
    plane = (torch.arange(SIZE) + 0.5) / SIZE * 2.0 - 1.0
    y, x = torch.meshgrid(-plane, plane, indexing="ij")
    extent = math.tan(math.radians(20.0))
    directions = torch.stack([extent * x, extent * y, -torch.ones_like(x)], dim=-1)
    directions = torch.nn.functional.normalize(directions.reshape(-1, 3), dim=1)
    origins = torch.tensor([0.0, 0.0, 1.8]).expand_as(directions).contiguous()
    noise = torch.rand(len(origins), generator=torch.Generator().manual_seed(0))
    return [tensor.to(device) for tensor in (origins, directions, occupancy, noise)]


@pytest.mark.benchmark(group="march_rays")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_march(benchmark, scene, device, synchronize, implementation):
    march = MARCHERS[implementation]
    origins, directions, occupancy, noise = scene
    settings = {
        "resolution": RESOLUTION,
        "bound": BOUND,
        "step_size": STEP_SIZE,
        "max_steps_per_ray": 1024,
    }

    def run():
        samples = march(origins, directions, occupancy, noise=noise, **settings)
        synchronize()
        return samples

    samples = benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=1)
    everywhere = torch.full_like(occupancy, 255)
    num_steps = march_rays(
        origins, directions, everywhere, noise=noise, **settings
    ).num_samples
    benchmark.extra_info["samples"] = f"{samples.num_samples} of {num_steps} steps"
    record_floor(
        benchmark,
        device,
        num_bytes=len(origins) * 36 + occupancy.numel() + 24 * samples.num_samples,
        num_operations=OPERATIONS_A_STEP * num_steps,
    )
