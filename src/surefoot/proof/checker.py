"""An independent check of a proof: NumPy and sparse matrices, nothing of the search that made it.

It shares with the prover what an operation *is* (`graph.ops` as data), nothing else: every operation becomes a matrix
here, bounds are carried back one region at a time, and each sum is let out by the rounding it may have suffered. What
is no finite number is no bound, and is refused wherever it comes up: comparisons with it pass silently.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Concat, Elementwise, MaxPool2d, Mul, Relu
from surefoot.proof.lines import LEAST, Box, product, rectifier, sized, smooth, values_between
from surefoot.proof.matrices import affine_matrix

LARGEST = 1e300  # of a value: the width of its box, and a sum of two ends, are float64 numbers still
BATCH_NUMBERS = 2**23  # in the rows that are carried back together: memory does not grow with their count
_U = 2.0**-53
_LOST = 1e-300  # more than a sum loses whose products are too small for a float64


def _gamma(n: float) -> float:
    return 1.01 * (n + 16) * _U


def _paid(a: np.ndarray, size: np.ndarray, terms: int) -> np.ndarray:
    """Bound the rounding of sums of products of coefficients and what is of a size."""
    size = _gamma(terms) * size
    return np.abs(a) @ size + LEAST * size.sum()


@dataclass(eq=False)
class Checker:
    """Bounds over one network; `slopes` proposes them, and any proposal in [0, 1] is sound.

    With `constraints` (rows, bounds) they speak of the inputs with rows x <= bounds alone.
    """

    graph: Graph
    constraints: tuple[np.ndarray, np.ndarray] | None = None
    matrices: dict[int, tuple[sparse.csr_matrix, np.ndarray]] = field(default_factory=dict)
    sizes: dict[int, sparse.csr_matrix] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write every affine operation as a matrix."""
        self.widest = max(int(np.prod(node.shape)) for node in self.graph.nodes)
        for at, node in enumerate(self.graph.nodes[1:], 1):
            if not isinstance(node.op, Relu | Elementwise | Add | Concat | Mul | MaxPool2d):
                self.matrices[at] = affine_matrix(node, self.graph.nodes[node.inputs[0]].shape)
                matrix = self.matrices[at][0]
                self.sizes[at] = sparse.csr_matrix((sized(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
            elif isinstance(node.op, MaxPool2d):
                raise InputError(f"a certificate does not speak of {type(node.op).__name__}")

    def boxes(
        self,
        lower: np.ndarray,
        upper: np.ndarray,
        tightened: "Mapping[int, tuple[np.ndarray, Mapping[int, np.ndarray]]] | None" = None,
        thorough: bool = False,
        decide: "Callable[[int, list[Box]], None] | None" = None,
    ) -> list[Box]:
        """Bound every node: by intervals, and what enters a ReLU, a function or a product by CROWN too.

        `tightened` names the values to substitute for, and their slopes; without it, all. `decide` is called after each
        node, and may narrow its box.
        """
        boxes = [(lower, upper)]
        entering = {
            i for node in self.graph.nodes if isinstance(node.op, Relu | Elementwise | Mul) for i in node.inputs
        }
        for at, node in enumerate(self.graph.nodes):
            if at:
                boxes.append(self._step(at, boxes))
            if not all((np.abs(end) <= LARGEST).all() for end in boxes[at]):  # also what is not a number
                raise InputError(f"node {node.name!r}: its values may pass {LARGEST:g}, beyond which none is proven")
            nothing = (np.zeros(0, dtype=np.int64), None)
            which, slopes = (np.arange(len(boxes[at][0])), None) if tightened is None else tightened.get(at, nothing)
            if at and at in entering and len(which):
                for proposed in [slopes, self.parallel(at, boxes)] if thorough else [slopes]:
                    self._tighten(at, which, boxes, proposed)
            if at and decide is not None:
                decide(at, boxes)
        return boxes

    def _tighten(self, at: int, which: np.ndarray, boxes: list[Box], slopes: Mapping[int, np.ndarray] | None) -> None:
        """Narrow the box of a node at some values; slopes are one row an end, lower ends first, or one for all."""
        (low, high), count = boxes[at], len(which)
        step = max(BATCH_NUMBERS // (2 * self.widest), 1)
        for begin in range(0, count, step):
            values = which[begin : begin + step]
            ends = np.concatenate(
                [np.arange(begin, begin + len(values)), np.arange(begin, begin + len(values)) + count]
            )
            rows = np.zeros((2 * len(values), len(low)))
            rows[np.arange(len(values)), values] = 1.0
            rows[len(values) + np.arange(len(values)), values] = -1.0
            chosen = None if slopes is None else {n: x[ends] if x.ndim > 1 else x for n, x in slopes.items()}
            bounds = self.bound(at, rows, boxes, chosen)
            low[values] = np.maximum(low[values], bounds[: len(values)])
            high[values] = np.minimum(high[values], -bounds[len(values) :])

    def parallel(self, target: int, boxes: list[Box]) -> dict[int, np.ndarray]:
        """Propose u / (u - l), for lines below that are parallel to those above."""
        slopes = {}
        for at, node in enumerate(self.graph.nodes[:target]):
            if isinstance(node.op, Relu):
                low, high = boxes[node.inputs[0]]
                slopes[at] = high / np.maximum(high - low, 1e-300)
        return slopes

    @np.errstate(all="ignore")
    def _step(self, at: int, boxes: list[Box]) -> Box:
        node = self.graph.nodes[at]
        inputs = [boxes[i] for i in node.inputs]
        match node.op:
            case Relu():
                return np.maximum(inputs[0][0], 0), np.maximum(inputs[0][1], 0)
            case Elementwise():
                return values_between(node.op.function, *inputs[0])
            case Add():
                low, high = inputs[0][0] + inputs[1][0], inputs[0][1] + inputs[1][1]
                spread = 4 * _U * (np.abs(inputs[0]).max(0) + np.abs(inputs[1]).max(0))
            case Mul():
                corners = np.stack([x * y for x in inputs[0] for y in inputs[1]])
                low, high = corners.min(0), corners.max(0)
                low = np.maximum(low, 0) if node.inputs[0] == node.inputs[1] else low
                spread = 4 * _U * sized(np.abs(inputs[0]).max(0)) * sized(np.abs(inputs[1]).max(0))
            case Concat():
                parts = [
                    np.concatenate(
                        [
                            box[end].reshape(self.graph.nodes[i].shape)
                            for box, i in zip(inputs, node.inputs, strict=True)
                        ],
                        node.op.axis,
                    ).ravel()
                    for end in (0, 1)
                ]
                return parts[0], parts[1]
            case _:
                matrix, bias = self.matrices[at]
                positive, negative = matrix.maximum(0), matrix.minimum(0)
                low = positive @ inputs[0][0] + negative @ inputs[0][1] + bias
                high = positive @ inputs[0][1] + negative @ inputs[0][0] + bias
                terms = np.diff(matrix.indptr).max(initial=0)
                spread = _gamma(terms) * (self.sizes[at] @ sized(np.abs(inputs[0]).max(0)) + np.abs(bias))
        return low - spread, high + spread

    def bound(
        self,
        target: int,
        rows: np.ndarray,
        boxes: list[Box],
        slopes: Mapping[int, np.ndarray] | None = None,
        multipliers: Mapping[int, np.ndarray] | None = None,
        signs: Mapping[int, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Bound rows · (values of the target) from below by carrying the rows back to the input.

        Each where what enters ReLUs has the `signs` (1, -1, or 0: any), by ReLU a row for each of the rows.

        Raises:
            InputError: a bound that is no finite number.
        """
        step = max(BATCH_NUMBERS // self.widest, 1)
        if len(rows) > step and not signs and not any(x.ndim > 1 for x in (slopes or {}).values()):
            parts = [rows[begin : begin + step] for begin in range(0, len(rows), step)]
            return np.concatenate([self.bound(target, part, boxes, slopes, multipliers) for part in parts])
        bounds = self._carried_back(target, rows, boxes, slopes, multipliers, signs)
        if not np.isfinite(bounds).all():
            raise InputError(
                f"a bound on node {self.graph.nodes[target].name!r} is no finite number: nothing is proven"
            )
        return bounds

    @np.errstate(all="ignore")
    def _carried_back(
        self,
        target: int,
        rows: np.ndarray,
        boxes: list[Box],
        slopes: Mapping[int, np.ndarray] | None,
        multipliers: Mapping[int, np.ndarray] | None,
        signs: Mapping[int, np.ndarray] | None,
    ) -> np.ndarray:
        carried = {target: rows}
        total, error = np.zeros(len(rows)), np.zeros(len(rows))

        def add(value: np.ndarray) -> None:  # also what is small beside the sum so far: that alone may be rounded away
            nonlocal total, error
            error = error + 2 * _U * (np.abs(total) + np.abs(value))
            total = total + value

        for at in range(target, 0, -1):
            a = carried.pop(at, None)
            if a is None:
                continue
            node = self.graph.nodes[at]
            match node.op:
                case Relu() | Elementwise():
                    box = boxes[node.inputs[0]]
                    proposed, sign = (None if given is None else given.get(at) for given in (slopes, signs))
                    constant, back, lost = _bent(node.op, a, *box, proposed, sign)
                    add(constant)
                    error = error + lost
                    if multipliers is not None and at in multipliers:
                        m = multipliers[at]  # zero, or with the sign of a decided value
                        error = error + 4 * _U * ((np.abs(back) + np.abs(m)) @ sized(np.abs(box).max(0)))
                        back = back - m
                    backs = [back]
                case Add():
                    backs = [a, a]
                case Mul():
                    one, two = (boxes[i] for i in node.inputs)
                    constant, *backs = product(a, one, two)
                    add(constant)
                    error = error + _paid(
                        a, 4 * sized(np.abs(one).max(0)) * sized(np.abs(two).max(0)), 2 * a.shape[1] + 8
                    )
                case Concat():
                    whole = a.reshape(len(a), *node.shape)
                    widths = np.cumsum([self.graph.nodes[i].shape[node.op.axis] for i in node.inputs])[:-1]
                    backs = [part.reshape(len(a), -1) for part in np.split(whole, widths, node.op.axis + 1)]
                case _:
                    matrix, bias = self.matrices[at]
                    add(a @ bias)
                    size = self.sizes[at] @ sized(np.abs(boxes[node.inputs[0]]).max(0)) + sized(bias)
                    error = error + _paid(a, size, len(bias) + np.diff(matrix.tocsc().indptr).max(initial=0))
                    backs = [np.asarray((matrix.T @ a.T).T)]
            for place, back in zip(node.inputs, backs, strict=True):
                if place in carried:
                    size = np.abs(boxes[place]).max(0)
                    error = error + 4 * _U * ((np.abs(back) + np.abs(carried[place])) @ size)
                    back = back + carried[place]  # noqa: PLW2901
                carried[place] = back
        if 0 in carried:
            a, (low, high) = carried[0], boxes[0]
            if self.constraints is not None:
                a, total, error = self._cut(a, total, error, low, high)
            add(np.maximum(a, 0) @ low + np.minimum(a, 0) @ high)
            error = error + _paid(a, sized(np.maximum(np.abs(low), np.abs(high))), 4 * len(low))
        return total - 1.001 * error - 64 * _U * np.abs(total) - _LOST

    def _cut(self, a: np.ndarray, total: np.ndarray, error: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[
        np.ndarray, np.ndarray, np.ndarray
    ]:  # fmt: skip
        """Add y >= 0 times rows x - bounds, which is not positive for any input that counts."""
        assert self.constraints is not None
        rows, bounds = self.constraints
        y = _worth(a, low, high, rows, bounds)
        y = np.where(np.isfinite(y), np.maximum(y, 0.0), 0.0)  # whatever was proposed
        size, most = sized(np.maximum(np.abs(low), np.abs(high))), sized(y)
        terms = (sized(a) + most @ sized(rows)) @ size + most @ sized(bounds) + np.abs(total)
        return a + y @ rows, total - y @ bounds, error + _gamma(len(bounds)) * terms


def _bent(
    op: Relu | Elementwise,
    a: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    proposed: np.ndarray | None,
    sign: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put lines below and above a ReLU or a function: constants, coefficients of x, and what rounding may lose."""
    if isinstance(op, Relu):
        lost = _paid(a, sized(np.maximum(np.abs(low), np.abs(high))), 2 * len(low))
        if sign is not None:
            low = np.where(sign > 0, np.maximum(low, 0.0), low)
            high = np.where(sign < 0, np.minimum(high, 0.0), high)
        return *rectifier(a, low, high, proposed), lost
    constants, back, extent = smooth(a, op.function, low, high, proposed)
    return constants.sum(1), back, _gamma(2 * len(low)) * extent.sum(1)


def _worth(a: np.ndarray, low: np.ndarray, high: np.ndarray, rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Propose multipliers of rows x <= bounds, one row after the other: where the slope of the bound passes 0."""
    y = np.zeros((len(a), len(rows)))
    for i in [*range(len(rows))] * min(len(rows), 2):
        row, y[:, i] = rows[i], 0.0
        for k, base in enumerate(a + y @ rows):
            ends = np.where((base > 0) | ((base == 0) & (row > 0)), low, high)
            slope, used = row @ ends - bounds[i], np.nonzero(row)[0]
            at = -base[used] / row[used]
            falls = np.abs(row[used]) * (high - low)[used]
            for j in np.argsort(at):
                if slope > 0 and at[j] > 0:
                    y[k, i], slope = at[j], slope - falls[j]
            if slope > 0:
                y[k, i] = 0.0
    return y
