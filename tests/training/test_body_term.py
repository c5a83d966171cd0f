"""The term that holds the field against the body it started from."""

import dataclasses

import pytest
import torch

from realfusion.training.config import ObjectiveConfig, TermConfig
from realfusion.training.draws import draw_step
from realfusion.training.fit import fit
from realfusion.training.silhouette import InflatedSilhouette
from realfusion.training.state import TrainState
from realfusion.training.step import Task


@pytest.fixture
def anchored(config):
    """Nothing but the photo and the body speaks, and the body loudly."""
    objective = dataclasses.replace(
        ObjectiveConfig(), body=TermConfig(initial=100.0)
    )
    return dataclasses.replace(config, objective=objective)


def test_without_a_weight_there_is_no_term_and_nothing_is_drawn(config, photo):
    task = Task(photo, body=InflatedSilhouette(photo))
    results = list(fit(TrainState(config, seed=0), task, config))
    assert all("body" not in result.terms for result in results)
    draw = draw_step(photo, config, 0, torch.Generator())
    assert draw.body_points.shape == (0, 3)


def test_without_a_body_there_is_no_term(anchored, photo):
    results = list(fit(TrainState(anchored, seed=0), Task(photo), anchored))
    assert all("body" not in result.terms for result in results)


def test_the_field_is_drawn_to_the_body(anchored, photo):
    task = Task(photo, body=InflatedSilhouette(photo))
    results = list(fit(TrainState(anchored, seed=0), task, anchored))
    assert results[-1].terms["body"] < 0.8 * results[0].terms["body"]


def test_the_points_fill_the_box(anchored, photo):
    draw = draw_step(photo, anchored, 0, torch.Generator().manual_seed(0))
    points = draw.body_points
    assert points.shape == (anchored.initial_shape.anchor_points, 3)
    assert points.min() >= 0 and points.max() <= 1
    torch.testing.assert_close(points.mean(0), torch.full((3,), 0.5), atol=0.03, rtol=0)
