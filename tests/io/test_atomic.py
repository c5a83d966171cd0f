import pytest

from realfusion.io.atomic import atomic_path, write_text


def test_content_appears_under_the_final_name_only(tmp_path):
    write_text(tmp_path / "deep" / "note.txt", "Größe")
    assert (tmp_path / "deep" / "note.txt").read_text(encoding="utf-8") == "Größe"
    assert len(list((tmp_path / "deep").iterdir())) == 1


def _write_half(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("interrupted")


def test_an_error_keeps_the_old_content(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="interrupted"):
        _write_half(path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_temporary_file_has_the_suffix_of_the_target(tmp_path):
    with atomic_path(tmp_path / "mesh.glb") as temporary:
        assert temporary.suffix == ".glb"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"x")
