"""One training step: every term takes part, and nothing non-finite gets through."""

import dataclasses
import math
from unittest.mock import Mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from realfusion.cameras.view_direction import ViewDirection, view_direction
from realfusion.training.config import TermConfig
from realfusion.training.draws import draw_step
from realfusion.training.launched import SampleOverflowError
from realfusion.training.objective import TERM_NAMES, weighted_sum
from realfusion.training.schedules import term_weights
from realfusion.training.state import TrainState
from realfusion.training.step import (
    NonFiniteTermError,
    Task,
    averaged_parameters,
    compute_terms,
    finish_step,
    launch_step,
    train_step,
    update_scene,
)

ALL_TERMS = {
    "image",
    "mask",
    "prior",
    "normal_smoothness",
    "orientation",
    "entropy",
    "sparsity",
}


@pytest.fixture
def config(config):
    """Every term has a weight."""
    objective = dataclasses.replace(config.objective, sparsity=TermConfig(initial=0.01))
    return dataclasses.replace(config, objective=objective)


@pytest.fixture
def task(photo, grey_prior):
    return grey_prior.task(photo)


def test_a_step_reports_every_term_and_their_weighted_sum(config, task):
    state = TrainState(config, seed=0)
    terms = train_step(state, task, config)
    assert set(terms) == ALL_TERMS | {"loss"}
    weighted = sum(
        getattr(config.objective, name).initial * terms[name] for name in ALL_TERMS
    )
    assert terms["loss"] == pytest.approx(weighted, rel=1e-5)
    assert state.step == 1


def test_without_a_prior_the_regularisers_remain(config, photo):
    state = TrainState(config, seed=0)
    terms = train_step(state, Task(photo), config)
    assert set(terms) == (ALL_TERMS - {"prior"}) | {"loss"}


def test_terms_that_never_have_a_weight_are_left_out(config, photo):
    objective = dataclasses.replace(
        config.objective,
        normal_smoothness=TermConfig(initial=0.0),
        orientation=TermConfig(initial=0.0, final=0.0),
        entropy=TermConfig(initial=0.0, final=0.1),
    )
    config = dataclasses.replace(config, objective=objective)
    state = TrainState(config, seed=0)
    state.scene.render = Mock(side_effect=state.scene.render)
    terms = train_step(state, Task(photo), config)
    assert set(terms) == {"image", "mask", "entropy", "sparsity", "loss"}
    asked = [call.kwargs["with_normals"] for call in state.scene.render.mock_calls]
    assert asked == [False] * (1 + config.prior_views), "no term sees normals"


@pytest.mark.parametrize("name", sorted(ALL_TERMS))
def test_every_term_reaches_the_density(config, task, name):
    """Each term has a gradient in the last layer's log-density bias."""
    shading = dataclasses.replace(
        config.shading, albedo_until=0.0, albedo_probability=0.0
    )
    config = dataclasses.replace(config, shading=shading)
    state = TrainState(config, seed=0)
    state.scene.update_occupancy(every_cell=True, generator=state.generator)
    draw = draw_step(task.photo, config, config.iterations // 2, state.generator)
    terms, _ = compute_terms(state, task, config, draw)
    terms[name].backward()
    gradients = torch.cat(
        [state.scene.field.b3.grad.flatten(), state.scene.field.w3.grad.flatten()]
    )
    assert gradients.isfinite().all()
    assert gradients.abs().max() > 0


def test_the_prompt_belongs_to_the_view_that_is_rendered(config, photo, grey_prior):
    """Defect 2 of the original release: views were judged with the front prompt."""
    state = TrainState(config, seed=1)
    for _ in range(16):
        draw = draw_step(photo, config, 10, state.generator)
        compute_terms(state, grey_prior.task(photo), config, draw)
    cameras = [camera for batch in grey_prior.seen for camera in batch]
    kinds = {view_direction(camera, photo.camera) for camera in cameras}
    assert {ViewDirection.FRONT, ViewDirection.SIDE, ViewDirection.BACK} <= kinds
    assert len({camera.azimuth_deg for camera in cameras}) == 16


def test_prompts_name_the_cameras_whose_rays_were_cast(
    config, photo, grey_prior, monkeypatch
):
    """Defect 2: the release cast its rays before it replaced the camera."""
    config = dataclasses.replace(config, prior_views=3)
    state = TrainState(config, seed=1)
    origins = []
    render = state.scene.render

    def watched(rays, **options):
        origins.append(rays.origins[0])
        return render(rays, **options)

    monkeypatch.setattr(state.scene, "render", watched)
    draw = draw_step(photo, config, 10, state.generator)
    compute_terms(state, grey_prior.task(photo), config, draw)
    (cameras,) = grey_prior.seen
    positions = [camera.position().float() for camera in (photo.camera, *cameras)]
    torch.testing.assert_close(torch.stack(origins), torch.stack(positions))


def test_loss_scale_changes_nothing_but_the_scale(config, task, photo, grey_prior):
    """Defect 1: all terms, the prior among them, are scaled alike."""
    results = []
    for scale in (1.0, 1024.0):
        scaled = dataclasses.replace(
            config,
            optimizer=dataclasses.replace(config.optimizer, loss_scale=scale),
            objective=dataclasses.replace(
                config.objective, prior=TermConfig(initial=1.0, clip=1e-3)
            ),
        )
        state = TrainState(scaled, seed=0)
        for _ in range(3):
            train_step(state, grey_prior.task(photo), scaled)
        results.append(state.scene.field.w1.detach().clone())
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)


