"""Tiny models of Stable Diffusion's shape, made once a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from realfusion.priors.graph_replay import NUM_WARM_UPS, Recording
from realfusion.priors.metadata import PriorMetadata
from realfusion.priors.prompts import ViewVocabulary
from realfusion.priors.random_weights import TINY, random_prior, save_random_model
from realfusion.priors.stable_diffusion import StableDiffusionPrior

RELATIVE_VIEWS = ViewVocabulary(
    azimuth_words=(
        "front view",
        "front right view",
        "right side view",
        "back right view",
        "back view",
        "back left view",
        "left side view",
        "front left view",
    ),
    elevation_suffixes=("", ", high", ", overhead"),
)


class FakeRecording:
    """Runs a function again where a graph would replay it, into the same place.

    One that uses up what another left (a backward pass) cannot run twice, as with
    graphs, whose memory it would find overwritten.
    """

    def __init__(self, run: Callable[[], Tensor], place: Tensor) -> None:
        self._run, self._place = run, place
        self.replays = 0

    def replay(self) -> None:
        self._place.copy_(self._run().detach())
        self.replays += 1


class FakeRecorder:
    """A `Recorder` for any device; what it records holds NaN before the first replay.

    Attributes:
        recordings: All that it made.
        failure: Raised instead of recording.
    """

    def __init__(self) -> None:
        self.recordings: list[FakeRecording] = []
        self.failure: Exception | None = None

    @property
    def replays(self) -> list[int]:
        """How often each recording was replayed."""
        return [each.replays for each in self.recordings]

    def warm_up(self, run: Callable[[], Tensor]) -> None:
        for _ in range(NUM_WARM_UPS):
            run()

    def record(
        self, run: Callable[[], Tensor], after: Recording | None = None
    ) -> tuple[Recording, Tensor]:
        if self.failure is not None:
            raise self.failure
        assert after is None or after is self.recordings[-1]
        place = torch.full_like(run().detach(), torch.nan)
        self.recordings.append(FakeRecording(run, place))
        return self.recordings[-1], place


@pytest.fixture(scope="session")
def recorder_kind() -> type[FakeRecorder]:
    """The class, for tests that need many."""
    return FakeRecorder


@pytest.fixture
def recorder() -> FakeRecorder:
    """Stands in for CUDA graphs."""
    return FakeRecorder()


@pytest.fixture
def prior() -> StableDiffusionPrior:
    """A prior with random weights, 32 px, front/side/back prompts."""
    return random_prior(TINY, dtype="float32")


@pytest.fixture
def relative_views() -> ViewVocabulary:
    """The bundled prior's view words."""
    return RELATIVE_VIEWS


@pytest.fixture
def class_prior() -> StableDiffusionPrior:
    """The same with view classes and the relative vocabulary."""
    shape = dataclasses.replace(TINY, num_class_embeds=25)
    metadata = PriorMetadata(subject="<e>", view_vocabulary=RELATIVE_VIEWS)
    return random_prior(shape, dtype="float32", metadata=metadata)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in diffusers' layout."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_random_model(folder, TINY)
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded CPU generator."""
    return torch.Generator().manual_seed(7)


@pytest.fixture
def photo() -> torch.Tensor:
    """RGBA: an orange disc with a dark bar on nothing, 48 px."""
    grid = (torch.arange(48) + 0.5) / 24.0 - 1.0
    rows, columns = torch.meshgrid(grid, grid, indexing="ij")
    image = torch.zeros(48, 48, 4)
    image[..., :3] = torch.tensor([0.9, 0.5, 0.1])
    image[rows.abs() < 0.1] = torch.tensor([0.1, 0.1, 0.3, 0.0])
    image[..., 3] = (rows**2 + columns**2 < 0.5).float()
    return image


@pytest.fixture
def latents(generator: torch.Generator) -> torch.Tensor:
    """Of three views of the tiny model."""
    return torch.randn(3, 4, 8, 8, generator=generator)
