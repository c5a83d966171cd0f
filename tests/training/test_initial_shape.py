"""The field takes the outline, the depth and the colours of a body."""

import dataclasses

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.priors.estimated_body import EstimatedBody
from realfusion.training.config import InitialShapeConfig
from realfusion.training.initial_shape import fit_initial_shape, initial_body
from realfusion.training.silhouette import InflatedSilhouette
from realfusion.training.state import TrainState


def test_the_blob_needs_no_body(photo):
    settings = InitialShapeConfig(kind="blob")
    assert initial_body(photo, settings, has_prior=True) is None


def test_nothing_learned_enters_without_a_prior(photo):
    settings = InitialShapeConfig(kind="auto")
    with_prior = initial_body(photo, settings, has_prior=True)
    assert isinstance(with_prior, EstimatedBody)
    without = initial_body(photo, settings, has_prior=False)
    assert isinstance(without, InflatedSilhouette)


@pytest.mark.parametrize("kind", ["silhouette", "estimated"])
def test_the_fitted_field_has_the_outline_and_the_colours(config, photo, kind):
    settings = InitialShapeConfig(kind=kind, steps=150, points=4096)
    field = dataclasses.replace(config.field, blob_density=0.0)
    state = TrainState(dataclasses.replace(config, field=field), seed=0)
    body = initial_body(photo, settings, has_prior=False)
    assert body is not None
    fit_initial_shape(
        state.scene.field,
        body,
        settings,
        num_active_levels=4,
        generator=state.generator,
    )
    for _ in range(2):
        state.scene.update_occupancy(every_cell=True, generator=state.generator)
    front = state.scene.render_image(photo.camera, (24, 24))
    found, expected = front.opacity > 0.5, photo.alpha > 0.5
    iou = (found & expected).sum() / (found | expected).sum()
    assert iou > 0.85
    side = state.scene.render_image(Camera(azimuth_deg=90), (24, 24))
    assert 0.5 < (side.opacity > 0.5).sum() / expected.sum() < 1.5, "a body, no card"
    colour = side.rgb[side.opacity > 0.9].mean(0)
    torch.testing.assert_close(colour, torch.tensor([0.8, 0.2, 0.2]), atol=0.1, rtol=0)
