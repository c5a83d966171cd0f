"""Configurations survive JSON, and equal configurations have equal fingerprints."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realfusion.config import (
    DEFAULTS_VERSION,
    RunConfig,
    changed_fields,
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


@pytest.mark.parametrize("preset", PRESETS)
def test_a_field_that_is_added_later_leaves_fingerprints_alone(preset):
    reconstruction = PRESETS[preset].reconstruction
    begun = RunConfig(image=Path("a.png"), reconstruction=reconstruction, seed=3)
    distillation = _extended(reconstruction.score_distillation)
    later = _extended(reconstruction, score_distillation=distillation)
    run = _extended(begun, reconstruction=later)
    assert fingerprint(run, "x") == fingerprint(begun, "x")
    used = _extended(reconstruction, later=1.0, score_distillation=distillation)
    changed = dataclasses.replace(run, reconstruction=used)
    assert fingerprint(changed, "x") != fingerprint(begun, "x")


def _extended(config: Any, **values: Any) -> Any:
    """The same settings in a class that has one more field, here and in its default."""
    kind = type(config)
    fields: list[Any] = [("later", float, dataclasses.field(default=0.5))]
    fields += [
        (name, type(value), dataclasses.field(default=type(value)()))
        for name, value in values.items()
        if dataclasses.is_dataclass(value)
    ]
    longer = dataclasses.make_dataclass(
        f"Later{kind.__name__}", fields, bases=(kind,), frozen=True, kw_only=True
    )
    old = {item.name: getattr(config, item.name) for item in dataclasses.fields(kind)}
    return longer(**(old | values))


def test_every_field_counts_once_it_differs_from_its_default():
    config = RunConfig(image=Path("a.png"))
    assert changed_fields(config) == {"image": "a.png"}
    fast = dataclasses.replace(config, reconstruction=PRESETS["fast"].reconstruction)
    changed = changed_fields(fast)["reconstruction"]
    assert changed["score_distillation"]["guidance_scale"] == 3.0
    assert "negative_guidance" not in changed["score_distillation"]


def test_defaults_stand_as_they_were():
    """A default that changes would give two different runs one fingerprint."""
    path = Path(__file__).with_name("config_defaults.json")
    known = json.loads(path.read_text(encoding="utf-8"))
    now = to_dict(RunConfig(image=Path("photo.png")))
    remedy = "raise DEFAULTS_VERSION in realfusion/config.py, then renew the file"
    assert known["version"] == DEFAULTS_VERSION
    assert _without_new_fields(now, known["config"]) == known["config"], remedy


def _without_new_fields(values: Any, known: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(known, dict):
        return values
    return {
        name: _without_new_fields(value, known[name])
        for name, value in values.items()
        if name in known
    }


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
