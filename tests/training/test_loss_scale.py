"""The loss scale: overflow costs a step and half the scale, and nothing else."""

import dataclasses
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realfusion import losses
from realfusion.training.checkpoint import (
    load_checkpoint,
    read_index,
    save_checkpoint,
)
from realfusion.training.config import OptimizerConfig, TermConfig
from realfusion.training.fit import fit
from realfusion.training.history import History
from realfusion.training.launched import NonFiniteTermError
from realfusion.training.loss_scale import (
    GROWTH_INTERVAL,
    HIGHEST_SCALE,
    INITIAL_SCALE,
    LOWEST_SCALE,
    LossScale,
    changes_scale,
)
from realfusion.training.state import TrainState
from realfusion.training.step import finish_step, launch_step, train_step

INTERVAL = "realfusion.training.loss_scale.GROWTH_INTERVAL"
OVERFLOWING = 1e4
"""Weight of the prior with which INITIAL_SCALE is too much for half precision."""

UNTRAINED = {"generator", "scene.occupancy.bits", "scene.occupancy.density_ema"}
"""What a step changes before it trains."""
SCALE = {"loss_scale.value", "loss_scale.num_skipped"}


def weighted(config, weight, **optimizer):
    """The configuration with a dynamic scale and a weight of the prior."""
    settings = {"loss_scaling": "dynamic"} | optimizer
    objective = dataclasses.replace(config.objective, prior=TermConfig(initial=weight))
    return dataclasses.replace(
        config,
        objective=objective,
        optimizer=dataclasses.replace(config.optimizer, **settings),
    )


@pytest.fixture
def half_task(photo, grey_prior):
    """A prior whose gradient goes through half precision."""
    return halved(grey_prior).task(photo)


def halved(prior):
    encode = type(prior).encode
    prior.encode = lambda images: encode(prior, images).half().float()
    return prior


def copies(state):
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def changed(before, after):
    """Names of what differs; new moments, all 0, do not."""
    return {
        name
        for name, tensor in after.items()
        if not torch.equal(before.get(name, torch.zeros_like(tensor)), tensor)
    }


def test_the_dynamic_scale_is_for_half_precision():
    auto, static = OptimizerConfig(), OptimizerConfig(loss_scaling="static")
    assert not changes_scale(auto, "cpu", has_prior=True)
    assert not changes_scale(auto, "cuda", has_prior=False)
    assert changes_scale(auto, torch.device("cuda", 1), has_prior=True)
    assert not changes_scale(static, "cuda", has_prior=True)
    assert changes_scale(
        OptimizerConfig(loss_scaling="dynamic"), "cpu", has_prior=False
    )


def test_it_starts_where_told_within_bounds():
    starts = {1.0: INITIAL_SCALE, 512.0: 512.0, 0.25: LOWEST_SCALE, 1e30: HIGHEST_SCALE}
    for told, start in starts.items():
        config = OptimizerConfig(loss_scaling="dynamic", loss_scale=told)
        assert LossScale(config, "cpu", has_prior=False).value == start
    static = LossScale(OptimizerConfig(loss_scale=0.25), "cpu", has_prior=True)
    assert static.value == 0.25
    assert static.tensors() == static.figures() == {}


def test_overflow_halves_the_scale_and_changes_nothing_else(config, half_task):
    config = weighted(config, OVERFLOWING)
    state = TrainState(config, seed=0)
    state.loss_scale.value.fill_(LOWEST_SCALE)
    for _ in range(3):  # so that averages lag behind and moments are not 0
        train_step(state, half_task, config)
    state.loss_scale.value.fill_(HIGHEST_SCALE)
    state.loss_scale.good_steps.zero_()
    scales = [HIGHEST_SCALE]
    while len(scales) < 2 or scales[-1] < scales[-2]:
        before = copies(state)
        terms = train_step(state, half_task, config)
        assert math.isfinite(terms["loss"])
        scales.append(float(state.loss_scale.value))
        if scales[-1] < scales[-2]:
            assert changed(before, state.tensors()) - UNTRAINED == SCALE
    expected = [HIGHEST_SCALE / 2**index for index in range(len(scales) - 1)]
    assert scales == [*expected, expected[-1]]
    assert len(scales) > 2, "it overflows"
    assert state.step == 3 + len(scales) - 1
    assert state.loss_scale.num_skipped == len(scales) - 2
    assert state.loss_scale.good_steps == 1
    assert state.optimizer.tensors()["optimizer.count"] == 4
    assert state.recoveries == 0
    figures = {"loss_scale": scales[-1], "skipped_steps": len(scales) - 2}
    assert state.loss_scale.figures() == figures


