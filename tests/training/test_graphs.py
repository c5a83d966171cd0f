"""Steps by CUDA graphs, and eager ones, that never wait for the device."""

import dataclasses
import gc
import math

import pytest
import torch
from torch.autograd.graph import get_gradient_edge
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from realfusion.cameras.camera import Camera, Rays
from realfusion.priors.config import Prompt, ScoreDistillationConfig
from realfusion.priors.score_distillation import ScoreDistillation
from realfusion.rendering.capacity import SampleCounts
from realfusion.training.draws import draw_step
from realfusion.training.fit import fit
from realfusion.training.graphs import GraphedUpdate
from realfusion.training.launched import NonFiniteTermError, SampleOverflowError
from realfusion.training.photo import Photo
from realfusion.training.state import TrainState
from realfusion.training.step import Task, finish_step, launch_step, update_scene

on_cuda = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


class Recording:
    """In place of a CUDA graph: computes again, from the tensors it was given."""

    def __init__(self, update, outcome):
        self._update, self._outcome = update, outcome

    def replay(self):
        self._outcome.numbers.copy_(self._update().numbers)


class RecordedUpdate(GraphedUpdate):
    """`GraphedUpdate` where there is no CUDA; counts its captures."""

    def __init__(self):
        super().__init__()
        self.captures = 0

    def _capture(self, state, task, config, inputs):
        self.captures += 1
        update = lambda: update_scene(state, task, config, inputs)  # noqa: E731
        numbers = torch.zeros_like(self.example.numbers)
        outcome = dataclasses.replace(self.example, numbers=numbers)
        return Recording(update, outcome), outcome

    def __call__(self, state, task, config, draw):
        outcome = super().__call__(state, task, config, draw)
        self.example = outcome
        return outcome


@pytest.fixture
def config(config):
    """Levels and shading change within a few steps."""
    return dataclasses.replace(
        config,
        coarse_to_fine=dataclasses.replace(config.coarse_to_fine, begin=0.5, end=0.5),
        shading=dataclasses.replace(
            config.shading, albedo_until=0.2, albedo_probability=0.3
        ),
        renderer=dataclasses.replace(config.renderer, occupancy_warmup=5),
    )


@pytest.fixture
def cuda_photo(photo):
    tensors = {"premultiplied": photo.premultiplied, "alpha": photo.alpha}
    return Photo(
        **{name: tensor.cuda() for name, tensor in tensors.items()},
        rays=Camera().rays(photo.size, photo.size, device="cuda"),
        size=photo.size,
        camera=photo.camera,
    )


def run(state, task, config, update, steps):
    """Losses of some steps, each finished before the next."""
    losses = []
    while len(losses) < steps:
        launched = launch_step(state, task, config, update)
        try:
            losses.append(finish_step(state, task, config, launched)["loss"])
        except SampleOverflowError:
            continue
    return losses


@pytest.mark.parametrize("loss_scaling", ["static", "dynamic"])
def test_replayed_steps_take_new_numbers_and_follow_the_schedules(
    config, photo, loss_scaling, monkeypatch
):
    monkeypatch.setattr("realfusion.training.loss_scale.GROWTH_INTERVAL", 5)
    optimizer = dataclasses.replace(config.optimizer, loss_scaling=loss_scaling)
    config = dataclasses.replace(config, optimizer=optimizer)
    eager, replayed = TrainState(config, seed=0), TrainState(config, seed=0)
    eager.runs_ahead = replayed.runs_ahead = True
    task, update = Task(photo), RecordedUpdate()
    losses = run(eager, task, config, update_scene, 20)
    assert run(replayed, task, config, update, 20) == losses
    for name, tensor in eager.tensors().items():
        assert torch.equal(tensor, replayed.tensors()[name]), name
    assert replayed.loss_scale.value == (1.0 if loss_scaling == "static" else 2.0**20)
    # At most three shadings at two numbers of levels; some occur only once.
    assert 2 <= update.captures <= 6


def test_another_size_begins_anew(config, photo):
    state = TrainState(config, seed=0)
    state.runs_ahead = True
    update = RecordedUpdate()
    config = dataclasses.replace(
        config, shading=dataclasses.replace(config.shading, albedo_until=1.0)
    )
    run(state, Task(photo), config, update, 6)
    assert update.captures == 1
    state.view_capacity.visible.rows += 1024
    run(state, Task(photo), config, update, 1)
    assert update.captures == 1, "the first step of a size runs as ever"
    run(state, Task(photo), config, update, 2)
    assert update.captures == 2


