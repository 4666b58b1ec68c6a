"""Refine the bounds of what enters unstable ReLUs by a few splits each, before the search for a proof.

The bounds of a layer are those of CROWN on the network cut behind it. What alpha-CROWN leaves loose there, a small
branch and bound on the signs of earlier ReLUs tightens, for all values of the layer at once. Every later layer and the
whole search gain from it (Singh et al. 2019, refinement by exact solvers; here by splits and dual ascent).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.proof.certificate import RefinedEnds
from surefoot.reach.crown import LARGEST_ROWS, lower_bounds
from surefoot.reach.dual_ascent import ascend, bound
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.reduced import ReducedNetwork, Rows, is_reducible
from surefoot.reach.relaxation import Relaxation, Tighten
from surefoot.reach.tightening import tighten_by_crown
from surefoot.reach.unstable import Dual, UnstableRelus
from surefoot.verify.reduced_splitting import best_halves

STEPS = 10  # of ascent, a part
CANDIDATES = 3  # ReLUs that are tried before one is chosen
BATCH = 256  # regions that are bounded at once
LEAST_WEIGHT = 0.25  # of an end: by how many percent the triangle's height falls with one percent of it


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of the region for each of several rows: whose they are, what is decided, bounds in float32."""

    row: Int[Tensor, " m"]
    dual: Dual
    bounds: Float[Tensor, " m"]

    def of(self, which: Tensor) -> "Parts":
        """Return some of them."""
        return Parts(self.row[which], self.dual.of(which), self.bounds[which])

    @staticmethod
    def joined(some: "Sequence[Parts]") -> "Parts":
        """Join several."""
        return Parts(
            torch.cat([x.row for x in some]),
            Dual(torch.cat([x.dual.signs for x in some]), torch.cat([x.dual.values for x in some])),
            torch.cat([x.bounds for x in some]),
        )


@dataclass(frozen=True, eq=False)
class Refined:
    """Parts with which ends of a node's values were bounded: 2 i is the lower end of value i, 2 i + 1 the upper."""

    ends: Int[Tensor, " r"]
    parts: Parts  # rows count the ends
    unstable: UnstableRelus


Record = dict[int, list[Refined]]  # by node


def split_rows(network: ReducedNetwork, rows: Rows, most: int, until: Deadline = NEVER, steps: int = STEPS) -> Parts:
    """Split the region for each row where its bound is not above 0, so that parts cover it, the worst first.

    At most so many parts are made in all, but one a row at least.
    """
    slopes = network.default(len(rows.bias))
    dual, bounds = ascend(network, rows, Dual(torch.zeros_like(slopes), slopes), steps, 0.0)
    parts = Parts(torch.arange(len(rows.bias)), dual, bounds)
    while True:
        open_ = _worst(parts, len(rows.bias))
        count = int(open_.sum())
        if not count or len(open_) + count > most or until.is_over():
            return parts
        parts = Parts.joined([parts.of(~open_), *_split(network, rows, parts.of(open_), steps)])
        if len(parts.row) == len(open_):  # nothing is left to split
            return parts


def _worst(parts: Parts, count: int) -> Tensor:
    """Return which open parts limit the bound of their row: the lower half of what these range over."""
    open_ = parts.bounds <= 0
    shown = torch.where(open_, parts.bounds, -torch.inf)
    most = torch.full((count,), -torch.inf).scatter_reduce(0, parts.row, shown, "amax")
    least = torch.full((count,), torch.inf).scatter_reduce(0, parts.row, parts.bounds, "amin")
    return open_ & (parts.bounds <= ((least + most) / 2)[parts.row])


