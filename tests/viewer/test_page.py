"""The page draws what has changed, and nothing else; what is missing is named."""

import importlib.machinery
import os
import shutil
import socket
import sys
import types
import urllib.request

import pytest
import torch

from realfusion.config import RunConfig
from realfusion.errors import InputError
from realfusion.run_folder import load_run, open_run
from realfusion.viewer import page


def make_viewer(server, root, size=16):
    return page.Viewer(server, load_run(root), size=size, device=torch.device("cpu"))


def view(root, ready=lambda address: None, **values):
    defaults = {"host": "127.0.0.1", "port": 0, "size": 16, "device": "cpu"}
    page.view_run(root, ready=ready, **defaults | values)


@pytest.fixture
def fake_viser(monkeypatch):
    """Importable, but nothing in it: no server must be made."""
    module = types.ModuleType("viser")
    module.__spec__ = importlib.machinery.ModuleSpec("viser", None)
    monkeypatch.setitem(sys.modules, "viser", module)


def test_mesh_cameras_and_photo_are_shown(server, run_root):
    make_viewer(server, run_root).refresh()
    assert "/mesh" in server.added
    assert sum(name.count("/") == 2 for name in server.added) == 8
    assert server.controls["/mesh"].visible
    assert "Step 2 of 2" in server.controls[""].content
    assert "PSNR" in server.controls[""].content


def test_field_is_drawn_on_request_coarsely_and_then_in_full(server, run_root):
    viewer, client = make_viewer(server, run_root), server.clients[0]
    viewer.refresh()
    assert client.pictures == []
    server.controls["Render field"].value = True
    for _ in range(4):
        viewer.refresh()
    assert [picture.shape for picture in client.pictures] == [(2, 4, 3), (8, 16, 3)]
    assert not server.controls["/mesh"].visible


def test_a_moved_camera_and_another_channel_are_drawn_anew(server, run_root):
    viewer, client = make_viewer(server, run_root), server.clients[0]
    server.controls["Render field"].value = True
    for change in (
        lambda: None,
        lambda: setattr(client.camera, "fov", 0.8),
        lambda: setattr(server.controls["Show"], "value", "normals"),
    ):
        change()
        client.pictures.clear()
        for _ in range(3):
            viewer.refresh()
        assert len(client.pictures) == 2


def test_unchecked_field_leaves_the_page(server, run_root):
    viewer, client = make_viewer(server, run_root), server.clients[0]
    server.controls["Render field"].value = True
    viewer.refresh()
    server.controls["Render field"].value = False
    viewer.refresh()
    viewer.refresh()
    assert client.pictures[-1] is None
    assert len(client.pictures) == 2
    assert server.controls["/mesh"].visible


def test_a_new_checkpoint_is_drawn(server, run_root, tmp_path):
    root = shutil.copytree(run_root, tmp_path / "run")
    viewer, client = make_viewer(server, root), server.clients[0]
    server.controls["Render field"].value = True
    for _ in range(3):
        viewer.refresh()
    os.utime(root / "checkpoint" / "checkpoint.json", ns=(1, 1))
    for _ in range(3):
        viewer.refresh()
    assert len(client.pictures) == 4


def test_a_damaged_checkpoint_is_named(server, run_root, tmp_path):
    root = shutil.copytree(run_root, tmp_path / "run")
    (root / "checkpoint" / "checkpoint.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        make_viewer(server, root).refresh()


def test_without_a_mesh_the_field_is_shown_at_once(server, run_root, tmp_path):
    root = shutil.copytree(run_root, tmp_path / "run")
    (root / "mesh.glb").unlink()
    make_viewer(server, root).refresh()
    assert server.controls["Render field"].value
    assert len(server.clients[0].pictures) == 1


def test_a_run_that_has_got_nowhere_is_refused(tmp_path):
    image = tmp_path / "photo.png"
    image.write_bytes(b"an image")
    open_run(tmp_path / "run", RunConfig(image=image))
    with pytest.raises(InputError, match="neither a mesh nor a checkpoint"):
        view(tmp_path / "run")
    with pytest.raises(InputError, match="has no mesh yet"):
        page.export_page(tmp_path / "run", tmp_path / "page.html")


@pytest.mark.parametrize("size", [0, 5000])
def test_impossible_sizes_are_refused(run_root, size):
    with pytest.raises(InputError, match="--size must lie within"):
        view(run_root, size=size)


@pytest.mark.usefixtures("fake_viser")
def test_addresses_that_cannot_be_opened_are_refused(run_root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port} cannot be opened"):
            view(run_root, port=port)
    with pytest.raises(InputError, match="--port must lie within"):
        view(run_root, port=70000)


@pytest.mark.filterwarnings("default")  # viser's own
def test_viser_serves_the_page_until_ctrl_c(run_root, capsys):
    pytest.importorskip("viser")
    answers = []

    def look_and_leave(address):
        with urllib.request.urlopen(address, timeout=10) as answer:
            answers.append(answer.status)
        raise KeyboardInterrupt

    view(run_root, look_and_leave)
    assert answers == [200]
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("default")  # viser's own
def test_viser_writes_a_page_that_needs_no_network(run_root, tmp_path):
    pytest.importorskip("viser")
    path = tmp_path / "page.html"
    page.export_page(run_root, path)
    assert "__VISER_EMBED_DATA__" in path.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        page.export_page(run_root, path / "below.html")
