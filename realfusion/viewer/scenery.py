"""What stands still on the page: the mesh, the cameras, the floor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from realfusion.cameras.camera import Camera, orbit
from realfusion.io.images import composite_on, to_uint8
from realfusion.outputs import read_rgba
from realfusion.run_folder import OpenRun, RunFolder
from realfusion.training.photo import reference_camera
from realfusion.viewer.conventions import to_viser

if TYPE_CHECKING:
    import viser

RING_VIEWS = 8


def show_cameras(server: viser.ViserServer, opened: OpenRun) -> viser.FrameHandle:
    """The photo's camera with the photo, a ring of others, and the floor.

    A click on a camera looks through it. If the photo's own does not show the object
    from as high above as the photo does, `--elevation-deg` is wrong.

    Args:
        server: The page.
        opened: The run.

    Returns:
        What all cameras hang on.
    """
    settings = opened.config.reconstruction
    reference = reference_camera(settings.reference_camera)
    bound = settings.field.bound
    scene = server.scene
    scene.set_up_direction("+y")
    # viser's own light is so strong that it bleaches the colours.
    scene.configure_environment_map(environment_intensity=0.3)
    scene.add_grid(
        "/floor",
        width=4 * bound,
        height=4 * bound,
        plane="xz",
        cell_size=bound / 2,
        section_size=bound,
        position=(0.0, -bound, 0.0),
    )
    cameras = scene.add_frame("/cameras", show_axes=False)
    photo = None
    if opened.folder.input.exists():
        photo = to_uint8(composite_on(read_rgba(opened.folder)))
    for index, camera in enumerate(orbit(RING_VIEWS, reference)):
        name = f"/cameras/{index}"
        text = f"{camera.azimuth_deg:.0f}°"
        if index == 0:
            text = f"input view, elevation {camera.elevation_deg:g}°"
        wxyz, position = to_viser(camera)
        frustum = scene.add_camera_frustum(
            name,
            fov=math.radians(camera.fov_y_deg),
            aspect=1.0,
            scale=0.2 if index == 0 else 0.1,
            thickness=0.008,
            color=(180, 83, 42) if index == 0 else (150, 150, 150),
            image=photo if index == 0 else None,
            wxyz=wxyz,
            position=position,
            cast_shadow=False,
            receive_shadow=False,
        )
        frustum.on_click(lambda event, camera=camera: look(event.client, camera))
        scene.add_label(f"{name}/label", text)
    # From the side and farther away, so that the photo's camera is in the picture.
    start = Camera(
        azimuth_deg=reference.azimuth_deg + 35.0,
        elevation_deg=min(reference.elevation_deg + 10.0, 80.0),
        radius=2.0 * reference.radius,
        fov_y_deg=reference.fov_y_deg,
    )
    server.initial_camera.position = start.position().numpy()
    server.initial_camera.look_at = np.zeros(3)
    server.initial_camera.fov = math.radians(start.fov_y_deg)
    return cameras


def show_mesh(server: viser.ViserServer, folder: RunFolder) -> viser.GlbHandle:
    """The mesh as the run wrote it."""
    return server.scene.add_glb(
        "/mesh", folder.mesh.read_bytes(), cast_shadow=False, receive_shadow=False
    )


def look(client: viser.ClientHandle, camera: Camera) -> None:
    """Move a browser's camera to where `camera` is."""
    with client.atomic():
        client.camera.position = camera.position().numpy()
        client.camera.look_at = np.zeros(3)
        client.camera.fov = math.radians(camera.fov_y_deg)
