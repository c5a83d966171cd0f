"""Everything random of a step is drawn at once, and in the same numbers each step."""

import dataclasses

import pytest
import torch

from realfusion.training.draws import draw_step
from realfusion.training.objective import TERM_NAMES


def draw(photo, config, step=0, seed=0):
    return draw_step(photo, config, step, torch.Generator().manual_seed(seed))


def test_equal_seeds_give_equal_draws(photo, config):
    first, second, third = (draw(photo, config, seed=seed) for seed in (1, 1, 2))
    for name, tensor in first.tensors().items():
        assert torch.equal(tensor, second.tensors()[name]), name
    assert first.cameras == second.cameras
    assert not torch.equal(first.view_jitter, third.view_jitter)


def test_every_step_draws_the_same_count_of_numbers(photo, config):
    """So that a changed schedule or share does not shift the steps behind it."""
    lit = dataclasses.replace(config.shading, albedo_until=0.5, albedo_probability=0.0)
    modes = dataclasses.replace(
        config.background, prior_views="random", reference_view="random"
    )
    changed = dataclasses.replace(config, shading=lit, background=modes)
    states = []
    for settings, step in ((config, 0), (changed, 0), (changed, 19)):
        generator = torch.Generator().manual_seed(0)
        draw_step(photo, settings, step, generator)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_rays_are_those_of_the_cameras(photo, config):
    config = dataclasses.replace(config, prior_views=2)
    drawn = draw(photo, config)
    size = config.prior_view_size
    for index, camera in enumerate(drawn.cameras):
        rays, expected = drawn.rays(index, size), camera.rays(size, size)
        assert torch.equal(rays.origins, expected.origins)
        assert torch.equal(rays.directions, expected.directions)


def test_scheduled_values_are_those_of_the_step(photo, config):
    drawn = draw(photo, config, step=10)
    assert drawn.progress == 10 / config.iterations
    assert len(drawn.weights) == len(TERM_NAMES)
    assert drawn.weights[0] == config.objective.image.initial
    # The ramp of the average: (1 + 11) / (10 + 11) is less than the decay.
    assert drawn.average_share.item() == pytest.approx(1.0 - 12.0 / 21.0)


def test_backgrounds_are_white_unless_they_are_to_be_random(photo, config):
    white, coloured = (
        dataclasses.replace(
            config,
            background=dataclasses.replace(
                config.background, prior_views=mode, random_probability=1.0
            ),
        )
        for mode in ("white", "random")
    )
    assert (draw(photo, white).view_backgrounds == 1.0).all()
    assert (draw(photo, coloured).view_backgrounds < 1.0).all()


def test_refilling_keeps_the_tensors_and_takes_the_rest(photo, config):
    mine, other = draw(photo, config, seed=1), draw(photo, config, step=5, seed=2)
    addresses = {name: each.data_ptr() for name, each in mine.tensors().items()}
    refilled = mine.refill(other)
    assert refilled.cameras == other.cameras
    assert refilled.progress == other.progress
    for name, tensor in refilled.tensors().items():
        assert tensor.data_ptr() == addresses[name], name
        assert torch.equal(tensor, other.tensors()[name]), name
