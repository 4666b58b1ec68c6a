"""A propagation of affine forms in progress, and the operations on it that no rule is needed for: affine ones.

What enters a ReLU, and what leaves it, are forms of values, or of deviations from a reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import DOUBLE, REAL, UPWARD, Arithmetic, gamma, magnitude, step_error
from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Elementwise,
    ElementwiseAffine,
    Gather,
    Input,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)
from surefoot.reach.ibp import Box
from surefoot.reach.pool_windows import PoolAtPoint
from surefoot.reach.reference import Reference
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.patches import Patches
from surefoot.sets.predicate import Predicate
from surefoot.sets.star import Star


@dataclass(frozen=True)
class Count:
    """What propagation cost."""

    lps_solved: int = 0  # linear programs solved
    lps_avoided: int = 0  # values whose sign no LP was needed for
    variables: int = 0  # new variables

    def __add__(self, other: "Count") -> "Count":
        """Add them up."""
        return Count(
            self.lps_solved + other.lps_solved, self.lps_avoided + other.lps_avoided, self.variables + other.variables
        )


@dataclass(frozen=True, eq=False)
class State:
    """Propagation in progress: the forms still needed, by node, over one predicate; `at` comes next.

    With a `reference` the forms are of deviations from it.
    """

    at: int
    forms: Mapping[int, AffineForm]
    predicate: Predicate
    count: Count = field(default_factory=Count)
    seen: Mapping[int, Box] = field(default_factory=dict)  # of true values entering a ReLU, by node
    decided: Mapping[int, int] = field(default_factory=dict)  # of the node that comes next, where it is being split
    reference: Reference | None = None
    reduced: bool = False  # whether variables were dropped: those that are left are not the input star's first

    @property
    def star(self) -> Star:
        """The star of the node that was propagated last."""
        form = self.forms[self.at - 1]
        if self.reference is not None:
            form = moved_by(self.reference, self.at - 1, form, None)
        return Star(form, self.predicate)


def begin(star: Star, reference: Reference | None = None) -> State:
    """Start to propagate; a reference is of the star's centre."""
    form = star.form
    if reference is not None:
        form = replace(form, centre=form.centre - reference.values[0][0])
    return State(1, {0: form}, star.predicate, reference=reference)


def moved_by(reference: Reference, at: int, form: AffineForm, where: Tensor | None, back: bool = False) -> AffineForm:
    """Return a form of deviations as one of values, or `back`, everywhere or at some values (*shape)."""
    value, error = reference.values[at][0], reference.error(at)[0]
    error = error + step_error(1, magnitude(value) + magnitude(form.centre))
    if where is not None:
        value, error = (torch.where(where, x, 0.0) for x in (value, error))
    centre = form.centre - value if back else form.centre + value
    return replace(form, centre=centre, error=UPWARD * (form.error + error))


def values_entering(state: State, at: int, form: AffineForm) -> tuple[AffineForm, Tensor, Tensor, Tensor | None]:
    """Return what enters a ReLU, its box without error, and where it is of values; None: everywhere.

    Around a point that is where a sign is not certain, or another than at the point; elsewhere ReLU lets the deviation
    pass, or nothing.
    """
    low, high = form.box(state.predicate)
    if state.reference is None:
        return form, low, high, None
    value, error = state.reference.values[at][0], state.reference.error(at)[0]
    spread = step_error(3, magnitude(value) + torch.maximum(low.abs(), high.abs()))
    low, high = low + value - spread, high + value + spread
    wrong = form.error + error
    same = torch.where(low >= wrong, value >= error, (high <= -wrong) & (value <= -error))
    return moved_by(state.reference, at, form, ~same), low, high, ~same


def leaving(state: State, at: int, form: AffineForm, free: Tensor | None) -> AffineForm:
    """Return what leaves a ReLU as deviations again."""
    if state.reference is None:
        return form
    return moved_by(state.reference, at, form, free, back=True)


