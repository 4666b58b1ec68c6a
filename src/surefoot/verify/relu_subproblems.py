"""The subproblems of ReLU splitting, and their rounded bounds: the proof, whoever chose slopes and multipliers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.rounding import difference_below
from surefoot.proof.certificate import SplitLeaf
from surefoot.reach.alpha_crown import Tightened, default_choice
from surefoot.reach.crown import Trace, lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Choice, Relaxation
from surefoot.reach.unstable import Dual, UnstableRelus
from surefoot.spec.query import Query

BATCH_SUBPROBLEMS = 64
Neuron: TypeAlias = tuple[int, int]  # a ReLU of the graph, and which of its values


@dataclass(frozen=True, eq=False)
class Packed:
    """What a search over a reduced network chose for one subproblem, (1, n)."""

    unstable: UnstableRelus
    dual: Dual


@dataclass(frozen=True, eq=False)
class Subproblem:
    """Some of the region: an unsafe set, the signs decided so far, and where its ascent may start."""

    unsafe: int
    signs: tuple[tuple[int, int, int], ...] = ()  # (ReLU, which of its values, 1 or -1)
    chosen: Choice | Packed = field(default_factory=Choice)
    options: tuple[Neuron, ...] = ()  # worth splitting
    row: int = 0  # of the unsafe set, that is shown to be missed

    @property
    def choice(self) -> Choice:
        """Its slopes and multipliers, (1, *shape) each."""
        if isinstance(self.chosen, Choice):
            return self.chosen
        parts = self.chosen.unstable.choice(self.chosen.dual).parts
        return Choice(*({at: x[0] for at, x in part.items()} for part in parts))


class Sets:
    """The unsafe sets of a query, a row each: the one that is farthest from being met; one that is missed suffices."""

    def __init__(self, relaxation: Relaxation, query: Query) -> None:
        self.out = len(relaxation.graph.nodes) - 1
        self.chosen = []
        for unsafe in query.unsafe:
            w = torch.from_numpy(unsafe.weights)
            bounds = lower_bounds(relaxation, self.out, w.unsqueeze(0))[0] - torch.from_numpy(unsafe.bounds)
            self.chosen.append(int(bounds.argmax()))
        pairs = list(zip(query.unsafe, self.chosen, strict=True))
        self.rows = torch.stack([torch.from_numpy(unsafe.weights)[row] for unsafe, row in pairs])
        self.offsets = torch.tensor([float(unsafe.bounds[row]) for unsafe, row in pairs], dtype=torch.float64)

    def of(self, subproblems: Sequence[Subproblem]) -> tuple[Float[Tensor, "b 1 k"], Float[Tensor, " b"]]:
        """Return the row of each subproblem, and the offset, which is part of what must be positive."""
        which = torch.tensor([subproblem.unsafe for subproblem in subproblems])
        return self.rows[which].unsqueeze(1), self.offsets[which]


def rounded(
    relaxation: Relaxation, sets: Sets, subproblems: Sequence[Subproblem]
) -> tuple[Float[Tensor, " b"], Relaxation, Trace]:
    """Bound subproblems in float64, rounded outward, with the slopes and multipliers that they carry: the proof."""
    rows, offsets = sets.of(subproblems)
    packed = [subproblem.chosen for subproblem in subproblems if isinstance(subproblem.chosen, Packed)]
    if len(packed) == len(subproblems) and all(one.unstable is packed[0].unstable for one in packed):
        unstable = packed[0].unstable
        dual = Dual(*(torch.cat([getattr(one.dual, name) for one in packed]).double() for name in ("signs", "values")))
        double, choice = relaxation.over(unstable.decide(relaxation.boxes, dual.signs)), unstable.choice(dual)
    else:
        double, signs = decided(relaxation, subproblems)
        choice = stacked(double, sets.out, subproblems, signs).to(torch.float64)
    trace = Trace()
    bounds = lower_bounds(double, sets.out, rows, choice, trace)[:, 0]
    return difference_below(bounds, offsets), double, trace


def decided(relaxation: Relaxation, subproblems: Sequence[Subproblem]) -> tuple[Relaxation, dict[int, Tensor]]:
    """Apply the decided signs to the boxes; return them as a mask too, (b, 1, *shape) by ReLU."""
    boxes = list(relaxation.boxes)
    signs: dict[int, Tensor] = {}
    dtype = boxes[0].lower.dtype
    for at in (*relaxation.relus(), *relaxation.functions()):
        if not bool(relaxation.unstable(at).any()):
            continue
        entering = relaxation.graph.nodes[at].inputs[0]
        regions, which, sign = [], [], []
        for region, subproblem in enumerate(subproblems):
            for place, value, s in subproblem.signs:
                if place == at:
                    regions.append(region)
                    which.append(value)
                    sign.append(float(s))
        shape = relaxation.graph.nodes[at].shape
        mask = torch.zeros(len(subproblems), int(np.prod(shape)), dtype=dtype)
        mask[regions, which] = torch.tensor(sign, dtype=dtype)
        mask = mask.reshape(len(subproblems), *shape)
        signs[at] = mask.unsqueeze(1)
        box = boxes[entering]
        boxes[entering] = Box(
            torch.where(mask > 0, box.lower.clamp(min=0), box.lower),
            torch.where(mask < 0, box.upper.clamp(max=0), box.upper),
        )
    return relaxation.over(boxes), signs


def stacked(relaxation: Relaxation, target: int, subproblems: Sequence[Subproblem], signs: dict[int, Tensor]) -> Choice:
    """Stack what subproblems carry, (b, 1, *shape); a half starts with the multipliers of the whole."""
    default = default_choice(relaxation, target, 1)
    carried = [subproblem.choice for subproblem in subproblems]

    def lines(which: int, at: int) -> Tensor:
        other = default.parts[which][at]
        choices = [choice.parts[which].get(at) for choice in carried]
        return torch.stack(
            [
                other[min(i, len(other) - 1)] if x is None else x.to(other.dtype).clamp(0, 1)
                for i, x in enumerate(choices)
            ]
        )

    def multiplier(at: int, mask: Tensor) -> Tensor:
        none = torch.zeros_like(mask[0])
        return mask * (mask * torch.stack([x.multipliers.get(at, none).to(mask.dtype) for x in carried])).clamp(min=0)

    bent = {*signs, *relaxation.functions()}
    return Choice(
        {at: lines(0, at) for at in bent if at in default.slopes},
        {at: multiplier(at, mask) for at, mask in signs.items() if bool(mask.any())},
        {at: lines(2, at) for at in bent if at in default.upper_slopes},
    )


def bound_again(relaxation: Relaxation, query: Query, subproblems: Sequence[Subproblem]) -> float:
    """Bound subproblems with the slopes and multipliers they carry, over another relaxation; return the least."""
    sets = Sets(relaxation, query)
    batches = [subproblems[i : i + BATCH_SUBPROBLEMS] for i in range(0, len(subproblems), BATCH_SUBPROBLEMS)]
    return float(torch.cat([rounded(relaxation, sets, batch)[0] for batch in batches]).min())  # not a number, if one is


def split_leaves(subproblems: Sequence[Subproblem], unsafe: int) -> list[SplitLeaf]:
    """Write subproblems as a certificate has them."""

    def flat(x: Tensor) -> np.ndarray:
        return x.flatten().numpy()

    return [
        SplitLeaf(
            unsafe,
            subproblem.row,
            subproblem.signs,
            {at: flat(x) for at, x in choice.proposals(batched=0).items()},
            {at: flat(x) for at, x in choice.multipliers.items() if bool(x.any())},
        )
        for subproblem in subproblems
        for choice in [subproblem.choice]
    ]


def kept_slopes(tightened: Tightened) -> dict[int, tuple[np.ndarray, dict[int, np.ndarray]]]:
    """Write the slopes that boxes were tightened with as a certificate has them."""
    return {
        at: (which.numpy(), {place: x.numpy() for place, x in slopes.items()})
        for at, (which, slopes) in tightened.items()
    }
