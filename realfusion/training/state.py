"""All that changes during a reconstruction, so that it can be saved and restored."""

from __future__ import annotations

import torch
from torch import Tensor

from realfusion.fields.background import LearnedBackground
from realfusion.fields.radiance_field import RadianceField
from realfusion.rendering.scene import Scene
from realfusion.training.config import OptimizerConfig, ReconstructionConfig

Tensors = dict[str, Tensor]


class TrainState:
    """Scene, optimiser, averaged parameters, random numbers and the step.

    Attributes:
        scene: What is optimised.
        optimizer: Adam or AdamW over its parameters, in two groups: networks, grid.
        averaged: Exponential moving average of every parameter, by name.
        generator: CPU generator of everything random in the loop.
        step: Steps done.
        rate_scale: Product of the rate reductions after recoveries.
        recoveries: Times a non-finite number was recovered from.
    """

    def __init__(
        self,
        config: ReconstructionConfig,
        *,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """Start from freshly initialised parameters.

        Args:
            config: The reconstruction's settings.
            seed: Seed of parameters and of the loop.
            device: Where the scene lives.
        """
        self.generator = torch.Generator().manual_seed(seed)
        self.scene = build_scene(config, self.generator).to(device)
        self.optimizer = build_optimizer(self.scene, config.optimizer)
        self.averaged: Tensors = {
            name: parameter.detach().clone()
            for name, parameter in self.scene.named_parameters()
        }
        self.step = 0
        self.rate_scale = 1.0
        self.recoveries = 0

    def update_average(self, decay: float) -> None:
        """Move the averaged parameters towards the current ones, every step.

        The decay ramps up with the step, so that the random start is forgotten.
        """
        decay = min(decay, (1.0 + self.step) / (10.0 + self.step))
        targets = [self.averaged[name] for name, _ in self.scene.named_parameters()]
        sources = [parameter.detach() for parameter in self.scene.parameters()]
        torch._foreach_lerp_(targets, sources, 1.0 - decay)

    def reset_average(self) -> None:
        """Restart the average at the current parameters."""
        for name, parameter in self.scene.named_parameters():
            self.averaged[name].copy_(parameter.detach())

    def tensors(self) -> Tensors:
        """Every tensor of the state by a stable name (not copies)."""
        found: Tensors = {"generator": self.generator.get_state()}
        for name, tensor in self.scene.state_dict().items():
            found[f"scene.{name}"] = tensor
        for name, tensor in self.averaged.items():
            found[f"averaged.{name}"] = tensor
        for name, parameter in self.scene.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                found[f"optimizer.{name}.{key}"] = value
        return found

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
        with torch.no_grad():
            for name, tensor in self.averaged.items():
                tensor.copy_(tensors[f"averaged.{name}"])
        self.optimizer.state.clear()
        for name, parameter in self.scene.named_parameters():
            prefix = f"optimizer.{name}."
            state = {
                key.removeprefix(prefix): tensor.detach().clone()
                for key, tensor in tensors.items()
                if key.startswith(prefix)
            }
            if state:
                self.optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in state.items()
                }
        self.step = int(numbers["step"])
        self.rate_scale = float(numbers["rate_scale"])
        self.recoveries = int(numbers["recoveries"])

    def _check_shapes(self, tensors: Tensors) -> None:
        for name, parameter in self.scene.named_parameters():
            expected = parameter.shape
            for key in (f"averaged.{name}", f"optimizer.{name}"):
                found = {
                    each: tensor.shape
                    for each, tensor in tensors.items()
                    if each == key or each.startswith(f"{key}.")
                }
                for each, shape in found.items():
                    if shape != expected and not each.endswith(".step"):
                        raise ValueError(
                            f"`{each}` must have the shape {list(expected)}, got "
                            f"{list(shape)}"
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


def build_optimizer(scene: Scene, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam or AdamW with one group for the networks and one for the grid."""
    grid: list[torch.nn.Parameter] = []
    networks: list[torch.nn.Parameter] = []
    for name, parameter in scene.named_parameters():
        (grid if name.endswith("table") else networks).append(parameter)
    groups = [
        {
            "params": networks,
            "lr": config.learning_rate,
            "base_lr": config.learning_rate,
            "weight_decay": config.weight_decay,
        },
        {
            "params": grid,
            "lr": config.grid_learning_rate,
            "base_lr": config.grid_learning_rate,
            "weight_decay": 0.0,
        },
    ]
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[config.kind](groups, betas=config.betas, eps=config.eps, fused=True)
