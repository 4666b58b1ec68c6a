"""A network over regions, relaxed: a box for every node, and what a bound may choose freely."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.rounding import Arithmetic, unit_of
from surefoot.graph.functions import Function
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Gather, MaxPool2d, Mul, Relu, Reshape
from surefoot.reach.around import Around
from surefoot.reach.ibp import Box, error_of, magnitude_of, step
from surefoot.reach.lines import Lines, Slopes, slopes_of
from surefoot.reach.multi_neuron import MultiNeuron, multi_neuron_of, shares_inputs
from surefoot.spec.input_set import Limits


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
    constraints: Limits | None = None  # of the inputs that count
    around: Around | None = None  # then coefficients multiply deviations from its values, and `sizes` are of those
    kept: dict[int, "_Kept"] = field(default_factory=dict)  # of functions, what is computed once for a box

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

    def functions(self) -> list[int]:
        """Return the places of the functions."""
        return [at for at, node in enumerate(self.graph.nodes) if isinstance(node.op, Elementwise)]

    def enters_function(self, at: int) -> bool:
        """Whether a node's values enter a function: then their boxes matter whatever their signs."""
        return any(at in self.graph.nodes[place].inputs for place in self.functions())

    def slopes(self, at: int) -> Slopes:
        """Return the slopes (b, 1, *shape) of the lines of a function."""
        return self._of(at).slopes

    def lines(self, at: int, below: Tensor | None = None, above: Tensor | None = None) -> Lines:
        """Return the lines of a function, with shares of slopes (b or 1, s or 1, *shape) or of least area."""
        if below is None and above is None:
            return self._of(at).lines
        kept = self._of(at)
        return Lines.of(kept.function, kept.low, kept.high, kept.slopes, below, above)

    def _of(self, at: int) -> "_Kept":
        node = self.graph.nodes[at]
        box = self.boxes[node.inputs[0]]
        if at not in self.kept or self.kept[at].box is not box:
            assert isinstance(node.op, Elementwise)
            self.kept[at] = _Kept(node.op.function, box)
        return self.kept[at]

    def unstable(self, at: int) -> Bool[Tensor, " b *shape"]:
        """Return which of the values (b, *shape) entering a ReLU or a function have no certain sign."""
        box = self.boxes[self.graph.nodes[at].inputs[0]]
        return (box.lower < 0) & (box.upper > 0)


@dataclass(frozen=True, eq=False)
class _Kept:
    """A function over a box."""

    function: Function
    box: Box

    @property
    def low(self) -> Tensor:
        return self.box.lower.unsqueeze(1)

    @property
    def high(self) -> Tensor:
        return self.box.upper.unsqueeze(1)

    @cached_property
    def slopes(self) -> Slopes:
        return slopes_of(self.function, self.low, self.high)

    @cached_property
    def lines(self) -> Lines:
        return Lines.of(self.function, self.low, self.high, self.slopes)


Tighten: TypeAlias = Callable[[Relaxation, int, Box], Box]


@dataclass(frozen=True, eq=False)
class Choice:
    """What a bound may choose freely, by ReLU, (b or 1, s or 1, *shape) each.

    `slopes` in [0, 1] of lines below (default: the smaller area); `multipliers` of decided signs, positive for values
    known to be >= 0, negative for <= 0; `upper_slopes` in [0, 1], slopes of lines above (default: the triangle's).
    Of a function's lines they are shares, from the least to the greatest slope of `lines.Slopes`.
    """

    slopes: Mapping[int, Tensor] = field(default_factory=dict)
    multipliers: Mapping[int, Tensor] = field(default_factory=dict)
    upper_slopes: Mapping[int, Tensor] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> "Choice":
        """Return it in another type."""
        return Choice(*({at: x.to(dtype) for at, x in part.items()} for part in self.parts))

    def proposals(self, batched: int) -> dict[int, Tensor]:
        """Return the slopes as certificates have them, flat behind so many axes: of a function both, below first."""
        flat = ({at: x.flatten(batched) for at, x in part.items()} for part in (self.slopes, self.upper_slopes))
        below, above = flat
        return {at: torch.cat([x, above[at]], -1) if at in above else x for at, x in below.items()}

    @property
    def parts(self) -> tuple[Mapping[int, Tensor], Mapping[int, Tensor], Mapping[int, Tensor]]:
        """Slopes, multipliers, upper_slopes."""
        return self.slopes, self.multipliers, self.upper_slopes


def relax(
    graph: Graph,
    region: Box,
    arithmetic: Arithmetic,
    tighten: "Tighten | None" = None,
    known: Mapping[int, Box] | None = None,
    multi_neuron: bool = True,
    constraints: Limits | None = None,
    around: Around | None = None,
) -> Relaxation:
    """Give every node of a graph its box.

    `tighten` is asked for better bounds of what enters a ReLU, a function or a product, and what it finds knows of
    `constraints` of the region's inputs, linear ones or a ball; `known` are bounds proven before.
    `multi_neuron`: ReLUs of few inputs are relaxed together (`reach.multi_neuron`).
    `around`: bounds are of deviations from its values; for one region, which it lies in, without linear constraints.
    """
    relaxation = Relaxation(graph, [region], [None], [None], constraints=constraints, around=around)
    multi_neuron = multi_neuron and around is None
    matters = {i for node in graph.nodes if isinstance(node.op, Relu | Mul | Elementwise) for i in node.inputs}
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
        case Gather() | Reshape() | Relu() | Elementwise() | Concat() | MaxPool2d():
            return None
        case Affine():
            return magnitude_of(op, inputs[0]) if around is None else op.absolute(inputs[0].magnitude)
        case Add():
            return inputs[0].magnitude + inputs[1].magnitude
        case Mul():
            return 4 * inputs[0].magnitude * inputs[1].magnitude
        case _:
            return None
