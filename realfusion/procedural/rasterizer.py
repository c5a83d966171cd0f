"""Loads the triangle rasteriser (``csrc/cpu/rasterize.cpp``) and calls it on arrays."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NUM_PLANES = 64
"""Depths at which :func:`rasterize_occupancy` looks: the bits of a word."""

_POINTER, _LONG, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
_TRIANGLES = "realfusion_rasterize_triangles"
_OCCUPANCY = "realfusion_rasterize_occupancy"
_ARGUMENTS = {
    _TRIANGLES: [_POINTER] * 2 + [_LONG] * 3 + [_INT] * 3 + [_POINTER] * 3,
    _OCCUPANCY: [_POINTER] * 3
    + [_LONG] * 3
    + [_INT] * 2
    + [ctypes.c_float] * 2
    + [_POINTER],
}


@dataclass(frozen=True, kw_only=True)
class RasterizedViews:
    """What is nearest (or farthest) at each pixel of each view."""

    face_index: NDArray[np.int32]
    """``[num_views, height, width]``: the face kept, -1 where there is none."""
    weights: NDArray[np.float32]
    """``[num_views, height, width, 2]``: interpolation weights of vertices 1 and 2."""
    depth: NDArray[np.float32]
    """``[num_views, height, width]``: depth (world units), infinite where empty."""


def rasterize_triangles(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    height: int,
    width: int,
    *,
    keep_farthest: bool = False,
) -> RasterizedViews:
    """Rasterises triangles with a depth buffer, perspective-correct.

    Args:
        vertices: ``[num_views, num_vertices, 3]``: pixel x, pixel y (pixel centres at
            half-integers, row 0 at the top) and depth in front of the camera.
        faces: ``[num_faces, 3]`` vertex indices.
        height: Rows of the image.
        width: Columns of the image.
        keep_farthest: The last surface along a ray instead of the first.

    Returns:
        The face kept, its interpolation weights and its depth at each pixel.

    Raises:
        ValueError: If a shape is wrong or an index is out of range.
    """
    vertices, faces = _checked(vertices, faces)
    num_views, num_vertices = vertices.shape[:2]
    face_index = np.empty((num_views, height, width), np.int32)
    weights = np.zeros((num_views, height, width, 2), np.float32)
    depth = np.empty((num_views, height, width), np.float32)
    _kernel(_TRIANGLES)(
        vertices.ctypes.data,
        faces.ctypes.data,
        num_views,
        num_vertices,
        len(faces),
        height,
        width,
        keep_farthest,
        face_index.ctypes.data,
        weights.ctypes.data,
        depth.ctypes.data,
    )
    return RasterizedViews(face_index=face_index, weights=weights, depth=depth)


def rasterize_occupancy(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    part_begin: NDArray[np.int64],
    height: int,
    width: int,
    *,
    first_depth: float,
    spacing: float,
) -> NDArray[np.uint64]:
    """What the rays through the pixel centres find inside a union of closed parts.

    Args:
        vertices: As :func:`rasterize_triangles` takes them.
        faces: ``[num_faces, 3]`` vertex indices, those of a part in one run.
        part_begin: ``[num_parts + 1]``: first face of each part, then ``num_faces``.
        height: Rows of the image.
        width: Columns of the image.
        first_depth: Depth of plane 0 in front of the camera, world units.
        spacing: Distance between planes, world units.

    Returns:
        ``[num_views, height, width]``; bit k tells whether plane k is inside. A part
        that a ray enters and does not leave counts as missed.

    Raises:
        ValueError: If a shape is wrong or an index is out of range.
    """
    vertices, faces = _checked(vertices, faces)
    part_begin = np.ascontiguousarray(part_begin, np.int64)
    if (
        part_begin.ndim != 1
        or len(part_begin) == 0
        or part_begin[0] != 0
        or part_begin[-1] != len(faces)
        or (np.diff(part_begin) < 0).any()
    ):
        raise ValueError(f"`part_begin` must ascend from 0 to {len(faces)}")
    num_views, num_vertices = vertices.shape[:2]
    occupancy = np.empty((num_views, height, width), np.uint64)
    _kernel(_OCCUPANCY)(
        vertices.ctypes.data,
        faces.ctypes.data,
        part_begin.ctypes.data,
        num_views,
        num_vertices,
        len(part_begin) - 1,
        height,
        width,
        first_depth,
        spacing,
        occupancy.ctypes.data,
    )
    return occupancy


def _checked(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Both, contiguous."""
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(f"`vertices` must be [views, n, 3], got {vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"`faces` must be [n, 3], got {faces.shape}")
    num_vertices = vertices.shape[1]
    if len(faces) and not (faces.min() >= 0 and faces.max() < num_vertices):
        raise ValueError(f"`faces` must index the {num_vertices} vertices")
    return (
        np.ascontiguousarray(vertices, np.float32),
        np.ascontiguousarray(faces, np.int32),
    )


@functools.cache
def _kernel(symbol: str) -> ctypes._NamedFuncPointer:
    """A C function, from the built extension or compiled once into a cache."""
    library = _extension_library()
    if library is None:
        library = ctypes.CDLL(str(_compile_library()))
    function = getattr(library, symbol)
    function.argtypes = _ARGUMENTS[symbol]
    function.restype = None
    return function


def _extension_library() -> ctypes.CDLL | None:
    """The extension ``realfusion._C``, which contains the rasteriser, if it is built.

    It links to torch's libraries, which importing torch loads; nothing else of torch is
    used.
    """
    found = importlib.util.find_spec("realfusion._C")
    if found is None or found.origin is None:
        return None
    try:
        import torch  # noqa: F401

        library = ctypes.CDLL(found.origin)
    except (ImportError, OSError):
        return None
    return library if hasattr(library, _OCCUPANCY) else None


def _compile_library() -> Path:
    """Compiles the rasteriser into the user's cache, keyed by its source."""
    sources = Path(__file__).resolve().parents[2] / "csrc"
    kernel = sources / "cpu" / "rasterize.cpp"
    if not kernel.is_file():
        raise RuntimeError(
            "The rasteriser is not built: install realfusion with its extension "
            "(`pip install .`) beside torch, or run from a source checkout"
        )
    header = sources / "core" / "rasterize.h"
    digest = hashlib.sha256(kernel.read_bytes() + header.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    target = cache / "realfusion" / f"rasterize-{digest}.so"
    if target.is_file():
        return target
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise RuntimeError("Compiling the rasteriser needs a C++ compiler (set CXX)")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        built = Path(scratch) / target.name
        flags = ["-O3", "-std=c++17", "-shared", "-fPIC", "-fvisibility=hidden"]
        subprocess.run([compiler, *flags, str(kernel), "-o", str(built)], check=True)
        built.replace(target)
    return target
