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
from torch import Tensor

from surefoot.compress.checkpoint import Journal, covers
from surefoot.compress.exact_input import exact_input
from surefoot.compress.interior import PLAINLY, inside, pulled, with_interior
from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, apply, fold
from surefoot.graph.ops import Relu
from surefoot.proof.certificate import Proof
from surefoot.reach.alpha_crown import ALPHA_STEPS, Tightened, tighten_by_alpha_crown
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.relu_splitting import prove_by_relu_splitting
from surefoot.verify.relu_subproblems import Subproblem, bound_again, kept_slopes, split_leaves

SAMPLE_INPUTS = 4000
MOST_VALUES = 2**25  # of all nodes, for the sample inputs that are evaluated at once
SEARCHING = 0.5  # of the work that is left: what one layer's searches may take of a limit


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
    domain: InputSet
    boxes: list[Box]
    signs: dict[int, Tensor]
    searched: int = 0  # units that needed an exact search
    open: int = 0  # units that its time did not suffice for
    seen: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    tightened: Tightened = field(default_factory=dict, repr=False)
    decided: list[tuple[int, np.ndarray, tuple[Subproblem, ...]]] = field(default_factory=list, repr=False)
    journal: Journal | None = field(default=None, repr=False)

    def proof(self) -> Proof:
        """Return what a certificate needs: slopes of all bounds, and the parts of every exact search.

        Raises:
            InputError: linear input constraints, and no input that satisfies them exactly was met.
        """
        leaves = tuple(leaf for n, (_, _, parts) in enumerate(self.decided) for leaf in split_leaves(parts, n))
        constraints, exact = self.domain.constraints, None
        if constraints is not None:
            exact = exact_input(self.domain)
            if exact is None:
                raise InputError(
                    "no input was met that satisfies the rows of the domain exactly, as a certificate must name one: "
                    "leave out the certificate, or widen the rows a little"
                )
        return Proof(
            self.domain.lower,
            self.domain.upper,
            tuple((row, np.zeros(1)) for _, row, _ in self.decided),
            "signs",
            leaves=leaves,
            tightened=kept_slopes(self.tightened),
            places=tuple(at for at, _, _ in self.decided),
            constraints=None if constraints is None else (constraints.rows, constraints.bounds),
            inside=exact,
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
    domain: InputSet,
    seconds: float | Patience = 2.0,
    sample_inputs: Tensor | None = None,
    seed: int = 0,
    journal: Journal | None = None,
) -> Stability:
    """Decide all ReLUs over a set of inputs, each exact search in so many seconds.

    With a limit in `seconds`, what is not tightened and searched by then keeps the boxes that intervals give.

    `sample_inputs` (n, *input) are inputs of the domain that are worth trying, such as data. A `journal` keeps what
    searches found.

    Property: sound; a sign is only ever 0 where it could not be shown.

    Raises:
        InputError: a domain that is empty, or of other inputs than the graph's.
    """
    region = Box.around(domain, graph.input_shape)
    if not bool(torch.isfinite(region.lower + region.upper).all()):
        raise InputError("the domain must be a bounded box, with bounds whose sum is a number")
    graph, domain = graph.to(torch.float64), with_interior(domain)
    patience = Patience.of(seconds)
    seen = _seen(graph, domain, sample_inputs, seed, patience.until)
    stable = Stability(graph, domain, [], {}, seen=seen, journal=journal)
    by_ascent = tighten_by_alpha_crown(ALPHA_STEPS, patience.until, record=stable.tightened)

    def tighten(relaxation: Relaxation, at: int, box: Box) -> Box:
        if patience.until.is_over():
            return box
        box = by_ascent(relaxation, at, box)
        searchable = (
            patience.each > 0 and len(graph.nodes[at].shape) == 1 and at in stable.seen
        )  # no factor of a product
        return _searched(stable, relaxation, at, box, patience) if searchable else box

    relaxation = relax(graph, region, REAL, tighten, multi_neuron=False, constraints=domain.constraints)
    stable.boxes = relaxation.boxes
    for at in relaxation.relus():
        box = relaxation.boxes[graph.nodes[at].inputs[0]]
        stable.signs[at] = (box.lower[0] >= 0).int() - ((box.upper[0] <= 0) & (box.lower[0] < 0)).int()
    return stable


