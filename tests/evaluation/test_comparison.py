import json

import numpy as np
import pytest
from scipy import stats

from realfusion.evaluation.comparison import (
    FIGURES,
    Figure,
    known_figures,
    markdown,
    not_measured,
    object_means,
    paired_difference,
    to_json,
)

IOU = FIGURES[0]


def _runs(values, key=IOU.key):
    """From a table of values, an object a row and a seed a column."""
    return {
        (f"object{row}", seed): {key: float(value)}
        for row, line in enumerate(values)
        for seed, value in enumerate(line)
    }


@pytest.fixture
def tables():
    generator = np.random.default_rng(0)
    first = generator.uniform(0.5, 0.9, (6, 3))
    return first, first + generator.normal(0.05, 0.04, (6, 3))


def test_interval_agrees_with_scipy(tables):
    first, second = tables
    found = paired_difference(_runs(first), _runs(second), IOU)
    expected = stats.ttest_rel(second.mean(axis=1), first.mean(axis=1))
    interval = expected.confidence_interval(0.95)
    assert found.mean == pytest.approx((second - first).mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.num_objects == 6
    better = (second.mean(axis=1) > first.mean(axis=1)).sum()
    assert found.num_better == better


def test_better_follows_the_direction(tables):
    first, second = tables
    up = paired_difference(_runs(first), _runs(second), IOU)
    down = paired_difference(
        _runs(first), _runs(second), Figure(IOU.key, "", 3, "lower")
    )
    neither = paired_difference(
        _runs(first), _runs(second), Figure(IOU.key, "", 3, None)
    )
    assert up.num_better + down.num_better == 6
    assert neither.num_better is None


def test_more_seeds_of_one_object_give_no_interval():
    found = paired_difference(_runs([[0.5, 0.6]]), _runs([[0.7, 0.9]]), IOU)
    assert found.mean == pytest.approx(0.25)
    assert (found.low, found.high) == (None, None)


def test_only_runs_of_both_are_paired():
    first, second = _runs([[0.5, 0.1], [0.6, 0.6]]), _runs([[0.7, 0.9], [0.8, 0.8]])
    del second["object0", 1]
    found = paired_difference(first, second, IOU)
    assert found.mean == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2)
    assert paired_difference(first, {}, IOU) is None


def test_object_means_leave_out_what_is_not_known():
    runs = _runs([[0.5, 0.7], [0.6, 0.6]]) | {("object2", 0): {"seconds": 3.0}}
    assert object_means(runs, IOU.key) == pytest.approx(
        {"object0": 0.6, "object1": 0.6}
    )


def test_json_has_runs_means_and_differences(tables):
    runs = {"none": _runs(tables[0]), "bundled": _runs(tables[1])}
    stored = json.loads(json.dumps(to_json(runs), allow_nan=False))
    assert stored["compared_with"] == "none"
    assert stored["means"]["none"][IOU.key] == pytest.approx(tables[0].mean())
    difference = stored["differences"]["bundled"][IOU.key]
    assert difference["low"] < difference["mean"] < difference["high"]
    assert len(stored["runs"]) == 36
    assert stored["object_means"]["bundled"][IOU.key]["object1"] == pytest.approx(
        tables[1][1].mean()
    )


def test_tables_line_up_and_show_only_known_figures(tables):
    runs = {"none": _runs(tables[0]), "bundled": _runs(tables[1])}
    assert known_figures(runs) == [IOU]
    text = markdown(runs)
    assert "## bundled minus none, paired, 95 % confidence" in text
    assert text.endswith(f"\n\n{not_measured(runs)}\n")
    assert "Chamfer" not in text
    blocks = [block.splitlines() for block in text.split("\n\n")]
    tables_found = [block for block in blocks if block[0].startswith("|")]
    assert [len(block) for block in tables_found] == [3, 3, 2 + 12]
    for block in tables_found:
        assert len({len(line) for line in block}) == 1


def test_nothing_known_makes_empty_tables():
    empty = {"none": {}, "bundled": {}}
    assert "CLIP similarity and LPIPS were not measured" in markdown(empty)
    assert to_json({"none": {}, "bundled": {}})["runs"] == []


def test_what_needs_weights_is_a_column_where_it_was_measured(tables):
    runs = {"none": _runs(tables[0], "clip_similarity")}
    assert "| CLIP " in markdown(runs)
    assert "LPIPS was not measured: it needs weights" in markdown(runs)
    runs["bundled"] = _runs(tables[1], "lpips")
    assert "LPIPS  | lower" in markdown(runs)
    assert not_measured(runs) == ""
    assert "not measured" not in markdown(runs)
    assert to_json(runs)["not_measured"] == ""
