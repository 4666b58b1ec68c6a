"""CROWN over many small boxes of the inputs of a dense network: only values whose sign is open in a box are bounded.

A box that came from bisecting another inherits what is known of that: the bounds of all values, and the linear
functions of the input that showed them, which are bounds over any part of it. So few values are left whose sign is
open, and those of different boxes are rows of the same matrix products. With a row a, carried back through
y = relu(z), l <= z <= u, as in `reach.crown`, and paid for in the same way (`core.rounding`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.rounding import DOUBLE, FLOAT32, LEAST, LOST, UPWARD, gamma, magnitude, step_error
from surefoot.graph.graph import Graph
from surefoot.graph.ops import ElementwiseAffine, Input, Linear, Relu, Reshape
from surefoot.reach.hidden_bounds import LARGEST_ROWS, HiddenBounds, estimated, halves


@dataclass(frozen=True, eq=False)
class DenseNetwork:
    """W_k relu(... relu(W_0 x + b_0) ...) + b_k: weights (m_k, m_(k-1)) and biases (m_k,), float64."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @cached_property
    def places(self) -> list[slice]:
        """Where the values of each hidden layer are, of all side by side."""
        ends = [0]
        for bias in self.biases[:-1]:
            ends.append(ends[-1] + len(bias))
        return [slice(*pair) for pair in pairwise(ends)]

    @property
    def hidden(self) -> int:
        """How many values are bounded."""
        return self.places[-1].stop

    def over(
        self,
        low: Float[Tensor, "n d"],
        high: Float[Tensor, "n d"],
        float32: Bool[Tensor, " n"],
        known: Float[Tensor, "n 2 M"] | None = None,
    ) -> "DenseBounds":
        """Bound all values over boxes; see `DenseBounds`."""
        return DenseBounds(self, low, high, float32, known)


def dense_network_of(graph: Graph) -> DenseNetwork | None:
    """Read a graph as a dense network; None if it is none, or not without rounding."""
    weights: list[Tensor] = []
    biases: list[Tensor | None] = []
    after_relu = True
    for at, node in enumerate(graph.nodes):
        if at and tuple(node.inputs) != (at - 1,):
            return None
        match node.op:
            case Input() | Reshape():
                continue
            case Linear() if after_relu and len(node.shape) == 1:
                weights.append(node.op.weight)
                biases.append(node.op.bias)
                after_relu = False
            case ElementwiseAffine() if bool((node.op.scale == 1).all()):
                if node.op.bias is None or bool((node.op.bias == 0).all()):
                    continue
                if after_relu or biases[-1] is not None:
                    return None
                biases[-1] = torch.broadcast_to(node.op.bias, node.shape).flatten()
            case Relu() if not after_relu:
                after_relu = True
            case _:
                return None
    if after_relu or len(weights) < 2:
        return None
    given = [w.new_zeros(len(w)) if b is None else b for w, b in zip(weights, biases, strict=True)]
    return DenseNetwork(tuple(weights), tuple(given))


