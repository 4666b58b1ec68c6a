"""Back-substitution: the least value of a linear function of any node, carried back to the input.

Going back through a rectifier y = relu(x), l <= x <= u, l < 0 < u, a positive coefficient takes the line below,
y >= s x with a slope s in [0, 1], a negative one the line above, y <= u (x - l) / (u - l). Each choice of slopes (and
of a multiplier >= 0 for each decided sign) is a feasible point of the dual of the triangle relaxation's linear program:
its value is a sound bound whatever chose it (Salman et al. 2019, Wong and Kolter 2018). With sums rounded outward it
stays one in floating point: the error of carrying coefficients a through a layer is at most
gamma |a| (|W| |x| + |b|), with |x| from the boxes.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Input, MaxPool2d, Mul, Relu, Reshape, Softmax, Take
from surefoot.reach.boxes import Box, error_of, magnitude_of, size_of, step
from surefoot.reach.rounding import DOUBLE, SINGLE, Arithmetic, gamma

LARGEST_ROWS = 2**24  # numbers in one tensor of coefficients
NEGLIGIBLE = 1e-4


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A graph over b regions, with a box for every node: what coefficients are carried back through.

    `boxes` hold for the deployed arithmetic too, if `errors` (one a node, None for none) are not empty of them.
    """

    graph: Graph
    boxes: list[Box]
    errors: list[Tensor | None]
    sizes: list[Tensor | None]  # |W| |x| + |b|, what our own rounding is relative to

    @property
    def unit(self) -> float:
        """The unit of the arithmetic that bounds are computed in."""
        return DOUBLE if self.boxes[0].lower.dtype == torch.float64 else SINGLE

    def to(self, dtype: torch.dtype) -> "Relaxation":
        """Return it in another type. In float32 bounds guide a search; they are not sound by themselves."""

        def moved(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(dtype)

        boxes = [Box(box.lower.to(dtype), box.upper.to(dtype)) for box in self.boxes]
        return Relaxation(self.graph.to(dtype), boxes, [moved(x) for x in self.errors], [moved(x) for x in self.sizes])

    def rectifiers(self) -> list[int]:
        """Return the places of the rectifiers."""
        return [at for at, node in enumerate(self.graph.nodes) if isinstance(node.op, Relu)]

    def undecided(self, at: int) -> Tensor:
        """Return which of the values (b, *shape) entering a rectifier have no certain sign."""
        box = self.boxes[self.graph.nodes[at].inputs[0]]
        return (box.lower < 0) & (box.upper > 0)


Tighten: TypeAlias = Callable[[Relaxation, int, Box], Box]


@dataclass(eq=False)
class Trace:
    """What a pass met on its way, for those who choose where to split."""

    entering: dict[int, Tensor] = field(default_factory=dict)  # coefficients after each rectifier (b, s, *shape)
    input: Tensor | None = None  # coefficients of the input (b, s, *shape)


def relax(
    graph: Graph,
    region: Box,
    arithmetic: Arithmetic,
    tighten: "Tighten | None" = None,
    known: Mapping[int, Box] | None = None,
) -> Relaxation:
    """Give every node of a graph its box.

    `tighten` is asked for better bounds of what enters a rectifier or a product; `known` are bounds proven before.
    """
    made = Relaxation(graph, [region], [None], [None])
    matters = {i for node in graph.nodes if isinstance(node.op, Relu | Mul) for i in node.inputs}
    simple = {0}  # nodes whose box is exact already: one affine operation after the input
    for at, node in enumerate(graph.nodes[1:], 1):
        inputs = [made.boxes[i] for i in node.inputs]
        error = error_of(node, inputs, arithmetic)
        box = step(node, inputs, error)
        if known and at in known:
            box = box.meet(known[at].lower, known[at].upper)
        made.errors.append(error)
        made.sizes.append(_size(node.op, inputs))
        made.boxes.append(box)
        exact = isinstance(node.op, Affine) and node.inputs[0] in simple
        if exact and isinstance(node.op, Take | Reshape):
            simple.add(at)
        if tighten is not None and at in matters and not exact:
            made.boxes[at] = tighten(made, at, box)
    return made


def _size(op: object, inputs: list[Box]) -> Tensor | None:
    match op:
        case Take() | Reshape() | Relu() | Concat() | MaxPool2d():
            return None
        case Affine():
            return magnitude_of(op, inputs[0])
        case Add():
            return inputs[0].magnitude + inputs[1].magnitude
        case Mul():
            return 4 * inputs[0].magnitude * inputs[1].magnitude
        case _:
            return None


def lower_bounds(  # noqa: PLR0915
    relaxation: Relaxation,
    target: int,
    rows: Tensor,
    slopes: Mapping[int, Tensor] | None = None,
    multipliers: Mapping[int, Tensor] | None = None,
    trace: Trace | None = None,
    rounded: bool = True,
) -> Tensor:
    """Bound rows · (values of node `target`) from below over each region; rows (b, s, *shape), the result (b, s).

    `slopes` of a rectifier: (b or 1, s or 1, *shape) in [0, 1]; without them the one with the smaller area.
    `multipliers` of a rectifier: (b, s or 1, *shape); positive for values known to be >= 0, negative for <= 0, times
    the values they are subtracted.
    """
    graph, boxes = relaxation.graph, relaxation.boxes
    regions, count = rows.shape[:2]
    flat = (regions * count,)
    coefficients: dict[int, Tensor] = {target: rows}
    total = rows.new_zeros(regions, count)
    error = rows.new_zeros(regions, count)
    unit = relaxation.unit

    def dot(a: Tensor, x: Tensor) -> Tensor:  # sum of a (b, s, *shape) times x (b or 1, *shape)
        return torch.matmul(a.flatten(2), x.flatten(1).unsqueeze(2).expand(regions, -1, 1)).squeeze(2)

    def give(to: int, a: Tensor) -> None:
        nonlocal error
        if to in coefficients:
            if rounded:
                size = boxes[to].magnitude
                error = error + 2 * unit * (dot(a.abs(), size) + dot(coefficients[to].abs(), size))
            coefficients[to] = coefficients[to] + a
        else:
            coefficients[to] = a

    for at in range(target, 0, -1):
        a = coefficients.pop(at, None)
        if a is None:
            continue
        node = graph.nodes[at]
        op = node.op
        inputs = [boxes[i] for i in node.inputs]
        own = gamma(size_of(node) + (op.terms if isinstance(op, Affine) else 1), unit)
        size, deployed = relaxation.sizes[at], relaxation.errors[at]
        if rounded and size is not None:
            error = error + dot(a.abs(), own * size if deployed is None else own * size + deployed)
        match op:
            case Affine():
                given = graph.nodes[node.inputs[0]].shape
                bias = op.bias()
                if bias is not None:
                    total = total + dot(a, torch.broadcast_to(bias, node.shape).unsqueeze(0))
                back = op.adjoint(a.reshape(*flat, *node.shape), given)
                give(node.inputs[0], back.reshape(regions, count, *given))
            case Relu():
                x = inputs[0]
                if rounded:
                    error = error + own * dot(a.abs(), x.magnitude)
                back, constant = _through_relu(a, x, None if slopes is None else slopes.get(at))
                total = total + dot_rows(constant)
                if trace is not None:
                    trace.entering[at] = a
                if multipliers is not None and at in multipliers:
                    m = multipliers[at]
                    if rounded:
                        error = error + 2 * unit * dot((m.abs() + back.abs()), x.magnitude)
                    back = back - m
                give(node.inputs[0], back)
            case Add():
                give(node.inputs[0], a)
                give(node.inputs[1], a)
            case Mul():
                for place, back in zip(node.inputs, _through_product(a, *inputs), strict=False):
                    give(place, back)
                total = total + dot_rows(_product_constant(a, *inputs))
            case Concat():
                widths = [graph.nodes[i].shape[op.axis] for i in node.inputs]
                for place, part in zip(node.inputs, a.split(widths, op.axis + 2), strict=True):
                    give(place, part)
            case MaxPool2d():
                if rounded:
                    error = error + own * dot(a.abs(), boxes[at].magnitude)
                back, constant = _through_pool(a, op, inputs[0])
                total = total + dot_rows(constant)
                give(node.inputs[0], back)
            case Softmax() | Input():
                raise InputError(f"node {node.name!r}: bounds are not carried back through {type(op).__name__}")
            case _:
                assert_never(op)
    a = coefficients.get(0)
    if a is not None:
        box = boxes[0]
        total = total + dot(a.clamp(min=0), box.lower) + dot(a.clamp(max=0), box.upper)
        if rounded:
            error = error + gamma(2 * size_of(graph.nodes[0]), unit) * dot(a.abs(), box.magnitude)
        if trace is not None:
            trace.input = a
    return total - 1.0001 * error - 64 * unit * total.abs() if rounded else total


def dot_rows(constant: Tensor) -> Tensor:
    """Sum what each row collects."""
    return constant.flatten(2).sum(2)


def _through_relu(a: Tensor, x: Box, slope: Tensor | None) -> tuple[Tensor, Tensor]:
    low, high = x.lower.unsqueeze(1), x.upper.unsqueeze(1)
    undecided = (low < 0) & (high > 0)
    width = torch.where(undecided, high - low, 1.0)
    above = torch.where(undecided, high / width, (low >= 0).to(a.dtype))
    if slope is None:
        slope = (high > -low).to(a.dtype)
    below = torch.where(undecided, slope, above)
    negative = a.clamp(max=0)
    back = a.clamp(min=0) * below + negative * above
    constant = negative * torch.where(undecided, -above * low, 0.0)
    return back, constant


def _through_pool(a: Tensor, op: MaxPool2d, x: Box) -> tuple[Tensor, Tensor]:
    """Take the element with the best lower bound from below, and from above where it alone can win; else a constant.

    Tighter planes above come from writing the pool with rectifiers first (`pools_as_rectifiers`).
    """
    windows = op.windows(tuple(x.lower.shape[1:]))
    place, padding = windows.clamp(min=0), windows < 0
    lows = torch.where(padding, -torch.inf, x.lower.flatten(1)[:, place])  # (b, w, k)
    highs = torch.where(padding, -torch.inf, x.upper.flatten(1)[:, place])
    best = lows.argmax(2)
    alone = (highs > lows.max(2).values.unsqueeze(2)).scatter(2, best.unsqueeze(2), False).any(2).logical_not()
    winner = windows.expand(len(best), -1, -1).gather(2, best.unsqueeze(2)).squeeze(2)  # (b, w)
    flat = a.flatten(2)
    above = torch.where(alone, 0.0, highs.max(2).values).unsqueeze(1)
    carried = torch.where(alone.unsqueeze(1), flat, flat.clamp(min=0))
    constant = torch.where(alone.unsqueeze(1), 0.0, flat.clamp(max=0)) * above
    back = a.new_zeros(*a.shape[:2], math.prod(x.lower.shape[1:]))
    back = back.scatter_add(2, winner.unsqueeze(1).expand(*a.shape[:2], -1), carried)
    return back.reshape(*a.shape[:2], *x.lower.shape[1:]), constant


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


def tighten_by_substitution(relaxation: Relaxation, at: int, box: Box) -> Box:
    """Bound each value whose sign is not certain, in any region, by back-substitution: both ends."""
    which = worth_tightening(box)
    return _substituted(relaxation, at, box, which) if len(which) else box


def worth_tightening(box: Box) -> Tensor:
    """Return the places of values with no certain sign in some region, but for those about 0 by rounding alone."""
    width = torch.where((box.lower < 0) & (box.upper > 0), box.upper - box.lower, 0.0).flatten(1)
    least = torch.maximum(NEGLIGIBLE * width.max(1).values, 1e-10 * box.magnitude.flatten(1).max(1).values)
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


def parallel_slopes(relaxation: Relaxation, target: int) -> dict[int, Tensor]:
    """Return u / (u - l) for each rectifier before the target: the line below parallel to that above."""
    slopes = {}
    for at in relaxation.rectifiers():
        if at < target:
            x = relaxation.boxes[relaxation.graph.nodes[at].inputs[0]]
            slopes[at] = (x.upper / (x.upper - x.lower).clamp(min=1e-300)).clamp(0, 1).unsqueeze(1)
    return slopes


def _substituted(
    relaxation: Relaxation, at: int, box: Box, which: Tensor, slopes: Mapping[int, Tensor] | None = None
) -> Box:
    node = relaxation.graph.nodes[at]
    regions, size = len(box.lower), size_of(node)
    lower, upper = box.lower.flatten(1).clone(), box.upper.flatten(1).clone()
    widest = max(size_of(n) for n in relaxation.graph.nodes[: at + 1])
    chunk = max(LARGEST_ROWS // (2 * regions * widest), 1)
    for some in which.split(chunk):
        found = lower_bounds(relaxation, at, both_ends(some, size, box).expand(regions, -1, *node.shape), slopes)
        found = found.reshape(regions, 2, -1)
        lower[:, some] = torch.maximum(lower[:, some], found[:, 0])
        upper[:, some] = torch.minimum(upper[:, some], -found[:, 1])
    return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))


def both_ends(some: Tensor, size: int, box: Box) -> Tensor:
    """Return rows (1, 2 s, *shape) that pick s values, then their negatives."""
    rows = box.lower.new_zeros(2, len(some), size)
    rows[0, torch.arange(len(some)), some] = 1.0
    rows[1, torch.arange(len(some)), some] = -1.0
    return rows.reshape(1, -1, *box.lower.shape[1:])