def propagate_affine(graph: Graph, state: State, arithmetic: Arithmetic = REAL) -> State:
    """Propagate through one operation that needs no choice: an affine one, a sum, a concatenation."""
    node = graph.nodes[state.at]
    forms = [state.forms[i] for i in node.inputs]
    match node.op:
        case Reshape():
            form = forms[0].reshaped(node.shape)
        case Gather():
            index = node.op.index.flatten()
            error = node.op.linear(forms[0].error.unsqueeze(0)).flatten()
            form = forms[0].gathered(index.clamp(min=0), index >= 0, error).reshaped(node.shape)
        case Affine():
            float32_error, least = arithmetic.error(node.op.terms) if node.op.terms else (0.0, 0.0)
            relative = gamma(node.op.terms, DOUBLE) + float32_error if node.op.terms else 0.0
            bias = node.op.broadcast_bias() if state.reference is None else None
            bias = None if bias is None else torch.broadcast_to(bias, (1, *node.shape))[0]
            windowed = over_windows(node, tuple(forms[0].centre.shape))
            form = forms[0].affine(node.op.linear, node.op.absolute, bias, relative, state.predicate, windowed)
            if least:  # the error holds twice what rounding is relative to, by `relative`
                over = arithmetic.overflows(form.error / (2 * relative), relative)
                form = replace(form, error=torch.where(over, torch.inf, form.error + least))
        case Add():
            form = forms[0].plus(forms[1], state.predicate)
            if arithmetic.unit:
                first, second = (f.size(state.predicate) + f.error for f in forms)
                size = first + second
                error = form.error + step_error(1, size, arithmetic.unit)
                form = replace(form, error=torch.where(arithmetic.overflows(size, 0.01), torch.inf, error))
        case Concat():
            variables = max(form.variables for form in forms)
            joined = torch.cat([form.stacked(variables) for form in forms], node.op.axis + 1)
            form = AffineForm(joined[0], joined[1:], torch.cat([form.error for form in forms], node.op.axis))
        case Relu() | Elementwise() | MaxPool2d() | Mul() | Softmax() | Input():
            raise InputError(f"node {node.name!r}: {type(node.op).__name__} is not propagated here")
        case _:
            assert_never(node.op)
    return step(graph, state, form, state.predicate)


def over_windows(node: Node, given: tuple[int, ...]) -> Callable[[Patches], Patches] | None:
    """Return how windows of an image go through an affine operation, if they stay windows."""
    op = node.op
    if isinstance(op, Conv2d) and op.stride == (1, 1):
        return lambda patches: patches.convolved(op.weight, op.padding, op.dilation, op.groups, node.shape)
    if isinstance(op, ElementwiseAffine) and len(given) == 3:
        return lambda patches: patches.scaled(torch.broadcast_to(op.scale, given))
    return None


def pooled_over_windows(
    op: MaxPool2d, winner: Tensor, keep: Tensor, shape: tuple[int, ...]
) -> Callable[[Patches], Patches]:
    """Say how windows are taken through a pool whose winners are known."""
    return lambda patches: patches.pooled(op.kernel, op.stride, op.padding, op.dilation, winner, keep, shape)


def step(graph: Graph, state: State, form: AffineForm, predicate: Predicate, count: Count | None = None) -> State:
    """Step on, and let go of forms that nobody needs any more."""
    forms = {**state.forms, state.at: form}
    needed = {i for node in graph.nodes[state.at + 1 :] for i in node.inputs}
    kept = {i: f for i, f in forms.items() if i in needed or i == state.at}
    count = state.count + count if count else state.count
    return State(state.at + 1, kept, predicate, count, state.seen, reference=state.reference, reduced=state.reduced)


def at_point(state: State, entering: int) -> PoolAtPoint | None:
    """Return what enters the pool that comes next at the point that forms are around."""
    return None if state.reference is None else PoolAtPoint.of(state.reference, entering, state.at)