@dataclass(eq=False)
class DenseBounds:
    """Bounds of all values of a dense network over n boxes (n, d); M values are in hidden layers.

    `known` (n, 2, M) are bounds proven before, lower and upper. Where `float32` (n,) is true all that is said holds for
    any float32 evaluation too.

    Property: sound, rounded outward.
    """

    network: DenseNetwork
    low: Float[Tensor, "n d"]
    high: Float[Tensor, "n d"]
    float32: Bool[Tensor, " n"]
    known: Float[Tensor, "n 2 M"] | None = None
    hidden: HiddenBounds = field(init=False)
    lower: Float[Tensor, "n M"] = field(init=False)
    upper: Float[Tensor, "n M"] = field(init=False)

    def __post_init__(self) -> None:
        """Bound one layer after another."""
        self.hidden = HiddenBounds(self.low, self.high, self.network.hidden, self.known)
        self.lower, self.upper, self.input_size = self.hidden.lower, self.hidden.upper, self.hidden.input_size
        self.relus: list[Float[Tensor, "n 4 m"]] = []
        entering, last = self.input_size, len(self.network.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.network.weights, self.network.biases, strict=True)):
            tick()
            self.error = self._error_of(weight, bias, entering)
            if k < last:
                self._bound_layer(k)
                place = self.network.places[k]
                relu = relu_lines(self.lower[:, place], self.upper[:, place])
                entering = magnitude(torch.maximum(self.lower[:, place].abs(), self.upper[:, place].abs()))
                paid = self.error + gamma(len(bias) + 1, DOUBLE) * entering
                self.relus.append(torch.stack([*relu, paid], 1))

    def _error_of(self, weight: Tensor, bias: Tensor, entering: Tensor) -> Tensor:
        """Bound what carrying a coefficient through an affine layer may lose, and what float32 adds."""
        size = entering @ magnitude(weight).T + magnitude(bias)
        error = gamma(weight.shape[0] + weight.shape[1], DOUBLE) * size
        relative, absolute = FLOAT32.error(weight.shape[1])
        float32 = torch.where(FLOAT32.overflows(size, relative), torch.inf, size * relative + absolute)
        return error + torch.where(self.float32.unsqueeze(1), float32, 0.0)

    def _bound_layer(self, k: int) -> None:
        weight, bias, place = self.network.weights[k], self.network.biases[k], self.network.places[k]
        ends = self.low, self.high
        if k:
            before = self.network.places[k - 1]
            ends = self.lower[:, before].clamp(min=0), self.upper[:, before].clamp(min=0)
        if k == 0 or not self.hidden.known:
            below, above = interval(weight, bias, *ends)
            below, above = below - 2 * self.error, above + 2 * self.error
            if k == 0:
                lines = weight.expand(len(below), -1, -1)
                self.hidden.keep((slice(None), place), (below, above), (lines, lines))
            else:
                self.hidden.meet((slice(None), place), below, above)
        if k:
            box, value = ((self.lower[:, place] < 0) & (self.upper[:, place] > 0)).nonzero(as_tuple=True)
            for some in torch.arange(len(box)).split(max(LARGEST_ROWS // (2 * max(weight.shape)), 1)):
                self._bound_values(k, box[some], value[some])

    def _bound_values(self, k: int, box: Int[Tensor, " p"], value: Int[Tensor, " p"]) -> None:
        """Bound values of layer k by CROWN, each in one of the boxes: both ends."""
        weight, bias = self.network.weights[k][value], self.network.biases[k][value]
        rows, constants = torch.cat([weight, -weight]), torch.cat([bias, -bias])
        bounds, _, lines = self._carry(k, rows, constants, self.error[box, value].repeat(2), box.repeat(2))
        at, p = (box, value + self.network.places[k].start), len(box)
        self.hidden.keep(at, (bounds[:p], -bounds[p:]), (lines[:p], -lines[p:]))

    def rows(
        self, weights: Float[Tensor, "r k"]
    ) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n r"], Float[Tensor, "n r d"]]:
        """Bound weights · output from below: bounds, what of them was paid for rounding, and coefficients of the input.

        Each twice, with the slopes of smaller area and with parallel lines, and the better is kept.
        """
        n, r = len(self.low), len(weights)
        constants = (weights @ self.network.biases[-1]).repeat(n)
        paid = (self.error @ magnitude(weights).T).flatten()
        box, rows = torch.arange(n).repeat_interleave(r), (weights @ self.network.weights[-1]).repeat(n, 1)
        last = len(self.network.weights) - 1
        bounds, paid_for, lines = self._carry(last, rows, constants, paid, box)
        others, paid_too, steep = self._carry(last, rows, constants, paid, box, parallel=True)
        better = others > bounds
        bounds, paid_for = torch.where(better, others, bounds), torch.where(better, paid_too, paid_for)
        lines = torch.where(better.unsqueeze(1), steep, lines)
        return bounds.reshape(n, r), paid_for.reshape(n, r), lines.reshape(n, r, -1)

    def _carry(
        self, k: int, a: Float[Tensor, "p m"], total: Tensor, error: Tensor, box: Int[Tensor, " p"],
        parallel: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Carry rows of what enters layer k back to the input, each over one of the boxes."""
        for before in range(k - 1, -1, -1):
            tick()
            area, above, constant, paid = self.relus[before][box].unbind(1)
            error = error + (a.abs() * paid).sum(1) + LEAST * paid.sum(1)
            negative = a.clamp(max=0)
            total, error = collect(total, error, (negative * constant).sum(1))
            a = (a - negative) * (above if parallel else area) + negative * above
            total, error = collect(total, error, a @ self.network.biases[before])
            a = a @ self.network.weights[before]
        least = (a.clamp(min=0) * self.low[box] + a.clamp(max=0) * self.high[box]).sum(1)
        paid = gamma(2 * a.shape[1], DOUBLE) * self.input_size[box]
        total, error = collect(total, error + (a.abs() * paid).sum(1) + LEAST * paid.sum(1), least)
        error = UPWARD * error + step_error(4, total.abs() + error) + LOST
        return total - error, error, a

    def known_within(
        self, box: Int[Tensor, " c"], low: Float[Tensor, "c d"], high: Float[Tensor, "c d"]
    ) -> Float[Tensor, "c 2 M"]:
        """Bound hidden values over a part of each of c boxes by all that is known, for those who bound them anew."""
        return self.hidden.known_within(box, low, high)

    def after_bisections(
        self,
        box: Int[Tensor, " c"],
        low: Float[Tensor, "c d"],
        high: Float[Tensor, "c d"],
        weights: Float[Tensor, "r k"],
        axes: Sequence[int],
    ) -> Float[Tensor, "c axes 2 r"]:
        """Estimate how weights · output is bounded in both halves of a part of each of c boxes, bisected along axes.

        Hidden values are bounded by the linear functions alone, and nothing is rounded: a guide, dear as one more row.
        """
        per_box = 2 * len(axes) * (len(weights) + 8) * max(len(b) for b in self.network.biases)
        return estimated(lambda i, lo, hi: self._estimate(i, lo, hi, weights, axes), per_box, box, low, high)

    def _estimate(self, box: Tensor, low: Tensor, high: Tensor, weights: Tensor, axes: Sequence[int]) -> Tensor:
        tick()
        lows, highs = halves(low, high, axes)
        below, above = self.hidden.of_halves(box, low, high, axes)
        a, total = weights @ self.network.weights[-1], weights @ self.network.biases[-1]
        for k in range(len(self.relus) - 1, -1, -1):
            place = self.network.places[k]
            area, slope, constant = (x.unsqueeze(1) for x in relu_lines(below[:, place], above[:, place]))
            negative = a.clamp(max=0)
            a = (a - negative) * area + negative * slope
            total = total + (negative @ constant.transpose(1, 2)).squeeze(2) + a @ self.network.biases[k]
            a = a @ self.network.weights[k]
        least = a.clamp(min=0) @ lows.unsqueeze(2) + a.clamp(max=0) @ highs.unsqueeze(2)
        return (total + least.squeeze(2)).reshape(len(box), len(axes), 2, -1)


def relu_lines(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return slopes below, of the smaller area, slopes above, and the constant above."""
    unstable = (low < 0) & (high > 0)
    decided = (low >= 0).to(low.dtype)
    above = torch.where(unstable, high / torch.where(unstable, high - low, 1.0), decided)
    area = torch.where(unstable, (high > -low).to(low.dtype), decided)
    return area, above, torch.where(unstable, torch.maximum(-above * low, (1 - above) * high), 0.0)


def interval(weight: Tensor, bias: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Bound weight · x + bias over boxes, not rounded."""
    positive, negative = weight.clamp(min=0).T, weight.clamp(max=0).T
    return low @ positive + high @ negative + bias, high @ positive + low @ negative + bias


def collect(total: Tensor, error: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Add to the total, and pay for it: what is small beside the total so far may be rounded away."""
    return total + value, error + step_error(1, total.abs() + value.abs())
