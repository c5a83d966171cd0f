import json
import struct

import numpy as np
import pytest
import trimesh

from realfusion.io.mesh_files import color_mesh, glb_bytes, write_glb, write_mesh


def _colored():
    return color_mesh(
        trimesh.creation.icosphere(2, radius=0.4), lambda points: points + 0.5
    )


def _parse(content):
    magic, version, total = struct.unpack_from("<4sII", content, 0)
    assert (magic, version, total) == (b"glTF", 2, len(content))
    length, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    return json.loads(content[20 : 20 + length]), content[20 + length + 8 :]


def test_glb_keeps_frame_scale_normals_and_colours(tmp_path):
    mesh = _colored()
    write_glb(tmp_path / "mesh.glb", mesh)
    (read,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.faces)
    np.testing.assert_allclose(read.vertex_normals, mesh.vertex_normals, atol=1e-3)
    assert read.is_watertight
    linear = read.visual.vertex_attributes["color"][:, :3] / 65535
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4))
    srgb = np.where(linear <= 0.0031308, srgb, srgb - 0.055)
    np.testing.assert_allclose(srgb, mesh.vertices + 0.5, atol=1e-3)


def test_glb_is_laid_out_as_the_format_asks():
    document, binary = _parse(glb_bytes(_colored()))
    assert document["asset"]["version"] == "2.0"
    assert document["buffers"][0]["byteLength"] == len(binary)
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    primitive = document["meshes"][0]["primitives"][0]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    assert position["min"] == pytest.approx([-0.4] * 3, abs=1e-6)
    assert position["max"] == pytest.approx([0.4] * 3, abs=1e-6)
    material = document["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert material == {"metallicFactor": 0.0, "roughnessFactor": 1.0}


def test_normals_of_degenerate_triangles_are_units():
    mesh = trimesh.Trimesh(
        [[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]],
        [[0, 1, 2], [0, 1, 3]],
        process=False,
    )
    document, binary = _parse(glb_bytes(mesh))
    view = document["bufferViews"][1]
    normals = np.frombuffer(
        binary, np.float32, view["byteLength"] // 4, view["byteOffset"]
    ).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_other_formats_keep_shape_and_colours(tmp_path, suffix):
    mesh = _colored()
    write_mesh(tmp_path / f"mesh.{suffix}", mesh)
    read = trimesh.load(tmp_path / f"mesh.{suffix}", process=False)
    assert read.volume == pytest.approx(mesh.volume, rel=1e-4)
    expected = mesh.visual.vertex_colors[:, :3].astype(int)
    found = read.visual.vertex_colors[:, :3].astype(int)
    assert np.abs(np.sort(found, axis=0) - np.sort(expected, axis=0)).max() <= 1


def test_colours_are_asked_for_in_chunks():
    sizes = []

    def colors(points):
        sizes.append(len(points))
        return np.zeros_like(points)

    mesh = trimesh.creation.icosphere(2)
    color_mesh(mesh, colors, chunk_size=100)
    assert sum(sizes) == len(mesh.vertices)
    assert max(sizes) == 100


def test_bad_colours_and_meshes_are_refused(tmp_path):
    mesh = trimesh.creation.icosphere(1)
    with pytest.raises(ValueError, match="must return"):
        color_mesh(mesh, lambda points: points[:, :1])
    with pytest.raises(ValueError, match="finite"):
        color_mesh(mesh, lambda points: points * np.nan)
    with pytest.raises(ValueError, match="empty mesh"):
        write_glb(tmp_path / "a.glb", trimesh.Trimesh())
    with pytest.raises(ValueError, match=r"\.glb, \.obj or \.ply"):
        write_mesh(tmp_path / "a.stl", mesh)
    assert not list(tmp_path.iterdir())
