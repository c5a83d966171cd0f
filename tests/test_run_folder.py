"""A run folder belongs to one configuration, and nothing of anybody is overwritten."""

import dataclasses
import json
from pathlib import Path

import pytest

from realfusion.config import RunConfig
from realfusion.errors import InputError
from realfusion.run_folder import is_finished, load_run, open_run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"the bytes of an image")
    return path


@pytest.fixture
def config(image: Path) -> RunConfig:
    return RunConfig(image=image)


def test_opening_writes_the_configuration_and_loading_reads_it(tmp_path, config):
    opened = open_run(tmp_path / "out", config)
    loaded = load_run(tmp_path / "out")
    assert loaded.config == config
    assert loaded.fingerprint == opened.fingerprint


def test_the_same_configuration_continues(tmp_path, config):
    first = open_run(tmp_path / "out", config)
    first.folder.metrics.write_text("{}")
    second = open_run(tmp_path / "out", config)
    assert second.fingerprint == first.fingerprint
    assert first.folder.metrics.exists()


def test_other_settings_are_refused_by_name_and_nothing_changes(tmp_path, config):
    opened = open_run(tmp_path / "out", config)
    opened.folder.token().write_bytes(b"a learned token")
    before = opened.folder.config.read_bytes()
    other = dataclasses.replace(config, seed=7)
    with pytest.raises(InputError, match=r"other settings \(seed\).*--overwrite"):
        open_run(tmp_path / "out", other)
    assert opened.folder.config.read_bytes() == before


def test_a_run_of_an_earlier_version_is_refused_as_such(tmp_path, config):
    """Its settings may be the same and its fingerprint made in another way."""
    opened = open_run(tmp_path / "out", config)
    opened.folder.checkpoint.mkdir()
    stored = json.loads(opened.folder.config.read_text())
    stored["fingerprint"] = "0" * 32
    opened.folder.config.write_text(json.dumps(stored))
    with pytest.raises(InputError, match=r"run of an earlier version.*--overwrite"):
        open_run(tmp_path / "out", config)


def test_another_image_is_refused(tmp_path, config, image):
    opened = open_run(tmp_path / "out", config)
    opened.folder.checkpoint.mkdir()
    image.write_bytes(b"other bytes")
    with pytest.raises(InputError, match="another image"):
        open_run(tmp_path / "out", config)


def test_a_start_that_failed_does_not_block_the_next_one(tmp_path, config):
    """After a mistyped option the corrected command must simply work."""
    opened = open_run(tmp_path / "out", config)
    opened.folder.input.write_bytes(b"a framed picture")
    open_run(tmp_path / "out", dataclasses.replace(config, token="other"))
    assert load_run(tmp_path / "out").config.token == "other"


def test_overwrite_removes_only_what_a_run_writes(tmp_path, config):
    opened = open_run(tmp_path / "out", config)
    opened.folder.checkpoint.mkdir()
    (opened.folder.checkpoint / "checkpoint.json").write_text("{}")
    note = opened.folder.root / "note.txt"
    note.write_text("mine")
    other = dataclasses.replace(config, seed=7)
    open_run(tmp_path / "out", other, overwrite=True)
    assert not opened.folder.checkpoint.exists()
    assert note.read_text() == "mine"
    assert load_run(tmp_path / "out").config.seed == 7


def test_a_run_is_finished_when_its_report_is_there(tmp_path, config):
    out = tmp_path / "out"
    assert not is_finished(out, config)
    opened = open_run(out, config)
    assert not is_finished(out, config)
    opened.folder.report.write_text("<html>")
    assert is_finished(out, config)
    assert not is_finished(out, dataclasses.replace(config, seed=7))


def test_a_folder_with_files_of_the_same_name_is_left_alone(tmp_path, config):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mesh.glb").write_bytes(b"somebody's mesh")
    with pytest.raises(InputError, match=r"holds mesh\.glb but no run"):
        open_run(out, config)
    assert not (out / "config.json").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, config):
    out = tmp_path / "out"
    out.write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        open_run(out, config)


def test_a_damaged_configuration_is_named(tmp_path, config):
    opened = open_run(tmp_path / "out", config)
    opened.folder.config.write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        load_run(tmp_path / "out")
    opened.folder.config.write_text(json.dumps([1]))
    with pytest.raises(InputError, match="cannot be read"):
        open_run(tmp_path / "out", config)


def test_a_folder_without_a_run_is_no_run(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        load_run(tmp_path)


def test_missing_image_is_named(tmp_path, config, image):
    image.unlink()
    with pytest.raises(InputError, match=r"photo\.png cannot be read"):
        open_run(tmp_path / "out", config)
    assert not (tmp_path / "out").exists()
