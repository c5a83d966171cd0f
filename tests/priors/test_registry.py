from __future__ import annotations

from pathlib import Path

import pytest

from realfusion.errors import InputError
from realfusion.priors.registry import PriorSpec, parse_priors


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("none", []),
        ("auto", [PriorSpec("diffusion", "auto")]),
        ("sd15:0.5", [PriorSpec("diffusion", "sd15", 0.5)]),
        ("org/model-v1.5", [PriorSpec("diffusion", "org/model-v1.5")]),
        ("clip", [PriorSpec("clip", "")]),
        ("clip:0.1", [PriorSpec("clip", "", 0.1)]),
        ("clip:vit-l-14", [PriorSpec("clip", "vit-l-14")]),
        ("clip:vit-l-14:2", [PriorSpec("clip", "vit-l-14", 2.0)]),
        (
            "sd15:1.0+clip:0.1",
            [PriorSpec("diffusion", "sd15", 1.0), PriorSpec("clip", "", 0.1)],
        ),
    ],
)
def test_priors_in_words(words: str, expected: list[PriorSpec]) -> None:
    assert parse_priors(words) == expected


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a+b:2"
    folder.mkdir()
    assert parse_priors(str(folder)) == [PriorSpec("diffusion", str(folder))]


@pytest.mark.parametrize(
    "words", ["", "sd15+", "sd15:0", "sd15:-1", "sd15:nan", "sd15:inf", ":2"]
)
def test_no_prior_and_no_weight_are_refused(words: str) -> None:
    with pytest.raises(InputError, match="positive weight"):
        parse_priors(words)


def test_none_stands_alone() -> None:
    with pytest.raises(InputError, match="beside others"):
        parse_priors("none+sd15")
