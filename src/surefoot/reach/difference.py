"""Bounds of two dense networks of one layout together: of each pair of neurons the values z and y, and z - y.

Where networks are alike, their differences are small though their values are not, and bounds of the values apart forget
that. Here d = z - y has bounds and linear functions of its own. With a = relu(z) and e = relu(z) - relu(y), the next
layer is

    z' = W a + b        d' = V e + (W - V) a + (b - c)        for y' = V relu(y) + c,

and rows of coefficients of d and z are carried back through e by planes in d and z, and through a by those of
`reach.crown`. Two kinds of planes hold for e: those of both ReLUs apart, which are exact where both are stable, and
min(d, 0) <= e <= max(d, 0), which owes nothing to the width of z. Of the two, each neuron takes the closer one in the
middle.

Property: sound in real arithmetic, rounded outward as in `reach.dense`.

*Reference*: Paulsen et al. 2020 (ReluDiff, NeuroDiff), the four cases of signs; Teuber et al. 2025 (VeryDiff).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.rounding import (
    DOUBLE,
    LEAST,
    LOST,
    UPWARD,
    difference_below,
    gamma,
    magnitude,
    step_error,
)
from surefoot.reach.dense import DenseBounds, DenseNetwork, collect, interval, relu_lines
from surefoot.reach.hidden_bounds import LARGEST_ROWS, HiddenBounds, estimated, halves


@dataclass(frozen=True, eq=False)
class DensePair:
    """Two dense networks of the same layout, and the differences of their weights and biases."""

    first: DenseNetwork
    second: DenseNetwork
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @staticmethod
    def of(first: DenseNetwork, second: DenseNetwork) -> "DensePair | None":
        """Pair two networks layer by layer; None if they are not of one layout."""
        if [w.shape for w in first.weights] != [w.shape for w in second.weights]:
            return None
        weights = tuple(w - v for w, v in zip(first.weights, second.weights, strict=True))
        biases = tuple(b - c for b, c in zip(first.biases, second.biases, strict=True))
        return DensePair(first, second, weights, biases)

    @property
    def is_equal(self) -> bool:
        """Whether all weights and biases are the same."""
        return not any(bool(x.any()) for x in (*self.weights, *self.biases))

    @property
    def places(self) -> list[slice]:
        """Where the values of each hidden layer are, of one network's side by side."""
        return self.first.places

    @property
    def hidden(self) -> int:
        """How many hidden values are bounded: of both networks, and their differences."""
        return 3 * self.places[-1].stop

    def over(self, low: Tensor, high: Tensor, float32: Tensor, known: Tensor | None) -> "PairBounds":
        """Bound all values over boxes; see `PairBounds`."""
        return PairBounds(self, low, high, known)


