"""How to optimise, as values. Reduction and clipping belong to a recipe: they decide what a learning rate means."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from surefoot.core.catalog import look_up
from surefoot.core.errors import InputError

_WARM_UP = 0.2  # of a one-cycle schedule


@dataclass(frozen=True)
class Recipe:
    """An optimiser, its schedule, and what the loss is reduced and clipped to.

    Attributes:
        schedule: `steps` multiplies the learning rate by 0.1 at each of `drops`, fractions of the epochs; `one-cycle`
            raises it from 0 over the first fifth of the steps and brings it back to 0 along a cosine.
        reduction: `mean`, or `sum` as in the paper's code, which makes each early step one of a fixed length.
        clip_norm: largest norm of the gradient; None for no clipping.
        mean_losses: losses that keep the mean though the others are summed (Brier, in the paper's code).
        keep: which epoch's weights: `best` by held-out NLL after a temperature fitted to it (refine, then calibrate:
            an over-confident network is not stopped early for what a temperature repairs), or `last`, as the paper.
        precision: as `lightning.Trainer`'s.
        channels_last: memory format of networks for images.
        compile: compile the network where that pays, on a GPU.
        l1: weight of the sum of the weights' absolute values, beside the mean loss: more ReLUs become stable.
        adversarial: train on the worst inputs within this l-infinity distance, before normalisation (bytes count as
            [0, 1]), found by one step of the gradient from a random start.
    """

    epochs: int
    batch_size: int = 128
    optimiser: Literal["sgd", "adam", "adagrad"] = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["steps", "one-cycle"] = "steps"
    drops: tuple[float, ...] = ()
    reduction: Literal["mean", "sum"] = "mean"
    clip_norm: float | None = None
    mean_losses: tuple[str, ...] = ()
    keep: Literal["best", "last"] = "best"
    precision: str = "32-true"
    channels_last: bool = False
    compile: bool = False
    l1: float = 0.0
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not (0 <= self.l1 < math.inf and 0 <= self.adversarial < math.inf):
            raise InputError(f"l1 and adversarial must be 0 or more; got {self.l1} and {self.adversarial}")
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise InputError(
                f"a recipe needs at least one epoch, a batch of at least 1 and a learning rate above 0; got {self}"
            )

    def reduction_for(self, loss_name: str) -> Literal["mean", "sum"]:
        """Return the reduction of a loss under this recipe."""
        return "mean" if loss_name in self.mean_losses else self.reduction

    def make_optimiser(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser of a model's parameters; all of them a step, not one after the other."""
        shared: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay, "foreach": True}
        match self.optimiser:
            case "adam":
                return torch.optim.AdamW(model.parameters(), **shared)
            case "adagrad":
                return torch.optim.Adagrad(model.parameters(), **shared)
            case "sgd":
                return torch.optim.SGD(model.parameters(), momentum=self.momentum, **shared)

    def rate_in_epoch(self, epoch: int) -> float:
        """Return the factor of the learning rate in an epoch of a schedule in steps."""
        return 0.1 ** sum(epoch >= round(drop * self.epochs) for drop in self.drops)

    def rate_at(self, done: float) -> float:
        """Return the factor of the learning rate when a fraction of a one-cycle schedule is done.

        >>> recipe = Recipe(1, schedule="one-cycle")
        >>> recipe.rate_at(0.1), recipe.rate_at(1.0)
        (0.5, 0.0)
        """
        if done < _WARM_UP:
            return done / _WARM_UP
        return 0.5 * (1 + math.cos(math.pi * min((done - _WARM_UP) / (1 - _WARM_UP), 1.0)))


_PAPER = Recipe(  # CIFAR; its scheduler steps first, so the drops come one epoch early, at 149 and 249
    epochs=350, drops=(149 / 350, 249 / 350), reduction="sum", clip_norm=2.0, mean_losses=("brier",), keep="last"
)

RECIPES: dict[str, Recipe] = {
    "quick": Recipe(epochs=60, batch_size=64, optimiser="adam", learning_rate=3e-3, drops=(0.6, 0.85)),
    "fast": Recipe(
        epochs=30, schedule="one-cycle", clip_norm=5.0, precision="bf16-mixed", channels_last=True, compile=True
    ),
    "paper": _PAPER,
}

_PAPER_TEXT = Recipe(epochs=50, optimiser="adam", learning_rate=1e-3, weight_decay=0.0)

# `paper` for the sets that Mukhoti et al. 2020 trained otherwise: section 5 and the code, branches main and nlp.
PAPER: dict[str, Recipe] = {
    "tiny-imagenet": replace(_PAPER, epochs=100, batch_size=64, drops=(0.39, 0.59)),
    "20news": _PAPER_TEXT,
    "20news-200": _PAPER_TEXT,
    "sst": Recipe(epochs=25, batch_size=25, optimiser="adagrad", learning_rate=0.05, weight_decay=1e-4, keep="best"),
}


def find_recipe(
    name: str, epochs: int | None = None, keep: Literal["best", "last"] | None = None, data: str = ""
) -> Recipe:
    """Return the recipe of that name, with other epochs, and keeping other weights, if they are given.

    `paper` is what the paper did with that data set; for data that it had not, what it did with CIFAR.

    Raises:
        InputError: there is no such recipe; the message lists those there are.
    """
    recipe = look_up(RECIPES, "recipe", name)
    if name == "paper":
        recipe = PAPER.get(data, recipe)
    return replace(recipe, epochs=recipe.epochs if epochs is None else epochs, keep=keep or recipe.keep)
