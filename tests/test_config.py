"""Configurations survive JSON, and equal configurations have equal fingerprints."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from realfusion.config import (
    RunConfig,
    differences,
    fingerprint,
    from_dict,
    to_dict,
)
from realfusion.errors import InputError
from realfusion.presets import PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_json_round_trip_of_every_preset(preset):
    config = RunConfig(
        image=Path("a.png"), reconstruction=PRESETS[preset].reconstruction, seed=3
    )
    text = json.dumps(to_dict(config))
    assert from_dict(RunConfig, json.loads(text)) == config


def test_unknown_fields_and_wrong_types_are_refused():
    values = to_dict(RunConfig(image=Path("a.png")))
    with pytest.raises(InputError, match="unknown fields"):
        from_dict(RunConfig, values | {"colour": 1})
    with pytest.raises(InputError, match="cannot be read"):
        from_dict(RunConfig, values | {"seed": "three"})
    with pytest.raises(InputError, match="none of"):
        from_dict(RunConfig, values | {"input": {"matting": "magic"}})


def test_fingerprint_depends_on_settings_and_bytes_but_not_on_the_path():
    config = RunConfig(image=Path("a.png"))
    same = dataclasses.replace(config, image=Path("elsewhere/b.png"))
    assert fingerprint(config, "x") == fingerprint(same, "x")
    assert fingerprint(config, "x") != fingerprint(config, "y")
    other = dataclasses.replace(config, seed=1)
    assert fingerprint(config, "x") != fingerprint(other, "x")


def test_differences_names_nested_fields():
    first = RunConfig(
        image=Path("a.png"), reconstruction=PRESETS["fast"].reconstruction
    )
    fewer = dataclasses.replace(first.reconstruction, iterations=7)
    second = dataclasses.replace(first, reconstruction=fewer, seed=5)
    assert differences(first, second) == ["seed", "reconstruction.iterations"]


def test_configuration_does_not_import_torch():
    """`--help` must answer at once."""
    code = (
        "import sys, realfusion.config, realfusion.presets;"
        "assert 'torch' not in sys.modules, 'torch was imported';"
        "assert 'numpy' not in sys.modules, 'numpy was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
