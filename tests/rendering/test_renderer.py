"""Pictures of a ball against its geometry."""

import dataclasses
import math

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.renderer import VolumeRenderer
from realfusion.rendering.scene import Scene
from realfusion.rendering.shading import Shading

SIZE = 33
CENTRE = (SIZE * SIZE) // 2


def test_silhouette_depth_colour_and_normal_of_a_ball(ball_scene):
    camera = Camera(azimuth_deg=40, elevation_deg=25)
    rendered = ball_scene.render_image(camera, (SIZE, SIZE))
    # The silhouette of a ball is the cone that touches it.
    angle = math.asin(0.4 / camera.radius)
    rays = camera.rays(SIZE, SIZE)
    forward = -camera.camera_to_world()[:3, 2].float()
    angles = torch.acos((rays.directions @ forward).clamp(-1, 1))
    assert rendered.opacity[angles < angle - 0.02].min() > 0.99
    assert rendered.opacity[angles > angle + 0.02].max() == 0.0
    assert rendered.depth[CENTRE] == pytest.approx(camera.radius - 0.4, abs=0.02)
    torch.testing.assert_close(
        rendered.rgb[CENTRE], torch.tensor([0.9, 0.3, 0.1]), atol=1e-2, rtol=0
    )
    towards_camera = (camera.position() / camera.radius).float()
    torch.testing.assert_close(
        rendered.normals[CENTRE], towards_camera, atol=3e-2, rtol=0
    )
    assert rendered.back_facing.max() < 1e-2, "only rays that graze see the far side"


def test_background_shows_where_the_object_is_not(ball_scene):
    rendered = ball_scene.render_image(Camera(), (SIZE, SIZE))
    over = rendered.over(torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(over[0], torch.tensor([0.0, 0.0, 1.0]))
    torch.testing.assert_close(over[CENTRE], rendered.rgb[CENTRE], atol=1e-3, rtol=0)


def test_training_and_inference_paths_agree(ball_scene):
    camera = Camera(azimuth_deg=10)
    image = ball_scene.render_image(camera, (SIZE, SIZE))
    rays = ball_scene.render(camera.rays(SIZE, SIZE), shading=Shading("albedo"))
    torch.testing.assert_close(image.rgb, rays.rgb.detach())
    torch.testing.assert_close(image.depth, rays.depth.detach())


def test_gradients_reach_the_field(ball_scene):
    rendered = ball_scene.render(Camera().rays(9, 9), shading=Shading("albedo"))
    rendered.rgb.sum().backward()
    assert ball_scene.field.colour.grad.min() > 0
    assert ball_scene.field.log_density.grad.isfinite()


def test_jitter_moves_samples_and_follows_the_generator(ball_scene):
    rays = Camera().rays(9, 9)
    images = [
        ball_scene.render(
            rays,
            shading=Shading("albedo"),
            generator=torch.Generator().manual_seed(seed),
        ).depth
        for seed in (0, 0, 1)
    ]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_overflow_is_reported_and_cured(ball_scene, settings):
    tight = dataclasses.replace(settings, sample_capacity=64)
    scene = Scene(ball_scene.field, config=tight, bound=ball_scene.bound)
    scene.occupancy = ball_scene.occupancy
    with pytest.warns(RuntimeWarning, match="did not fit"):
        image = scene.render_image(Camera(), (SIZE, SIZE))
    complete = ball_scene.render_image(Camera(), (SIZE, SIZE))
    torch.testing.assert_close(image.rgb, complete.rgb)
    again = scene.render_image(Camera(), (SIZE, SIZE))
    torch.testing.assert_close(again.rgb, complete.rgb)


def test_rays_that_miss_the_box_see_nothing(ball_scene):
    camera = Camera(fov_y_deg=120)
    rendered = ball_scene.render_image(camera, (SIZE, SIZE))
    assert rendered.opacity[0] == 0.0
    assert rendered.rgb[0].abs().max() == 0.0


def test_step_size_spans_the_box():
    renderer = VolumeRenderer(RendererConfig(steps_across=100), bound=0.5)
    assert renderer.step_size * 100 == pytest.approx(math.sqrt(3))


def test_occupied_cells_alone_are_sampled(ball_scene, settings):
    rays = Camera().rays(SIZE, SIZE)
    everywhere = Scene(ball_scene.field, config=settings, bound=ball_scene.bound)
    full = everywhere.render(rays, shading=Shading("albedo"))
    sparse = ball_scene.render(rays, shading=Shading("albedo"))
    assert sparse.num_samples < 0.3 * full.num_samples
    # A cell that the surface only grazes may be missed by its one random point.
    differs = (sparse.opacity - full.opacity).abs() > 1e-3
    assert differs.float().mean() < 0.01