class HostTensors(TorchDispatchMode):
    """Names the operators that have to do with tensors of the host."""

    def __init__(self):
        super().__init__()
        self.seen, self.total = set(), 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.total += 1
        leaves = tree_leaves((args, kwargs, result))
        tensors = [each for each in leaves if isinstance(each, torch.Tensor)]
        if any(each.is_cpu for each in tensors):
            self.seen.add(str(func))
        return result


def on_meta(scene):
    """A module on the device that has shapes and no numbers: reading one raises."""
    for module in scene.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = torch.nn.Parameter(parameter.to("meta"))
        for name, buffer in module._buffers.items():
            module._buffers[name] = buffer.to("meta")
    return scene


@pytest.mark.parametrize("mode", ["albedo", "lambertian", "textureless", "normal"])
@pytest.mark.parametrize("normals", ["analytic", "central", "tetrahedral"])
@pytest.mark.parametrize("background", ["white", "learned"])
def test_a_step_can_be_captured_for_it_knows_nothing_of_the_host(
    config, photo, monkeypatch, mode, normals, background
):
    config = dataclasses.replace(
        config,
        field=dataclasses.replace(config.field, normals=normals),
        background=dataclasses.replace(
            config.background, prior_views=background, reference_view=background
        ),
    )
    draw = draw_step(photo, config, 0, torch.Generator().manual_seed(0))
    modes = (mode,) * config.prior_views
    draw = dataclasses.replace(draw, shading_modes=modes).to(torch.device("meta"))
    rays = Rays(photo.rays.origins.to("meta"), photo.rays.directions.to("meta"))
    photo = dataclasses.replace(
        photo,
        premultiplied=photo.premultiplied.to("meta"),
        alpha=photo.alpha.to("meta"),
        rays=rays,
    )
    monkeypatch.setattr(torch.nn.Module, "to", lambda scene, device: on_meta(scene))
    state = TrainState(config, seed=0, device="meta")
    state.runs_ahead = True
    for capacity in (state.photo_capacity, state.view_capacity):
        capacity.observe(SampleCounts(2000, 1000))
    update_scene(state, Task(photo), config, draw)  # what is made once, is made here
    with HostTensors() as host:
        outcome = update_scene(state, Task(photo), config, draw)
    assert outcome.numbers.is_meta
    assert all(each.grad.is_meta for each in state.scene.parameters())
    assert host.total > 100
    assert not host.seen


def test_nothing_of_a_step_s_backward_graph_outlives_it(config, photo):
    """A node that did would carry an eager step's stream into a capture, and end it."""
    state, task = TrainState(config, seed=0), Task(photo)
    parameters = list(state.scene.parameters())
    run(state, task, config, update_scene, 1)
    gc.disable()  # cycles would live on as well
    try:
        edges = [get_gradient_edge(each) for each in parameters]
        for edge in edges:
            edge.node.metadata["step"] = 0
        launch_step(state, task, config)
        assert "step" in get_gradient_edge(parameters[0]).node.metadata
        del edges, edge
        left = [get_gradient_edge(each).node.metadata for each in parameters]
    finally:
        gc.enable()
    assert left == [{}] * len(parameters)


class CudaPrior:
    """Believes that every view is grey, in half precision as large priors are."""

    name, image_size, num_train_timesteps = "grey", 16, 1000
    dtype = torch.float16

    def __init__(self):
        from realfusion.priors.protocol import Conditioning

        self.device = torch.device("cuda")
        context = torch.zeros(1, 1, 1, device="cuda")
        self._condition = Conditioning(context=context, negative_context=context)

    def encode(self, images):
        small = torch.nn.functional.interpolate(images.half(), (16, 16), mode="area")
        return small.float()

    def condition(self, prompt, cameras):
        return self._condition

    def noise_residual(self, latents, conditioning, *, timesteps, generator, **options):
        from realfusion.priors.protocol import NoiseResidual
        from realfusion.transfer import send

        noise = send(torch.randn(latents.shape, generator=generator), latents.device)
        alphas = torch.full((len(latents),), 0.5, device=latents.device)
        return NoiseResidual(latents - 0.5 + 0.1 * noise, alphas, timesteps)


