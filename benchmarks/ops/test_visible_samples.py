"""Visible samples of a 96 x 96 view of a solid ball, 512 steps across, and the floor.

The floor counts the densities of the samples that are kept: no others need be known.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.ops.cases import make_march_case, make_visible_case, visible_work
from benchmarks.ops.roofline import record_floor
from realfusion.ops import RaySamples
from realfusion.ops.reference import visible_samples as reference
from realfusion.ops.visible_samples import visible_samples

FUNCTIONS = {"native": visible_samples, "reference": reference.visible_samples}
ROUNDS = {"native": 7, "reference": 3}


@pytest.mark.parametrize("implementation", ["native", "reference"])
@pytest.mark.parametrize("width", [32, 64])
def test_visible_samples(
    benchmark,
    device: torch.device,
    synchronize: Callable[[], None],
    implementation: str,
    width: int,
) -> None:
    benchmark.group = f"visible_samples, H = {width}"
    keep = FUNCTIONS[implementation]
    case = make_visible_case(width, make_march_case(device))

    def run() -> RaySamples:
        kept = keep(*case.arguments, **case.settings)
        synchronize()
        return kept

    kept = benchmark.pedantic(run, rounds=ROUNDS[implementation], warmup_rounds=1)
    num_kept, num_samples = kept.num_samples, case.samples.num_samples
    benchmark.extra_info["kept"] = f"{num_kept} of {num_samples} samples"
    record_floor(benchmark, device, visible_work(width, num_kept))
