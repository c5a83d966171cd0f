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

_SYMBOL = "realfusion_rasterize_triangles"
_POINTER = ctypes.c_void_p
_ARGUMENTS = (
    [_POINTER] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_int32] * 2 + [_POINTER] * 3
)


@dataclass(frozen=True, kw_only=True)
class RasterizedViews:
    """What is nearest at each pixel of each view."""

    face_index: NDArray[np.int32]
    """``[num_views, height, width]``: nearest face, -1 where there is none."""
    weights: NDArray[np.float32]
    """``[num_views, height, width, 2]``: interpolation weights of vertices 1 and 2."""
    depth: NDArray[np.float32]
    """``[num_views, height, width]``: depth (world units), infinite where empty."""


def rasterize_triangles(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], height: int, width: int
) -> RasterizedViews:
    """Rasterises triangles with a depth buffer, perspective-correct.

    Args:
        vertices: ``[num_views, num_vertices, 3]``: pixel x, pixel y (pixel centres at
            half-integers, row 0 at the top) and depth in front of the camera.
        faces: ``[num_faces, 3]`` vertex indices.
        height: Rows of the image.
        width: Columns of the image.

    Returns:
        The nearest face, its interpolation weights and its depth at each pixel.

    Raises:
        ValueError: If a shape is wrong or an index is out of range.
    """
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(f"`vertices` must be [views, n, 3], got {vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"`faces` must be [n, 3], got {faces.shape}")
    num_views, num_vertices = vertices.shape[:2]
    if len(faces) and not (faces.min() >= 0 and faces.max() < num_vertices):
        raise ValueError(f"`faces` must index the {num_vertices} vertices")
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    face_index = np.empty((num_views, height, width), np.int32)
    weights = np.zeros((num_views, height, width, 2), np.float32)
    depth = np.empty((num_views, height, width), np.float32)
    _kernel()(
        vertices.ctypes.data,
        faces.ctypes.data,
        num_views,
        num_vertices,
        len(faces),
        height,
        width,
        face_index.ctypes.data,
        weights.ctypes.data,
        depth.ctypes.data,
    )
    return RasterizedViews(face_index=face_index, weights=weights, depth=depth)


@functools.cache
def _kernel() -> ctypes._NamedFuncPointer:
    """The C function, from the built extension or compiled once into a cache."""
    library = _extension_library()
    if library is None:
        library = ctypes.CDLL(str(_compile_library()))
    function = getattr(library, _SYMBOL)
    function.argtypes = _ARGUMENTS
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
    return library if hasattr(library, _SYMBOL) else None


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