def test_weights_follow_the_progress(config):
    objective = dataclasses.replace(
        config.objective, image=TermConfig(initial=1.0, final=3.0)
    )
    terms = {"image": torch.tensor(2.0)}
    for progress, expected in ((0.0, 2.0), (0.5, 4.0)):
        weights = term_weights(objective, progress)
        assert tuple(weights) == TERM_NAMES
        assert weighted_sum(terms, torch.tensor(list(weights.values()))) == expected


def test_a_non_finite_value_names_its_term_and_changes_nothing(config, task):
    state = TrainState(config, seed=0)
    before = state.scene.field.w1.detach().clone()
    task.prior.diffusion.fail_at = 1
    with pytest.raises(NonFiniteTermError, match="value of the term 'prior'"):
        train_step(state, task, config)
    assert torch.equal(before, state.scene.field.w1)
    assert state.step == 0


def test_a_non_finite_gradient_names_its_term(config, task, monkeypatch):
    class Bomb(torch.autograd.Function):
        @staticmethod
        def forward(ctx, values):
            return values.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * math.nan

    state = TrainState(config, seed=0)
    encode = task.prior.diffusion.encode
    monkeypatch.setattr(task.prior.diffusion, "encode", lambda x: Bomb.apply(encode(x)))
    before = state.scene.field.w1.detach().clone()
    with pytest.raises(NonFiniteTermError, match="gradient of the term 'prior'"):
        train_step(state, task, config)
    assert torch.equal(before, state.scene.field.w1)


def test_an_unsound_step_calls_off_those_launched_behind_it(config, task):
    """A device runs ahead of the host, which learns of a failure some steps later."""
    state, expected = TrainState(config, seed=0), TrainState(config, seed=0)
    train_step(state, task, config)
    train_step(expected, type(task.prior.diffusion)().task(task.photo), config)
    task.prior.diffusion.fail_at = 2
    first, second, third = (launch_step(state, task, config) for _ in range(3))
    assert state.step == 4
    assert not second.read().has_overflowed
    with pytest.raises(NonFiniteTermError, match="'prior' at step 1 is not finite"):
        finish_step(state, task, config, first)
    assert third.read().terms["loss"] > 0.0
    before, after = expected.tensors(), state.tensors()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"generator"}
    assert torch.equal(after["generator"], first.random_after)
    assert state.step == 1
    assert train_step(state, task, config)["loss"] > 0.0
    assert state.optimizer.tensors()["optimizer.count"] == 2