@dataclass(eq=False)
class PairBounds:
    """Bounds of all values of two dense networks, and of their differences, over n boxes (n, d).

    `known` (n, 2, 3 M): bounds proven before, of M hidden values of the first network, the second, and differences.
    """

    pair: DensePair
    low: Float[Tensor, "n d"]
    high: Float[Tensor, "n d"]
    known: Float[Tensor, "n 2 M"] | None = None
    parts: tuple[HiddenBounds, HiddenBounds, HiddenBounds] = field(init=False)

    def __post_init__(self) -> None:
        """Bound one layer after another."""
        size = self.pair.places[-1].stop
        real = torch.zeros(len(self.low), dtype=torch.bool)
        each = (None,) * 3 if self.known is None else self.known.split(size, 2)
        one = DenseBounds(self.pair.first, self.low, self.high, real, each[0])
        two = DenseBounds(self.pair.second, self.low, self.high, real, each[1])
        gap = HiddenBounds(self.low, self.high, size, each[2])
        self.parts = one.hidden, two.hidden, gap
        self.planes: list[Float[Tensor, "n 11 m"]] = []
        self.size_of_first, self.size_of_gap = gap.input_size, torch.zeros_like(gap.input_size)  # what enters a layer
        last = len(self.pair.weights) - 1
        for k in range(last + 1):
            tick()
            self._allow(k)
            if k < last:
                self._bound_layer(k)
                place = self.pair.places[k]
                ends = [(part.lower[:, place], part.upper[:, place]) for part in self.parts]
                self.planes.append(self._planes_of(*ends))
                self._enter(*ends)

    def _allow(self, k: int) -> None:
        """Bound what carrying coefficients through an affine layer may lose, for d and for z."""
        w, v, u = self.pair.first.weights[k], self.pair.second.weights[k], self.pair.weights[k]
        unit = 2 * gamma(2 * sum(w.shape), DOUBLE)
        of_gap = self.size_of_gap @ magnitude(v).T + self.size_of_first @ magnitude(u).T
        self.error_of_gap = unit * (of_gap + magnitude(self.pair.biases[k]))
        self.error = unit * (self.size_of_first @ magnitude(w).T + magnitude(self.pair.first.biases[k]))

    def _bound_layer(self, k: int) -> None:
        place = self.pair.places[k]
        where, gap = (slice(None), place), self.parts[2]
        (low, high), (low_, high_) = ((part.lower[where], part.upper[where]) for part in self.parts[:2])
        u, b = self.pair.weights[k], self.pair.biases[k]
        if k == 0:
            below, above = interval(u, b, self.low, self.high)
            lines = u.expand(len(below), -1, -1)
            gap.keep(where, (below - 2 * self.error_of_gap, above + 2 * self.error_of_gap), (lines, lines))
        elif not gap.known:
            below, above = interval(u, b, *self.first_entering)
            lower, upper = interval(self.pair.second.weights[k], torch.zeros_like(b), *self.gap_entering)
            gap.meet(where, below + lower - 2 * self.error_of_gap, above + upper + 2 * self.error_of_gap)
        gap.meet(where, *_difference(low, high, low_, high_))
        if k:
            unstable = ((low < 0) & (high > 0)) | ((low_ < 0) & (high_ > 0))
            box, value = unstable.nonzero(as_tuple=True)
            for some in torch.arange(len(box)).split(max(LARGEST_ROWS // (4 * max(u.shape)), 1)):
                self._bound_values(k, box[some], value[some])
        less, more = gap.lower[where], gap.upper[where]
        self.parts[0].meet(where, *_difference(less, more, -high_, -low_))  # z = d + y
        self.parts[1].meet(where, *_difference(low, high, less, more))  # y = z - d

    def _bound_values(self, k: int, box: Int[Tensor, " p"], value: Int[Tensor, " p"]) -> None:
        """Bound differences of layer k, each in one of the boxes: both ends."""
        each = (self.pair.second.weights, self.pair.weights, self.pair.biases)
        on_gap, on_first, constants = (torch.cat([x[k][value], -x[k][value]]) for x in each)
        error, p = self.error_of_gap[box, value].repeat(2), len(box)
        bounds, _, lines = self._carry(k, on_gap, on_first, constants, error, box.repeat(2))
        at = box, value + self.pair.places[k].start
        self.parts[2].keep(at, (bounds[:p], -bounds[p:]), (lines[:p], -lines[p:]))

    def _planes_of(
        self, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], gap: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "n 11 m"]:
        """Return planes below and above e, lines below and above a, and what is paid for e and a; see `planes_of`."""
        sizes = [magnitude(torch.maximum(-low, high)) for low, high in (first, second, gap)]
        unit = 2 * gamma(4 * first[0].shape[1], DOUBLE)
        paid = self.error + unit * sizes[0]
        paid_for_gap = self.error_of_gap + self.error + unit * sum(sizes)
        return torch.stack([*planes_of(first, second, gap), *relu_lines(*first), paid_for_gap, paid], 1)

    def _enter(self, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], gap: tuple[Tensor, Tensor]) -> None:
        """Keep the ends of a and e, which enter the next layer, and their sizes."""
        low, high = (x.clamp(min=0) for x in first)
        below, above = _difference(low, high, *(x.clamp(min=0) for x in second))
        self.first_entering = low, high
        self.gap_entering = torch.maximum(below, gap[0].clamp(max=0)), torch.minimum(above, gap[1].clamp(min=0))
        self.size_of_first = magnitude(high)
        self.size_of_gap = magnitude(torch.maximum(-self.gap_entering[0], self.gap_entering[1]))

    def rows(
        self, weights: Float[Tensor, "r both"]
    ) -> tuple[Float[Tensor, "n r"], Float[Tensor, "n r"], Float[Tensor, "n r d"]]:
        """Bound weights · (outputs of the first, difference of outputs): as `DenseBounds.rows` does."""
        n, r = len(self.low), len(weights)
        on_first, on_gap = weights.chunk(2, 1)
        paid = 2 * (self.error_of_gap @ magnitude(on_gap).T + self.error @ magnitude(on_first).T)
        rows, other, constants = self._rows_of(weights)
        box, last = torch.arange(n).repeat_interleave(r), len(self.pair.weights) - 1
        bounds, paid_for, lines = self._carry(
            last, rows.repeat(n, 1), other.repeat(n, 1), constants.repeat(n), paid.flatten(), box
        )
        return bounds.reshape(n, r), paid_for.reshape(n, r), lines.reshape(n, r, -1)

    def _rows_of(self, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take rows of the outputs to rows of e and a, which enter the last layer, and constants."""
        on_first, on_gap = weights.chunk(2, 1)
        w, v, u = self.pair.first.weights[-1], self.pair.second.weights[-1], self.pair.weights[-1]
        constants = on_gap @ self.pair.biases[-1] + on_first @ self.pair.first.biases[-1]
        return on_gap @ v, on_gap @ u + on_first @ w, constants

    def _carry(
        self, k: int, on_gap: Float[Tensor, "p m"], on_first: Float[Tensor, "p m"], total: Tensor, error: Tensor,
        box: Int[Tensor, " p"],
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        """Carry rows of e and a, which enter layer k, back to the input, each over one of the boxes."""
        for before in range(k - 1, -1, -1):
            tick()
            *planes, paid_for_gap, paid = self.planes[before][box].unbind(1)
            size, size_of_gap = on_first.abs(), on_gap.abs()
            error = error + (size_of_gap * paid_for_gap + size * paid).sum(1) + LEAST * paid_for_gap.sum(1)
            on_gap, on_first, constant = _through_relu(planes, on_gap, on_first)
            total, error = collect(total, error, constant.sum(1))
            total, error = collect(total, error, on_gap @ self.pair.biases[before])
            total, error = collect(total, error, on_first @ self.pair.first.biases[before])
            on_first = on_gap @ self.pair.weights[before] + on_first @ self.pair.first.weights[before]
            on_gap = on_gap @ self.pair.second.weights[before]
        least = (on_first.clamp(min=0) * self.low[box] + on_first.clamp(max=0) * self.high[box]).sum(1)
        paid = gamma(2 * self.low.shape[1], DOUBLE) * self.parts[2].input_size[box]
        total, error = collect(total, error + (on_first.abs() * paid).sum(1) + LEAST * paid.sum(1), least)
        error = UPWARD * error + step_error(4, total.abs() + error) + LOST
        return total - error, error, on_first

    def known_within(
        self, box: Int[Tensor, " c"], low: Float[Tensor, "c d"], high: Float[Tensor, "c d"]
    ) -> Float[Tensor, "c 2 M"]:
        """Bound hidden values and differences over a part of each of c boxes by all that is known."""
        return torch.cat([part.known_within(box, low, high) for part in self.parts], 2)

    def after_bisections(
        self,
        box: Int[Tensor, " c"],
        low: Float[Tensor, "c d"],
        high: Float[Tensor, "c d"],
        weights: Float[Tensor, "r both"],
        axes: Sequence[int],
    ) -> Float[Tensor, "c axes 2 r"]:
        """Estimate rows in both halves of a part of each of c boxes, bisected along axes, as `DenseBounds` does."""
        per_box = 4 * len(axes) * (len(weights) + 12) * max(len(b) for b in self.pair.biases)
        return estimated(lambda i, lo, hi: self._estimate(i, lo, hi, weights, axes), per_box, box, low, high)

    def _estimate(self, box: Tensor, low: Tensor, high: Tensor, weights: Tensor, axes: Sequence[int]) -> Tensor:
        tick()
        lows, highs = halves(low, high, axes)
        parts = [part.of_halves(box, low, high, axes) for part in self.parts]
        on_gap, on_first, total = self._rows_of(weights)
        for k in range(len(self.planes) - 1, -1, -1):
            ends = [(below[:, self.pair.places[k]], above[:, self.pair.places[k]]) for below, above in parts]
            planes = [plane.unsqueeze(1) for plane in (*planes_of(*ends), *relu_lines(*ends[0]))]
            on_gap, on_first, constant = _through_relu(planes, on_gap, on_first)
            total = total + constant.sum(2) + on_gap @ self.pair.biases[k] + on_first @ self.pair.first.biases[k]
            on_first = on_gap @ self.pair.weights[k] + on_first @ self.pair.first.weights[k]
            on_gap = on_gap @ self.pair.second.weights[k]
        least = on_first.clamp(min=0) @ lows.unsqueeze(2) + on_first.clamp(max=0) @ highs.unsqueeze(2)
        return (total + least.squeeze(2)).reshape(len(box), len(axes), 2, -1)


def planes_of(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], gap: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Bound e = relu(z) - relu(y) by planes p d + q z + c of d = z - y and z, between bounds of z, y and d.

    Returns p, q, c below and p, q, c above; up to rounding relative to the sizes of z, y and d.
    """
    (area, above, constant), (area_, above_, constant_) = relu_lines(*first), relu_lines(*second)
    stable = ~(_is_unstable(*first) | _is_unstable(*second))
    z, d = (first[0] + first[1]) / 2, (gap[0] + gap[1]) / 2
    _, rise, most = relu_lines(*gap)  # max(d, 0) <= rise d + most
    _, fall, least = relu_lines(-gap[1], -gap[0])  # max(-d, 0) <= -fall d + least
    zero = torch.zeros_like(rise)
    planes = []
    for apart, by_gap, sign in (
        ((above_, area - above_, -constant_), (fall, zero, -least), 1.0),
        ((area_, above - area_, constant), (rise, zero, most), -1.0),
    ):
        values = [sign * (p * d + q * z + c) for p, q, c in (apart, by_gap)]
        chosen = stable | (values[0] > values[1])
        planes += [torch.where(chosen, one, other) for one, other in zip(apart, by_gap, strict=True)]
    return tuple(planes)  # type: ignore[return-value]


def _through_relu(planes: Sequence[Tensor], on_gap: Tensor, on_first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take rows of e and a to rows of d and z, and a constant of each neuron."""
    p, q, c, p_above, q_above, c_above, area, above, constant = planes
    up, down = on_gap.clamp(min=0), on_gap.clamp(max=0)
    plus, minus = on_first.clamp(min=0), on_first.clamp(max=0)
    of_first = up * q + down * q_above + plus * area + minus * above
    return up * p + down * p_above, of_first, up * c + down * c_above + minus * constant


def _is_unstable(low: Tensor, high: Tensor) -> Bool[Tensor, "*"]:
    return (low < 0) & (high > 0)


def _difference(low: Tensor, high: Tensor, low_: Tensor, high_: Tensor) -> tuple[Tensor, Tensor]:
    """Bound the difference of values between such ends, rounded outward."""
    return difference_below(low, high_), -difference_below(low_, high)
