"""CROWN: the least value of a linear function of any node, carried back to the input.

Going back through a ReLU y = relu(x), l <= x <= u, l < 0 < u, a positive coefficient takes the line below,
y >= s x with a slope s in [0, 1], a negative one the line above, y <= u (x - l) / (u - l). Each choice of slopes (and
of a multiplier >= 0 for each decided sign) is a feasible point of the dual of the triangle relaxation's linear program:
its value is a sound bound whatever chose it (Salman et al. 2019, Wong and Kolter 2018). With sums rounded outward it
stays one in floating point: the error of carrying coefficients a through a layer is at most
gamma |a| (|W| |x| + |b|), with |x| from the boxes, and all of these as `rounding.magnitude` gives them.
"""

from dataclasses import dataclass, field
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import LEAST, LOST, UPWARD, gamma, magnitude, step_error
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.reach.balls import directions_of_ball, dual_norm
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.input_constraints import multipliers_of_constraints
from surefoot.reach.planes import PoolLines, product_constant, through_product
from surefoot.reach.relaxation import Choice, Relaxation
from surefoot.spec.input_set import Ball, LinearConstraints

LARGEST_ROWS = 2**21  # numbers in one tensor of coefficients: a limit of time is seen between two


@dataclass(eq=False)
class Trace:
    """What a pass met on its way, for those who choose where to split."""

    entering: dict[int, Tensor] = field(default_factory=dict)  # coefficients after each ReLU (b, s, *shape)
    input: Float[Tensor, "b s *shape"] | None = None  # coefficients of the input


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
            case Elementwise():
                self.through_function(at, a, inputs[0], relative)
            case Add():
                self.give(node.inputs[0], a)
                self.give(node.inputs[1], a)
            case Mul():
                for place, back in zip(node.inputs, through_product(a, *inputs), strict=False):
                    self.give(place, back)
                self.collect(_sums(product_constant(a, *inputs)))
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
        pool = PoolLines.of(op, x)
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
        self.give(entering, self.decided(at, back, entering, relative))

    def through_function(self, at: int, a: Tensor, x: Box, relative: float) -> None:
        """Take the line below for what is positive, the line above for what is negative."""
        lines = self.relaxation.lines(at, self.choice.slopes.get(at), self.choice.upper_slopes.get(at))
        positive, negative = a.clamp(min=0), a.clamp(max=0)
        back = positive * lines.below + negative * lines.above
        # what is not used costs nothing, be it infinite
        constant = torch.where(a > 0, positive * lines.under, torch.where(a < 0, negative * lines.over, 0.0))
        self.collect(_sums(constant))
        if self.rounded:
            under, over = (magnitude(s) * x.magnitude.unsqueeze(1) + magnitude(c) for s, c in lines.both)
            size = magnitude(a) * torch.where(a > 0, under, over)
            self.error = self.error + relative * _sums(torch.where(a == 0, 0.0, size))
        if self.trace is not None:
            self.trace.entering[at] = a
        entering = self.relaxation.graph.nodes[at].inputs[0]
        self.give(entering, self.decided(at, back, entering, relative))

    def decided(self, at: int, back: Tensor, entering: int, relative: float) -> Tensor:
        """Subtract the multipliers of decided signs from the coefficients of what enters."""
        around = self.relaxation.around
        multiplier = self.choice.multipliers.get(at)
        if multiplier is not None:
            if around is not None:  # it multiplies c + d
                self.collect(_sums(-multiplier * around.value(entering)))
                self.pay(
                    multiplier.expand(back.shape), around.error(entering) + relative * magnitude(around.value(entering))
                )
            if self.rounded:
                size = self.dot(multiplier.abs() + back.abs(), self.extent(entering))
                self.error = self.error + step_error(1, size, self.unit)
            back = back - multiplier
        return back

    def bound(self) -> Tensor:
        """Return the least value at the input."""
        a = self.coefficients.get(0)
        if a is not None:
            around = self.relaxation.around
            box = self.relaxation.boxes[0] if around is None else around.deviations[0]
            match self.relaxation.constraints:
                case LinearConstraints() as linear:
                    a = self.constrained(a, box, linear)
                case Ball() as ball:
                    a = self.within(a, box, ball)
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

    def within(self, a: Tensor, box: Box, ball: Ball) -> Tensor:
        """Add y (x - centre) - radius |y|, which is at most 0 on every input that counts, for a good y."""
        y = directions_of_ball(a.flatten(2), box.lower.flatten(1), box.upper.flatten(1), ball)
        centre = torch.as_tensor(ball.centre, dtype=a.dtype)
        reach = ball.radius * dual_norm(y, ball.norm)
        self.total = self.total - y @ centre - reach
        if self.rounded:
            relative, size = gamma(a[0, 0].numel() + 8, self.unit), box.magnitude.flatten(1).unsqueeze(2)
            most = magnitude(y)
            terms = ((most + magnitude(a).flatten(2)) @ size).squeeze(2) + most @ magnitude(centre) + magnitude(reach)
            self.error = self.error + relative * (terms + self.total.abs())
        return (a.flatten(2) + y).reshape(a.shape)


def _sums(constant: Tensor) -> Tensor:
    """Sum what each row collects."""
    return constant.flatten(2).sum(2) if constant.dim() > 2 else constant
