import numpy as np
import pytest
import trimesh

from realfusion.evaluation.body import measure_body
from realfusion.evaluation.metrics import opacity_entropy
from realfusion.io.meshes import extract_mesh, grid_axis


def _opacity_of_ball(density, size=64):
    """What a camera far away sees of a ball of even density and radius 0.5."""
    axis = np.linspace(-1, 1, size)
    x, y = np.meshgrid(axis, axis)
    chord = 2 * np.sqrt(np.clip(0.25 - x**2 - y**2, 0, None))
    return (1 - np.exp(-density * chord))[None]


def test_a_solid_ball_has_less_entropy_than_fog():
    solid = opacity_entropy(_opacity_of_ball(200.0))
    fog = opacity_entropy(_opacity_of_ball(1.0))
    assert solid < 0.02
    assert fog > 0.8


def test_entropy_of_known_opacities():
    assert opacity_entropy(np.full((2, 4, 4), 0.5)) == pytest.approx(1)
    assert opacity_entropy(np.zeros((2, 4, 4))) == 0
    half = np.zeros((1, 4, 4))
    half[0, :2] = 0.11  # the empty half does not dilute it
    expected = -(0.11 * np.log2(0.11) + 0.89 * np.log2(0.89))
    assert opacity_entropy(half) == pytest.approx(expected)


def _grid_of_balls(radii, centres, resolution=64, bound=1.0):
    axis = grid_axis(resolution, bound)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    density = np.zeros((resolution,) * 3, np.float32)
    for radius, centre in zip(radii, centres, strict=True):
        inside = np.linalg.norm(points - np.array(centre), axis=-1) < radius
        density[inside] = 100.0
    return density


def test_a_ball_is_one_body_as_deep_as_wide():
    mesh = extract_mesh(_grid_of_balls([0.5], [(0, 0, 0)]), 1.0)
    truth = trimesh.creation.icosphere(4, radius=0.5)
    body = measure_body(_opacity_of_ball(200.0), mesh, truth.vertices, truth)
    assert body.watertight_body_fraction == 1
    assert body.depth_to_width == pytest.approx(1, abs=0.01)
    assert body.depth_to_width_error == pytest.approx(0, abs=0.01)
    assert body.volume_iou > 0.9


def test_a_flat_reconstruction_of_a_ball_has_a_depth_error():
    truth = trimesh.creation.icosphere(4, radius=0.5)
    flat = truth.copy()
    flat.apply_scale((1.0, 1.0, 0.5))
    body = measure_body(_opacity_of_ball(200.0), flat, truth.vertices, truth)
    assert body.depth_to_width_error == pytest.approx(np.log(2), abs=1e-3)
    assert body.volume_iou == pytest.approx(0.5, abs=0.01)


def test_debris_and_holes_count_against_the_body():
    """A second ball has (0.25 / 0.5)³ of the first one's volume."""
    grid = _grid_of_balls([0.5, 0.25], [(-0.4, 0, 0), (0.6, 0, 0)])
    mesh = extract_mesh(grid, 1.0, smoothing=0.0)
    body = measure_body(_opacity_of_ball(200.0), mesh, None, None)
    assert body.watertight_body_fraction == pytest.approx(1 / (1 + 0.5**3), abs=0.01)
    assert body.depth_to_width_error is None
    mesh.update_faces(np.arange(len(mesh.faces)) > 10)
    holed = measure_body(_opacity_of_ball(200.0), mesh, None, None)
    assert holed.watertight_body_fraction == 0


def test_without_a_mesh_there_is_no_body():
    truth = trimesh.creation.icosphere(2)
    body = measure_body(_opacity_of_ball(1.0), None, truth.vertices, truth)
    assert (body.watertight_body_fraction, body.volume_iou) == (0, 0)
    assert body.depth_to_width is None
    assert measure_body(_opacity_of_ball(1.0), None, None, None).volume_iou is None
