"""Where the token of a run starts, with a prior that has no image encoder."""

from __future__ import annotations

import dataclasses
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from realfusion import word_stage
from realfusion.config import RunConfig, RunOptions
from realfusion.io.images import write_png
from realfusion.listener import RunInterruptedError
from realfusion.prior_stage import prepare_prior
from realfusion.priors import class_word, textual_inversion
from realfusion.priors.common_nouns import COMMON_NOUNS
from realfusion.priors.config import DEFAULT_CLASS_WORD, TextualInversionConfig
from realfusion.priors.random_weights import TINY, save_random_model
from realfusion.priors.score_distillation import ScoreDistillation
from realfusion.run_folder import open_run
from realfusion.training.config import ReconstructionConfig

LETTERS = tuple(string.ascii_lowercase)  # the tiny tokenizer's words of one token
QUICK = TextualInversionConfig(
    steps=1, batch_size=1, pool_size=1, heldout_size=1, evaluate_every=1
)


class Recorder:
    """Remembers what it is told; stops in a stage if it should."""

    def __init__(self, stop_in: str = "") -> None:
        self.stop_in = stop_in
        self.stages: dict[str, int | None] = {}
        self.notes: list[str] = []
        self.done: list[int] = []

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages[name] = total
        self.done.clear()

    def advance(self, done: int, values: Mapping[str, float]) -> None:
        self.done.append(done)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def should_stop(self) -> bool:
        return list(self.stages)[-1:] == [self.stop_in] and len(self.done) > 1

    def said(self) -> list[str]:
        return [note for note in self.notes if note.startswith("token starts")]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run with a prior of random weights, whose nouns are the letters."""
    monkeypatch.setattr(word_stage, "COMMON_NOUNS", LETTERS)
    save_random_model(tmp_path / "prior", TINY)
    return RunConfig(
        image=tmp_path / "photo.png",
        prior=str(tmp_path / "prior"),
        inversion=QUICK,
        reconstruction=ReconstructionConfig(prior_views=1),
    )


def prepare(config: RunConfig, tmp_path: Path, listener: Recorder) -> ScoreDistillation:
    axis = np.linspace(-1.0, 1.0, 32)
    rgba = np.zeros((32, 32, 4), np.float32)
    rgba[axis[:, None] ** 2 + axis[None] ** 2 < 0.5] = (0.9, 0.2, 0.1, 1.0)
    if not config.image.exists():
        write_png(config.image, rgba)
    options = RunOptions(out=tmp_path / "run", device="cpu")
    opened = open_run(options.out, config)
    prior = prepare_prior(opened, options, rgba, torch.device("cpu"), listener).prior
    assert isinstance(prior, ScoreDistillation)
    return prior


def metrics(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run" / "metrics.json").read_text())


def replaced(config: RunConfig, **options: Any) -> RunConfig:
    return dataclasses.replace(config, **options)


def record_inversions(monkeypatch: pytest.MonkeyPatch) -> list[TextualInversionConfig]:
    settings = []
    invert = textual_inversion.invert

    def record(prior, image, config, generator, **options):
        settings.append(config)
        return invert(prior, image, config, generator, **options)

    monkeypatch.setattr(textual_inversion, "invert", record)
    return settings


def test_the_word_is_found_told_kept_and_started_from(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inversions = record_inversions(monkeypatch)
    listener = Recorder()
    prepared = prepare(config, tmp_path, listener)
    word = prepared.prompt.class_word
    assert word in LETTERS
    assert len(listener.said()) == 1
    assert listener.said()[0].startswith(
        f"token starts from '{word}' (lowest denoising loss of 26 nouns; next: "
    )
    assert listener.stages["class word"] > 26
    assert metrics(tmp_path)["class_word"] == word
    assert [settings.init_word for settings in inversions] == [word]

    monkeypatch.setattr(class_word, "score_words", None)  # is not looked for again
    again = prepare(config, tmp_path, Recorder())
    assert again.prompt.class_word == word
    assert len(inversions) == 1


def test_a_search_that_is_stopped_begins_anew_and_one_that_is_done_does_not(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunInterruptedError, match="looking for the class word; the"):
        prepare(config, tmp_path, Recorder(stop_in="class word"))
    assert "class_word" not in metrics(tmp_path)
    with pytest.raises(RunInterruptedError, match="during textual inversion"):
        prepare(config, tmp_path, Recorder(stop_in="textual inversion"))
    word = metrics(tmp_path)["class_word"]
    inversions = record_inversions(monkeypatch)
    listener = Recorder()
    assert prepare(config, tmp_path, listener).prompt.class_word == word
    assert "class word" not in listener.stages
    assert [settings.init_word for settings in inversions] == [word]


def test_the_same_seed_finds_the_same_word(config: RunConfig, tmp_path: Path) -> None:
    words = [
        prepare(config, tmp_path / name, Recorder()).prompt.class_word
        for name in ("a", "b")
    ]
    assert words[0] == words[1]


@pytest.mark.usefixtures("cached_clip_folder")
def test_a_cached_clip_is_asked_instead(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_word, "score_words", None)
    listener = Recorder()
    word = prepare(config, tmp_path, listener).prompt.class_word
    said = f"token starts from '{word}' (most alike of 26 nouns by openai/clip-vit-base"
    assert listener.said()[0].startswith(said)


def test_a_damaged_clip_is_told_and_not_needed(
    config: RunConfig, tmp_path: Path, cached_clip_folder: Path
) -> None:
    (cached_clip_folder / "model.safetensors").write_bytes(b"no")
    listener = Recorder()
    assert prepare(config, tmp_path, listener).prompt.class_word in LETTERS
    assert any("vit-b-32 cannot be loaded" in note for note in listener.notes)
    assert "lowest denoising loss" in listener.said()[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"token": "duck"}, "duck"),
        ({"inversion": {"init_word": "duck"}}, "duck"),
        ({"inversion": {"class_words": 0}}, None),
        ({"prompt": "a duck"}, None),
    ],
)
def test_nothing_is_looked_for_where_the_word_is_given_or_not_needed(
    config: RunConfig, tmp_path: Path, options: dict[str, Any], expected: str | None
) -> None:
    if "inversion" in options:
        options = {"inversion": replaced(QUICK, **options["inversion"])}
    listener = Recorder()
    prepared = prepare(replaced(config, **options), tmp_path, listener)
    assert prepared.prompt.class_word == (expected or DEFAULT_CLASS_WORD)
    assert "class word" not in listener.stages
    assert "class_word" not in metrics(tmp_path)


def test_a_token_from_a_file_has_no_class_word(
    config: RunConfig, tmp_path: Path
) -> None:
    prepare(config, tmp_path, Recorder())
    given = replaced(config, token=str(tmp_path / "run" / "token.safetensors"))
    prepared = prepare(given, tmp_path / "other", Recorder())
    assert prepared.prompt.class_word == DEFAULT_CLASS_WORD
    assert prepared.diffusion.token is not None


def test_without_a_noun_of_one_token_the_usual_word_serves(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_stage, "COMMON_NOUNS", COMMON_NOUNS)
    listener = Recorder()
    assert prepare(config, tmp_path, listener).prompt.class_word == DEFAULT_CLASS_WORD
    said = "splits every noun that was tried, so the token starts from 'object'"
    assert any(said in note for note in listener.notes)


def test_an_image_encoder_makes_the_word_needless(
    config: RunConfig, tmp_path: Path
) -> None:
    inversion = replaced(QUICK, refinement_steps=0)
    bundled = replaced(config, prior="bundled", inversion=inversion)
    listener = Recorder()
    assert prepare(bundled, tmp_path, listener).prompt.class_word == DEFAULT_CLASS_WORD
    assert "class word" not in listener.stages
    assert "textual inversion" not in listener.stages
    assert any("read off the photo" in note for note in listener.notes)


def test_few_nouns_are_of_all_groups() -> None:
    some = word_stage._some_nouns(8)
    assert len(set(some)) == 8
    assert COMMON_NOUNS.index(some[-1]) > 0.8 * len(COMMON_NOUNS)
    assert word_stage._some_nouns(400) == list(COMMON_NOUNS)


def test_the_memory_that_a_search_took_is_given_back(
    config: RunConfig, tmp_path: Path
) -> None:
    prior = prepare(config, tmp_path, Recorder()).diffusion
    assert not prior.text._states
