"""Meshes to GLB, OBJ and PLY files.

The GLB writer is our own, of glTF 2.0's binary container: it stores 16-bit *linear*
vertex colours, as the specification asks, where generic writers store 8-bit sRGB
values that viewers then show washed out.
"""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from realfusion.io.atomic import atomic_path

if TYPE_CHECKING:
    import trimesh

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_UINT16, _UINT32, _FLOAT32 = 5123, 5125, 5126


def color_mesh(
    mesh: "trimesh.Trimesh",
    colors: Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, "n 3"]],
    *,
    chunk_size: int = 65536,
) -> "trimesh.Trimesh":
    """Gives every vertex the colour that a function has there.

    Args:
        mesh: The mesh; it is not changed.
        colors: World positions to sRGB colours in [0, 1].
        chunk_size: Positions asked for at once.

    Returns:
        A copy with float colours under `vertex_attributes["color"]` and 8-bit ones for
        trimesh's own viewers and writers.

    Raises:
        ValueError: A colour is not finite, or their shape is not the positions'.
    """
    from realfusion.io.images import to_uint8

    points = np.asarray(mesh.vertices, np.float32)
    pieces = [
        np.asarray(colors(points[start : start + chunk_size]), np.float32)
        for start in range(0, len(points), chunk_size)
    ]
    values = np.concatenate(pieces)
    if values.shape != points.shape:
        raise ValueError(
            f"`colors` must return {list(points.shape)}, got {list(values.shape)}"
        )
    colored = mesh.copy()
    colored.visual.vertex_colors = to_uint8(values)
    colored.vertex_attributes["color"] = np.clip(values, 0, 1)
    return colored


def write_glb(path: str | os.PathLike[str], mesh: "trimesh.Trimesh") -> None:
    """Writes a binary glTF 2.0 file: positions, normals, vertex colours, rough matt.

    World frame and scale are kept (+y up, as glTF's own convention).

    Args:
        path: The file to write.
        mesh: The mesh, coloured by `color_mesh` or any trimesh vertex colours.

    Raises:
        ValueError: The mesh is empty or not finite.
        OSError: The file cannot be written.
    """
    content = glb_bytes(mesh)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_mesh(path: str | os.PathLike[str], mesh: "trimesh.Trimesh") -> None:
    """Writes GLB, OBJ or PLY, by the suffix of the path.

    Args:
        path: The file to write.
        mesh: The mesh, with vertex colours.

    Raises:
        ValueError: The suffix is another, or the mesh is empty or not finite.
        OSError: The file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".glb":
        write_glb(path, mesh)
        return
    if suffix not in (".obj", ".ply"):
        raise ValueError(f"`path` must end in .glb, .obj or .ply, got {str(path)!r}")
    _check_mesh(mesh)
    options: dict[str, Any] = {"include_normals": True}
    if suffix == ".ply":
        options = {"vertex_normal": True, "include_attributes": False}
    content = mesh.export(file_type=suffix[1:], **options)
    with atomic_path(path) as temporary:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            temporary.write_bytes(content)


def glb_bytes(mesh: "trimesh.Trimesh") -> bytes:
    """The content of a GLB file; see `write_glb`.

    Args:
        mesh: The mesh.

    Returns:
        The whole file.

    Raises:
        ValueError: The mesh is empty or not finite.
    """
    _check_mesh(mesh)
    blob = _Blob()
    positions = np.asarray(mesh.vertices, np.float32)
    attributes = {
        "POSITION": blob.add(positions, _FLOAT32, "VEC3", _ARRAY_BUFFER),
        "NORMAL": blob.add(_unit_normals(mesh), _FLOAT32, "VEC3", _ARRAY_BUFFER),
        "COLOR_0": blob.add(
            _linear_colors(mesh), _UINT16, "VEC4", _ARRAY_BUFFER, normalized=True
        ),
    }
    blob.accessors[0]["min"] = positions.min(axis=0).tolist()
    blob.accessors[0]["max"] = positions.max(axis=0).tolist()
    faces = np.asarray(mesh.faces, np.uint32).reshape(-1)
    indices = blob.add(faces, _UINT32, "SCALAR", _ELEMENT_ARRAY_BUFFER)
    document = {
        "asset": {"version": "2.0", "generator": "realfusion"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "object"}],
        "meshes": [
            {
                "primitives": [
                    {"attributes": attributes, "indices": indices, "material": 0}
                ]
            }
        ],
        "materials": [
            {
                "name": "matt",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
            }
        ],
        "accessors": blob.accessors,
        "bufferViews": blob.views,
        "buffers": [{"byteLength": len(blob.content)}],
    }
    return _container(document, bytes(blob.content))


@dataclass
class _Blob:
    """The binary chunk, with the accessors and views that describe it."""

    content: bytearray
    accessors: list[dict[str, Any]]
    views: list[dict[str, Any]]

    def __init__(self) -> None:
        self.content, self.accessors, self.views = bytearray(), [], []

    def add(
        self,
        values: np.ndarray,
        component_type: int,
        kind: str,
        target: int,
        *,
        normalized: bool = False,
    ) -> int:
        raw = np.ascontiguousarray(values).tobytes()
        self.views.append(
            {
                "buffer": 0,
                "byteOffset": len(self.content),
                "byteLength": len(raw),
                "target": target,
            }
        )
        self.content += raw + b"\0" * (-len(raw) % 4)
        accessor: dict[str, Any] = {
            "bufferView": len(self.views) - 1,
            "componentType": component_type,
            "count": len(values),
            "type": kind,
        }
        if normalized:
            accessor["normalized"] = True
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sII", b"glTF", 2, total)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


def _check_mesh(mesh: "trimesh.Trimesh") -> None:
    if len(mesh.vertices) == 0 or len(mesh.faces) == 0:
        raise ValueError("`mesh` must have triangles, got an empty mesh")
    if not np.isfinite(mesh.vertices).all():
        raise ValueError("`mesh` must have finite vertices, got NaN or infinite ones")


def _unit_normals(mesh: "trimesh.Trimesh") -> Float[np.ndarray, "n 3"]:
    normals = np.nan_to_num(np.array(mesh.vertex_normals, np.float64))
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    # A vertex of degenerate triangles alone has no normal; the format wants one.
    normals = np.where(lengths > 1e-6, normals / np.maximum(lengths, 1e-6), [0, 1, 0])
    return normals.astype(np.float32)


def _linear_colors(mesh: "trimesh.Trimesh") -> UInt16[np.ndarray, "n 4"]:
    srgb = mesh.vertex_attributes.get("color")
    if srgb is None:
        srgb = np.asarray(mesh.visual.vertex_colors, np.float64)[:, :3] / 255
    srgb = np.clip(np.asarray(srgb, np.float64), 0, 1)
    linear = np.where(
        srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4
    )  # IEC 61966-2-1
    opaque = np.ones((len(linear), 1))
    return np.rint(np.concatenate([linear, opaque], axis=1) * 65535).astype(np.uint16)


def srgb_colors(mesh: "trimesh.Trimesh") -> UInt8[np.ndarray, "n 3"]:
    """The 8-bit sRGB colours of a mesh's vertices.

    Args:
        mesh: The mesh.

    Returns:
        One colour a vertex; mid-grey where the mesh has none.
    """
    return np.asarray(mesh.visual.vertex_colors, np.uint8)[:, :3]
