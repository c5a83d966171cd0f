"""Pictures of a ball against its geometry."""

import dataclasses
import math

import pytest
import torch

from realfusion.cameras.camera import Camera
from realfusion.fields.config import FieldConfig
from realfusion.fields.radiance_field import RadianceField
from realfusion.ops.radiance_field import FieldSamples
from realfusion.rendering.capacity import SampleCounts
from realfusion.rendering.config import RendererConfig
from realfusion.rendering.renderer import Rendered, VolumeRenderer
from realfusion.rendering.scene import Scene
from realfusion.rendering.shading import Shading

SIZE = 33
CENTRE = (SIZE * SIZE) // 2
RAYS = Camera(fov_y_deg=20.0).rays(9, 9)


class InsideOut(torch.nn.Module):
    """A field whose normals point inwards, by a sign that can be learned."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.sign = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, positions, *, num_active_levels=None, with_normals=True):
        samples = self.inner(positions)
        normals = -self.sign * samples.normals
        return FieldSamples(samples.densities, samples.albedo, normals)


class Unseeing(torch.nn.Module):
    """A field that cannot tell which samples are hidden."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, positions, *, num_active_levels=None, with_normals=True):
        return self.inner(positions, with_normals=with_normals)


class Watched(torch.nn.Module):
    """A field that keeps what it was asked: positions, and how many are no padding."""

    def __init__(self, inner: RadianceField) -> None:
        super().__init__()
        self.inner, self.asked = inner, []

    def visible_samples(self, samples, **options):
        self.asked.append((samples.positions, samples.ray_offsets[-1]))
        self.visible = self.inner.visible_samples(samples, **options)
        return self.visible

    def visible_field(self, samples, **options):
        raise AssertionError("asked only where there is no fixed room")

    def forward(self, positions, **options):
        self.asked.append((positions, self.visible.ray_offsets[-1]))
        return self.inner(positions, **options)


def make_solid_scene(settings: RendererConfig, normals: str = "analytic") -> Scene:
    """A field that light does not get through."""
    field = RadianceField(
        FieldConfig(
            num_levels=4, log2_table_size=12, normals=normals, blob_density=8.0
        ),
        generator=torch.Generator().manual_seed(0),
    )
    scene = Scene(field, config=settings, bound=field.config.bound)
    scene.update_occupancy(every_cell=True, generator=torch.Generator().manual_seed(0))
    return scene


def values_and_gradients(scene: Scene, view: Rendered) -> list[torch.Tensor]:
    """What is seen, and the gradients of its sum."""
    (view.rgb.sum() + view.normals.sum() + view.back_facing.sum()).backward()
    grads = [parameter.grad for parameter in scene.field.parameters()]
    return [view.rgb.detach(), view.depth.detach(), view.back_facing.detach(), *grads]


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


def test_pictures_may_take_shorter_steps_than_training(ball_scene):
    def ball(**steps: int) -> Scene:
        config = RendererConfig(occupancy_resolution=32, **steps)
        return Scene(ball_scene.field, config=config, bound=ball_scene.bound)

    def picture(scene: Scene) -> torch.Tensor:
        return scene.render_image(Camera(), (SIZE, SIZE)).depth

    long, short = ball(steps_across=32), ball(steps_across=256)
    mixed = ball(steps_across=32, picture_steps_across=256)
    assert torch.equal(picture(mixed), picture(short))
    assert not torch.equal(picture(mixed), picture(long))
    rays = Camera().rays(SIZE, SIZE)
    trained = [s.render(rays, shading=Shading("albedo")).depth for s in (mixed, long)]
    assert torch.equal(*trained)


def test_gradients_reach_the_field(ball_scene):
    rendered = ball_scene.render(Camera().rays(9, 9), shading=Shading("albedo"))
    rendered.rgb.sum().backward()
    assert ball_scene.field.colour.grad.min() > 0
    assert ball_scene.field.log_density.grad.isfinite()


