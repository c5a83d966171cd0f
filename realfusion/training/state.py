"""All that changes during a reconstruction, so that it can be saved and restored."""

from __future__ import annotations

import torch
from torch import Tensor

from realfusion.fields.background import LearnedBackground
from realfusion.fields.radiance_field import RadianceField
from realfusion.rendering.capacity import RenderCapacity
from realfusion.rendering.scene import Scene
from realfusion.training.config import ReconstructionConfig
from realfusion.training.loss_scale import LossScale
from realfusion.training.optimizer import Optimizer

Tensors = dict[str, Tensor]


class TrainState:
    """Scene, optimiser, averaged parameters, random numbers and the step.

    Attributes:
        scene: What is optimised.
        optimizer: Of its parameters; it keeps their averages too.
        generator: CPU generator of everything random in the loop.
        step: Steps done.
        rate_scale: Product of the rate reductions after recoveries.
        recoveries: Times a non-finite number was recovered from.
        refused: 1 on the device from the moment a step turns out unsound; no update
            happens then, neither that step's nor those of steps launched behind it.
        loss_scale: Factor on the objective, divided out of the gradients.
        withheld: 1 on the device if the step at hand changes no parameter: it is
            refused, or overflowed and a smaller loss scale will mend the next one.
        photo_capacity: Room for the samples of the photo's rays.
        view_capacity: Room for the samples of a random view.
        runs_ahead: Whether the host does not wait for the device, as on CUDA: steps
            have fixed sizes then, and are finished when the next ones are launched.
    """

    def __init__(
        self,
        config: ReconstructionConfig,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        has_prior: bool = False,
    ) -> None:
        """Start from freshly initialised parameters.

        Args:
            config: The reconstruction's settings.
            seed: Seed of parameters and of the loop.
            device: Where the scene lives.
            has_prior: Whether a prior will judge: decides the `auto` loss scaling.
        """
        self.generator = torch.Generator().manual_seed(seed)
        self.scene = build_scene(config, self.generator).to(device)
        self.refused = torch.zeros((), device=device)
        self.withheld = torch.zeros((), device=device)
        self.loss_scale = LossScale(config.optimizer, device, has_prior=has_prior)
        self.optimizer = Optimizer(
            self.scene, config.optimizer, self.withheld, self.loss_scale
        )
        self.photo_capacity, self.view_capacity = RenderCapacity(), RenderCapacity()
        self.runs_ahead = self.refused.is_cuda
        self.step = 0
        self.rate_scale = 1.0
        self.recoveries = 0

    def tensors(self) -> Tensors:
        """Every tensor of the state by a stable name (not copies)."""
        found: Tensors = {"generator": self.generator.get_state()}
        for name, tensor in self.scene.state_dict().items():
            found[f"scene.{name}"] = tensor
        found |= self.optimizer.tensors()
        return found | _prefixed("loss_scale.", self.loss_scale.tensors())

    def numbers(self) -> dict[str, float]:
        """Every plain number of the state."""
        return {
            "step": self.step,
            "rate_scale": self.rate_scale,
            "recoveries": self.recoveries,
        }

    def load(self, tensors: Tensors, numbers: dict[str, float]) -> None:
        """Take over a saved state, bit for bit.

        Args:
            tensors: As `tensors` gave them.
            numbers: As `numbers` gave them.

        Raises:
            KeyError: If a tensor is missing.
            ValueError: If a tensor has another shape (a copy would be broadcast).
        """
        self._check_shapes(tensors)
        self.generator.set_state(tensors["generator"].cpu())
        scene = {name: tensors[f"scene.{name}"] for name in self.scene.state_dict()}
        self.scene.load_state_dict(scene)
        self.optimizer.load(tensors)
        self.loss_scale.load(_without("loss_scale.", tensors))
        self.refused.zero_()
        self.step = int(numbers["step"])
        self.rate_scale = float(numbers["rate_scale"])
        self.recoveries = int(numbers["recoveries"])

    def _check_shapes(self, tensors: Tensors) -> None:
        for name, tensor in self.optimizer.tensors().items():
            if tensors[name].shape != tensor.shape:
                raise ValueError(
                    f"`{name}` must have the shape {list(tensor.shape)}, got "
                    f"{list(tensors[name].shape)}"
                )


def build_scene(config: ReconstructionConfig, generator: torch.Generator) -> Scene:
    """The scene a configuration describes, freshly initialised."""
    field = RadianceField(config.field, generator=generator)
    modes = (config.background.prior_views, config.background.reference_view)
    background = None
    if "learned" in modes:
        background = LearnedBackground(config.background, generator=generator)
    return Scene(
        field, config=config.renderer, bound=config.field.bound, background=background
    )


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _without(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
