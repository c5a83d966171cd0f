import numpy as np
import pytest
import trimesh

from realfusion.errors import InputError
from realfusion.io.meshes import (
    choose_threshold,
    extract_mesh,
    grid_axis,
    measure_mesh,
    simplify,
)

BOUND = 0.75


def _grid(signed_distance, resolution=48, sharpness=50.0):
    """Exponential densities as a field's: about 1 at the surface, e^6 inside."""
    axis = grid_axis(resolution, BOUND)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    distance = signed_distance(points)
    return np.exp(np.clip(-distance * sharpness, -12, 6)).astype(np.float32)


def _ball(radius=0.4, centre=(0.0, 0.0, 0.0)):
    return lambda points: np.linalg.norm(points - np.array(centre), axis=-1) - radius


def test_ball_is_watertight_outward_and_of_the_right_size():
    mesh = extract_mesh(_grid(_ball(0.4)), BOUND, threshold=1.0)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.03)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    np.testing.assert_allclose(radii, 0.4, atol=0.01)
    outward = np.einsum("nc,nc->n", mesh.vertex_normals, mesh.vertices / radii[:, None])
    assert outward.min() > 0.9


def test_axes_are_x_y_z_in_world_units():
    centre = (0.3, -0.2, 0.1)
    mesh = extract_mesh(_grid(_ball(0.2, centre)), BOUND)
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), centre, atol=0.01)


def test_only_the_largest_body_is_kept_and_its_share_told():
    two = _grid(lambda p: np.minimum(_ball(0.3)(p), _ball(0.1, (0.55, 0.5, 0.5))(p)))
    mesh = extract_mesh(two, BOUND)
    metrics = measure_mesh(mesh)
    assert metrics.num_components == 1
    assert mesh.bounds.max() < 0.4
    assert 0.9 < metrics.main_component_fraction < 0.99


def test_hidden_cavity_is_filled():
    shell = _grid(lambda p: np.abs(_ball(0.4)(p)) - 0.06)
    mesh = extract_mesh(shell, BOUND)
    assert np.linalg.norm(mesh.vertices, axis=1).min() > 0.4


def test_matter_that_touches_the_box_is_closed():
    mesh = extract_mesh(_grid(_ball(0.5, (0.5, 0, 0))), BOUND)
    assert mesh.is_watertight
    assert mesh.volume > 0


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
def test_automatic_threshold_gives_the_body_that_rays_see(scale):
    """Neither empty nor the whole box, whatever the scale of the densities."""
    density = scale * 40 * _grid(_ball(0.35), sharpness=8.0)
    seen = 1 - np.exp(-density.sum(axis=2) * 2 * BOUND / 47) > 0.5
    threshold = choose_threshold(density, BOUND)
    mesh = extract_mesh(density, BOUND, threshold=threshold)
    area = seen.sum() * (2 * BOUND / 47) ** 2
    radius = mesh.extents.mean() / 2
    assert np.pi * radius**2 == pytest.approx(area, rel=0.15)
    assert mesh.metadata["density_threshold"] == threshold


def test_simplified_mesh_stays_watertight():
    full = extract_mesh(_grid(_ball(0.4)), BOUND, max_faces=None)
    mesh = simplify(full, 2000)
    assert len(mesh.faces) <= 2000 < len(full.faces)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(full.volume, rel=0.02)
    assert len(extract_mesh(_grid(_ball(0.4)), BOUND, max_faces=2000).faces) <= 2000


def _porous_ball():
    """A ball of noise: a half-converged field."""
    noise = np.random.default_rng(0).normal(0, 0.08, (48, 48, 48))
    return _grid(lambda p: _ball(0.4)(p) + noise * (_ball(0.3)(p) > 0))


def test_smoothing_closes_pores_and_calms_the_surface():
    options = {"threshold": 1.0, "max_faces": None}
    rough = extract_mesh(_porous_ball(), BOUND, smoothing=0.0, **options)
    smooth = extract_mesh(_porous_ball(), BOUND, smoothing=0.04, **options)
    assert smooth.area < 0.6 * rough.area
    assert smooth.euler_number == 2
    assert smooth.volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.1)


def test_smoothing_does_not_break_the_body_apart():
    """Two balls on a thin rod, as cherries on a stem."""

    def cherries(points):
        rod = np.hypot(points[..., 1], points[..., 2]) - 0.03
        rod = np.maximum(rod, np.abs(points[..., 0]) - 0.4)
        left, right = _ball(0.2, (-0.4, 0, 0))(points), _ball(0.2, (0.4, 0, 0))(points)
        return np.minimum(rod, np.minimum(left, right))

    mesh = extract_mesh(_grid(cherries), BOUND, threshold=1.0, smoothing=0.08)
    assert mesh.extents[0] > 1.1


def test_simplifying_never_tears_a_closed_body():
    """Sheets that nearly touch would collapse onto one another."""
    full = extract_mesh(_porous_ball(), BOUND, smoothing=0.0, max_faces=None)
    assert full.is_watertight
    assert simplify(full, len(full.faces) // 3).is_watertight


def test_metrics_of_a_flat_box():
    metrics = measure_mesh(trimesh.creation.box((1.0, 0.8, 0.25)))
    assert metrics.depth_to_width == pytest.approx(0.25)
    assert metrics.is_watertight
    assert metrics.volume == pytest.approx(0.2)
    assert metrics.num_components == 1


def test_empty_and_full_grids_are_refused():
    for density in (0.0, 50.0):
        grid = np.full((16, 16, 16), density, np.float32)
        with pytest.raises(InputError, match="no solid body"):
            extract_mesh(grid, BOUND)
    with pytest.raises(InputError, match="exceeds the threshold 100"):
        extract_mesh(np.ones((16, 16, 16), np.float32), BOUND, threshold=100.0)


@pytest.mark.parametrize(
    ("grid", "match"),
    [
        (np.ones((4, 4, 5)), "cube"),
        (np.full((4, 4, 4), np.nan), "finite"),
        (-np.ones((4, 4, 4)), "negative"),
    ],
)
def test_bad_grids_are_refused(grid, match):
    with pytest.raises(ValueError, match=match):
        extract_mesh(grid, BOUND)
