"""Peers are asked the same as our kernels: stand-ins of theirs count and compare."""

from __future__ import annotations

import types

import pytest
import torch
from torch import nn

from benchmarks.gpu_suite import goals, own_calls, peer_tiny_cuda_nn, peer_torch_ngp
from benchmarks.ops import cases
from realfusion.ops import march_rays

CPU = torch.device("cpu")


class FakeEncoder(nn.Module):
    """The signature of torch-ngp's encoder; counts the positions it is asked for."""

    made: list[dict]
    asked: list[int]

    def __init__(self, **sizes) -> None:
        super().__init__()
        self.made.append(sizes)
        self.embeddings = nn.Parameter(torch.ones(3, sizes["num_levels"] * 2))

    def forward(self, positions, bound):
        self.asked.append(len(positions))
        assert positions.abs().max() <= bound
        return positions @ self.embeddings


@pytest.fixture
def encoders():
    fake = type("GridEncoder", (FakeEncoder,), {"made": [], "asked": []})
    return types.SimpleNamespace(GridEncoder=fake)


def fake_composite(densities, colours, deltas, rays):
    assert rays.dtype == torch.int32
    assert rays[:, 2].sum() <= len(densities) == len(deltas)
    return densities.sum(), densities.sum(), colours.sum(0) * densities.mean()


@pytest.fixture
def marching():
    view = own_calls.make_view(CPU, is_dry=True)

    def march(origins, directions, bound, bits, cascades, resolution, near, far, *rest):
        counter, mean_count, _, _, all_rays, cone, max_steps = rest
        assert (counter, mean_count, cascades, all_rays, cone) == (None, -1, 1, True, 0)
        assert torch.equal(bits, view.occupancy)
        # Its step is two diagonals of the unit cube over the number of steps.
        samples = march_rays(
            origins,
            directions,
            bits,
            resolution=resolution,
            bound=bound,
            step_size=2.0 * 3.0**0.5 / max_steps,
        )
        offsets = samples.ray_offsets
        counts = offsets[1:] - offsets[:-1]
        rays = torch.stack([torch.arange(len(counts)), offsets[:-1], counts], dim=1)
        deltas = samples.deltas[:, None].expand(-1, 2)
        return samples.positions, samples.positions, deltas, rays.int()

    return types.SimpleNamespace(
        near_far_from_aabb=lambda origins, directions, box, near: (origins, origins),
        march_rays_train=march,
        composite_rays_train=fake_composite,
    )


@pytest.fixture
def small_view(monkeypatch):
    view = own_calls.make_view(CPU, is_dry=True)
    monkeypatch.setattr(peer_torch_ngp, "make_view", lambda device: view)
    return view


def test_the_release_asks_its_field_thirteen_times_a_sample(
    encoders, marching, small_view
):
    case = peer_torch_ngp._release_view(encoders, marching, CPU, torch.float32)
    case.run()
    asked = encoders.GridEncoder.asked
    assert asked == [asked[0]] * 13
    assert case.group == goals.VIEW
    ours = own_calls.native_case(small_view, CPU)
    theirs = int(case.facts["samples"])
    assert abs(theirs / int(ours.facts["samples"]) - 1.0) < 0.05


def test_peers_have_grids_of_our_sizes(encoders, monkeypatch):
    layout = cases.PAPER_LAYOUT
    peer_torch_ngp.make_encoder(encoders, layout, CPU)
    (sizes,) = encoders.GridEncoder.made
    assert sizes["num_levels"] == layout.num_levels
    assert sizes["desired_resolution"] == layout.finest_resolution
    assert sizes["log2_hashmap_size"] == layout.log2_table_size
    grid = peer_tiny_cuda_nn.describe_grid(layout)
    finest = grid["base_resolution"] * grid["per_level_scale"] ** (
        layout.num_levels - 1
    )
    assert finest == pytest.approx(layout.finest_resolution)


def test_the_release_is_composited_on_the_same_rays(marching):
    forward, both = peer_torch_ngp._compositing(marching, CPU)
    forward.run()
    both.run()
    assert both.group == goals.COMPOSITE
    assert both.name == goals.PEER


def test_a_peer_that_fails_costs_one_line_and_the_next_goes_on(tmp_path):
    from benchmarks.gpu_suite import peers
    from benchmarks.gpu_suite.kernels import Case
    from benchmarks.gpu_suite.report import Report, read_entries
    from benchmarks.gpu_suite.setting import Setting

    def fail() -> None:
        raise RuntimeError("no kernel image")

    def make(device):
        yield Case("group", "broken", fail)
        yield Case("group", "whole", lambda: None)

    report = Report(tmp_path / "report.jsonl")
    setting = Setting(device="cpu", is_quick=False, work=str(tmp_path))
    peers.time_cases(report, setting, "torch-ngp", make)
    entries = read_entries(report.path)
    assert entries["left_out"] == ["torch-ngp: RuntimeError: no kernel image"]
    assert [record["params"]["method"] for record in entries["record"]] == ["whole"]
    assert entries["failure"] == []
