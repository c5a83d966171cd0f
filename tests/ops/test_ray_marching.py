"""Ray marching against its twin and by brute force."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from realfusion.ops import march_rays, morton_decode, pack_occupancy
from realfusion.ops.reference import ray_marching as reference

RESOLUTION = 16
BOUND = 0.75
SETTINGS = {"resolution": RESOLUTION, "bound": BOUND, "step_size": 0.01}


def random_occupancy(share=0.3, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    densities = torch.rand(RESOLUTION**3, generator=generator)
    return pack_occupancy(densities, 1.0 - share)


def full_occupancy():
    return torch.full((RESOLUTION**3 // 8,), 255, dtype=torch.uint8)


def random_rays(num_rays, *, seed=1):
    """Rays towards the box from all sides, some from within, some that miss it."""
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randn(num_rays, 3, generator=generator)
    targets = torch.rand(num_rays, 3, generator=generator) * 2 - 1
    directions = torch.nn.functional.normalize(targets - origins, dim=1)
    return origins, directions, torch.rand(num_rays, generator=generator)


def assert_same_samples(got, expected):
    for field in dataclasses.fields(got):
        tensor, other = getattr(got, field.name), getattr(expected, field.name)
        assert tensor.dtype == other.dtype, field.name
        assert torch.equal(tensor, other), field.name


@pytest.mark.parametrize("cone_angle", [0.0, 0.008])
@pytest.mark.parametrize("has_noise", [True, False])
@pytest.mark.parametrize("max_steps", [7, 64, 1024])
def test_samples_equal_reference_exactly(
    device, simd_level, cone_angle, has_noise, max_steps
):
    origins, directions, noise = (tensor.to(device) for tensor in random_rays(300))
    arguments = {
        **SETTINGS,
        "noise": noise if has_noise else None,
        "max_steps_per_ray": max_steps,
        "cone_angle": cone_angle,
        "near": 0.3,
    }
    occupancy = random_occupancy().to(device)
    got = march_rays(origins, directions, occupancy, **arguments)
    expected = reference.march_rays(origins, directions, occupancy, **arguments)
    assert got.num_samples > 100
    assert_same_samples(got, expected)


def test_samples_are_the_occupied_steps_of_each_ray(device, simd_level):
    origins, directions, noise = (tensor.to(device) for tensor in random_rays(40))
    occupancy = random_occupancy().to(device)
    samples = march_rays(origins, directions, occupancy, noise=noise, **SETTINGS)
    bits = torch.stack([occupancy >> place & 1 for place in range(8)], dim=1).flatten()
    grid = torch.zeros((RESOLUTION,) * 3, dtype=torch.bool, device=device)
    coords = morton_decode(torch.arange(RESOLUTION**3, device=device)).long()
    grid[coords[:, 0], coords[:, 1], coords[:, 2]] = bits.bool()
    cells = ((samples.positions + BOUND) * (RESOLUTION / (2 * BOUND))).floor().long()
    cells = cells.clamp(0, RESOLUTION - 1)
    is_hit = grid[cells[:, 0], cells[:, 1], cells[:, 2]]
    assert is_hit.float().mean() > 0.999  # a point on a face may round either way
    rays = samples.ray_indices.long()
    points = origins[rays] + samples.t[:, None] * directions[rays]
    torch.testing.assert_close(samples.positions, points, atol=1e-6, rtol=0)
    assert samples.positions.abs().max() <= BOUND + 1e-5
    assert torch.all(samples.deltas == torch.tensor(0.01, device=device))
    for ray in range(40):
        begin, end = samples.ray_offsets[ray : ray + 2].tolist()
        assert torch.all(samples.ray_indices[begin:end] == ray)
        steps = samples.t[begin:end].diff() / 0.01
        assert torch.all(steps > 0.99)
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)


def test_full_grid_covers_the_box_without_gaps(device, simd_level):
    origins = torch.tensor([[0.1, 0.2, 2.0], [0.0, 0.0, 0.0]], device=device)
    directions = torch.tensor([[0.0, 0, -1], [1, 0, 0]], device=device)
    samples = march_rays(origins, directions, full_occupancy().to(device), **SETTINGS)
    assert samples.ray_offsets.tolist() == [0, 150, 225]
    torch.testing.assert_close(samples.t[0].item(), 1.25 + 0.005)
    torch.testing.assert_close(samples.t[150].item(), 0.005)
    assert torch.equal(samples.num_requested.cpu(), torch.tensor(225))


def test_cone_steps_grow_with_distance(device, simd_level):
    origins = torch.tensor([[0.0, 0.0, 0.0]], device=device)
    directions = torch.tensor([[0.0, 1.0, 0.0]], device=device)
    samples = march_rays(
        origins, directions, full_occupancy().to(device), cone_angle=0.05, **SETTINGS
    )
    assert samples.deltas[0] == torch.tensor(0.01)
    assert samples.deltas[-1] > 0.03
    expected = torch.maximum(samples.t * 0.05, samples.t.new_tensor(0.01))
    torch.testing.assert_close(samples.deltas, expected)
    torch.testing.assert_close(
        samples.t[1:], samples.t[:-1] + samples.deltas[:-1], atol=1e-6, rtol=0
    )


def test_noise_shifts_steps_within_their_interval(device, simd_level):
    origins = torch.tensor([[0.0, 0.0, 2.0]], device=device).repeat(3, 1)
    directions = torch.tensor([[0.0, 0.0, -1.0]], device=device).repeat(3, 1)
    noise = torch.tensor([0.0, 0.25, 0.99], device=device)
    samples = march_rays(
        origins, directions, full_occupancy().to(device), noise=noise, **SETTINGS
    )
    first = samples.t[samples.ray_offsets[:3]]
    torch.testing.assert_close(first, 1.25 + 0.01 * noise)


@pytest.mark.parametrize("pad", [False, True])
def test_overflow_is_reported_and_cured_by_capacity(device, simd_level, pad):
    origins, directions, _ = (tensor.to(device) for tensor in random_rays(100))
    occupancy = random_occupancy().to(device)
    whole = march_rays(origins, directions, occupancy, **SETTINGS)
    assert not whole.overflowed
    wanted = whole.num_samples
    assert whole.num_requested == wanted
    limit = wanted // 2
    arguments = {**SETTINGS, "capacity": limit, "pad_to_capacity": pad}
    partial = march_rays(origins, directions, occupancy, **arguments)
    expected = reference.march_rays(origins, directions, occupancy, **arguments)
    assert_same_samples(partial, expected)
    assert partial.overflowed
    assert partial.num_requested == wanted
    num_fitting = int(partial.ray_offsets[-1])
    assert 0 < num_fitting <= limit
    assert partial.num_samples == (limit if pad else num_fitting)
    is_whole_ray = whole.ray_offsets == num_fitting
    assert is_whole_ray.any()
    assert torch.equal(partial.t[:num_fitting], whole.t[:num_fitting])
    if pad:
        assert partial.positions[num_fitting:].abs().sum() == 0
        assert partial.deltas[num_fitting:].abs().sum() == 0
    cured = march_rays(origins, directions, occupancy, **SETTINGS, capacity=wanted)
    assert not cured.overflowed
    assert torch.equal(cured.t, whole.t)


def test_padding_keeps_the_samples_and_fills_with_zeros(device):
    origins, directions, _ = (tensor.to(device) for tensor in random_rays(20))
    occupancy = random_occupancy().to(device)
    whole = march_rays(origins, directions, occupancy, **SETTINGS)
    padded = march_rays(
        origins, directions, occupancy, **SETTINGS, capacity=9999, pad_to_capacity=True
    )
    count = whole.num_samples
    assert padded.num_samples == 9999
    assert not padded.overflowed
    assert torch.equal(padded.positions[:count], whole.positions)
    assert torch.equal(padded.ray_offsets, whole.ray_offsets)
    assert padded.ray_indices[count:].abs().sum() == 0


def test_capacity_of_zero_leaves_all_rays_empty(device):
    origins, directions, _ = (tensor.to(device) for tensor in random_rays(10))
    samples = march_rays(
        origins, directions, full_occupancy().to(device), **SETTINGS, capacity=0
    )
    assert samples.num_samples == 0
    assert samples.overflowed
    assert samples.ray_offsets.tolist() == [0] * 11


def test_rays_that_miss_or_are_not_finite_get_no_samples(device, simd_level):
    origins = torch.tensor([[2.0, 2, 2], [0, 0, 2], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    directions = torch.tensor(
        [[1.0, 0, 0], [0, 1, 0], [0, 0, 0], [math.nan, 0, 1], [math.inf, 0, 0]]
    )
    origins[4, 2] = math.inf
    arguments = origins.to(device), directions.to(device), full_occupancy().to(device)
    samples = march_rays(*arguments, **SETTINGS)
    assert samples.num_samples == 0
    assert samples.ray_offsets.tolist() == [0] * 6
    assert_same_samples(samples, reference.march_rays(*arguments, **SETTINGS))


def test_no_rays_and_empty_grid_give_no_samples(device, simd_level):
    empty = torch.empty(0, 3, device=device)
    samples = march_rays(empty, empty, full_occupancy().to(device), **SETTINGS)
    assert samples.num_samples == 0
    assert samples.ray_offsets.tolist() == [0]
    origins, directions, _ = (tensor.to(device) for tensor in random_rays(10))
    nothing = torch.zeros_like(full_occupancy()).to(device)
    samples = march_rays(origins, directions, nothing, **SETTINGS)
    assert samples.num_samples == 0
    assert not samples.overflowed


def test_near_cuts_the_steps_before_it(device, simd_level):
    origins = torch.zeros(1, 3, device=device)
    directions = torch.tensor([[0.0, 0.0, 1.0]], device=device)
    occupancy = full_occupancy().to(device)
    samples = march_rays(origins, directions, occupancy, **SETTINGS, near=0.5)
    assert samples.num_samples == 25
    assert samples.t.min() >= 0.5


def test_same_samples_for_any_number_of_threads():
    origins, directions, noise = random_rays(500)
    num_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(
                march_rays(
                    origins, directions, random_occupancy(), noise=noise, **SETTINGS
                )
            )
    finally:
        torch.set_num_threads(num_threads)
    assert_same_samples(results[1], results[0])
    assert_same_samples(results[2], results[0])


def test_permuted_rays_give_permuted_samples(device):
    origins, directions, noise = (tensor.to(device) for tensor in random_rays(50))
    occupancy = random_occupancy().to(device)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0)).to(device)
    plain = march_rays(origins, directions, occupancy, noise=noise, **SETTINGS)
    permuted = march_rays(
        origins[order], directions[order], occupancy, noise=noise[order], **SETTINGS
    )
    counts = plain.ray_offsets.diff()
    assert torch.equal(permuted.ray_offsets.diff(), counts[order])
    expected = torch.cat([plain.t.split(counts.tolist())[i] for i in order.tolist()])
    assert torch.equal(permuted.t, expected)


def test_noncontiguous_rays_match_contiguous(device):
    origins, directions, _ = (tensor.to(device) for tensor in random_rays(30))
    occupancy = random_occupancy().to(device)
    strided = origins.T.contiguous().T, directions.T.contiguous().T
    assert not strided[0].is_contiguous()
    assert_same_samples(
        march_rays(*strided, occupancy, **SETTINGS),
        march_rays(origins, directions, occupancy, **SETTINGS),
    )


@pytest.mark.parametrize("pad", [False, True])
def test_opcheck_passes(device, pad):
    origins, directions, noise = (tensor.to(device) for tensor in random_rays(20))
    occupancy = random_occupancy().to(device)
    torch.library.opcheck(
        torch.ops.realfusion.march_rays.default,
        (
            *(origins, directions, occupancy, noise),
            *(RESOLUTION, BOUND, 0.01, 256, 0.0, 0.0),
            *(500 if pad else None, pad),
        ),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 12}, "`resolution` must be a power of two in 4..1024, got 12"),
        ({"resolution": 32}, r"`occupancy` must have shape \[4096\], got \[512\]"),
        ({"bound": 0.0}, "`bound` must be positive and finite, got 0.0"),
        ({"step_size": -1.0}, "`step_size` must be positive and finite, got -1.0"),
        ({"near": math.nan}, "`near` must be finite and not negative, got nan"),
        ({"cone_angle": -0.1}, "`cone_angle` must be finite and not negative"),
        ({"max_steps_per_ray": 0}, r"`max_steps_per_ray` must be in 1..2\*\*24, got 0"),
        ({"capacity": -1}, "`capacity` must not be negative, got -1"),
        ({"pad_to_capacity": True}, "`capacity` must be given"),
        ({"noise": torch.zeros(3)}, r"`noise` must have shape \[10\], got \[3\]"),
        ({"noise": torch.zeros(10, dtype=torch.float64)}, "`noise` must be"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    origins, directions, _ = random_rays(10)
    with pytest.raises(ValueError, match=message):
        march_rays(origins, directions, full_occupancy(), **{**SETTINGS, **changes})


def test_wrong_tensors_are_named():
    origins, directions, _ = random_rays(10)
    with pytest.raises(ValueError, match=r"`directions` must have shape \[10, 3\]"):
        march_rays(origins, directions[:5], full_occupancy(), **SETTINGS)
    with pytest.raises(ValueError, match=r"`origins` must be torch.float32, got"):
        march_rays(origins.double(), directions, full_occupancy(), **SETTINGS)
    with pytest.raises(ValueError, match=r"`occupancy` must be torch.uint8, got"):
        march_rays(origins, directions, full_occupancy().int(), **SETTINGS)


def test_more_rays_than_an_index_counts_are_named():
    rays = torch.zeros(1, 3).expand(2**31, 3)  # expanded: one ray in memory
    with pytest.raises(ValueError, match=r"must have fewer than 2\*\*31 rays, got"):
        march_rays(rays, rays, full_occupancy(), **SETTINGS)