def _split(network: ReducedNetwork, rows: Rows, parts: Parts, steps: int) -> list[Parts]:
    made = []
    for some in torch.arange(len(parts.row)).split(BATCH // 2):
        tick()
        part = parts.of(some)
        own = rows.of(part.row)
        parents, _, both = best_halves(network, own, part.dual, bound(network, own, part.dual), CANDIDATES)
        stuck = torch.ones(len(some), dtype=torch.bool)
        stuck[parents] = False
        made.append(part.of(stuck))
        if len(parents):
            row = part.row[parents].repeat(2)
            dual, bounds = ascend(network, rows.of(row), both, steps, 0.0)
            made.append(Parts(row, dual, torch.maximum(bounds, part.bounds[parents].repeat(2))))
    return made


def proven_bounds(relaxation: Relaxation, node: int, refined: Refined) -> Float[Tensor, " r"]:
    """Bound ends of a node's values, upper ones negated, by the parts of each, in float64, rounded outward.

    Property: sound, whatever chose the parts, as long as those of an end cover the region.
    """
    nodes, parts = relaxation.graph.nodes, refined.parts
    widest, size = max(size_of(n) for n in nodes[: node + 1]), size_of(nodes[node])
    best = torch.full((len(refined.ends),), torch.inf, dtype=torch.float64)
    for some in torch.arange(len(parts.row)).split(max(LARGEST_ROWS // (4 * widest), 1)):
        tick()
        part = parts.of(some)
        dual = Dual(part.dual.signs.double(), part.dual.values.double())
        cut = relaxation.over(refined.unstable.decide(relaxation.boxes, dual.signs))
        ends = refined.ends[part.row]
        rows = torch.zeros(len(some), size, dtype=torch.float64)
        rows[torch.arange(len(some)), ends // 2] = 1.0 - 2.0 * (ends % 2).double()
        rows = rows.reshape(len(some), 1, *nodes[node].shape)
        bounds = lower_bounds(cut, node, rows, refined.unstable.choice(dual))[:, 0]
        best.scatter_reduce_(0, part.row, torch.nan_to_num(bounds, nan=-torch.inf), "amin")
    best[torch.bincount(parts.row, minlength=len(best)) == 0] = -torch.inf  # nothing is known without a part
    return best


def _met(box: Box, ends: Int[Tensor, " r"], bounds: Float[Tensor, " r"]) -> Box:
    """Tighten a box of one region by bounds of ends, upper ones negated."""
    low, high = box.lower.flatten().clone(), box.upper.flatten().clone()
    upper = ends % 2 == 1
    values, others = ends[~upper] // 2, ends[upper] // 2
    low[values] = torch.maximum(low[values], bounds[~upper])
    high[others] = torch.minimum(high[others], -bounds[upper])
    return Box(low.reshape(box.lower.shape), high.reshape(box.upper.shape))


@dataclass(eq=False)
class Refinement:
    """A way to tighten boxes by so many parts a layer; 0 is one part for each end: alpha-CROWN.

    Where the network cannot be reduced, `otherwise` tightens. `influence` says, by ReLU, what each of its values
    costs the bound that is wanted: the ends that cost most are split where parts are too few for all. `steps`: of
    ascent, for each part.
    """

    until: Deadline
    otherwise: Tighten
    parts: int = 0
    steps: int = STEPS
    influence: Mapping[int, Float[Tensor, " size"]] = field(default_factory=dict)
    record: Record = field(default_factory=dict)
    network: ReducedNetwork | None = None

    def __call__(self, relaxation: Relaxation, at: int, box: Box) -> Box:
        """Tighten the box of a node."""
        if not is_reducible(relaxation, at) or relaxation.enters_function(at):
            return self.otherwise(relaxation, at, box)
        if not self.parts:
            box = tighten_by_crown(relaxation, at, box, self.until)  # that alone decides most, in one pass
        if self.network is None:
            self.network = ReducedNetwork.begin(relaxation)
        network = self.network
        network.see(relaxation)
        ends = self._ends(relaxation, at, box)
        if not network.count or not len(ends):
            return box
        for chunk in ends.split(BATCH):
            if self.until.is_over():
                break
            sign = 1.0 - 2.0 * (chunk % 2).float()
            rows = network.rows_of(at, chunk // 2)
            rows = Rows(rows.matrix * sign.unsqueeze(1), rows.bias * sign)
            parts = split_rows(network, rows, self.parts * len(chunk) // len(ends), self.until, self.steps)
            refined = Refined(chunk, parts, network.unstable)
            box = _met(box, chunk, proven_bounds(relaxation, at, refined))
            self.record.setdefault(at, []).append(refined)
        return box

    def _ends(self, relaxation: Relaxation, at: int, box: Box) -> Int[Tensor, " r"]:
        """Choose the ends to be bounded: of what is unstable, and where parts are few those that cost most."""
        low, high = box.lower.flatten(), box.upper.flatten()
        unstable = (low < 0) & (high > 0)
        width = torch.where(unstable, high - low, 1.0)
        weights = torch.stack([high / width, -low / width], 1)  # d log height / d log end
        if not self.parts:
            return (unstable.unsqueeze(1) & (weights >= 0)).flatten().nonzero().squeeze(1)
        cost = torch.where(unstable, -low * high / width, 0.0)
        relu = next((n for n in relaxation.relus() if relaxation.graph.nodes[n].inputs[0] == at), -1)
        cost = self.influence.get(relu, cost)
        worth = torch.where(unstable.unsqueeze(1) & (weights >= LEAST_WEIGHT), weights * cost.unsqueeze(1), 0.0)
        best = worth.flatten().topk(min(self.parts // 2, worth.numel()))
        return best.indices[best.values > 0]


def latest(before: Record, now: Record) -> Record:
    """Join two records; of ends that are in both the later parts are kept."""
    joined = {at: list(some) for at, some in now.items()}
    for at, some in before.items():
        newer = torch.cat([refined.ends for refined in now.get(at, ())] or [torch.zeros(0, dtype=torch.long)])
        for refined in some:
            kept = ~torch.isin(refined.ends, newer)
            if bool(kept.any()):
                place = kept.cumsum(0) - 1
                parts = refined.parts.of(kept[refined.parts.row])
                parts = Parts(place[parts.row], parts.dual, parts.bounds)
                joined.setdefault(at, []).append(Refined(refined.ends[kept], parts, refined.unstable))
    return joined


def again(record: Record, first: Tighten) -> Tighten:
    """Make a way to tighten boxes by another, then by recorded parts: in another arithmetic, without a search."""

    def tighten(relaxation: Relaxation, at: int, box: Box) -> Box:
        box = first(relaxation, at, box)
        for refined in record.get(at, ()):
            box = _met(box, refined.ends, proven_bounds(relaxation, at, refined))
        return box

    return tighten


def in_float16(record: Record) -> Record:
    """Round what parts choose to float16, as certificates have it."""
    most = torch.finfo(torch.float16).max

    def rounded(refined: Refined) -> Refined:
        dual = refined.parts.dual
        values = dual.values.clamp(max=most).to(torch.float16).to(dual.values.dtype)
        return replace(refined, parts=replace(refined.parts, dual=Dual(dual.signs, values)))

    return {at: [rounded(refined) for refined in some] for at, some in record.items()}


def refined_ends(record: Record) -> dict[int, tuple[RefinedEnds, ...]]:
    """Write a record as a certificate has it; what is in float16 stays as it is."""

    def written(refined: Refined) -> RefinedEnds:
        relus, parts = refined.unstable.relus, refined.parts
        places = torch.cat([torch.full_like(relu.values, relu.at) for relu in relus])
        values = torch.cat([relu.values for relu in relus])
        signs, duals = parts.dual.signs.to(torch.int8), parts.dual.values.to(torch.float16)
        return RefinedEnds(*(x.numpy() for x in (refined.ends, parts.row, places, values, signs, duals)))

    return {at: tuple(written(refined) for refined in some) for at, some in record.items()}
