"""CROWN: the least value of a linear function of any node, carried back to the input.

Going back through a ReLU y = relu(x), l <= x <= u, l < 0 < u, a positive coefficient takes the line below,
y >= s x with a slope s in [0, 1], a negative one the line above, y <= u (x - l) / (u - l). Each choice of slopes (and
of a multiplier >= 0 for each decided sign) is a feasible point of the dual of the triangle relaxation's linear program:
its value is a sound bound whatever chose it (Salman et al. 2019, Wong and Kolter 2018). With sums rounded outward it
stays one in floating point: the error of carrying coefficients a through a layer is at most
gamma |a| (|W| |x| + |b|), with |x| from the boxes, and all of these as `rounding.magnitude` gives them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import LEAST, LOST, UPWARD, Arithmetic, gamma, magnitude, step_error, unit_of
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Gather, Input, MaxPool2d, Mul, Relu, Reshape, Softmax
from surefoot.reach.around import Around
from surefoot.reach.ibp import Box, error_of, magnitude_of, size_of, step
from surefoot.reach.input_constraints import multipliers_of_constraints
from surefoot.reach.multi_neuron import MultiNeuron, multi_neuron_of, shares_inputs
from surefoot.spec.input_set import LinearConstraints

LARGEST_ROWS = 2**21  # numbers in one tensor of coefficients: a limit of time is seen between two
NEGLIGIBLE = 1e-4  # of the widest: not worth tightening
ABOUT_0 = 1e-10  # of the largest value: no certain sign by rounding alone


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A graph over b regions, with a box for every node: what coefficients are carried back through.

    `boxes` hold for float32 execution too, if `errors` (one a node, None for none) are not empty of them.
    """

    graph: Graph
    boxes: list[Box]
    errors: list[Float[Tensor, "b ..."] | None]
    sizes: list[Float[Tensor, "b ..."] | None]  # |W| |x| + |b|, what our own rounding is relative to
    multi_neuron: dict[int, MultiNeuron] = field(default_factory=dict)  # of ReLUs of few inputs
    constraints: LinearConstraints | None = None  # of the inputs that count
    around: Around | None = None  # then coefficients multiply deviations from its values, and `sizes` are of those

    @property
    def unit(self) -> float:
        """The unit of the arithmetic that bounds are computed in."""
        return unit_of(self.boxes[0].lower.dtype)

    def to(self, dtype: torch.dtype) -> "Relaxation":
        """Return it in another type. In float32 bounds guide a search; they are not sound by themselves."""

        def moved(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(dtype)

        boxes = [Box(box.lower.to(dtype), box.upper.to(dtype)) for box in self.boxes]
        multi_neuron = {at: x.to(dtype) for at, x in self.multi_neuron.items()}
        errors, sizes = ([moved(x) for x in group] for group in (self.errors, self.sizes))
        around = None if self.around is None else self.around.to(dtype)
        return Relaxation(self.graph.to(dtype), boxes, errors, sizes, multi_neuron, self.constraints, around)

    def over(self, boxes: list[Box]) -> "Relaxation":
        """Return it over parts of its regions."""
        return replace(self, boxes=boxes)

    def relus(self) -> list[int]:
        """Return the places of the ReLUs."""
        return [at for at, node in enumerate(self.graph.nodes) if isinstance(node.op, Relu)]

    def unstable(self, at: int) -> Bool[Tensor, " b *shape"]:
        """Return which of the values (b, *shape) entering a ReLU have no certain sign."""
        box = self.boxes[self.graph.nodes[at].inputs[0]]
        return (box.lower < 0) & (box.upper > 0)


Tighten: TypeAlias = Callable[[Relaxation, int, Box], Box]


@dataclass(frozen=True, eq=False)
class Choice:
    """What a bound may choose freely, by ReLU, (b or 1, s or 1, *shape) each.

    `slopes` in [0, 1] of lines below (default: the smaller area); `multipliers` of decided signs, positive for values
    known to be >= 0, negative for <= 0; `upper_slopes` in [0, 1], slopes of lines above (default: the triangle's).
    """

    slopes: Mapping[int, Tensor] = field(default_factory=dict)
    multipliers: Mapping[int, Tensor] = field(default_factory=dict)
    upper_slopes: Mapping[int, Tensor] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> "Choice":
        """Return it in another type."""
        return Choice(*({at: x.to(dtype) for at, x in part.items()} for part in self.parts))

    @property
    def parts(self) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor], Mapping[int, Tensor]]:
        """Slopes, multipliers, upper_slopes."""
        return self.slopes, self.multipliers, self.upper_slopes


