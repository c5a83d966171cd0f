"""All that changes during a reconstruction, so that it can be saved and restored."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.fields.background import LearnedBackground
from realfusion.fields.radiance_field import RadianceField
from realfusion.rendering.capacity import RenderCapacity
from realfusion.rendering.scene import Scene
from realfusion.training.config import OptimizerConfig, ReconstructionConfig
from realfusion.training.loss_scale import LossScale

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
        self.optimizer = build_optimizer(
            self.scene, config.optimizer, self.withheld, self.loss_scale
        )
        self.photo_capacity, self.view_capacity = RenderCapacity(), RenderCapacity()
        self.runs_ahead = self.refused.is_cuda
        self.averaged: Tensors = {
            name: parameter.detach().clone()
            for name, parameter in self.scene.named_parameters()
        }
        self.step = 0
        self.rate_scale = 1.0
        self.recoveries = 0

    def set_rates(self, factor: float) -> None:
        """Set all learning rates to their start times `factor`."""
        for group in self.optimizer.param_groups:
            rate = group["base_lr"] * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def update_average(self, share: Float[Tensor, ""]) -> None:
        """Move the averaged parameters by a share towards the current ones."""
        targets = [self.averaged[name] for name, _ in self.scene.named_parameters()]
        sources = [parameter.detach() for parameter in self.scene.parameters()]
        share = share * (1.0 - self.withheld)
        torch._foreach_lerp_(targets, sources, [share] * len(targets))

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
        with torch.no_grad():
            for name, tensor in self.averaged.items():
                tensor.copy_(tensors[f"averaged.{name}"])
        for name, parameter in self.scene.named_parameters():
            self._load_moments(parameter, _without(f"optimizer.{name}.", tensors))
        self.loss_scale.load(_without("loss_scale.", tensors))
        self.refused.zero_()
        self.step = int(numbers["step"])
        self.rate_scale = float(numbers["rate_scale"])
        self.recoveries = int(numbers["recoveries"])

    def _load_moments(self, parameter: Tensor, saved: Tensors) -> None:
        """Take over the optimiser's state of one parameter, in place where it has one.

        CUDA graphs know these tensors by their addresses.
        """
        moments = self.optimizer.state[parameter]
        for key in moments.keys() - saved.keys():
            moments[key].zero_()  # as they are before the first step
        for key, value in saved.items():
            if key in moments:
                moments[key].copy_(value)
            else:
                moments[key] = value.detach().to(parameter.device, copy=True)

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


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _without(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def build_optimizer(
    scene: Scene,
    config: OptimizerConfig,
    withheld: Float[Tensor, ""],
    loss_scale: LossScale,
) -> torch.optim.Optimizer:
    """Adam or AdamW with one group for the networks and one for the grid.

    Args:
        scene: Its parameters are optimised.
        config: Kind, rates and moments.
        withheld: Where this is 1 a step changes nothing. It is read on the device, as
            the gradient scaler of torch's mixed precision has it.
        loss_scale: Divided out of the gradients, likewise.

    Returns:
        The optimiser. On CUDA its rates are tensors, which a CUDA graph can read.
    """
    grid: list[torch.nn.Parameter] = []
    networks: list[torch.nn.Parameter] = []
    for name, parameter in scene.named_parameters():
        (grid if name.endswith("table") else networks).append(parameter)
    groups = [
        {
            "params": networks,
            "lr": _rate(config.learning_rate, withheld.device),
            "base_lr": config.learning_rate,
            "weight_decay": config.weight_decay,
        },
        {
            "params": grid,
            "lr": _rate(config.grid_learning_rate, withheld.device),
            "base_lr": config.grid_learning_rate,
            "weight_decay": 0.0,
        },
    ]
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[config.kind](
        groups, betas=config.betas, eps=config.eps, fused=True
    )
    optimizer.found_inf = withheld
    if loss_scale.is_needed:
        optimizer.grad_scale = loss_scale.value
    return optimizer


def _rate(value: float, device: torch.device) -> float | Tensor:
    return torch.tensor(value, device=device) if device.type == "cuda" else value