def test_it_is_doubled_after_enough_good_steps(config, half_task, monkeypatch):
    assert GROWTH_INTERVAL > 20
    monkeypatch.setattr(INTERVAL, 3)
    config = weighted(config, 1.0, loss_scale=HIGHEST_SCALE / 4)
    state, scales = TrainState(config, seed=0), []
    for _ in range(9):
        scales.append(float(state.loss_scale.value) / HIGHEST_SCALE)
        state.loss_scale.update(torch.zeros(()), state.refused)
    assert scales == [0.25] * 3 + [0.5] * 3 + [1.0] * 3
    state.loss_scale.update(torch.zeros(()), state.refused)
    assert state.loss_scale.value == HIGHEST_SCALE


def test_at_its_lowest_the_gradient_is_to_blame(config, half_task):
    config = weighted(config, 1e9, loss_scale=2.0)
    state = TrainState(config, seed=0)
    train_step(state, half_task, config)
    assert state.loss_scale.value == LOWEST_SCALE
    before = copies(state)
    with pytest.raises(NonFiniteTermError, match="gradient of the term 'prior' at st"):
        train_step(state, half_task, config)
    assert changed(before, state.tensors()) == {"generator"}
    assert state.step == 1


def test_a_value_that_is_not_finite_is_an_error_as_ever(config, half_task):
    config = weighted(config, OVERFLOWING)
    state = TrainState(config, seed=0)
    half_task.prior.diffusion.fail_at = 1
    with pytest.raises(NonFiniteTermError, match="value of the term 'prior'"):
        train_step(state, half_task, config)
    assert state.loss_scale.value == INITIAL_SCALE
    assert state.loss_scale.num_skipped == 0


def test_steps_behind_a_refused_one_leave_the_scale(config, half_task):
    config = weighted(config, OVERFLOWING)
    state = TrainState(config, seed=0)
    half_task.prior.diffusion.fail_at = 2
    launched = [launch_step(state, half_task, config) for _ in range(4)]
    assert state.loss_scale.num_skipped == 1
    assert state.loss_scale.value == INITIAL_SCALE / 2
    finish_step(state, half_task, config, launched[0])
    with pytest.raises(NonFiniteTermError, match="at step 1"):
        finish_step(state, half_task, config, launched[1])
    assert state.step == 1
    train_step(state, half_task, config)
    assert state.loss_scale.value == INITIAL_SCALE / 4, "it overflows in its turn"


def test_a_recovery_keeps_the_scale(config, half_task):
    recovery = dataclasses.replace(config.recovery, snapshot_interval=50)
    config = dataclasses.replace(weighted(config, OVERFLOWING), recovery=recovery)
    state = TrainState(config, seed=0)
    half_task.prior.diffusion.fail_at = 12
    scales = []
    for result in fit(state, half_task, config):
        scales.append(float(state.loss_scale.value))
        if result.message:
            assert state.step == 0
            assert scales[-1] == scales[-2] < INITIAL_SCALE
    assert state.recoveries == 1
    assert state.loss_scale.num_skipped == math.log2(INITIAL_SCALE / scales[-1])


def test_scaling_by_powers_of_two_changes_no_digit(config, photo, grey_prior):
    """Nor does it with clipping, which follows the scale."""
    runs = []
    for scaling in ("static", "dynamic"):
        scaled = weighted(config, 1.0, loss_scaling=scaling)
        clipped = dataclasses.replace(
            scaled.objective,
            prior=TermConfig(initial=1.0, clip=1e-3),
            entropy=TermConfig(initial=0.1, clip=1e-4),
        )
        scaled = dataclasses.replace(scaled, objective=clipped)
        state = TrainState(scaled, seed=0)
        task = type(grey_prior)().task(photo)
        curve = [each.terms["loss"] for each in fit(state, task, scaled)]
        runs.append((curve, state))
    assert runs[0][0] == runs[1][0]
    for name, tensor in runs[0][1].tensors().items():
        assert torch.equal(tensor, runs[1][1].tensors()[name]), name
    assert runs[1][1].loss_scale.value == INITIAL_SCALE


