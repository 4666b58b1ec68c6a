"""How to optimise, as values. Reduction and clipping belong to a recipe: they decide what a learning rate means."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from surefoot.core.catalog import look_up
from surefoot.core.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """An optimiser, its schedule, and what the loss is reduced and clipped to.

    Attributes:
        drops: fractions of the epochs at which the learning rate is multiplied by 0.1.
        reduction: `mean`, or `sum` as in the paper's code, which makes each early step one of a fixed length.
        clip_norm: largest norm of the gradient; None for no clipping.
        mean_losses: losses that keep the mean though the others are summed (Brier, in the paper's code).
    """

    epochs: int
    batch_size: int = 128
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    drops: tuple[float, ...] = ()
    reduction: Literal["mean", "sum"] = "mean"
    clip_norm: float | None = None
    mean_losses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError(
                f"a recipe needs at least one epoch, a batch of at least 1 and a learning rate above 0; got {self}"
            )

    def reduction_for(self, loss_name: str) -> Literal["mean", "sum"]:
        """Return the reduction of a loss under this recipe."""
        return "mean" if loss_name in self.mean_losses else self.reduction

    def make_optimiser(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of a model's parameters."""
        if self.optimiser == "adam":
            return torch.optim.AdamW(model.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        return torch.optim.SGD(
            model.parameters(), self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def rate_factor(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch."""
        return 0.1 ** sum(epoch >= round(drop * self.epochs) for drop in self.drops)


RECIPES: dict[str, Recipe] = {
    "quick": Recipe(epochs=60, batch_size=64, optimiser="adam", learning_rate=3e-3, drops=(0.6, 0.85)),
    # Mukhoti et al. 2020, CIFAR: its scheduler steps first, so the drops come one epoch early, at 149 and 249.
    "paper": Recipe(epochs=350, drops=(149 / 350, 249 / 350), reduction="sum", clip_norm=2.0, mean_losses=("brier",)),
}


def find_recipe(name: str, epochs: int | None = None) -> Recipe:
    """Return the recipe of that name, with other epochs if they are given.

    Raises:
        InputError: there is no such recipe; the message lists those there are.
    """
    recipe = look_up(RECIPES, "recipe", name)
    return recipe if epochs is None else replace(recipe, epochs=epochs)
