"""The sections' plumbing with tiny cases on the CPU, and what they read of tools."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch

from benchmarks.gpu_suite import device_tests, parity, sanitizer, timing
from benchmarks.gpu_suite.floors import Ceilings, Demand, Scattered
from benchmarks.gpu_suite.parity_operators import ParityCase
from benchmarks.gpu_suite.peer_nerfacc import unpack_bits
from benchmarks.gpu_suite.report import Report, read_entries
from benchmarks.gpu_suite.runner import ROOT
from benchmarks.gpu_suite.setting import Setting
from benchmarks.ops.cases import Work
from realfusion.ops import pack_occupancy
from realfusion.ops.reference.occupancy import morton_decode


@pytest.fixture
def report(tmp_path):
    return Report(tmp_path / "report.jsonl")


@pytest.mark.parametrize("name", ["parity", "kernels", "steps", "prior", "peers"])
def test_a_section_runs_dry_without_a_failure(name, report, tmp_path):
    setting = Setting(device="cpu", is_quick=False, work=str(tmp_path))
    import_module(f"benchmarks.gpu_suite.{name}").run(report, setting)
    entries = read_entries(report.path)
    assert entries["failure"] == []
    assert entries["record"] or entries["check"]


def test_the_script_runs_dry_from_end_to_end(tmp_path):
    command = [sys.executable, "benchmarks/gpu.py", "--dry-run", "--only", "build"]
    command += ["sanitizer", "--out", str(tmp_path), "--name", "dry"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    text = (tmp_path / "dry.md").read_text(encoding="utf-8")
    assert "| build | extension built in place | done |" in text
    assert "- CPU: " in text
    document = json.loads((tmp_path / "dry.json").read_text(encoding="utf-8"))
    assert [section["state"] for section in document["sections"]] == ["done"] * 2


def test_parity_fails_for_a_wrong_value_an_unequal_bit_and_a_nan(report):
    case = ParityCase("case", run=lambda *_: {}, limit=1e-3)
    right = {"value": torch.ones(4), "index_exact": torch.arange(3)}
    for wrong in (
        {"value": torch.ones(4) + 0.01},
        {"value": torch.tensor([1.0, 1.0, 1.0, torch.nan])},
        {"value": torch.ones(5)},
        {"index_exact": torch.arange(3) + 1},
    ):
        parity.compare(report, case, right | wrong, right)
    parity.compare(report, case, right, right)
    passed = [check["passed"] for check in read_entries(report.path)["check"]]
    assert passed == [False] * 4 + [True]


def test_repetition_excuses_only_sums_in_no_fixed_order(report):
    case = ParityCase("case", run=lambda *_: {}, varying=("sum",))
    first = {"sum": torch.zeros(2), "value": torch.zeros(2)}
    parity.check_repetition(report, case, first, first | {"sum": torch.ones(2)})
    parity.check_repetition(report, case, first, first | {"value": torch.ones(2)})
    passed = [check["passed"] for check in read_entries(report.path)["check"]]
    assert passed == [True, False]


def test_determinism_on_demand_is_the_same_bits(report):
    values = iter([torch.zeros(2), torch.ones(2), torch.zeros(2), torch.zeros(2)])

    def run(*_):
        assert torch.are_deterministic_algorithms_enabled()
        return {"sum": next(values)}

    for _ in range(2):
        case = ParityCase("case", run=run)
        parity.check_determinism(report, case, torch.device("cpu"))
    passed = [check["passed"] for check in read_entries(report.path)["check"]]
    assert passed == [False, True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_floor_is_the_slowest_unit_at_the_fitting_table_size():
    rates = {
        ("copy", 2**20): 1e12,
        ("gather", 2**15): 1e12,
        ("gather", 2**22): 1e11,
        ("reduction_1", 2**22): 1e10,
        ("fma", 0): 1e13,
        ("mma_tf32", 0): 1e14,
        ("graph_kernel", 0): 1e-6,
    }
    measurements = [
        {"name": name, "num_bytes": size, "value": value}
        for (name, size), value in rates.items()
    ]
    ceilings = Ceilings(measurements, torch.device("cpu"))
    work = Work(num_bytes=1e6, num_operations=1e9)
    assert ceilings.floor(Demand(work)) == (pytest.approx(1e-4), "arithmetic")
    on_tensor_cores = Demand(work, "mma_tf32", gathers=[Scattered(1e6, 2**16)])
    assert ceilings.times(on_tensor_cores) == pytest.approx(
        {"memory": 1e-6, "arithmetic": 1e-5, "gathers": 1e-5, "launch": 1e-6}
    )
    # Without paired reductions each pair takes two.
    scattered = Demand(work, reductions=[Scattered(1e6, 2**20)])
    assert ceilings.floor(scattered) == (pytest.approx(2e-4), "reductions")


MEMCHECK = """\
========= COMPUTE-SANITIZER
========= Invalid __global__ write of size 4 bytes
=========     at void realfusion::cuda::march_kernel<true>(float *)+0x1c0
=========     by thread (3,0,0) in block (0,0,0)
=========     Address 0x7f00 is out of bounds
=========
========= Invalid __global__ write of size 4 bytes
=========     at void realfusion::cuda::march_kernel<true>(float *)+0x1d0
=========     by thread (4,0,0) in block (0,0,0)
sanitized: done, 22 cases
========= ERROR SUMMARY: 2 errors
"""
INITCHECK = """\
========= Uninitialized __global__ memory read of size 4 bytes
=========     at void at::native::vectorized_elementwise_kernel<4>(int)+0x150
=========     by thread (96,0,0) in block (0,0,0)
========= ERROR SUMMARY: 1 error
"""
RACECHECK = """\
========= Error: Race reported between Write access at realfusion::cuda::a()+0x30
=========     and Read access at realfusion::cuda::a()+0x70 [16 hazards]
=========
========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)
"""


def test_a_replayed_graph_is_timed_on_a_device_that_is_not_idle(monkeypatch):
    calls = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            calls.append("event")

        def elapsed_time(self, end):
            return 2.0

    graph = SimpleNamespace(replay=lambda: calls.append("replay"))
    monkeypatch.setattr(timing, "capture", lambda run: graph)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: calls.append("sleep"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    times, method = timing.time_on_device(
        lambda: None, torch.device("cuda"), 2, is_captured=True
    )
    assert (times, method) == ([2e-3, 2e-3], "graph replay")
    timed = ["event", "replay", "event"] * 2
    assert calls == ["replay"] * 5 + ["sleep", *timed, "wait"]


def test_findings_of_the_sanitizer_are_read_with_their_places():
    verdict = sanitizer.parse_output(MEMCHECK)
    assert verdict.count == 2
    assert verdict.findings == [
        "Invalid __global__ write of size 4 bytes in void "
        "realfusion::cuda::march_kernel<true>(float *)"
    ]
    assert verdict.in_ours
    foreign = sanitizer.parse_output(INITCHECK)
    assert (foreign.count, foreign.in_ours) == (1, False)
    race = sanitizer.parse_output(RACECHECK)
    assert (race.count, race.in_ours) == (1, True)
    clean = sanitizer.parse_output("========= ERROR SUMMARY: 0 errors\n")
    assert (clean.count, clean.findings) == (0, [])
    assert sanitizer.parse_output("Segmentation fault").count is None


def test_only_initcheck_watches_foreign_kernels_too():
    filtered = ["--kernel-name", "kns=realfusion"]
    for tool in sanitizer.TOOLS:
        command = sanitizer.make_command("compute-sanitizer", tool)
        assert (filtered[1] in command) == (tool != "initcheck")


def test_failed_tests_are_named_with_their_first_line(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="tests.a" name="ok"/>'
        '<testcase classname="tests.a" name="no"><failure message="x != y&#10;more"/>'
        '</testcase><testcase classname="tests.a" name="skip"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    counts, failures = device_tests.read_results(path)
    assert counts == {"tests": 3, "skipped": 1}
    assert failures == ["tests.a::no: x != y"]


def test_a_peer_gets_the_same_occupancy():
    grid = torch.rand(8**3, generator=torch.Generator().manual_seed(0))
    unpacked = unpack_bits(pack_occupancy(grid, 0.5), 8)
    x, y, z = morton_decode(torch.arange(8**3)).long().unbind(1)
    assert torch.equal(unpacked[x, y, z], grid > 0.5)
