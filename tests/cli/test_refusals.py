"""Everything a user can get wrong: one line says it, and nothing is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from realfusion import run_folder
from realfusion.cli.arguments import parse_run
from realfusion.cli.main import main, run_main
from realfusion.run_lock import exclusive


def expect_input_error(capsys, args: list[str], *words: str) -> None:
    """The run must end with code 2 and one line that has all the words."""
    capsys.readouterr()
    assert run_main(args) == 2
    errors = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("realfusion-run: error: ")
    ]
    assert len(errors) == 1
    for word in words:
        assert word in errors[0], errors[0]


def test_run_folder_of_other_settings_is_left_alone(
    image, finished, capsys, tiny, digests
):
    before = digests(finished)
    args = [str(image), "--out", str(finished), *tiny, "--seed", "7"]
    expect_input_error(capsys, args, "seed", "--overwrite")
    assert digests(finished) == before


def test_run_folder_of_another_image_is_left_alone(
    finished, tmp_path, capsys, tiny, write_disc, digests
):
    before = digests(finished)
    other = write_disc(tmp_path / "other.png", size=40)
    args = [str(other), "--out", str(finished), *tiny]
    expect_input_error(capsys, args, "another image")
    assert digests(finished) == before


def missing(folder: Path) -> Path:
    return folder / "missing.png"


def a_folder(folder: Path) -> Path:
    return folder


def no_image(folder: Path) -> Path:
    path = folder / "text.png"
    path.write_text("not an image")
    return path


def empty_mask(folder: Path) -> Path:
    path = folder / "empty.png"
    Image.new("RGBA", (64, 64), (200, 10, 10, 0)).save(path)
    return path


def one_colour(folder: Path) -> Path:
    path = folder / "wall.png"
    Image.new("RGB", (64, 64), (120, 120, 120)).save(path)
    return path


def one_pixel(folder: Path) -> Path:
    path = folder / "pixel.png"
    Image.new("RGBA", (1, 1), (200, 10, 10, 255)).save(path)
    return path


def gigantic(folder: Path) -> Path:
    path = folder / "gigantic.png"
    Image.new("1", (20000, 20000)).save(path)
    return path


@pytest.mark.parametrize(
    "make", [missing, a_folder, no_image, empty_mask, one_colour, one_pixel, gigantic]
)
def test_unusable_images(make, tmp_path, capsys, tiny):
    path, out = make(tmp_path), tmp_path / "run"
    expect_input_error(capsys, [str(path), "--out", str(out), *tiny])
    assert not out.exists()


def test_half_an_image(tmp_path, capsys, tiny, write_disc):
    path, out = tmp_path / "half.png", tmp_path / "run"
    whole = write_disc(tmp_path / "whole.png", size=200).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    expect_input_error(capsys, [str(path), "--out", str(out), *tiny])
    assert not out.exists()


@pytest.mark.parametrize(
    "extra",
    [
        ["--prior", "no/such-prior", "--offline"],
        ["--prior", "nonsense"],
        ["--prior", "none", "--prior", "bundled"],
        ["--prior", "bundled:-1"],
        ["--text", "a mug"],
        ["--device", "cuda"],
    ],
)
def test_unusable_settings(extra, image, tmp_path, capsys, small):
    import torch

    if "cuda" in extra and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    args = [str(image), "--out", str(tmp_path / "run"), *small, *extra]
    expect_input_error(capsys, args, extra[0] if "--text" in extra else extra[1])


def test_output_that_is_a_file(image, tmp_path, capsys, tiny):
    out = tmp_path / "taken"
    out.write_text("mine")
    expect_input_error(capsys, [str(image), "--out", str(out), *tiny], "taken")
    assert out.read_text() == "mine"


def test_a_damaged_token_names_the_remedy(image, tmp_path, capsys, small):
    args = [str(image), "--out", str(tmp_path / "run"), *small, "--prior", "bundled"]
    arguments = parse_run("run", args)
    run_folder.open_run(tmp_path / "run", arguments.config())
    (tmp_path / "run" / "token.safetensors").write_bytes(b"junk")
    expect_input_error(capsys, args, "token.safetensors", "delete it")


def test_two_runs_at_once_do_not_share_a_folder(image, tmp_path, capsys, tiny):
    with exclusive(tmp_path / "run"):
        args = [str(image), "--out", str(tmp_path / "run"), *tiny]
        expect_input_error(capsys, args, "another command")
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("command", ["export", "render", "view", "evaluate"])
def test_commands_on_a_run_refuse_other_folders(command, tmp_path, capsys):
    extra = {
        "export": [],
        "render": ["--cameras", str(tmp_path / "c.json"), "--out", str(tmp_path / "o")],
        "view": [],
        "evaluate": ["--ground-truth", str(tmp_path)],
    }[command]
    assert main([command, str(tmp_path), *extra]) == 2
    assert capsys.readouterr().err.count(f"realfusion {command}: error: ") == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"views": []}',
        '{"views": null}',
        '{"views": [{"radius": 1}]}',
        "[" * 10**5,
    ],
)
def test_render_refuses_bad_cameras(finished, tmp_path, capsys, text):
    cameras, out = tmp_path / "cameras.json", tmp_path / "views"
    cameras.write_text(text)
    words = ["--cameras", str(cameras), "--out", str(out)]
    assert main(["render", str(finished), *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_prior_training_refuses_impossible_sizes(tmp_path, capsys):
    words = ["--out", str(tmp_path / "x"), "--data.num-objects", "7"]
    assert main(["train-prior", *words]) == 2
    assert "num_objects" in capsys.readouterr().err
