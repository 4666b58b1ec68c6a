"""The unstable ReLUs of a network in one vector: what is decided and chosen for them, and how a graph has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Choice


@dataclass(frozen=True, eq=False)
class UnstableRelu:
    """The unstable values of one ReLU."""

    at: int  # the ReLU's place in the graph
    entering: int  # the node that enters it
    slopes: Bool[Tensor, "*shape"]  # with the smaller areas, also where it is stable
    values: Int[Tensor, " n"]  # which of its values, in order
    begin: int  # the first one's place among all

    @property
    def places(self) -> slice:
        """Where they are among all."""
        return slice(self.begin, self.begin + len(self.values))

    def spread(self, x: Float[Tensor, "b n"]) -> Float[Tensor, " b *shape"]:
        """Put numbers of all unstable values where the ReLU has them; elsewhere is 0."""
        whole = x.new_zeros(len(x), self.slopes.numel())
        whole[:, self.values] = x[:, self.places]
        return whole.reshape(len(x), *self.slopes.shape)


@dataclass(frozen=True, eq=False)
class Dual:
    """Signs of ReLUs in b regions (1, -1, or 0: undecided), and their dual variables.

    These are a slope in [0, 1] of the line below where a sign is undecided, where it is decided the multiplier's size.
    """

    signs: Float[Tensor, "b n"]
    values: Float[Tensor, "b n"]

    def of(self, which: Tensor | slice) -> "Dual":
        """Return some of the regions."""
        return Dual(self.signs[which], self.values[which])


@dataclass(frozen=True, eq=False)
class UnstableRelus:
    """All unstable ReLUs, in the order of the graph."""

    relus: tuple[UnstableRelu, ...]

    @property
    def count(self) -> int:
        """How many values are unstable."""
        return self.relus[-1].begin + len(self.relus[-1].values) if self.relus else 0

    def neuron(self, index: int) -> tuple[int, int]:
        """Return of which ReLU a value is, and which of its values."""
        relu = next(relu for relu in reversed(self.relus) if relu.begin <= index)
        return relu.at, int(relu.values[index - relu.begin])

    def choice(self, dual: Dual) -> Choice:
        """Write dual variables as a pass over the graph takes them, (b, 1, *shape) each."""
        slopes, multipliers = {}, {}
        for relu in self.relus:
            sign, value = dual.signs[:, relu.places], dual.values[:, relu.places]
            whole = relu.slopes.to(value.dtype).flatten().repeat(len(value), 1)
            whole[:, relu.values] = torch.where(sign == 0, value, whole[:, relu.values])
            slopes[relu.at] = whole.reshape(len(value), 1, *relu.slopes.shape)
            if bool(sign.any()):
                multipliers[relu.at] = relu.spread(dual.signs * dual.values).unsqueeze(1)
        return Choice(slopes, multipliers)

    def decide(self, boxes: Sequence[Box], signs: Float[Tensor, "b n"]) -> list[Box]:
        """Cut the boxes of a graph to where values have the signs."""
        made = list(boxes)
        for relu in self.relus:
            if bool((signs[:, relu.places] != 0).any()):
                sign, box = relu.spread(signs), made[relu.entering]
                made[relu.entering] = Box(
                    torch.where(sign > 0, box.lower.clamp(min=0), box.lower),
                    torch.where(sign < 0, box.upper.clamp(max=0), box.upper),
                )
        return made