@dataclass(eq=False)
class Trace:
    """What a pass met on its way, for those who choose where to split."""

    entering: dict[int, Tensor] = field(default_factory=dict)  # coefficients after each ReLU (b, s, *shape)
    input: Float[Tensor, "b s *shape"] | None = None  # coefficients of the input


def relax(
    graph: Graph,
    region: Box,
    arithmetic: Arithmetic,
    tighten: "Tighten | None" = None,
    known: Mapping[int, Box] | None = None,
    multi_neuron: bool = True,
    constraints: LinearConstraints | None = None,
    around: Around | None = None,
) -> Relaxation:
    """Give every node of a graph its box.

    `tighten` is asked for better bounds of what enters a ReLU or a product, and what it finds knows of linear
    `constraints` of the region's inputs; `known` are bounds proven before.
    `multi_neuron`: ReLUs of few inputs are relaxed together (`reach.multi_neuron`).
    `around`: bounds are of deviations from its values; for one region, which it lies in, without linear constraints.
    """
    relaxation = Relaxation(graph, [region], [None], [None], constraints=constraints, around=around)
    multi_neuron = multi_neuron and around is None
    matters = {i for node in graph.nodes if isinstance(node.op, Relu | Mul) for i in node.inputs}
    simple = (
        {0} if constraints is None else set()
    )  # nodes whose box is exact already: one affine operation after the input
    for at, node in enumerate(graph.nodes[1:], 1):
        tick()
        inputs = [relaxation.boxes[i] for i in node.inputs]
        error = error_of(node, inputs, arithmetic)
        if around is None:
            box = step(node, inputs, error)
            if known and at in known:
                box = box.meet(known[at].lower, known[at].upper)
            size = _size(node.op, inputs)
        else:
            box = around.extend(at, node, inputs, error, known)
            size = _size(node.op, [around.deviations[i] for i in node.inputs], around)
        relaxation.errors.append(error)
        relaxation.sizes.append(size)
        relaxation.boxes.append(box)
        exact = isinstance(node.op, Affine) and node.inputs[0] in simple
        if exact and isinstance(node.op, Gather | Reshape):
            simple.add(at)
        if tighten is not None and at in matters and not exact:
            relaxation.boxes[at] = box = tighten(relaxation, at, box)
            if around is not None:
                around.meet(at, box)
        if multi_neuron and isinstance(node.op, Relu) and shares_inputs(graph, at):
            entering = graph.nodes[node.inputs[0]]
            size = relaxation.sizes[node.inputs[0]]
            if isinstance(entering.op, Affine) and size is not None:
                given = relaxation.boxes[entering.inputs[0]]
                relaxation.multi_neuron[at] = multi_neuron_of(
                    entering.op, given, size, relaxation.errors[node.inputs[0]]
                )
    return relaxation


def _size(op: object, inputs: list[Box], around: Around | None = None) -> Tensor | None:
    match op:
        case Gather() | Reshape() | Relu() | Concat() | MaxPool2d():
            return None
        case Affine():
            return magnitude_of(op, inputs[0]) if around is None else op.absolute(inputs[0].magnitude)
        case Add():
            return inputs[0].magnitude + inputs[1].magnitude
        case Mul():
            return 4 * inputs[0].magnitude * inputs[1].magnitude
        case _:
            return None


def lower_bounds(
    relaxation: Relaxation,
    target: int,
    rows: Float[Tensor, "b s *shape"],
    choice: Choice | None = None,
    trace: Trace | None = None,
    rounded: bool = True,
) -> Float[Tensor, "b s"]:
    """Bound rows · (values of node `target`) from below over each region; rows (b, s, *shape), the result (b, s).

    Property: sound for any choice, if `rounded` and in float64.
    """
    carried = _Pass(relaxation, rows, choice or Choice(), trace, rounded)
    carried.begin(target, rows)
    for at in range(target, 0, -1):
        a = carried.coefficients.pop(at, None)
        if a is not None:
            tick()
            carried.through(at, a)
    return carried.bound()


