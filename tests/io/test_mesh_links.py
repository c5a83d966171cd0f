"""Thin matter between large parts is followed; specks and emptiness are not."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from realfusion.io.mesh_links import link_parts
from realfusion.io.meshes import extract_mesh, measure_mesh

SIZE = 40


def two_balls(radius: float = 7.0) -> np.ndarray:
    """Balls at x = 10 and x = 30, y = z = 20."""
    axis = np.arange(SIZE)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    squared = np.minimum((x - 10) ** 2, (x - 30) ** 2) + (y - 20) ** 2 + (z - 20) ** 2
    return (squared <= radius**2).astype(np.float32)


def arch(occupancy: float) -> np.ndarray:
    """A thin arch from ball to ball, away from the straight way between them."""
    grid = np.zeros((SIZE, SIZE, SIZE), np.float32)
    grid[10, 20:35, 20] = grid[30, 20:35, 20] = occupancy
    grid[10:31, 34, 20] = occupancy
    return grid


def count_parts(occupancy: np.ndarray) -> int:
    return int(ndimage.label(occupancy > 0.5)[1])


def test_a_thin_arch_links_two_balls_along_itself() -> None:
    occupancy = np.maximum(two_balls(), arch(0.3))
    assert count_parts(occupancy) == 2
    linked = link_parts(occupancy)
    assert count_parts(linked) == 1
    assert (linked[20, 33:36, 19:22] > 0.5).all()
    assert linked[20, 20, 20] == 0  # not the short way through nothing


def test_balls_with_nothing_between_them_stay_apart() -> None:
    occupancy = two_balls()
    assert link_parts(occupancy) is occupancy


def test_specks_are_not_linked() -> None:
    occupancy = np.maximum(two_balls(), arch(0.3))
    occupancy[22:] = np.where(two_balls()[22:] > 0, 0, occupancy[22:])
    occupancy[30, 20, 20] = 1.0
    assert link_parts(occupancy) is occupancy


def test_one_body_is_left_alone() -> None:
    occupancy = two_balls(radius=12.0)
    assert link_parts(occupancy) is occupancy


def test_the_mesh_holds_both_balls() -> None:
    occupancy = np.maximum(two_balls(), arch(0.3))
    density = 10 * occupancy / np.maximum(1 - occupancy, 1e-3)
    mesh = extract_mesh(density, 1.0, threshold=10.0)
    assert measure_mesh(mesh).num_components == 1
    assert mesh.extents[0] > 1.5
    assert mesh.is_watertight
