"""A finished tiny run, and a stand-in for viser's server."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from realfusion import pipeline
from realfusion.config import InputConfig, RunConfig, RunOptions
from realfusion.listener import SilentListener
from realfusion.presets import PRESETS


@pytest.fixture(scope="package")
def run_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run; not to be changed."""
    folder = tmp_path_factory.mktemp("viewer")
    axis = np.linspace(-1.0, 1.0, 48)
    rgba = np.zeros((48, 48, 4), np.uint8)
    rgba[axis[:, None] ** 2 + axis[None] ** 2 < 0.5] = (220, 40, 30, 255)
    Image.fromarray(rgba).save(folder / "disc.png")
    smoke = PRESETS["smoke"]
    config = RunConfig(
        image=folder / "disc.png",
        prior="none",
        input=InputConfig(size=32),
        reconstruction=dataclasses.replace(
            smoke.reconstruction, iterations=2, reference_size=16
        ),
        export=dataclasses.replace(smoke.export, turntable_size=32, mesh_resolution=24),
    )
    options = RunOptions(out=folder / "run", device="cpu")
    return pipeline.run(config, options, SilentListener()).root


class FakeServer:
    """Takes what the page is made of and keeps what the tests ask for."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.controls: dict[str, Any] = {}
        self.clients: dict[int, Any] = {}
        self.initial_camera = SimpleNamespace()
        self.scene = self.gui = self

    def get_clients(self) -> dict[int, Any]:
        return dict(self.clients)

    def __getattr__(self, method: str) -> Any:
        def take(*words: Any, **values: Any) -> Any:
            name = words[0] if words else ""
            self.added.append(name)
            initial = values.get("initial_value", "colours")
            handle = SimpleNamespace(
                value=initial, content="", visible=True, on_click=lambda callback: None
            )
            self.controls[name] = handle
            return handle

        return take


class FakeClient:
    """A browser in front of the object; remembers the pictures it is sent."""

    def __init__(self) -> None:
        self.camera = SimpleNamespace(
            wxyz=np.array([0.0, 1.0, 0.0, 0.0]),
            position=np.array([0.0, 0.0, 1.8]),
            fov=0.7,
            aspect=2.0,
        )
        self.pictures: list[Any] = []
        self.scene = SimpleNamespace(set_background_image=self._take)

    def _take(self, image: Any, **options: Any) -> None:
        self.pictures.append(image)


@pytest.fixture
def server() -> FakeServer:
    """A page with one browser."""
    fake = FakeServer()
    fake.clients[0] = FakeClient()
    return fake