@pytest.fixture(params=["graphs", "graphs, dynamic scale", "eager", "prior"])
def warm(request, config, cuda_photo):
    """A state on CUDA after some steps, its task, and how it goes on."""
    with_prior = request.param == "prior"
    judge = ScoreDistillation(CudaPrior(), Prompt(), ScoreDistillationConfig())
    task = Task(cuda_photo, judge if with_prior else None)
    update = GraphedUpdate() if "graphs" in request.param else update_scene
    scaling = "dynamic" if "dynamic" in request.param else "auto"
    config = dataclasses.replace(
        config,
        iterations=1000,
        optimizer=dataclasses.replace(config.optimizer, loss_scaling=scaling),
        shading=dataclasses.replace(config.shading, albedo_until=1.0),
    )
    state = TrainState(config, seed=0, device="cuda", has_prior=with_prior)
    sizes: tuple[SampleCounts | None, SampleCounts | None] = (None, None)
    while sizes != (state.photo_capacity.room, state.view_capacity.room):
        sizes = (state.photo_capacity.room, state.view_capacity.room)
        run(state, task, config, update, 70)
    return state, task, config, update


class TestOnCuda:
    """What only a device can show."""

    pytestmark = on_cuda

    def test_graphs_repeat_the_eager_steps(self, config, cuda_photo):
        curves = []
        for is_graphed in (True, False):
            state = TrainState(config, seed=0, device="cuda")
            for capacity in (state.photo_capacity, state.view_capacity):
                # No overflow, whichever way it goes.
                capacity.observe(SampleCounts(20_000, 20_000))
            results = fit(state, Task(cuda_photo), config, cuda_graphs=is_graphed)
            losses = [each.terms["loss"] for each in results if each.terms]
            assert len(losses) == config.iterations
            curves.append((torch.tensor(losses), state.scene.field.w1.detach()))
        # Sums of gradients by atomics differ in their last bits from run to run.
        (losses, w1), (expected_losses, expected_w1) = curves
        torch.testing.assert_close(losses, expected_losses, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(w1, expected_w1, rtol=1e-2, atol=1e-3)

    @pytest.mark.filterwarnings("ignore:Synchronization debug mode")
    def test_launching_a_step_waits_for_nothing(self, warm):
        state, task, config, update = warm
        launched = []
        torch.cuda.set_sync_debug_mode("error")
        try:
            # Long enough for an update of the occupancy grid to be among them.
            for _ in range(config.renderer.occupancy_interval):
                launched.append(launch_step(state, task, config, update))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        for each in launched:
            assert math.isfinite(finish_step(state, task, config, each)["loss"])

    def test_steps_do_not_need_more_memory_each_time(self, warm):
        state, task, config, update = warm
        run(state, task, config, update, 8)
        before = torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
        run(state, task, config, update, 16)
        assert torch.cuda.memory_reserved() == before[0]
        assert torch.cuda.memory_allocated() == before[1]

    @pytest.mark.parametrize("kind", ["marched", "visible"])
    def test_overflow_is_cured_without_a_trace(self, warm, kind):
        state, task, config, update = warm
        getattr(state.view_capacity, kind).rows = 64
        before = state.scene.field.w1.detach().clone()
        launched = [launch_step(state, task, config, update) for _ in range(3)]
        with pytest.raises(SampleOverflowError):
            finish_step(state, task, config, launched[0])
        assert torch.equal(before, state.scene.field.w1)
        run(state, task, config, update, 3)
        assert not torch.equal(before, state.scene.field.w1)

    def test_a_non_finite_step_is_stopped_and_named(self, warm):
        state, task, config, update = warm
        before, step = state.scene.field.w1.detach().clone(), state.step
        task.photo.alpha.fill_(math.nan)
        launched = [launch_step(state, task, config, update) for _ in range(3)]
        with pytest.raises(NonFiniteTermError, match=f"'(image|mask)' at step {step}"):
            finish_step(state, task, config, launched[0])
        assert torch.equal(before, state.scene.field.w1)
        assert state.step == step

    def test_a_loaded_state_goes_on_in_the_graphs(self, warm):
        state, task, config, update = warm
        saved = {name: each.clone() for name, each in state.tensors().items()}
        numbers = state.numbers()
        first = run(state, task, config, update, 3)
        state.load(saved, numbers)
        again = run(state, task, config, update, 3)
        assert again == pytest.approx(first, rel=1e-3)
