"""The optimiser of a scene, and the averages of its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from realfusion.fields.radiance_field import RadianceField
from realfusion.ops.adam import AdamSettings, adam_step_
from realfusion.rendering.scene import Scene
from realfusion.training.config import OptimizerConfig
from realfusion.training.loss_scale import LossScale


class Optimizer:
    """Adam or AdamW over networks and grid, each with a rate of its own.

    The host knows nothing of what a step does: whether it is withheld, the scale and
    the rates are read on the device, where a CUDA graph can repeat it. Levels of the
    grid that are not in use yet have no gradients and no moments, so that a step would
    change nothing there: it leaves them alone.

    Attributes:
        averaged: Exponential moving average of every parameter, by name.
    """

    def __init__(
        self,
        scene: Scene,
        config: OptimizerConfig,
        withheld: Float[Tensor, ""],
        loss_scale: LossScale,
    ) -> None:
        """Start with no moments, and the averages at the parameters.

        Args:
            scene: Its parameters are optimised.
            config: Kind, rates and moments.
            withheld: Where this is 1 a step changes nothing.
            loss_scale: Divided out of the gradients.
        """
        self._scene, self._withheld, self._loss_scale = scene, withheld, loss_scale
        self._settings = AdamSettings(
            betas=config.betas, eps=config.eps, is_decoupled=config.kind == "adamw"
        )
        self._parameters = dict(scene.named_parameters())
        is_grid = {name: name.endswith("table") for name in self._parameters}
        rates = [
            config.grid_learning_rate if is_grid[name] else config.learning_rate
            for name in self._parameters
        ]
        self._weight_decays = {
            name: 0.0 if is_grid[name] else config.weight_decay
            for name in self._parameters
        }
        self._first_rates = torch.tensor(rates, device=withheld.device)
        self._rates = self._first_rates.clone()
        self._count = torch.zeros((), device=withheld.device)
        values = {name: each.detach() for name, each in self._parameters.items()}
        self._moments = {
            kind: {name: torch.zeros_like(value) for name, value in values.items()}
            for kind in ("exp_avg", "exp_avg_sq")
        }
        self.averaged = {name: value.clone() for name, value in values.items()}
        self._table_gradient: Tensor | None = None
        if isinstance(scene.field, RadianceField):
            self._table_gradient = torch.zeros_like(scene.field.table)

    def set_rates(self, factor: float) -> None:
        """Set all learning rates to their start times `factor`."""
        torch.mul(self._first_rates, factor, out=self._rates)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters.values():
            parameter.grad = None

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Forget the gradients; what is computed inside brings new ones.

        However often the grid is looked up inside, its gradient is zeroed once, where
        levels are in use, and added up by the kernels themselves.
        """
        self.zero_grad()
        if self._table_gradient is None:
            yield
            return
        field = self._scene.field
        field.table.grad = self._table_gradient
        for gradient in self._in_use(self._gradients()):  # the table's alone
            gradient.zero_()
        with field.adding_table_gradient_to(self._table_gradient):
            yield

    def gradient_sum(self) -> Float[Tensor, ""]:
        """Finite only if every gradient is.

        Gradients so large that only their sum overflows could not be used either: their
        squares, the second moments, overflow long before.
        """
        sums = [gradient.sum() for gradient in self._in_use(self._gradients())]
        return torch.stack(sums).sum()

    def step(self, average_share: Float[Tensor, ""]) -> None:
        """Update what has a gradient, and move the averages towards it.

        Args:
            average_share: How far they move, in [0, 1].
        """
        gradients = self._gradients()
        places = [
            place for place, name in enumerate(self._parameters) if name in gradients
        ]
        rates = self._rates
        if len(places) < len(rates):
            rates = torch.stack([rates[place] for place in places])
        values = {name: each.detach() for name, each in self._parameters.items()}
        first, second = self._moments.values()
        adam_step_(
            *map(self._in_use, (values, gradients, first, second, self.averaged)),
            count=self._count,
            rates=rates,
            weight_decays=[self._weight_decays[name] for name in gradients],
            withheld=self._withheld,
            loss_scale=self._loss_scale.value,
            average_share=average_share,
            settings=self._settings,
        )

    def reset_average(self) -> None:
        """Restart the averages at the current parameters."""
        for name, parameter in self._parameters.items():
            self.averaged[name].copy_(parameter.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by a stable name (not copies)."""
        found = {f"averaged.{name}": each for name, each in self.averaged.items()}
        for kind, moments in self._moments.items():
            found |= {f"optimizer.{name}.{kind}": m for name, m in moments.items()}
        return found | {"optimizer.count": self._count}

    def load(self, saved: dict[str, Tensor]) -> None:
        """Take over, in place, what `tensors` gave: CUDA graphs know the addresses.

        Raises:
            KeyError: If a tensor is missing.
        """
        for name, tensor in self.tensors().items():
            tensor.copy_(saved[name])

    def _gradients(self) -> dict[str, Tensor]:
        """By the names of the parameters that have one."""
        return {
            name: parameter.grad
            for name, parameter in self._parameters.items()
            if parameter.grad is not None
        }

    def _in_use(self, tensors: dict[str, Tensor]) -> list[Tensor]:
        """Of the parameters that have a gradient, the rows that are in use."""
        rows = self._scene.rows_in_use()
        return [
            tensors[name][: rows[name]] if name in rows else tensors[name]
            for name, parameter in self._parameters.items()
            if parameter.grad is not None
        ]
