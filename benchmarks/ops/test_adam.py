"""A step of Adam with the averages, beside torch's fused one and the floor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.ops.cases import ADAM_WORK, make_adam_case, make_torch_adam_step
from benchmarks.ops.roofline import record_floor
from realfusion.ops.adam import adam_step_
from realfusion.ops.reference import adam as reference


@pytest.mark.benchmark(group="adam_step_, the parameters of `fast`")
@pytest.mark.parametrize("implementation", ["native", "torch fused", "reference"])
def test_adam_step(
    benchmark,
    device: torch.device,
    synchronize: Callable[[], None],
    implementation: str,
) -> None:
    case = make_adam_case(device)
    steps: dict[str, Callable[[], None]] = {
        "native": lambda: adam_step_(**case.tensors, **case.numbers),
        "torch fused": make_torch_adam_step(case),
        "reference": lambda: reference.adam_step_(**case.tensors, **case.numbers),
    }

    def run() -> None:
        steps[implementation]()
        synchronize()

    benchmark.pedantic(run, warmup_rounds=3, rounds=15)
    record_floor(benchmark, device, ADAM_WORK.times(case.count))