def test_jitter_moves_samples(ball_scene):
    rays = Camera().rays(9, 9)
    depths = [
        ball_scene.render(rays, shading=Shading("albedo"), jitter=jitter).depth
        for jitter in (None, torch.full((81,), 0.5), torch.full((81,), 0.9))
    ]
    assert torch.equal(depths[0], depths[1])
    hits = depths[0] > 0
    shift = 0.4 * ball_scene.renderer.step_size
    assert (depths[2] - depths[0])[hits].abs().max() < 4 * shift
    assert not torch.equal(depths[0], depths[2])


@pytest.mark.parametrize("normals", ["analytic", "central", "tetrahedral"])
def test_padded_samples_change_neither_values_nor_gradients(settings, normals):
    results = []
    for room in (None, SampleCounts(40_000, 30_000)):
        scene = make_solid_scene(settings, normals)
        view = scene.render(RAYS, shading=Shading("lambertian"), room=room)
        results.append(values_and_gradients(scene, view))
    marched, visible = view.num_wanted.tolist()
    assert 40_000 > marched > 1.5 * visible > 0
    assert view.num_samples == 30_000
    assert not view.overflowed
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("room", [None, SampleCounts(40_000, 30_000)])
def test_samples_behind_a_surface_change_neither_values_nor_gradients(
    settings, device, room
):
    rays = Camera(fov_y_deg=20.0).rays(9, 9, device=device)
    results, evaluated = [], []
    for sees_through in (True, False):
        scene = make_solid_scene(settings).to(device)
        if not sees_through:
            scene.field = Unseeing(scene.field)
        view = scene.render(rays, shading=Shading("lambertian"), room=room)
        results.append(values_and_gradients(scene, view))
        evaluated.append(view.num_samples)
    assert evaluated[0] < evaluated[1]
    for kept, expected in zip(*results, strict=True):
        # CUDA sums gradients in no fixed order.
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(kept, expected, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("room", [SampleCounts(8, 40_000), SampleCounts(40_000, 8)])
def test_overflow_of_padded_samples_is_told_on_the_device(settings, room):
    scene = make_solid_scene(settings)
    view = scene.render(RAYS, shading=Shading("albedo"), room=room)
    assert view.overflowed
    marched, visible = view.num_wanted.tolist()
    assert marched > room.marched or visible > room.visible
    assert view.opacity[40] == 0.0, "the centre had no room"


def test_fields_that_cannot_tell_need_no_room_for_the_visible(ball_scene):
    for room, is_enough in (
        (SampleCounts(40_000, 8), True),
        (SampleCounts(8, 8), False),
    ):
        view = ball_scene.render(RAYS, shading=Shading("albedo"), room=room)
        assert view.overflowed.item() is not is_enough
        assert view.num_samples == room.marched
        assert view.num_wanted[0] == view.num_wanted[1] > 8


def test_padding_is_evaluated_outside_the_box(settings):
    """Rows of zeros lie at the centre of the object, where they would be costly."""
    scene = make_solid_scene(settings)
    scene.field = Watched(scene.field)
    scene.render(RAYS, shading=Shading("albedo"), room=SampleCounts(40_000, 30_000))
    assert [len(positions) for positions, _ in scene.field.asked] == [40_000, 30_000]
    for positions, num_real in scene.field.asked:
        is_outside = positions.abs().amax(1) > scene.bound
        assert torch.equal(is_outside, torch.arange(len(positions)) >= num_real)


def test_back_facing_weighs_normals_by_what_is_seen(ball_scene):
    """Sum of weight times squared cosine; the weights have no gradient."""
    ball_scene.field = InsideOut(ball_scene.field)
    camera = Camera()
    view = ball_scene.render(camera.rays(9, 9), shading=Shading("albedo"))
    towards = (camera.position() / camera.radius).float()
    assert view.back_facing[40].item() == pytest.approx(1.0, abs=0.05)
    assert (view.normals[40] @ towards).item() == pytest.approx(-1.0, abs=0.05)
    view.back_facing.sum().backward()
    assert ball_scene.field.inner.log_density.grad == 0.0
    assert ball_scene.field.sign.grad > 0


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
