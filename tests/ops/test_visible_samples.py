from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from realfusion._extension import load
from realfusion.ops.compositing import composite
from realfusion.ops.hash_grid import HashGridLayout, layout_arguments
from realfusion.ops.radiance_field import DensityBlob, FieldSamples, radiance_field
from realfusion.ops.ray_marching import RaySamples, march_rays
from realfusion.ops.reference import visible_samples as reference
from realfusion.ops.visible_samples import visible_field, visible_samples

BOUND = 0.75


@dataclass(frozen=True)
class Scene:
    """Rays through a box full of samples, and a field of some density."""

    samples: RaySamples
    field: dict


def make_scene(device: str, *, peak: float, num_rays: int = 700) -> Scene:
    """An opaque ball if `peak`, the log-density at the centre, is large."""
    generator = torch.Generator().manual_seed(3)
    layout = HashGridLayout(
        num_levels=4, base_resolution=4, finest_resolution=32, log2_table_size=10
    )

    def normal(*shape: int, scale: float) -> Tensor:
        return (torch.randn(*shape, generator=generator) * scale).to(device)

    inputs, width = layout.num_outputs, 32
    weights = (
        normal(width, inputs, scale=inputs**-0.5),
        normal(width, scale=0.3),
        normal(width, width, scale=(2.0 / width) ** 0.5),
        normal(width, scale=0.3),
        normal(4, width, scale=width**-0.5),
        normal(4, scale=0.3),
    )
    table = normal(layout.num_entries, layout.num_features, scale=0.5)
    origins = torch.randn(num_rays, 3, generator=generator)
    origins = 2.0 * origins / origins.norm(dim=1, keepdim=True)
    targets = 0.6 * torch.rand(num_rays, 3, generator=generator) - 0.3
    directions = targets - origins
    directions = directions / directions.norm(dim=1, keepdim=True)
    origins[::50] *= -3.0  # rays that miss the box and have no samples
    samples = march_rays(
        origins.to(device),
        directions.to(device),
        torch.full((8**3 // 8,), 255, dtype=torch.uint8, device=device),
        resolution=8,
        bound=BOUND,
        step_size=0.02,
    )
    field = {
        "table": table,
        "weights": weights,
        "layout": layout,
        "bound": BOUND,
        "blob": DensityBlob(density=peak, radius=0.3),
    }
    return Scene(samples, field)


def keep(scene: Scene, **options: object) -> RaySamples:
    return visible_samples(scene.samples, **scene.field, **options)


def in_turn(scene: Scene, *, with_normals: bool) -> tuple[RaySamples, FieldSamples]:
    """What `visible_field` does at once: keep, then ask the field."""
    kept = visible_samples(scene.samples, **scene.field)
    values = radiance_field(kept.positions, **scene.field, with_normals=with_normals)
    return kept, values


def outputs_of(values: FieldSamples) -> list[Tensor]:
    outputs = [values.densities, values.albedo, values.normals]
    return [each for each in outputs if each is not None]


def gradients_of(scene: Scene, values: FieldSamples) -> list[Tensor | None]:
    """Of a sum in which every output counts."""
    parameters = [scene.field["table"], *scene.field["weights"]]
    outputs = outputs_of(values)
    loss = sum((each * each.detach().cos()).sum() for each in outputs)
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    return [parameter.grad for parameter in parameters]


def requiring_grad(scene: Scene) -> Scene:
    for parameter in (scene.field["table"], *scene.field["weights"]):
        parameter.requires_grad_(True)
    return scene


def counts_of(samples: RaySamples) -> Tensor:
    return samples.ray_offsets.diff()


@pytest.mark.parametrize("peak", [-5.0, 3.0, 8.0])
def test_keeps_what_the_reference_keeps(device, peak):
    scene = make_scene(device, peak=peak)
    kept = keep(scene)
    expected = reference.visible_samples(scene.samples, **scene.field)
    # A transmittance next to the threshold may fall on either side of it.
    differences = (counts_of(kept) - counts_of(expected)).abs()
    assert differences.max() <= 1
    assert (differences != 0).float().mean() < 0.02
    assert torch.equal(kept.num_requested, kept.ray_offsets[-1])


def test_drops_most_of_an_opaque_object_and_none_of_thin_fog(device):
    opaque = make_scene(device, peak=10.0)
    assert keep(opaque).num_samples < 0.7 * opaque.samples.num_samples
    fog = make_scene(device, peak=-20.0)
    assert keep(fog).num_samples == fog.samples.num_samples


def test_kept_samples_are_each_rays_first_ones(device):
    scene = make_scene(device, peak=8.0)
    kept, all_of = keep(scene), scene.samples
    for ray in range(0, len(kept.ray_offsets) - 1, 7):
        begin, end = kept.ray_offsets[ray : ray + 2].tolist()
        source = int(all_of.ray_offsets[ray])
        for name in ("positions", "t", "deltas", "ray_indices"):
            ours, theirs = getattr(kept, name), getattr(all_of, name)
            assert torch.equal(ours[begin:end], theirs[source : source + end - begin])


def test_image_and_gradients_are_those_of_all_samples(device):
    scene = make_scene(device, peak=8.0)
    parameters = [scene.field["table"], *scene.field["weights"]]
    results = []
    for samples in (scene.samples, keep(scene, min_transmittance=5e-5)):
        for parameter in parameters:
            parameter.requires_grad_(True).grad = None
        values = radiance_field(samples.positions, **scene.field)
        channels = torch.cat([values.albedo, values.normals], dim=1)
        image = composite(
            values.densities, channels, samples.t, samples.deltas, samples.ray_offsets
        )
        (image.values.square().sum() + image.depth.sum()).backward()
        gradients = [parameter.grad for parameter in parameters]
        results.append([image.values.detach(), image.depth.detach(), *gradients])
    for with_all, with_visible in zip(*results, strict=True):
        scale = float(with_all.abs().max())
        assert torch.allclose(with_visible, with_all, rtol=1e-4, atol=1e-5 * scale)


def test_zero_threshold_keeps_all(device):
    scene = make_scene(device, peak=15.0)
    kept = keep(scene, min_transmittance=0.0)
    assert torch.equal(kept.positions, scene.samples.positions)
    assert torch.equal(kept.ray_offsets, scene.samples.ray_offsets)


@pytest.mark.parametrize("pad", [False, True])
def test_capacity_leaves_whole_rays_out_and_says_so(device, pad):
    scene = make_scene(device, peak=8.0)
    whole = keep(scene)
    capacity = int(whole.ray_offsets[300]) + 1
    cut = keep(scene, capacity=capacity, pad_to_capacity=pad)
    assert cut.overflowed
    assert int(cut.num_requested) == whole.num_samples
    last = int(cut.ray_offsets[-1])
    assert last <= capacity
    assert torch.equal(cut.positions[:last], whole.positions[:last])
    assert cut.num_samples == (capacity if pad else last)
    assert not cut.positions[last:].any()
    expected = reference.visible_samples(
        scene.samples, **scene.field, capacity=capacity, pad_to_capacity=pad
    )
    assert expected.num_samples == cut.num_samples


def test_padding_of_the_march_is_not_taken_for_samples(device):
    scene = make_scene(device, peak=8.0)
    samples = scene.samples
    room = samples.num_samples + 100
    padded = RaySamples(
        *(
            torch.cat([rows, rows.new_zeros(100, *rows.shape[1:])])
            for rows in (
                samples.positions,
                samples.t,
                samples.deltas,
                samples.ray_indices,
            )
        ),
        samples.ray_offsets,
        samples.num_requested,
    )
    assert padded.num_samples == room
    kept = visible_samples(padded, **scene.field)
    assert torch.equal(kept.ray_offsets, keep(scene).ray_offsets)


@pytest.mark.parametrize("level", ["scalar", "avx2", "avx512"])
def test_instruction_sets_agree(monkeypatch, level):
    levels = ["scalar", "avx2", "avx512"]
    monkeypatch.delenv("REALFUSION_SIMD", raising=False)
    if levels.index(level) > levels.index(load().build_info()["simd_level"]):
        pytest.skip(f"this processor has no {level}")
    scene = make_scene("cpu", peak=8.0)
    expected = counts_of(keep(scene))
    monkeypatch.setenv("REALFUSION_SIMD", level)
    differences = (counts_of(keep(scene)) - expected).abs()
    assert differences.max() <= 1
    assert (differences != 0).float().mean() < 0.02


def test_result_does_not_depend_on_the_number_of_threads():
    scene = make_scene("cpu", peak=8.0)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(keep(scene))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert torch.equal(other.ray_offsets, results[0].ray_offsets)
        assert torch.equal(other.positions, results[0].positions)


def test_no_rays_and_no_samples(device):
    scene = make_scene(device, peak=8.0, num_rays=1)
    empty = keep(scene)  # the first ray misses the box
    assert empty.num_samples == 0
    assert empty.ray_offsets.tolist() == [0, 0]


def test_opcheck(device):
    scene = make_scene(device, peak=8.0, num_rays=40)
    kept = keep(scene, capacity=4000, pad_to_capacity=True)
    assert kept.num_samples == 4000

    def run(table: Tensor) -> Tensor:
        field = scene.field | {"table": table}
        return visible_samples(
            scene.samples, **field, capacity=4000, pad_to_capacity=True
        ).positions

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(scene.field["table"]), kept.positions)


@pytest.mark.parametrize("with_normals", [True, False])
@pytest.mark.parametrize("peak", [-5.0, 8.0])
def test_field_of_the_visible_is_the_field_at_the_visible(device, peak, with_normals):
    scene = requiring_grad(make_scene(device, peak=peak))
    expected, values = in_turn(scene, with_normals=with_normals)
    kept, found = visible_field(scene.samples, **scene.field, with_normals=with_normals)
    for name in ("positions", "t", "deltas", "ray_indices", "ray_offsets"):
        assert torch.equal(getattr(kept, name), getattr(expected, name))
    assert torch.equal(kept.num_requested, expected.num_requested)
    assert not kept.overflowed
    assert not kept.positions.requires_grad
    assert (found.normals is None) == (not with_normals)
    for ours, theirs in zip(outputs_of(found), outputs_of(values), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(
        gradients_of(scene, found), gradients_of(scene, values), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max())


def test_field_of_the_visible_with_few_levels(device):
    scene = make_scene(device, peak=8.0)
    scene.field["num_active_levels"] = 2
    expected, values = in_turn(scene, with_normals=True)
    kept, found = visible_field(scene.samples, **scene.field)
    assert torch.equal(kept.ray_offsets, expected.ray_offsets)
    for ours, theirs in zip(outputs_of(found), outputs_of(values), strict=True):
        assert torch.equal(ours, theirs)


def test_visible_field_adds_to_a_shared_gradient(device):
    scene = requiring_grad(make_scene(device, peak=8.0))
    alone, *network = gradients_of(
        scene, visible_field(scene.samples, **scene.field)[1]
    )
    shared = torch.ones_like(scene.field["table"])
    _, values = visible_field(scene.samples, **scene.field, table_gradient=shared)
    nothing, *others = gradients_of(scene, values)
    assert nothing is None
    scale = float(alone.abs().max())
    assert torch.allclose(shared - 1.0, alone, atol=1e-6 * scale + 1e-6)
    for ours, theirs in zip(others, network, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max())


def test_visible_field_has_the_same_bits_on_every_instruction_set(simd_level):
    """As the two operators in turn with the same instructions."""
    scene = make_scene("cpu", peak=8.0)
    expected, values = in_turn(scene, with_normals=True)
    kept, found = visible_field(scene.samples, **scene.field)
    assert torch.equal(kept.ray_offsets, expected.ray_offsets)
    for ours, theirs in zip(outputs_of(found), outputs_of(values), strict=True):
        assert torch.equal(ours, theirs)


def test_visible_field_does_not_depend_on_the_number_of_threads():
    scene = requiring_grad(make_scene("cpu", peak=8.0))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            _, values = visible_field(scene.samples, **scene.field)
            results.append([*outputs_of(values), *gradients_of(scene, values)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for ours, theirs in zip(other, results[0], strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("with_normals", [True, False])
def test_visible_field_of_nothing(device, with_normals):
    scene = requiring_grad(make_scene(device, peak=8.0, num_rays=1))  # it misses
    kept, values = visible_field(
        scene.samples, **scene.field, with_normals=with_normals
    )
    assert kept.ray_offsets.tolist() == [0, 0]
    assert values.densities.shape == (0,)
    gradients = gradients_of(scene, values)
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("with_normals", [True, False])
def test_opdef_of_the_visible_field_is_sound(with_normals):
    scene = make_scene("cpu", peak=8.0, num_rays=40)
    field, samples = scene.field, scene.samples
    settings = (*layout_arguments(field["layout"], 4), BOUND, 8.0, 0.3)
    rays = (samples.t, samples.deltas, samples.ray_indices, samples.ray_offsets)
    torch.library.opcheck(
        torch.ops.realfusion.visible_field.default,
        (
            samples.positions,
            field["table"],
            *field["weights"],
            *settings,
            *rays,
            1e-4,
            with_normals,
        ),
    )


def test_wrong_arguments_are_named(device):
    scene = make_scene(device, peak=8.0, num_rays=10)
    with pytest.raises(ValueError, match=r"`min_transmittance` must be in \[0, 1\)"):
        keep(scene, min_transmittance=1.0)
    with pytest.raises(ValueError, match="`capacity` must not be negative, got -1"):
        keep(scene, capacity=-1)
    with pytest.raises(ValueError, match="`capacity` must be given"):
        keep(scene, pad_to_capacity=True)
    with pytest.raises(ValueError, match=r"`min_transmittance` must be in \[0, 1\)"):
        visible_field(scene.samples, **scene.field, min_transmittance=-0.1)
    double = scene.field | {
        "table": scene.field["table"].double(),
        "weights": tuple(weight.double() for weight in scene.field["weights"]),
    }
    samples = replace(scene.samples, positions=scene.samples.positions.double())
    for operator in (visible_samples, visible_field):
        with pytest.raises(RuntimeError, match="`positions` must be"):
            operator(samples, **double)
        with pytest.raises(ValueError, match="`w1` must have the shape"):
            operator(
                scene.samples,
                **scene.field | {"weights": scene.field["weights"][::-1]},
            )