@pytest.mark.parametrize("scale", [1.0, 2.0**10, 2.0**20])
def test_the_clip_follows_the_scale_of_the_moment(
    config, photo, grey_prior, monkeypatch, scale
):
    config = weighted(config, 1.0)
    term = TermConfig(initial=1.0, clip=1e-3)
    objective = dataclasses.replace(config.objective, prior=term)
    config = dataclasses.replace(config, objective=objective)
    state, norms = TrainState(config, seed=0), []
    clip_gradient = losses.clip_gradient

    def watched(values, max_norm):
        values = values.clone()
        values.register_hook(lambda grad: norms.append(grad.norm()))
        return clip_gradient(values, max_norm)

    monkeypatch.setattr(losses, "clip_gradient", watched)
    state.loss_scale.value.fill_(scale)
    train_step(state, grey_prior.task(photo), config)
    torch.testing.assert_close(norms, [torch.tensor(1e-3 * scale)])


def test_a_resumed_run_equals_the_straight_one(
    config, photo, grey_prior, tmp_path, monkeypatch
):
    """With steps skipped, and the scale grown, before and after the interruption."""
    monkeypatch.setattr(INTERVAL, 3)
    config = weighted(config, OVERFLOWING)

    def curve(state, stop=None):
        task, found = halved(type(grey_prior)()).task(photo), []
        for result in fit(state, task, config):
            found.append(result.terms["loss"])
            if result.step == stop:
                break
        return found

    straight = TrainState(config, seed=2)
    expected = curve(straight)
    interrupted = TrainState(config, seed=2)
    first = curve(interrupted, stop=9)
    skipped = int(interrupted.loss_scale.num_skipped)
    save_checkpoint(
        tmp_path, interrupted, fingerprint="f", seconds=1.0, history=History()
    )
    resumed = TrainState(config, seed=99)
    load_checkpoint(tmp_path, resumed, read_index(tmp_path))
    assert first + curve(resumed) == expected
    for name, tensor in straight.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
    assert 0 < skipped < resumed.loss_scale.num_skipped


def test_a_state_saved_without_a_scale_starts_at_the_first(config):
    static = TrainState(weighted(config, 1.0, loss_scaling="static"), seed=0)
    state = TrainState(weighted(config, 1.0), seed=0)
    state.loss_scale.value.fill_(4.0)
    state.loss_scale.num_skipped.fill_(3.0)
    state.load(static.tensors(), static.numbers())
    assert state.loss_scale.value == INITIAL_SCALE
    assert state.loss_scale.num_skipped == 0
    saved = copies(state)
    static.load(saved, state.numbers())
    assert static.loss_scale.value == 1.0


EVENTS = st.lists(st.sampled_from(["good", "good", "overflow", "refused"]), max_size=80)


@given(EVENTS, st.integers(0, 24), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_it_follows_the_rule_whatever_happens(events, exponent, interval):
    config = OptimizerConfig(loss_scaling="dynamic", loss_scale=2.0**exponent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(INTERVAL, interval)
        scale = LossScale(config, "cpu", has_prior=False)
        value = INITIAL_SCALE if exponent == 0 else 2.0**exponent
        good = skipped = 0
        for event in events:
            is_skipped = scale.overflows(torch.tensor(event == "good"))
            assert bool(is_skipped) == (event != "good" and value > LOWEST_SCALE)
            at_lowest = event == "overflow" and not is_skipped
            is_refused = event == "refused" or at_lowest
            scale.update(is_skipped.float(), torch.tensor(float(is_refused)))
            if event == "good":
                good += 1
            elif not is_refused:
                value, good, skipped = value / 2, 0, skipped + 1
            if good == interval:
                value, good = min(2 * value, HIGHEST_SCALE), 0
            figures = {"loss_scale": value, "skipped_steps": skipped}
            assert scale.figures() == figures
            assert scale.good_steps == good


@given(st.floats(-6.0, 14.0), st.sampled_from([2.0, 2.0**8, HIGHEST_SCALE]))
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_gradient_of_any_size_harms_the_parameters(
    config, photo, grey_prior, exponent, start
):
    config = weighted(config, 10.0**exponent, loss_scale=start)
    state, task = TrainState(config, seed=0), halved(type(grey_prior)()).task(photo)
    skipped = 0
    for _ in range(12):
        before = copies(state)
        try:
            terms = train_step(state, task, config)
        except NonFiniteTermError:
            assert state.loss_scale.value == LOWEST_SCALE
            assert changed(before, state.tensors()) <= UNTRAINED
            break
        assert math.isfinite(terms["loss"])
        if state.loss_scale.num_skipped > skipped:
            assert changed(before, state.tensors()) <= UNTRAINED | SCALE
            skipped += 1
        assert LOWEST_SCALE <= state.loss_scale.value <= HIGHEST_SCALE
        parameters = state.scene.parameters()
        assert all(each.isfinite().all() for each in parameters)
