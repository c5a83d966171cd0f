"""What the tests of operators share: instruction sets, and how examples are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from realfusion import _extension
from realfusion.ops.field_precision import field_precision, set_field_precision

# The same examples in every run.
settings.register_profile(
    "operators",
    deadline=None,  # timings belong in benchmarks/
    derandomize=True,
    max_examples=25,
    # The fixture of the instruction set stays the same for all examples of a test.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("operators")


def simd_levels() -> list[str]:
    variants = ["scalar", "avx2", "avx512"]
    best = _extension.load().build_info()["simd_level"]
    return variants[: variants.index(best) + 1]


@pytest.fixture(params=simd_levels())
def simd_level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every instruction set of this processor in turn."""
    monkeypatch.setenv("REALFUSION_SIMD", request.param)
    return request.param


@pytest.fixture
def float32_products() -> Iterator[None]:
    """Of the radiance field on CUDA, for a close look; a test may choose others."""
    before = field_precision()
    set_field_precision("float32")
    yield
    set_field_precision(before)