def _seen(
    graph: Graph, domain: InputSet, sample_inputs: Tensor | None, seed: int, until: Deadline
) -> dict[int, tuple[Tensor, Tensor]]:
    """Evaluate inputs of the domain; of each node that enters a ReLU keep the least and largest values met."""
    x = inside(domain, graph.input_shape, SAMPLE_INPUTS, seed)
    if sample_inputs is not None:
        box = Box.around(domain, graph.input_shape)
        given = sample_inputs.double().reshape(-1, *graph.input_shape).clamp(box.lower, box.upper)
        x = torch.cat([x, pulled(domain, given)])
    entering = {n.inputs[0] for n in graph.nodes if isinstance(n.op, Relu)}
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    for batch in x.split(int(np.clip(MOST_VALUES // sum(size_of(node) for node in graph.nodes), 1, 500))):
        tick()
        if seen and until.is_over():
            break
        values = fold(graph, batch, lambda node, inputs: apply(node.op, inputs))
        for at in entering:
            low, high = values[at].amin(0), values[at].amax(0)
            before = seen.get(at, (low, high))
            seen[at] = (torch.minimum(before[0], low), torch.maximum(before[1], high))
    return seen


def _searched(stable: Stability, relaxation: Relaxation, at: int, box: Box, patience: Patience) -> Box:
    """Search exactly for each value whose sign is undecided, but that was never seen with both."""
    low, high = box.lower.clone(), box.upper.clone()
    least, most = stable.seen[at]
    spare = PLAINLY * (1 + box.magnitude[0])
    unseen = (low[0] < 0) & (high[0] > 0) & ~((least < -spare) & (most > spare))
    values, layer = unseen.nonzero().squeeze(1).tolist(), patience.until.share(SEARCHING)
    for number, value in enumerate(values):
        if patience.until.is_over():
            stable.open += len(values) - number
            break
        stable.searched += 1
        each = Patience(min(patience.each, layer.work_left / (len(values) - number)), patience.until)
        inactive = bool(most[value] <= spare[value])
        done = False
        for sign in ([-1] if inactive else []) + ([1] if least[value] >= -spare[value] else []):
            if _one_sign(stable, relaxation, at, box, value, sign, each):
                done = True
                if sign < 0:
                    high[0, value] = 0.0
                else:
                    low[0, value] = 0.0
                break
        stable.open += not done and not _both(stable, at, value, spare)
    return Box(low, high)


def _both(stable: Stability, at: int, value: int, spare: Tensor) -> bool:
    least, most = stable.seen[at]
    return bool(least[value] < -spare[value]) and bool(most[value] > spare[value])


def _one_sign(
    stable: Stability, relaxation: Relaxation, at: int, box: Box, value: int, sign: int, patience: Patience
) -> bool:
    """Show by splitting that a value is of one sign, or meet an input that shows the other."""
    graph = Graph(relaxation.graph.nodes[: at + 1])
    row = np.zeros((1, box.lower.shape[1]))
    row[0, value] = sign
    query = Query(stable.domain, (Unsafe(row, np.zeros(1)),))
    errors, sizes = relaxation.errors[: at + 1], relaxation.sizes[: at + 1]
    prefix = Relaxation(
        graph, [*relaxation.boxes[:at], box], errors, sizes, relaxation.multi_neuron, relaxation.constraints
    )

    def refuted(x: Tensor) -> Tensor | None:
        x = pulled(stable.domain, x.reshape(len(x), -1))
        values = fold(graph, x.reshape(-1, *graph.input_shape), lambda node, inputs: apply(node.op, inputs))[-1]
        least, most = stable.seen[at]
        stable.seen[at] = (torch.minimum(least, values.amin(0)), torch.maximum(most, values.amax(0)))
        wrong = sign * values[:, value] < -PLAINLY * (1 + values[:, value].abs())
        return x[wrong][0] if bool(wrong.any()) else None

    key = None if stable.journal is None else stable.journal.key(prefix, row)
    before = None if stable.journal is None or key is None else stable.journal.read(key)
    if before is not None:
        parts, spent = before
        if parts and covers(parts, graph) and bound_again(prefix, query, parts) > 0:
            stable.decided.append((at, row, parts))
            return True
        if not parts and spent >= patience.each:
            return False
    search = patience.until.at_most(patience.each)
    begin = search.clock.work()
    outcome = prove_by_relu_splitting(prefix, query, search, refuted)
    if stable.journal is not None and key is not None:
        spent = search.clock.work() - begin if search.is_late() else patience.each  # the limit may have cut it short
        stable.journal.write(key, outcome.leaves if outcome.proven else (), spent)
    if outcome.proven:
        stable.decided.append((at, row, outcome.leaves))
    return outcome.proven
