from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from realfusion._extension import load
from realfusion.ops.compositing import composite
from realfusion.ops.hash_grid import HashGridLayout
from realfusion.ops.radiance_field import DensityBlob, radiance_field
from realfusion.ops.ray_marching import RaySamples, march_rays
from realfusion.ops.reference import visible_samples as reference
from realfusion.ops.visible_samples import visible_samples

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


def test_wrong_arguments_are_named(device):
    scene = make_scene(device, peak=8.0, num_rays=10)
    with pytest.raises(ValueError, match=r"`min_transmittance` must be in \[0, 1\)"):
        keep(scene, min_transmittance=1.0)
    with pytest.raises(ValueError, match="`capacity` must not be negative, got -1"):
        keep(scene, capacity=-1)
    with pytest.raises(ValueError, match="`capacity` must be given"):
        keep(scene, pad_to_capacity=True)
    with pytest.raises(ValueError, match="`w1` must have the shape"):
        visible_samples(
            scene.samples,
            **scene.field | {"weights": scene.field["weights"][::-1]},
        )
