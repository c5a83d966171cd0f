from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from realfusion.errors import InputError
from realfusion.priors.learned_embeds import (
    LearnedToken,
    load_learned_token,
    save_learned_token,
)

SHARED = Path(
    os.environ.get("REALFUSION_SHARED", Path(__file__).resolve().parents[3] / "shared")
)
VECTORS = torch.arange(24.0).reshape(3, 8)


@pytest.mark.parametrize("count", [1, 3])
def test_saved_token_is_read_back(tmp_path: Path, count: int) -> None:
    path = tmp_path / "token.safetensors"
    save_learned_token(path, LearnedToken("<e>", VECTORS[:count]))
    token = load_learned_token(path, width=8)
    assert token.placeholder == "<e>"
    assert torch.equal(token.vectors, VECTORS[:count])
    assert [p.name for p in tmp_path.iterdir()] == ["token.safetensors"]
    assert load_file(path)["<e>"].ndim == (1 if count == 1 else 2)


@pytest.mark.parametrize(
    "entries",
    [
        {"<cat>": VECTORS},
        {"<cat>": VECTORS[0], "<cat>_1": VECTORS[1], "<cat>_2": VECTORS[2]},
        {"<cat>_2": VECTORS[2], "<cat>": VECTORS[0], "<cat>_1": VECTORS[1]},
        {"string_to_param": {"*": VECTORS}, "name": "<cat>"},
    ],
    ids=["table", "numbered", "unordered", "automatic1111"],
)
def test_every_known_form_is_read(tmp_path: Path, entries: dict) -> None:
    path = tmp_path / "learned_embeds.bin"
    torch.save(entries, path)
    token = load_learned_token(path)
    assert token.placeholder == "<cat>"
    assert torch.equal(token.vectors, VECTORS)


def test_half_precision_and_plain_tensors_are_read(tmp_path: Path) -> None:
    torch.save(VECTORS[0].half(), tmp_path / "a.pt")
    token = load_learned_token(tmp_path / "a.pt")
    assert (token.placeholder, token.vectors.dtype) == ("<e>", torch.float32)


def test_word_that_ends_in_a_number_is_one_token(tmp_path: Path) -> None:
    torch.save({"_banana_1": VECTORS[0]}, tmp_path / "a.bin")
    assert load_learned_token(tmp_path / "a.bin").placeholder == "_banana_1"


def test_wrong_width_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "token.safetensors"
    save_learned_token(path, LearnedToken("<e>", VECTORS))
    with pytest.raises(InputError, match=r"must be 768 channels wide .* got 8.*invert"):
        load_learned_token(path, width=768)


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Payload:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "learned_embeds.bin"
    path.write_bytes(pickle.dumps({"<e>": Payload()}))
    with pytest.raises(InputError, match="it cannot be read"):
        load_learned_token(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"<a>": VECTORS[0], "<b>": VECTORS[1]}, "it holds several tokens"),
        ({"<a>": "text"}, "its values are not vectors"),
        ({"<a>": torch.full((8,), float("nan"))}, "`vectors` must be finite"),
        ({}, "it holds a dict"),
        ([1, 2], "it holds a list"),
    ],
)
def test_other_contents_are_refused(
    tmp_path: Path, entries: object, reason: str
) -> None:
    path = tmp_path / "learned_embeds.bin"
    torch.save(entries, path)
    with pytest.raises(InputError, match=reason):
        load_learned_token(path)


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pt"])
def test_junk_and_missing_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="must exist"):
        load_learned_token(tmp_path / name)
    (tmp_path / name).write_bytes(b"junk" * 10)
    with pytest.raises(InputError, match="it cannot be read"):
        load_learned_token(tmp_path / name)


def test_an_existing_file_survives_a_failed_write(tmp_path: Path) -> None:
    path = tmp_path / "token.safetensors"
    save_file({"<e>": VECTORS}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        save_learned_token(tmp_path / "token.bin", LearnedToken("<e>", VECTORS))
    assert path.read_bytes() == before


def test_a_token_must_have_vectors() -> None:
    with pytest.raises(ValueError, match=r"`vectors` must have the shape"):
        LearnedToken("<e>", torch.zeros(0, 8))
    with pytest.raises(ValueError, match="`placeholder` must be a word"):
        LearnedToken(" ", VECTORS)


def test_files_of_the_original_release_are_read() -> None:
    paths = sorted((SHARED / "examples").glob("*_learned_embeds.bin"))
    if not paths:
        pytest.skip("the release's embeddings are not at hand")
    for path in paths:
        token = load_learned_token(path, width=768)
        assert token.num_vectors == 1
        name = path.name.removesuffix("_learned_embeds.bin")
        assert token.placeholder == f"_{name}_"
        assert 0.3 < float(token.vectors.norm()) < 3.0
