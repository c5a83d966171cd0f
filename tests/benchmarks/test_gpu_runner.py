"""Sections fail alone, keep their time, and all end up in the table."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.gpu_suite import command, document, goals, runner
from benchmarks.gpu_suite.report import Report, read_entries
from benchmarks.gpu_suite.runner import Result, run_all
from benchmarks.gpu_suite.sections import SECTIONS, TOTAL_SECONDS, Section
from benchmarks.gpu_suite.setting import Setting
from benchmarks.machine import describe_commit
from benchmarks.table import make_record, make_table

SOURCES = {
    "works": "def run(report, setting): report.record('g', 'native', [0.5])",
    "raises": "def run(report, setting):\n"
    "    report.record('g', 'twin', [1.0])\n    raise ValueError('bad figures')",
    "crashes": "import os\n"
    "def run(report, setting): report.note('so far'); os._exit(7)",
    "hangs": "import time\n"
    "def run(report, setting): report.note('begun'); time.sleep(60)",
    "leaves": "import subprocess\n"
    "def run(report, setting): report.note(subprocess.Popen(['sleep', '60']).pid)",
}


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    return Setting(device="cpu", is_quick=False, work=str(folder))


@pytest.fixture(scope="module")
def fake_sections(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sections")
    for name, source in SOURCES.items():
        (folder / f"section_{name}.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield [
            Section(name, f"what {name}", f"section_{name}", 2.0, 0.0)
            for name in SOURCES
        ]


@pytest.fixture(scope="module")
def results(fake_sections, setting):
    return run_all(fake_sections, setting, total_seconds=60.0, say=lambda line: None)


def test_a_failing_section_loses_neither_the_others_nor_what_it_found(results):
    states = {result.section.name: result.state for result in results}
    assert states == {
        "works": "done",
        "raises": "failed",
        "crashes": "failed",
        "hangs": "out of time",
        "leaves": "done",
    }
    found = {result.section.name: result.entries for result in results}
    assert found["raises"]["failure"] == ["ValueError: bad figures"]
    logs = {result.section.name: result.log for result in results}
    assert "Traceback" in logs["raises"]
    assert logs["works"] == ""
    assert found["raises"]["record"][0]["params"] == {"method": "twin"}
    assert found["crashes"]["note"] == ["so far"]
    assert "exit status 7" in found["crashes"]["failure"][0]
    assert found["hangs"]["note"] == ["begun"]
    assert found["hangs"]["failure"] == ["out of time after 2 s"]


def test_what_a_section_leaves_running_ends_with_it(results):
    (pid,) = results[-1].entries["note"]
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        # Nobody may be there to bury it.
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("it still runs")


def test_the_results_so_far_are_written_after_each_section(tmp_path, monkeypatch):
    entries = read_entries(None) | {"note": ["so far"]}

    def run_all(*arguments, keep, **options):
        keep([Result(SECTIONS[0], "done", 1.0, 2.0, entries)])
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_all", run_all)
    with pytest.raises(KeyboardInterrupt):
        command.main(["--out", str(tmp_path), "--name", "cut", "--commit", "abc"])
    assert "- build: so far" in (tmp_path / "cut.md").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "cut.json").read_text(encoding="utf-8"))
    assert document["sections"][0]["note"] == ["so far"]


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert describe_commit() == "unknown"


def test_the_table_names_every_failure_and_keeps_every_time(results):
    text = document.make_markdown(["# Title", ""], results, is_dry=False)
    assert "- raises: ValueError: bad figures" in text
    assert "- hangs: out of time after 2 s" in text
    assert "| g | twin | 1 s | 0 ns | 2× |" in text
    assert "not measured" in text
    made = document.make_document(["# Title"], results, is_dry=False)
    assert json.loads(json.dumps(made))["sections"][2]["state"] == "failed"


def test_what_the_time_does_not_suffice_for_is_not_begun(fake_sections, setting):
    (result,) = run_all(
        fake_sections[:1], setting, total_seconds=1.0, say=lambda line: None
    )
    assert result.state == "not begun"
    assert "no time was left" in result.entries["left_out"][0]


def test_all_limits_fit_the_run_with_peers_on_demand():
    needed = sum(
        s.seconds for s in SECTIONS if s.name in ("build", "parity", "kernels")
    )
    assert needed < TOTAL_SECONDS < 540.0


def test_a_torn_line_of_a_killed_section_is_dropped(tmp_path):
    path = tmp_path / "report.jsonl"
    Report(path).note("whole")
    with path.open("a") as file:
        file.write('{"kind": "note", "val')
    assert read_entries(path)["note"] == ["whole"]


def test_a_failed_check_is_a_failure(tmp_path):
    report = Report(tmp_path / "report.jsonl")
    report.check("parity", "error 1", passed=False)
    with report.part("kernel"):
        raise RuntimeError("no device")
    failures = read_entries(report.path)["failure"]
    assert failures == ["parity: error 1", "kernel: RuntimeError: no device"]


def test_goals_are_judged_by_the_medians_and_floors():
    records = [
        make_record(goals.STEP, "whole_step", [5e-3]),
        make_record(goals.STEP, goals.GRAPHED_STEP, [2e-3]),
        make_record(goals.PRIOR_STEP, "whole_step", [15e-3]),
        make_record(goals.GRID, goals.AS_CALLED, [1e-3]),
        make_record(goals.GRID, goals.PEER, [2e-3]),
        make_record(
            goals.FIELD.format(direction="forward"),
            "native",
            [3e-3],
            **{"floor seconds": 1e-3},
        ),
    ]
    judged = [
        (goal["measured"], goal["verdict"]) for goal in goals.judge_goals(records)
    ]
    assert judged == [
        ("2 ms", "met"),
        ("", "not measured"),
        ("2×", "met"),
        ("", "not measured"),
        ("", "not measured"),
        ("3×", "missed"),
        ("", "not measured"),
        ("13.3 %", "missed"),
    ]


def test_records_become_a_table_with_multiples_and_shares():
    table = make_table(
        [
            make_record(
                "op", "native", [2e-3, 1e-3, 3e-3], floor="1 ms", distance="2×"
            ),
            make_record("op", "twin", [4e-3], note="slow", **{"floor seconds": 1.0}),
            make_record("step", "whole_step", [1e-2]),
            make_record("step", "stage", [4e-2], **{"calls a step": 0.125}),
        ]
    )
    assert "| op | native | 2 ms | 2 ms |  |  | 1 ms | 2× |" in table
    assert "| op | twin | 4 ms | 0 ns | 2× |  |  |  |" in table
    assert "| step | stage | 40 ms | 0 ns |  | 50 % |  |  |" in table
    assert table.endswith("- op, twin: note slow")


def test_the_exit_status_says_whether_anything_failed(tmp_path, monkeypatch, capsys):
    section = SECTIONS[1]
    for failures, status in (([], 0), (["wrong"], 1)):
        entries = read_entries(None) | {"failure": failures}
        result = Result(section, "done", 1.0, 2.0, entries)
        monkeypatch.setattr(command, "run_all", lambda *a, r=result, **k: [r])
        arguments = ["--only", section.name, "--out", str(tmp_path), "--commit", "abc"]
        assert command.main(arguments) == status
    assert "Commit: abc" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*-gpu.json"))) == 1


def test_peers_are_folders_by_name(capsys):
    for text in ("torch-ngp", "torch-ngp=/no/such/folder", "other=/tmp"):
        with pytest.raises(SystemExit):
            command.parse_arguments(["--peer", text])
    assert "no folder" in capsys.readouterr().err
    parsed = command.parse_arguments(["--peer", f"torch-ngp={runner.ROOT}"])
    assert parsed.peer == [("torch-ngp", str(runner.ROOT))]
