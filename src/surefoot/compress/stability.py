"""Which ReLUs have one sign over a whole domain: active, inactive, or neither.

The cheapest sufficient means first, node by node: inputs that show both signs rule stability out, bounds by
CROWN rule it in, and what is left is searched exactly, each for a while. What is decided sharpens the
bounds of the layers after it.

Reference: Kumar, Serra, Ramalingam 2019; the cascade is ours.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.compress.checkpoint import Journal, covers
from surefoot.compress.exact_input import exact_input
from surefoot.compress.linear_regions import SOLVED, Polytope
from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, apply, fold
from surefoot.graph.ops import Relu
from surefoot.proof.certificate import Proof
from surefoot.reach.alpha_crown import Tightened, tighten_by_alpha_crown
from surefoot.reach.crown import Relaxation, relax
from surefoot.reach.ibp import Box, size_of
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.relu_splitting import Subproblem, bound_again, kept_slopes, prove_by_relu_splitting, split_leaves

SAMPLE_INPUTS = 4000
ASCENT = 20
MOST_VALUES = 2**25  # of all nodes, for the sample inputs that are evaluated at once
PLAINLY = (
    1e-9  # of its size: signs that were met, and inputs inside, are told by more than rounding; no part of a proof
)
SEARCHING = 0.5  # of the work that is left: what one layer's searches may take of a limit


@dataclass(frozen=True, eq=False)
class LinearConstraints:
    """Linear rows that a domain is cut by, rows x <= bounds over flat inputs x, and an input that satisfies them."""

    rows: Float[np.ndarray, "r d"]
    bounds: Float[np.ndarray, " r"]
    middle: Float[np.ndarray, " d"]

    @staticmethod
    def of(rows: np.ndarray, bounds: np.ndarray, lower: Tensor, upper: Tensor) -> "LinearConstraints":
        """Look for an input that satisfies the rows, as far inside as there is one.

        Raises:
            InputError: rows of other inputs, that are no numbers, or that no input satisfies.
        """
        rows, bounds = np.asarray(rows, dtype=float), np.asarray(bounds, dtype=float)
        d = lower.numel()
        if rows.shape != (len(bounds), d) or bounds.ndim != 1 or not np.isfinite(rows).all() or np.isnan(bounds).any():
            raise InputError(
                f"rows {rows.shape} and bounds {bounds.shape} do not cut {d} inputs; finite numbers needed"
            )
        rows, bounds = rows[bounds < np.inf], bounds[bounds < np.inf]  # certificates name those that cut
        cell = Polytope.box(*(end.double().flatten().numpy() for end in (lower, upper)))
        for row, bound in zip(rows, bounds, strict=True):
            cell = cell.with_row(np.append(bound, -row))
        if cell.radius < -SOLVED:
            raise InputError("the domain is empty: no input of the box satisfies its rows")
        return LinearConstraints(rows, bounds, cell.inside.clip(cell.lower, cell.upper))

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Rows and bounds."""
        return torch.from_numpy(self.rows), torch.from_numpy(self.bounds)

    def pulled(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]:
        """Move inputs (n, *shape) towards the middle until they satisfy the rows."""
        flat = x.flatten(1).numpy()
        room = self.bounds - self.rows @ self.middle  # (r,) not negative, but for rounding
        step = (flat - self.middle) @ self.rows.T
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(step > 0, room.clip(min=0) / step, np.inf).min(1).clip(0, 1) * (1 - PLAINLY)
        return torch.from_numpy(self.middle + share[:, None] * (flat - self.middle)).reshape(x.shape)


class Domain(NamedTuple):
    """A box of inputs, and its linear input constraints, if there are any."""

    lower: Tensor
    upper: Tensor
    constraints: LinearConstraints | None = None


class Patience(NamedTuple):
    """How long to search: seconds of work for each exact search, 0 for none, and until when everything must be done."""

    each: float = 2.0
    until: Deadline = NEVER

    @staticmethod
    def of(seconds: "float | Patience") -> "Patience":
        """Return so many seconds for each search, without a limit; what is given as such is kept."""
        return seconds if isinstance(seconds, Patience) else Patience(seconds)

    def before(self, part: float) -> "Patience":
        """End after this part of what is left."""
        return Patience(self.each, self.until.before(part))


