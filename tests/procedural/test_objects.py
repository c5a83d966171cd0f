"""Families, splits and determinism of the procedural objects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from realfusion.procedural.builder import TexturedMesh
from realfusion.procedural.families.catalogue import (
    ABSTRACT_FAMILIES,
    FAMILIES,
    Family,
)
from realfusion.procedural.objects import generate_object
from realfusion.procedural.render import (
    Light,
    ObjectView,
    render_occupancy,
    render_views,
)

EVERY_FAMILY = FAMILIES + ABSTRACT_FAMILIES


@pytest.mark.parametrize("family", EVERY_FAMILY, ids=lambda family: family.name)
def test_every_family_makes_sound_meshes(family: Family) -> None:
    for seed in range(2):
        mesh = generate_object(seed, family=family).mesh
        assert np.isfinite(mesh.vertices).all()
        assert np.isfinite(mesh.own_coordinates).all()
        assert np.linalg.norm(mesh.vertices, axis=1).max() <= 0.6
        middle = (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2
        np.testing.assert_allclose(middle, 0, atol=1e-5)
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        assert len(mesh.face_paint) == len(mesh.faces)
        image = render_views(
            mesh, [ObjectView(azimuth_deg=0, elevation_deg=15)], Light(), size=32
        )
        share = image[0, ..., 3].mean()
        assert 0.02 < share < 0.9


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_fills_the_same_space_from_every_side(
    family: Family, filled_volumes: Callable[[TexturedMesh], list[float]]
) -> None:
    # A part that is not closed is filled from some sides and empty from others.
    for seed in range(2):
        volumes = filled_volumes(generate_object(seed, family=family).mesh)
        assert max(volumes) - min(volumes) < 0.15 * max(volumes)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_there_is_matter_behind_the_pixels_of_every_family(family: Family) -> None:
    views = [
        ObjectView(azimuth_deg=35, elevation_deg=20),
        ObjectView(azimuth_deg=200, elevation_deg=20),
    ]
    mesh = generate_object(3, family=family).mesh
    is_covered = render_views(mesh, views, Light(), size=32)[..., 3] > 0.99
    is_filled = render_occupancy(mesh, views, size=32, extent=0.62) > 0
    assert is_filled[is_covered].mean() > 0.93


def test_there_are_enough_families_with_distinct_names() -> None:
    names = [family.name for family in EVERY_FAMILY]
    assert len(FAMILIES) >= 200
    assert len(set(names)) == len(names)


def test_a_seed_gives_the_same_object_and_another_seed_another() -> None:
    first, again, other = (generate_object(seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    assert first.noun == again.noun
    assert first.mesh.vertices.shape != other.mesh.vertices.shape


def test_held_out_families_appear_in_their_split_alone() -> None:
    held_out = {family.name for family in FAMILIES if family.is_held_out}
    trained = {generate_object(seed).noun for seed in range(60)}
    unseen = {
        generate_object(seed, split="held_out_families").noun for seed in range(25)
    }
    assert held_out
    assert not trained & held_out
    assert unseen == held_out


def test_held_out_instances_differ_from_the_trained_ones() -> None:
    trained = generate_object(3, abstract_share=1.0)
    held_out = generate_object(3, abstract_share=1.0, split="held_out_instances")
    assert trained.mesh.vertices.shape != held_out.mesh.vertices.shape


def test_two_objects_in_five_have_no_name() -> None:
    nouns = [generate_object(seed).noun for seed in range(100)]
    assert 0.33 < nouns.count("object") / 100 < 0.6


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="`split` must be one of"):
        generate_object(0, split="test")