def test_fixed_sizes_change_nothing(config, task):
    """Padded samples give the terms and, after some steps, the parameters of exact."""
    exact, padded = TrainState(config, seed=0), TrainState(config, seed=0)
    padded.runs_ahead = True
    for _ in range(5):
        terms = train_step(padded, task, config)
        assert terms == pytest.approx(train_step(exact, task, config), rel=1e-5)
    assert padded.photo_capacity.room is not None
    torch.testing.assert_close(padded.scene.field.w1, exact.scene.field.w1)
    torch.testing.assert_close(padded.scene.field.table, exact.scene.field.table)


class NoWord(TorchDispatchMode):
    """Refuses what would make the host wait for a device, or cannot be captured."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        # Reads of values; results of a size that depends on values; copies from host.
        assert name not in {
            "_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select",
            "_unique2", "lift_fresh",
        }, name  # fmt: skip
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("normals", "loss_scaling"),
    [
        ("analytic", "static"),
        ("analytic", "dynamic"),
        ("central", "static"),
        ("tetrahedral", "static"),
    ],
)
def test_the_device_has_no_word_in_a_step(config, photo, normals, loss_scaling):
    """Without a CUDA device this is what can be shown: see also test_graphs.py."""
    config = dataclasses.replace(
        config,
        field=dataclasses.replace(config.field, normals=normals),
        background=dataclasses.replace(config.background, prior_views="learned"),
        shading=dataclasses.replace(
            config.shading, albedo_until=0.0, albedo_probability=0.0
        ),
        optimizer=dataclasses.replace(
            config.optimizer, loss_scale=64.0, loss_scaling=loss_scaling
        ),
        objective=dataclasses.replace(
            config.objective, entropy=TermConfig(initial=0.1, clip=0.1)
        ),
    )
    state, task = TrainState(config, seed=0), Task(photo)
    state.runs_ahead = True
    train_step(state, task, config)
    draw = draw_step(photo, config, 1, state.generator)
    with NoWord():
        update_scene(state, task, config, draw)
    assert state.optimizer.tensors()["optimizer.count"] == 2


@pytest.mark.parametrize("kind", ["marched", "visible"])
def test_samples_that_do_not_fit_are_given_room(config, task, kind):
    state = TrainState(config, seed=0)
    state.runs_ahead = True
    train_step(state, task, config)
    capacity = getattr(state.view_capacity, kind)
    capacity.rows = 64
    before = state.scene.field.w1.detach().clone()
    launched = launch_step(state, task, config)
    with pytest.raises(SampleOverflowError, match="step 1 did not fit"):
        finish_step(state, task, config, launched)
    assert state.step == 1
    assert torch.equal(before, state.scene.field.w1), "black rays teach nothing"
    assert capacity.rows > getattr(launched.read().view_samples, kind)
    train_step(state, task, config)
    assert state.step == 2
    assert not torch.equal(before, state.scene.field.w1)


def test_average_is_updated_every_step(config, task):
    """Defect 7: the release updated its average once an epoch."""
    state = TrainState(config, seed=0)
    start = state.optimizer.averaged["field.w1"].clone()
    train_step(state, task, config)
    after_one = state.optimizer.averaged["field.w1"].clone()
    train_step(state, task, config)
    assert not torch.equal(start, after_one)
    assert not torch.equal(after_one, state.optimizer.averaged["field.w1"])


def test_averaged_parameters_are_lent_and_given_back(config, task):
    state = TrainState(config, seed=0)
    train_step(state, task, config)
    current = state.scene.field.w1.detach().clone()
    with averaged_parameters(state) as scene:
        assert torch.equal(scene.field.w1, state.optimizer.averaged["field.w1"])
    assert torch.equal(state.scene.field.w1, current)


def test_only_active_levels_learn(config, task):
    coarse = dataclasses.replace(config.coarse_to_fine, begin=1.0, end=1.0)
    config = dataclasses.replace(config, coarse_to_fine=coarse)
    state = TrainState(config, seed=0)
    before = state.scene.field.table.detach().clone()
    train_step(state, task, config)
    changed = (before != state.scene.field.table).any(dim=1)
    border = state.scene.field.layout.offsets[config.field.num_levels // 2]
    assert changed[:border].any()
    assert not changed[border:].any()