@dataclass(eq=False)
class Stability:
    """The signs of all ReLUs over a domain: 1 active, -1 inactive, 0 neither; by place, of the node's shape."""

    graph: Graph
    boxes: list[Box]
    signs: dict[int, Tensor]
    searched: int = 0  # units that needed an exact search
    open: int = 0  # units that its time did not suffice for
    seen: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    tightened: Tightened = field(default_factory=dict, repr=False)
    decided: list[tuple[int, np.ndarray, tuple[Subproblem, ...]]] = field(default_factory=list, repr=False)
    constraints: LinearConstraints | None = field(default=None, repr=False)
    journal: Journal | None = field(default=None, repr=False)

    def proof(self) -> Proof:
        """Return what a certificate needs: slopes of all bounds, and the parts of every exact search.

        Raises:
            InputError: linear input constraints, and no input that satisfies them exactly was met.
        """
        leaves = tuple(leaf for n, (_, _, parts) in enumerate(self.decided) for leaf in split_leaves(parts, n))
        lower, upper = (end.flatten().numpy() for end in (self.boxes[0].lower, self.boxes[0].upper))
        inside = None
        if self.constraints is not None:
            inside = exact_input(self.constraints.rows, self.constraints.bounds, lower, upper, self.constraints.middle)
            if inside is None:
                raise InputError(
                    "no input was met that satisfies the rows of the domain exactly, as a certificate must name one: "
                    "leave out the certificate, or widen the rows a little"
                )
        return Proof(
            lower,
            upper,
            tuple((row, np.zeros(1)) for _, row, _ in self.decided),
            "signs",
            leaves=leaves,
            tightened=kept_slopes(self.tightened),
            places=tuple(at for at, _, _ in self.decided),
            constraints=None if self.constraints is None else (self.constraints.rows, self.constraints.bounds),
            inside=inside,
        )

    def counts(self) -> tuple[int, int, int]:
        """Count active, inactive, and other ReLUs."""
        every = torch.cat([s.flatten() for s in self.signs.values()]) if self.signs else torch.zeros(0)
        return int((every > 0).sum()), int((every < 0).sum()), int((every == 0).sum())

    def undecided(self) -> int:
        """Count ReLUs that were neither proven to be of one sign, nor met with both."""
        count = 0
        for at, signs in self.signs.items():
            entering = self.graph.nodes[at].inputs[0]
            both = torch.zeros_like(signs, dtype=torch.bool)
            if entering in self.seen:
                least, most = self.seen[entering]
                both = (least < 0) & (most > 0)
            count += int(((signs == 0) & ~both).sum())
        return count


def stability(
    graph: Graph,
    lower: Tensor,
    upper: Tensor,
    seconds: float | Patience = 2.0,
    sample_inputs: Tensor | None = None,
    seed: int = 0,
    constraints: LinearConstraints | None = None,
    journal: Journal | None = None,
) -> Stability:
    """Decide all ReLUs over the box [lower, upper] of the input's shape, each exact search in so many seconds.

    With a limit in `seconds`, what is not tightened and searched by then keeps the boxes that intervals give.

    `sample_inputs` (n, *input) are inputs of the domain that are worth trying, such as data. With `constraints` the
    domain is what they leave of the box, for bounds and searches alike. A `journal` keeps what searches found.

    Property: sound; a sign is only ever 0 where it could not be shown.

    Raises:
        InputError: a domain that is not bounded, or of another shape than the input.
    """
    if lower.shape != graph.input_shape or upper.shape != graph.input_shape:
        raise InputError(f"a domain of shapes {tuple(lower.shape)} is not one of inputs {graph.input_shape}")
    if not bool(torch.isfinite(lower + upper).all()) or bool((lower > upper).any()):
        raise InputError("the domain must be a bounded box, lower <= upper")
    graph = graph.to(torch.float64)
    patience = Patience.of(seconds)
    seen = _seen(graph, lower, upper, sample_inputs, seed, constraints, patience.until)
    found = Stability(graph, [], {}, seen=seen, constraints=constraints, journal=journal)
    by_ascent = tighten_by_alpha_crown(ASCENT, patience.until, record=found.tightened)

    def tighten(made: Relaxation, at: int, box: Box) -> Box:
        if patience.until.is_over():
            return box
        box = by_ascent(made, at, box)
        searchable = (
            patience.each > 0 and len(graph.nodes[at].shape) == 1 and at in found.seen
        )  # no factor of a product
        return _searched(found, made, at, box, patience) if searchable else box

    region = Box(lower.unsqueeze(0), upper.unsqueeze(0))
    relaxation = relax(
        graph,
        region,
        REAL,
        tighten,
        multi_neuron=False,
        constraints=None if constraints is None else constraints.tensors,
    )
    found.boxes = relaxation.boxes
    for at in relaxation.relus():
        box = relaxation.boxes[graph.nodes[at].inputs[0]]
        found.signs[at] = (box.lower[0] >= 0).int() - ((box.upper[0] <= 0) & (box.lower[0] < 0)).int()
    return found


