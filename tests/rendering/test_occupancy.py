"""The grid finds the object, keeps it, and forgets what is gone."""

import pytest
import torch

from realfusion.ops.occupancy import occupancy_cell_points
from realfusion.rendering.occupancy import OccupancyGrid


def ball_density(points):
    return 100.0 * (points.norm(dim=-1) < 0.4)


@pytest.fixture
def grid(settings):
    return OccupancyGrid(settings, bound=0.75)


def cell_centres(settings):
    cells = torch.arange(settings.occupancy_resolution**3)
    noise = torch.full((len(cells), 3), 0.5)
    return occupancy_cell_points(cells, settings.occupancy_resolution, 0.75, noise)


def occupied(grid):
    places = torch.arange(8, dtype=torch.uint8)
    return ((grid.bits[:, None] >> places) & 1).flatten().bool()


def test_everything_is_occupied_at_first(grid):
    assert grid.occupied_fraction == 1.0


def test_a_full_update_finds_the_object(grid, settings):
    generator = torch.Generator().manual_seed(0)
    grid.update(ball_density, every_cell=True, generator=generator)
    distance = cell_centres(settings).norm(dim=-1)
    cell = 1.5 / settings.occupancy_resolution
    found = occupied(grid)
    assert found[distance < 0.4 - cell].all()
    assert not found[distance > 0.4 + cell].any()


def test_sampled_updates_keep_what_is_there(grid, settings):
    generator = torch.Generator().manual_seed(0)
    grid.update(ball_density, every_cell=True, generator=generator)
    for _ in range(5):
        grid.update(ball_density, every_cell=False, generator=generator)
    distance = cell_centres(settings).norm(dim=-1)
    assert occupied(grid)[distance < 0.3].all()


def test_what_is_gone_is_forgotten(grid):
    generator = torch.Generator().manual_seed(0)
    grid.update(ball_density, every_cell=True, generator=generator)
    before = grid.density_ema.max()
    for _ in range(20):
        grid.update(
            lambda points: torch.zeros(len(points)),
            every_cell=True,
            generator=generator,
        )
    assert grid.density_ema.max() == pytest.approx(before.item() * 0.95**20, rel=1e-4)


def test_an_empty_scene_stays_visitable(grid):
    """With no density anywhere rays must still find what appears later."""
    generator = torch.Generator().manual_seed(0)
    empty = lambda points: torch.zeros(len(points))  # noqa: E731
    grid.update(empty, every_cell=True, generator=generator)
    grid.update(empty, every_cell=False, generator=generator)
    grid.update(ball_density, every_cell=True, generator=generator)
    assert 0.0 < grid.occupied_fraction < 0.2


def test_points_are_visited_where_their_cell_is_occupied(grid, settings):
    generator = torch.Generator().manual_seed(0)
    grid.update(ball_density, every_cell=True, generator=generator)
    assert torch.equal(grid.visits(cell_centres(settings)), occupied(grid))
    corners = 0.75 * torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]])
    assert not grid.visits(corners).any()
    assert grid.visits(torch.zeros(1, 3)).all()
