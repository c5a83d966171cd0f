"""Ray marching of a 96 x 96 view of a ball in a 128^3 grid, 512 steps across."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ops.cases import make_march_case, marching_work
from benchmarks.ops.roofline import record_floor
from realfusion.ops import march_rays
from realfusion.ops.reference import ray_marching as reference

MARCHERS = {"native": march_rays, "reference": reference.march_rays}
ROUNDS = {"native": 15, "reference": 3}


@pytest.mark.benchmark(group="march_rays")
@pytest.mark.parametrize("implementation", ["native", "reference"])
def test_march(benchmark, device, synchronize, implementation):
    march = MARCHERS[implementation]
    case = make_march_case(device)

    def run():
        samples = march(*case.arguments, noise=case.noise, **case.settings)
        synchronize()
        return samples

    samples = benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=1)
    everywhere = torch.full_like(case.occupancy, 255)
    num_steps = march_rays(
        case.origins, case.directions, everywhere, noise=case.noise, **case.settings
    ).num_samples
    benchmark.extra_info["samples"] = f"{samples.num_samples} of {num_steps} steps"
    record_floor(benchmark, device, marching_work(case, samples.num_samples, num_steps))
