"""Visible samples of a 96 x 96 view of a solid ball, 512 steps across, and the floor.

The floor counts the densities of the samples that are kept: no others need be known.
Then with what the field says of them, at once and one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.ops.cases import make_march_case, make_visible_case, visible_work
from benchmarks.ops.roofline import record_floor
from realfusion.ops import RaySamples
from realfusion.ops.radiance_field import FieldSamples, radiance_field
from realfusion.ops.reference import visible_samples as reference
from realfusion.ops.visible_samples import visible_field, visible_samples

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


def keep_then_evaluate(
    *arguments: Any, with_normals: bool, **settings: Any
) -> tuple[RaySamples, FieldSamples]:
    """The two operators in turn, as without `visible_field`."""
    kept = visible_samples(*arguments, **settings)
    return kept, radiance_field(
        kept.positions, *arguments[1:], with_normals=with_normals, **settings
    )


@pytest.mark.parametrize("method", ["native", "in turn"])
@pytest.mark.parametrize("with_normals", [True, False])
@pytest.mark.parametrize("width", [32, 64])
def test_visible_field(
    benchmark,
    device: torch.device,
    synchronize: Callable[[], None],
    method: str,
    with_normals: bool,
    width: int,
) -> None:
    what = "normals" if with_normals else "no normals"
    benchmark.group = f"visible_field, H = {width}, {what}"
    evaluate = visible_field if method == "native" else keep_then_evaluate
    case = make_visible_case(width, make_march_case(device))

    def run() -> None:
        evaluate(*case.arguments, **case.settings, with_normals=with_normals)
        synchronize()

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