class _Pass:
    """Coefficients on their way to the input, what they collected, and by how much that may be wrong."""

    def __init__(
        self, relaxation: Relaxation, rows: Tensor, choice: Choice, trace: Trace | None, rounded: bool
    ) -> None:
        self.relaxation, self.choice, self.trace, self.rounded = relaxation, choice, trace, rounded
        self.regions, self.count = rows.shape[:2]
        self.unit = relaxation.unit
        self.coefficients: dict[int, Tensor] = {}
        self.total = rows.new_zeros(self.regions, self.count)
        self.error = rows.new_zeros(self.regions, self.count)

    def dot(self, a: Tensor, x: Tensor) -> Tensor:
        """Sum a (b, s, *shape) times x (b or 1, *shape)."""
        return torch.matmul(a.flatten(2), x.flatten(1).unsqueeze(2).expand(self.regions, -1, 1)).squeeze(2)

    def pay(self, a: Tensor, error: Tensor) -> None:
        """Pay for errors of what coefficients a (b, s, *shape) multiply: |a| error, |a| being at least `LEAST`."""
        if self.rounded:
            self.error = self.error + self.dot(a.abs(), error) + LEAST * error.flatten(1).sum(1, keepdim=True)

    def collect(self, value: Tensor) -> None:
        """Add to the total, and pay for it: what is small beside the total so far may be rounded away."""
        if self.rounded:
            self.error = self.error + step_error(1, self.total.abs() + value.abs(), self.unit)
        self.total = self.total + value

    def give(self, to: int, a: Tensor) -> None:
        """Add coefficients to those that a node has."""
        if to in self.coefficients:
            if self.rounded:
                size = self.extent(to)
                both = self.dot(a.abs(), size) + self.dot(self.coefficients[to].abs(), size)
                self.error = self.error + step_error(1, both, self.unit)
            a = self.coefficients[to] + a
        self.coefficients[to] = a

    def extent(self, at: int) -> Tensor:
        """Return the largest size of what a node's coefficients multiply."""
        around = self.relaxation.around
        return self.relaxation.boxes[at].magnitude if around is None else around.deviations[at].magnitude

    def begin(self, target: int, rows: Tensor) -> None:
        """Give the target its rows; around a point, with what they are there."""
        self.give(target, rows)
        around = self.relaxation.around
        if around is not None:
            value = around.value(target)
            self.collect(self.dot(rows, value))
            terms = int((rows != 0).flatten(2).sum(2).max())
            self.pay(rows, around.error(target) + 2 * gamma(terms, self.unit) * magnitude(value))

    def through(self, at: int, a: Tensor) -> None:
        """Carry the coefficients of a node's values back to its inputs."""
        graph = self.relaxation.graph
        node = graph.nodes[at]
        op = node.op
        inputs = [self.relaxation.boxes[i] for i in node.inputs]
        relative = gamma(size_of(node) + (op.terms if isinstance(op, Affine) else 1), self.unit)
        size, float32_error = self.relaxation.sizes[at], self.relaxation.errors[at]
        if size is not None:
            self.pay(a, relative * size if float32_error is None else relative * size + float32_error)
        match op:
            case Affine():
                given = graph.nodes[node.inputs[0]].shape
                bias = op.broadcast_bias()
                if bias is not None and self.relaxation.around is None:
                    self.collect(self.dot(a, torch.broadcast_to(bias, node.shape).unsqueeze(0)))
                back = op.adjoint(a.reshape(self.regions * self.count, *node.shape), given)
                self.give(node.inputs[0], back.reshape(self.regions, self.count, *given))
            case Relu():
                self.through_relu(at, a, inputs[0], relative)
            case Add():
                self.give(node.inputs[0], a)
                self.give(node.inputs[1], a)
            case Mul():
                for place, back in zip(node.inputs, _through_product(a, *inputs), strict=False):
                    self.give(place, back)
                self.collect(_sums(_product_constant(a, *inputs)))
            case Concat():
                widths = [graph.nodes[i].shape[op.axis] for i in node.inputs]
                for place, part in zip(node.inputs, a.split(widths, op.axis + 2), strict=True):
                    self.give(place, part)
            case MaxPool2d():
                self.through_pool(at, a, op, inputs[0], relative)
            case Softmax() | Input():
                raise InputError(f"node {node.name!r}: bounds are not carried back through {type(op).__name__}")
            case _:
                assert_never(op)

    def through_pool(self, at: int, a: Tensor, op: MaxPool2d, x: Box, relative: float) -> None:
        """Take the best value of each window for what is positive, a constant above for what is negative."""
        pool = _Pool.of(op, x)
        extent = self.relaxation.boxes[at].magnitude
        constant = pool.constant(a)
        around = self.relaxation.around
        entering = self.relaxation.graph.nodes[at].inputs[0]
        if around is not None:  # max(c + d) - max(c): the d of the best, where no other can be the largest
            shift, wrong, size = pool.around(around.value(entering), around.error(entering), around.value(at))
            constant = constant + shift(a)
            self.pay(a, wrong)
            extent = around.deviations[at].magnitude + size
        self.pay(a, relative * extent)
        self.collect(_sums(constant))
        self.give(entering, pool.back(a))

    def through_relu(self, at: int, a: Tensor, x: Box, relative: float) -> None:
        """Take the line below for what is positive, a line above for what is negative."""
        low, high = x.lower.unsqueeze(1), x.upper.unsqueeze(1)
        unstable = (low < 0) & (high > 0)
        decided = (low >= 0).to(a.dtype)
        width = torch.where(unstable, high - low, 1.0)
        below = self.choice.slopes.get(at)
        below = torch.where(unstable, (high > -low).to(a.dtype) if below is None else below, decided)
        above = self.choice.upper_slopes.get(at)
        above = torch.where(unstable, high / width if above is None else above, decided)
        negative = a.clamp(max=0)
        back = a.clamp(min=0) * below + negative * above
        # the line of slope s above meets the ReLU at an end: relu(z) - s z is at most -s l or (1 - s) u
        constant = negative * torch.where(unstable, torch.maximum(-above * low, (1 - above) * high), 0.0)
        entering, around, extent = self.relaxation.graph.nodes[at].inputs[0], self.relaxation.around, x.magnitude
        if around is not None:  # relu(c + d) - relu(c): the lines move by c and relu(c), where they matter
            value, free = around.value(entering), ~around.decided(entering, x)
            shifts = (torch.where(free.unsqueeze(1), s * value - value.clamp(min=0), 0.0) for s in (below, above))
            constant = constant + a.clamp(min=0) * next(shifts) + negative * next(shifts)
            self.pay(a, torch.where(free, 2 * around.error(entering), 0.0))
            extent = around.deviations[entering].magnitude
            extent = extent + torch.where(free, 2 * magnitude(value) + x.magnitude, 0.0)
        multi_neuron = self.relaxation.multi_neuron.get(at)
        if multi_neuron is None:
            self.collect(_sums(constant))
        else:
            together = multi_neuron.least(torch.where(unstable, negative, 0.0), above, self.rounded)
            self.collect(_sums(torch.maximum(together, constant.sum(2))))
        self.pay(a, relative * extent)
        if self.trace is not None:
            self.trace.entering[at] = a
        multiplier = self.choice.multipliers.get(at)
        if multiplier is not None:
            if around is not None:  # it multiplies c + d
                self.collect(_sums(-multiplier * around.value(entering)))
                self.pay(
                    multiplier.expand(a.shape), around.error(entering) + relative * magnitude(around.value(entering))
                )
            if self.rounded:
                size = self.dot(multiplier.abs() + back.abs(), self.extent(entering))
                self.error = self.error + step_error(1, size, self.unit)
            back = back - multiplier
        self.give(entering, back)

    def bound(self) -> Tensor:
        """Return the least value at the input."""
        a = self.coefficients.get(0)
        if a is not None:
            around = self.relaxation.around
            box = self.relaxation.boxes[0] if around is None else around.deviations[0]
            if self.relaxation.constraints is not None:
                a = self.constrained(a, box, self.relaxation.constraints)
            self.collect(self.dot(a.clamp(min=0), box.lower) + self.dot(a.clamp(max=0), box.upper))
            self.pay(a, gamma(2 * size_of(self.relaxation.graph.nodes[0]), self.unit) * box.magnitude)
            if self.trace is not None:
                self.trace.input = a
        if not self.rounded:
            return self.total
        return self.total - UPWARD * self.error - step_error(4, self.total.abs() + self.error, self.unit) - LOST

    def constrained(self, a: Tensor, box: Box, constraints: LinearConstraints) -> Tensor:
        """Add y (rows x - bounds), which is at most 0 on every input that counts, for the best y >= 0."""
        rows, bounds = (torch.tensor(end, dtype=a.dtype) for end in (constraints.rows, constraints.bounds))
        low, high = box.lower.flatten(1), box.upper.flatten(1)
        y = multipliers_of_constraints(a.detach().flatten(2), low, high, rows, bounds)
        added = y @ rows
        self.total = self.total - y @ bounds
        if self.rounded:
            relative, size = gamma(len(bounds) + 4, self.unit), box.magnitude.flatten(1).unsqueeze(2)
            most = magnitude(y)
            terms = ((most @ magnitude(rows) + magnitude(a).flatten(2)) @ size).squeeze(2) + most @ magnitude(bounds)
            self.error = self.error + relative * (terms + self.total.abs())
        return (a.flatten(2) + added).reshape(a.shape)


