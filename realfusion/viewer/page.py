"""The page of a run: opened, kept up to date, or written to a file.

Everything is drawn from one loop, `view_run`, which asks a few times a second what has
changed: where a browser's camera is, what its menu says, and what the run has written
since (so a run can be watched while it trains).
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from realfusion.devices import choose_device
from realfusion.errors import InputError
from realfusion.inspection import MAX_VIEW_SIZE
from realfusion.io.atomic import write_text
from realfusion.outputs import render_picture
from realfusion.run_folder import OpenRun, RunFolder, load_run
from realfusion.run_metrics import read_metrics
from realfusion.run_state import load_state
from realfusion.training.checkpoint import INDEX_NAME
from realfusion.training.photo import reference_camera
from realfusion.training.state import TrainState
from realfusion.training.step import averaged_parameters
from realfusion.viewer.field_view import CHANNELS, FieldView, colour, depth_along_axis
from realfusion.viewer.scenery import look, show_cameras, show_mesh

if TYPE_CHECKING:
    import viser

POLL_S = 0.05
COARSE_SHARE = 0.25
"""Resolution while the camera moves, as a share of the full one."""


def view_run(
    root: Path,
    *,
    host: str,
    port: int,
    size: int,
    device: str,
    ready: Callable[[str], None],
) -> None:
    """Serve the page of a run until Ctrl-C.

    Args:
        root: A run folder with a mesh or a checkpoint; it may still be training.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        size: Pixels along the longer edge of the rendered field.
        device: Where to render.
        ready: Told the address of the page.

    Raises:
        InputError: viser is missing, there is nothing to see, or the address cannot be
            opened.
    """
    if not 1 <= size <= MAX_VIEW_SIZE:
        raise InputError(f"--size must lie within [1, {MAX_VIEW_SIZE}], got {size}")
    chosen = choose_device(device)
    opened = load_run(root)
    _require_content(opened.folder)
    with open_server(host, port) as server, contextlib.suppress(KeyboardInterrupt):
        viewer = Viewer(server, opened, size=size, device=chosen)
        ready(f"http://{server.get_host()}:{server.get_port()}")
        while True:
            viewer.refresh()
            time.sleep(POLL_S)


def export_page(root: Path, path: Path) -> None:
    """Write mesh and cameras of a run as one self-contained page.

    Args:
        root: A run folder with a mesh.
        path: The HTML file.

    Raises:
        InputError: viser is missing, there is no mesh, or the file cannot be written.
    """
    opened = load_run(root)
    if not opened.folder.mesh.exists():
        raise InputError(
            f"{root} has no mesh yet; run `realfusion-run` on its image, or "
            f"`realfusion export {root}`"
        )
    with open_server("127.0.0.1", 0) as server:
        show_cameras(server, opened)
        show_mesh(server, opened.folder)
        page = server.get_scene_serializer().as_html()
    try:
        write_text(path, page)
    except OSError as error:
        raise InputError(
            f"--export {path} cannot be written ({error.strerror})"
        ) from error


@contextlib.contextmanager
def open_server(host: str, port: int) -> Iterator[viser.ViserServer]:
    """A viser server, its own messages kept off the terminal.

    Args:
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.

    Yields:
        The server.

    Raises:
        InputError: viser is missing, or the address cannot be opened.
    """
    if find_spec("viser") is None:
        raise InputError(
            "the viewer needs viser, which is not installed: "
            "pip install 'realfusion[viewer]'"
        )
    if not 0 <= port <= 65535:
        raise InputError(f"--port must lie within [0, 65535], got {port}")
    # viser would take another port in silence, and wait for ever for a wrong host.
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port} cannot be opened ({error.strerror}); choose "
            f"others, or --port 0 for a free port"
        ) from error
    import viser

    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, verbose=False)
    try:
        yield server
    finally:
        with contextlib.redirect_stdout(io.StringIO()):
            server.stop()


class Viewer:
    """The page of one run, kept up to date by `refresh`."""

    def __init__(
        self,
        server: viser.ViserServer,
        opened: OpenRun,
        *,
        size: int,
        device: torch.device,
    ) -> None:
        """Lay out the page.

        Args:
            server: The page.
            opened: The run.
            size: Pixels along the longer edge of the rendered field.
            device: Where to render.
        """
        self._server, self._opened = server, opened
        self._size, self._device = size, device
        self._state: TrainState | None = None
        self._mesh: Any = None
        self._stamps: dict[Path, int | None] = {}
        self._shown: dict[int, tuple[FieldView, float] | None] = {}
        self._cameras = show_cameras(server, opened)
        gui = server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label(opened.folder.root.resolve().name)
        self._summary = gui.add_markdown("")
        self._renders_field = gui.add_checkbox(
            "Render field",
            initial_value=not opened.folder.mesh.exists(),
            hint="The radiance field itself in place of the mesh",
        )
        self._channel = gui.add_dropdown("Show", CHANNELS, hint="Of the field")
        self._shows_cameras = gui.add_checkbox("Cameras", initial_value=True)
        reference = reference_camera(opened.config.reconstruction.reference_camera)
        button = gui.add_button("Input view", hint="Look through the photo's camera")
        button.on_click(lambda event: look(event.client, reference))

    def refresh(self) -> None:
        """Take over what the run has written, and draw what is out of date.

        Raises:
            InputError: The checkpoint is damaged, or no longer of this run.
        """
        self._update_mesh()
        self._update_field()
        if self._has_changed(self._opened.folder.metrics):
            self._summary.content = self._describe()
        self._cameras.visible = self._shows_cameras.value
        if self._mesh is not None:
            self._mesh.visible = self._state is None or not self._renders_field.value
        self._shown = {
            number: self._draw(client, self._shown.get(number))
            for number, client in self._server.get_clients().items()
        }

    def _has_changed(self, path: Path) -> bool:
        stamp = _stamp(path)
        if stamp == self._stamps.get(path):
            return False
        self._stamps[path] = stamp
        return stamp is not None

    def _update_mesh(self) -> None:
        if self._has_changed(self._opened.folder.mesh):
            self._mesh = show_mesh(self._server, self._opened.folder)

    def _update_field(self) -> None:
        index = self._opened.folder.checkpoint / INDEX_NAME
        while self._has_changed(index):
            try:
                self._state, _ = load_state(self._opened, self._device)
            except InputError:
                # A run that trains may have replaced it meanwhile: then the next.
                if _stamp(index) == self._stamps[index]:
                    raise
            else:
                self._summary.content = self._describe()

    def _describe(self) -> str:
        """Steps and figures of the run, as Markdown."""
        lines = []
        if self._state is not None:
            total = self._opened.config.reconstruction.iterations
            lines.append(f"Step {self._state.step} of {total}")
        metrics = read_metrics(self._opened.folder)
        if "front_psnr_db" in metrics:
            lines.append(
                f"input view: PSNR {metrics['front_psnr_db']:.1f} dB, mask IoU "
                f"{metrics['front_mask_iou']:.3f}"
            )
        return "; ".join(lines)

    def _draw(
        self, client: viser.ClientHandle, shown: tuple[FieldView, float] | None
    ) -> tuple[FieldView, float] | None:
        """Render the field for a browser: coarsely at first, in full when it rests.

        Args:
            client: The browser.
            shown: The view it has, and at which share of the full resolution.

        Returns:
            What it has now.
        """
        if self._state is None or not self._renders_field.value:
            if shown is not None:
                client.scene.set_background_image(None)
            return None
        view = self._view_of(client.camera)
        if shown == (view, 1.0):
            return shown
        share = 1.0 if shown is not None and shown[0] == view else COARSE_SHARE
        camera, size = view.camera(), view.size(share * self._size)
        with averaged_parameters(self._state) as scene:
            picture = render_picture(scene, camera, *size)
        client.scene.set_background_image(
            colour(picture, view.channel),
            format="png",
            depth=depth_along_axis(picture, camera),
        )
        return view, share

    def _view_of(self, camera: viser.CameraHandle) -> FieldView:
        return FieldView(
            wxyz=tuple(camera.wxyz),
            position=tuple(camera.position),
            fov=camera.fov,
            aspect=camera.aspect,
            channel=self._channel.value,
            checkpoint=self._stamps[self._opened.folder.checkpoint / INDEX_NAME],
        )


def _require_content(folder: RunFolder) -> None:
    if not folder.mesh.exists() and _stamp(folder.checkpoint / INDEX_NAME) is None:
        raise InputError(
            f"{folder.root} has neither a mesh nor a checkpoint yet; run "
            f"`realfusion-run` on its image, or wait for its first checkpoint"
        )


def _stamp(path: Path) -> int | None:
    """When a file was last written, or None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