def inside(
    lower: Float[Tensor, "*shape"],
    upper: Float[Tensor, "*shape"],
    count: int,
    seed: int = 0,
    constraints: LinearConstraints | None = None,
) -> Float[Tensor, " n *shape"]:
    """Return so many inputs of a box, cut or not: some from anywhere, some from its corners, some between."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, *lower.shape, generator=generator, dtype=torch.float64)
    sharp = torch.rand(count, *(1 for _ in lower.shape), generator=generator, dtype=torch.float64)
    x = lower + (0.5 + (x - 0.5) / sharp.clamp(min=1e-3)).clamp(0, 1) * (upper - lower)
    return x if constraints is None else constraints.pulled(x)


def _seen(
    graph: Graph,
    lower: Tensor,
    upper: Tensor,
    sample_inputs: Tensor | None,
    seed: int,
    constraints: LinearConstraints | None,
    until: Deadline,
) -> dict[int, tuple[Tensor, Tensor]]:
    """Evaluate inputs of the domain; of each node that enters a ReLU keep the least and largest values met."""
    x = inside(lower, upper, SAMPLE_INPUTS, seed)
    if sample_inputs is not None:
        x = torch.cat([x, sample_inputs.double().reshape(-1, *graph.input_shape).clamp(lower, upper)])
    x = x if constraints is None else constraints.pulled(x)
    entering = {n.inputs[0] for n in graph.nodes if isinstance(n.op, Relu)}
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    for some in x.split(int(np.clip(MOST_VALUES // sum(size_of(node) for node in graph.nodes), 1, 500))):
        tick()
        if seen and until.is_over():
            break
        values = fold(graph, some, lambda node, inputs: apply(node.op, inputs))
        for at in entering:
            low, high = values[at].amin(0), values[at].amax(0)
            before = seen.get(at, (low, high))
            seen[at] = (torch.minimum(before[0], low), torch.maximum(before[1], high))
    return seen


def _searched(found: Stability, made: Relaxation, at: int, box: Box, patience: Patience) -> Box:
    """Search exactly for each value whose sign is open, but that was never seen with both."""
    low, high = box.lower.clone(), box.upper.clone()
    least, most = found.seen[at]
    spare = PLAINLY * (1 + box.magnitude[0])
    open_ = (low[0] < 0) & (high[0] > 0) & ~((least < -spare) & (most > spare))
    values, layer = open_.nonzero().squeeze(1).tolist(), patience.until.share(SEARCHING)
    for number, value in enumerate(values):
        if patience.until.is_over():
            found.open += len(values) - number
            break
        found.searched += 1
        each = Patience(min(patience.each, layer.work_left / (len(values) - number)), patience.until)
        inactive = bool(most[value] <= spare[value])
        done = False
        for sign in ([-1] if inactive else []) + ([1] if least[value] >= -spare[value] else []):
            if _one_sign(found, made, at, box, value, sign, each):
                done = True
                if sign < 0:
                    high[0, value] = 0.0
                else:
                    low[0, value] = 0.0
                break
        found.open += not done and not _both(found, at, value, spare)
    return Box(low, high)


def _both(found: Stability, at: int, value: int, spare: Tensor) -> bool:
    least, most = found.seen[at]
    return bool(least[value] < -spare[value]) and bool(most[value] > spare[value])


def _one_sign(found: Stability, made: Relaxation, at: int, box: Box, value: int, sign: int, patience: Patience) -> bool:
    """Show by splitting that a value is of one sign, or meet an input that shows the other."""
    graph = Graph(made.graph.nodes[: at + 1])
    row = np.zeros((1, box.lower.shape[1]))
    row[0, value] = sign
    region = made.boxes[0]
    query = Query(region.lower.flatten().numpy(), region.upper.flatten().numpy(), (Unsafe(row, np.zeros(1)),))
    errors, sizes = made.errors[: at + 1], made.sizes[: at + 1]
    prefix = Relaxation(graph, [*made.boxes[:at], box], errors, sizes, made.multi_neuron, made.constraints)

    def refuted(x: Tensor) -> Tensor | None:
        x = x if found.constraints is None else found.constraints.pulled(x.reshape(len(x), -1))
        values = fold(graph, x.reshape(-1, *graph.input_shape), lambda node, inputs: apply(node.op, inputs))[-1]
        least, most = found.seen[at]
        found.seen[at] = (torch.minimum(least, values.amin(0)), torch.maximum(most, values.amax(0)))
        wrong = sign * values[:, value] < -PLAINLY * (1 + values[:, value].abs())
        return x[wrong][0] if bool(wrong.any()) else None

    key = None if found.journal is None else found.journal.key(prefix, row)
    before = None if found.journal is None or key is None else found.journal.read(key)
    if before is not None:
        parts, spent = before
        if parts and covers(parts, graph) and bound_again(prefix, query, parts) > 0:
            found.decided.append((at, row, parts))
            return True
        if not parts and spent >= patience.each:
            return False
    search = patience.until.at_most(patience.each)
    begin = search.clock.work()
    outcome = prove_by_relu_splitting(prefix, query, search, refuted)
    if found.journal is not None and key is not None:
        spent = search.clock.work() - begin if search.is_late() else patience.each  # the limit may have cut it short
        found.journal.write(key, outcome.leaves if outcome.proven else (), spent)
    if outcome.proven:
        found.decided.append((at, row, outcome.leaves))
    return outcome.proven
