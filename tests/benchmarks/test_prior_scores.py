"""The table of what a prior paints of objects that it never saw."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import prior_scores
from realfusion.priors.model_files import BUNDLED_FOLDER
from realfusion.priors.shape_estimator import SHAPE_ESTIMATOR_FOLDER


def test_the_bundled_prior_has_a_row_for_all_that_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prior_scores", "--objects", "2"])
    assert prior_scores.main() == 0
    printed = capsys.readouterr().out.splitlines()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in printed
        if line.startswith("| new")
    ]
    assert len(rows) == 2 * (len(prior_scores.ESTIMATES) + 2)
    assert all(len(row) == len(prior_scores.COLUMNS) for row in rows)
    for name in prior_scores.SPLITS.values():
        psnr = {row[1]: float(row[2]) for row in rows if row[0] == name}
        told = psnr["estimate, t = 980"]
        assert told > psnr['estimate, t = 980, told "an object" alone'] + 1
        assert psnr["the guessed body"] > psnr["a copy of the image"]
    assert any(line.startswith("- autoencoder, new families:") for line in printed)


def test_what_cannot_be_scored_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(
        BUNDLED_FOLDER, broken, ignore=shutil.ignore_patterns(SHAPE_ESTIMATOR_FOLDER)
    )
    for arguments, said in (
        ([str(tmp_path)], "PRIOR must be a prior"),
        ([str(broken)], "the prior's UNet must take"),
        (["--objects", "0"], "--objects must be at least 1, got 0"),
    ):
        monkeypatch.setattr(sys, "argv", ["prior_scores", *arguments])
        with pytest.raises(SystemExit) as stopped:
            prior_scores.main()
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