def _sums(constant: Tensor) -> Tensor:
    """Sum what each row collects."""
    return constant.flatten(2).sum(2) if constant.dim() > 2 else constant


@dataclass(frozen=True, eq=False)
class _Pool:
    """Lines below and above the largest value of each window, over b regions.

    Below lies the element with the best lower bound, and above too where it alone can be the largest; else a constant.
    Tighter planes above come from writing the pool with ReLUs first (`pools_as_relus`).
    """

    shape: tuple[int, ...]  # of what enters
    windows: Int[Tensor, "windows places"]
    best: Int[Tensor, "b windows"]  # the place of the element
    alone: Bool[Tensor, "b windows"]
    above: Float[Tensor, "b windows"]

    @staticmethod
    def of(op: MaxPool2d, x: Box) -> "_Pool":
        shape = tuple(x.lower.shape[1:])
        windows = op.windows(shape)
        place, padding = windows.clamp(min=0), windows < 0
        lows = torch.where(padding, -torch.inf, x.lower.flatten(1)[:, place])  # (b, w, k)
        highs = torch.where(padding, -torch.inf, x.upper.flatten(1)[:, place])
        best = lows.argmax(2, keepdim=True)
        alone = (highs > lows.max(2, keepdim=True).values).scatter(2, best, False).any(2).logical_not()
        above = torch.where(alone, 0.0, highs.max(2).values)
        return _Pool(shape, windows, windows.expand(len(best), -1, -1).gather(2, best).squeeze(2), alone, above)

    def constant(self, a: Tensor) -> Tensor:
        """Return what coefficients a (b, s, *out) meet of the constants above."""
        return (a.flatten(2).clamp(max=0) * self.above.unsqueeze(1)).reshape(a.shape)

    def back(self, a: Tensor) -> Tensor:
        """Return the coefficients of what enters."""
        flat = a.flatten(2)
        carried = torch.where(self.alone.unsqueeze(1), flat, flat.clamp(min=0))
        back = a.new_zeros(*a.shape[:2], math.prod(self.shape))
        back = back.scatter_add(2, self.best.unsqueeze(1).expand(*a.shape[:2], -1), carried)
        return back.reshape(*a.shape[:2], *self.shape)

    def around(self, value: Tensor, error: Tensor, out: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
        """Return by how much the lines move around values (1, *shape), (1, *out), their error, and the size of both."""
        shape = out.shape[1:]
        alone, top = self.alone.reshape(-1, *shape), magnitude(out)
        below = torch.where(alone, 0.0, value.flatten()[self.best].reshape(-1, *shape) - out).unsqueeze(1)
        above = torch.where(alone, 0.0, -out).unsqueeze(1)
        place, padding = self.windows.clamp(min=0), self.windows < 0
        most = error.flatten()[place].masked_fill(padding, 0.0).max(1).values.reshape(1, *shape)
        size = torch.where(alone, 0.0, 2 * top + self.above.abs().reshape(-1, *shape) - below.squeeze(1))
        wrong = torch.where(alone, 0.0, 2 * most)
        return lambda a: a.clamp(min=0) * below + a.clamp(max=0) * above, wrong, size


def _planes(x: Box, y: Box) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Give planes p x + q y + r below and above x y (McCormick 1976): of each pair the one better in the middle."""
    xl, xu, yl, yu = (t.unsqueeze(1) for t in (x.lower, x.upper, y.lower, y.upper))
    # Below, x y >= yl x + xl y - xl yl and >= yu x + xu y - xu yu;
    # above, x y <= yl x + xu y - xu yl and <= yu x + xl y - xl yu.
    # In the middle of the box the two of a pair are equal, so we take their mean: a valid plane too.
    below = ((yl + yu) / 2, (xl + xu) / 2, -(xl * yl + xu * yu) / 2)
    above = ((yl + yu) / 2, (xl + xu) / 2, -(xu * yl + xl * yu) / 2)
    return below, above


def _through_product(a: Tensor, x: Box, y: Box) -> tuple[Tensor, Tensor]:
    (p, q, _), (s, t, _) = _planes(x, y)
    positive, negative = a.clamp(min=0), a.clamp(max=0)
    return positive * p + negative * s, positive * q + negative * t


def _product_constant(a: Tensor, x: Box, y: Box) -> Tensor:
    (_, _, r), (_, _, v) = _planes(x, y)
    return a.clamp(min=0) * r + a.clamp(max=0) * v


def tighten_by_crown(relaxation: Relaxation, at: int, box: Box, until: Deadline = NEVER) -> Box:
    """Bound each value whose sign is not certain, in any region, by CROWN: both ends.

    When `until` is over, what is left keeps the box that it has.
    """
    which = worth_tightening(box)
    return _substituted(relaxation, at, box, which, until=until) if len(which) else box


def worth_tightening(box: Box) -> Int[Tensor, " which"]:
    """Return the places of values with no certain sign in some region, but for those about 0 by rounding alone."""
    width = torch.where((box.lower < 0) & (box.upper > 0), box.upper - box.lower, 0.0).flatten(1)
    least = torch.maximum(NEGLIGIBLE * width.max(1).values, ABOUT_0 * box.magnitude.flatten(1).max(1).values)
    return (width > least.unsqueeze(1)).any(0).nonzero().squeeze(1)


def tighten_all(relaxation: Relaxation, at: int, box: Box) -> Box:
    """Bound every value, also certain ones: their boxes, met with intervals, tighten those of later layers.

    What one region's bounds are does not depend on which others are bounded with it.
    """
    return _substituted(relaxation, at, box, torch.arange(size_of(relaxation.graph.nodes[at])))


def tighten_thoroughly(relaxation: Relaxation, at: int, box: Box) -> Box:
    """Bound every value twice, with the slopes of smaller area and with parallel lines, and keep the better."""
    which = torch.arange(size_of(relaxation.graph.nodes[at]))
    return _substituted(relaxation, at, tighten_all(relaxation, at, box), which, parallel_slopes(relaxation, at))


def parallel_slopes(relaxation: Relaxation, target: int) -> Choice:
    """Return u / (u - l) for each ReLU before the target: the line below parallel to that above."""
    slopes = {}
    for at in relaxation.relus():
        if at < target:
            x = relaxation.boxes[relaxation.graph.nodes[at].inputs[0]]
            slopes[at] = (x.upper / (x.upper - x.lower).clamp(min=1e-300)).clamp(0, 1).unsqueeze(1)
    return Choice(slopes)


def _substituted(
    relaxation: Relaxation,
    at: int,
    box: Box,
    which: Tensor,
    choice: Choice | None = None,
    until: Deadline = NEVER,
) -> Box:
    node = relaxation.graph.nodes[at]
    regions, size = len(box.lower), size_of(node)
    lower, upper = box.lower.flatten(1).clone(), box.upper.flatten(1).clone()
    widest = max(size_of(n) for n in relaxation.graph.nodes[: at + 1])
    chunk = max(LARGEST_ROWS // (2 * regions * widest), 1)
    for values in which.split(chunk):
        if until.is_over():
            break
        bounds = lower_bounds(relaxation, at, both_ends(values, size, box).expand(regions, -1, *node.shape), choice)
        bounds = bounds.reshape(regions, 2, -1)
        lower[:, values] = torch.maximum(lower[:, values], bounds[:, 0])
        upper[:, values] = torch.minimum(upper[:, values], -bounds[:, 1])
    return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))


def both_ends(values: Int[Tensor, " which"], size: int, box: Box) -> Float[Tensor, "1 s *shape"]:
    """Return rows (1, 2 s, *shape) that pick s values, then their negatives."""
    rows = box.lower.new_zeros(2, len(values), size)
    rows[0, torch.arange(len(values)), values] = 1.0
    rows[1, torch.arange(len(values)), values] = -1.0
    return rows.reshape(1, -1, *box.lower.shape[1:])
