"""The linear regions of a network: the one around an input, all over a box, and those that a plane cuts.

All propagate values as affine functions of the input; a ReLU splits the cell where its sign is not the same all over
it. A cell is a point, a polytope or a polygon.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Elementwise,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.prefix import prefixed
from surefoot.sets.predicate import Predicate, Solver
from surefoot.spec.input_set import InputSet

SOLVED = 1e-7  # the tolerance of linear programs: polytopes of a smaller radius are taken for borders of others
ROUNDED = 1e-9  # of its size: what a polygon's corners may pass a line by
UNKNOWN = 2


@dataclass(frozen=True, eq=False)
class LinearRegion:
    """An activation region and what the network is on it.

    For x with rows x >= -row_bias, the output is weight x + bias, exactly; each row is one ReLU's input, times
    its sign.
    """

    weight: Float[np.ndarray, "k d"]
    bias: Float[np.ndarray, " k"]
    rows: Float[np.ndarray, "r d"]
    row_bias: Float[np.ndarray, " r"]
    signs: Int[np.ndarray, " r"]  # 1 active, -1 inactive
    cell: "Cell"

    def holds(self, x: np.ndarray) -> np.ndarray:
        """Say which inputs (n, d) lie in it."""
        return np.asarray((x @ self.rows.T + self.row_bias >= 0).all(1))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Give the affine map's outputs (n, k) for inputs (n, d)."""
        return x @ self.weight.T + self.bias


@runtime_checkable
class Cell(Protocol):
    """A part of the input space."""

    def sides(self, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Give the sign of each affine function (n, 1 + d), the constant first; 0 for one that the cell is split by.

        `known` signs are kept. What comes after the first 0 may stay unknown.
        """
        ...

    def split(self, row: np.ndarray) -> tuple["Cell", "Cell"]:
        """Split it: where the function is positive, and where negative."""
        ...


@dataclass(frozen=True, eq=False)
class Point:
    """One input; on a border it belongs to the active side."""

    x: np.ndarray

    def sides(self, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Evaluate."""
        return np.where(rows[:, 0] + rows[:, 1:] @ self.x >= 0, 1, -1)

    def split(self, row: np.ndarray) -> tuple[Cell, Cell]:
        """Not to be had."""
        raise AssertionError("a point is not split")


@dataclass(frozen=True, eq=False)
class Polytope:
    """The part of a box where rows (r, 1 + d) are not negative; a point inside, and its distance from all of them."""

    lower: np.ndarray
    upper: np.ndarray
    rows: np.ndarray
    inside: np.ndarray
    radius: float

    @staticmethod
    def box(lower: np.ndarray, upper: np.ndarray) -> "Polytope":
        """Begin with a box; inputs that are fixed are no dimension of it."""
        free = upper > lower
        radius = float((upper - lower)[free].min() / 2) if free.any() else 1.0
        return Polytope(lower, upper, np.zeros((0, 1 + len(lower))), (lower + upper) / 2, radius)

    def with_row(self, row: np.ndarray) -> "Polytope":
        """Keep what has row >= 0: the centre of the largest ball in what is left, by one linear program."""
        rows = np.concatenate([self.rows, row[None]])
        free = self.upper > self.lower
        norms = np.linalg.norm(rows[:, 1:][:, free], axis=1)
        # over (x, t): -g x + |g| t <= c, and t from each side of the box
        sides = np.concatenate([np.eye(len(free))[free], -np.eye(len(free))[free]])
        ends = np.concatenate([self.upper[free], -self.lower[free]])
        left = np.block([[-rows[:, 1:], norms[:, None]], [sides, np.ones((len(sides), 1))]])
        widest = float((self.upper - self.lower).max(initial=0.0)) + 1.0
        start = Predicate.box(np.append(self.lower, -widest), np.append(self.upper, widest))
        solver = Solver(start.with_constraints(left, np.concatenate([rows[:, 0], ends])))
        goal = np.zeros(len(self.lower) + 1)
        goal[-1] = -1.0
        solver.minimum(goal)
        if not solver.solutions:
            raise InputError("a linear program of a region was not solved")
        centre_and_radius = solver.solutions[-1]
        return Polytope(self.lower, self.upper, rows, centre_and_radius[:-1], float(centre_and_radius[-1]))

    def sides(self, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Look at the box, at the ball inside, and then solve, until one splits the cell."""
        signs = known.copy()
        centre, radius = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        spread = np.abs(rows[:, 1:]) @ radius
        middle = rows[:, 0] + rows[:, 1:] @ centre
        signs = np.where((signs == UNKNOWN) & (middle >= spread), 1, signs)
        signs = np.where((signs == UNKNOWN) & (middle <= -spread), -1, signs)
        for i in np.flatnonzero(signs == UNKNOWN):
            here = rows[i, 0] + rows[i, 1:] @ self.inside
            if abs(here) < self.radius * np.linalg.norm(rows[i, 1:][self.upper > self.lower]):  # cuts the ball
                signs[i] = 0
                return signs
            other = -rows[i] if here > 0 else rows[i]
            if self.with_row(other).radius > SOLVED:
                signs[i] = 0
                return signs
            signs[i] = 1 if here > 0 else -1
        return signs

    def split(self, row: np.ndarray) -> tuple[Cell, Cell]:
        """Split by the row and by its opposite."""
        return self.with_row(row), self.with_row(-row)


@dataclass(frozen=True, eq=False)
class Polygon:
    """A convex polygon in the plane, its corners (v, 2) in order."""

    corners: np.ndarray

    def sides(self, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Look at the corners."""
        values = rows[:, 0] + self.corners @ rows[:, 1:].T  # (v, n)
        low, high = values.min(0), values.max(0)
        thin = ROUNDED * (1 + np.abs(values).max(0))
        seen = np.where(low >= -thin, 1, np.where(high <= thin, -1, 0))
        return np.where(known == UNKNOWN, seen, known)

    def split(self, row: np.ndarray) -> tuple[Cell, Cell]:
        """Walk around it; where an edge crosses the line, both halves get the crossing."""
        values = row[0] + self.corners @ row[1:]
        parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for i, (corner, value) in enumerate(zip(self.corners, values, strict=True)):
            after = (i + 1) % len(values)
            if value >= 0:
                parts[0].append(corner)
            if value <= 0:
                parts[1].append(corner)
            if value * values[after] < 0:
                share = value / (value - values[after])
                crossing = corner + share * (self.corners[after] - corner)
                parts[0].append(crossing)
                parts[1].append(crossing)
        return Polygon(np.array(parts[0])), Polygon(np.array(parts[1]))

    @property
    def area(self) -> float:
        """Its area."""
        x, y = self.corners.T
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def linear_region_at(graph: Graph, x: Tensor) -> LinearRegion:
    """Return the region around one input (of the input's shape): the network there, exactly, and how far that goes.

    Property: exact in real arithmetic.

    Raises:
        InputError: an input of another shape, or a network with products.
    """
    if x.shape != graph.input_shape:
        raise InputError(f"an input of shape {tuple(x.shape)}; the network takes {graph.input_shape}")
    return next(_walk(graph, Point(x.double().flatten().numpy())))


def linear_regions(graph: Graph, domain: InputSet, most: int = 10_000) -> list[LinearRegion]:
    """Return every activation region of a box that is wider than 1e-7, the solver's tolerance. For small networks.

    Raises:
        InputError: more regions than `most`, a domain that is no box or of other inputs, a network with products.

    Reference: Serra et al. 2018 count them by one mixed-integer program each; this one by LPs.
    """
    return list(each_linear_region(graph, domain, most))


def each_linear_region(graph: Graph, domain: InputSet, most: int = 10_000) -> Iterator[LinearRegion]:
    """Give the regions of `linear_regions` as they are met.

    Raises:
        InputError: as `linear_regions`.
    """
    if domain.constraints is not None:
        raise InputError("regions are those of a box, without linear constraints")
    lower, upper = domain.ends(graph.input_shape)
    return _all(graph, Polytope.box(lower.ravel(), upper.ravel()), most)


def plane_linear_regions(
    graph: Graph, origin: Tensor, right: Tensor, up: Tensor, most: int = 100_000
) -> list[LinearRegion]:
    """Return the regions that the parallelogram origin + u right + v up, 0 <= u, v <= 1, cuts; inputs are (u, v).

    Each region's cell is a polygon. Exact up to rounding in float64.

    Raises:
        InputError: as `linear_regions`.
    """
    if not origin.shape == right.shape == up.shape == graph.input_shape:
        raise InputError(f"three points of shape {graph.input_shape} are needed")
    directions = torch.stack([right.double().flatten(), up.double().flatten()], 1)
    ops = [Linear(directions, origin.double().flatten()), Reshape(graph.input_shape)]
    plane = prefixed(graph.to(torch.float64), (2,), ops)
    return list(_all(plane, Polygon(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])), most))


def _all(graph: Graph, cell: Cell, most: int) -> Iterator[LinearRegion]:
    for number, region in enumerate(_walk(graph, cell), 1):
        if number > most:
            raise InputError(f"there are more than {most} regions; a smaller network or domain can be counted")
        yield region


def _walk(graph: Graph, cell: Cell) -> Iterator[LinearRegion]:
    """Propagate depth first; values are (1 + d, *shape): the constant, then what each input adds."""
    graph = pools_as_relus(graph.to(torch.float64))
    d = int(np.prod(graph.input_shape))
    start = torch.cat([torch.zeros(1, d), torch.eye(d)]).double().reshape(1 + d, *graph.input_shape)
    last = {i: at for at, node in enumerate(graph.nodes) for i in node.inputs}
    none = np.zeros((0, 1 + d))
    todo: list[tuple[int, dict[int, Tensor], Cell, np.ndarray, np.ndarray, np.ndarray | None]]
    todo = [(1, {0: start}, cell, none, np.zeros(0, dtype=int), None)]
    while todo:
        at, values, cell, rows, signs, known = todo.pop()
        while at < len(graph.nodes):
            tick()
            node = graph.nodes[at]
            given = [values[i] for i in node.inputs]
            match node.op:
                case Affine():
                    out = node.op.linear(given[0])
                    bias = node.op.broadcast_bias()
                    if bias is not None:
                        out = out.clone()
                        out[0] += torch.broadcast_to(bias, node.shape)
                case Add():
                    out = given[0] + given[1]
                case Concat():
                    out = torch.cat(given, node.op.axis + 1)
                case Relu():
                    entering = given[0].flatten(1).T.numpy()
                    known = cell.sides(entering, np.full(len(entering), UNKNOWN) if known is None else known)
                    crossed = np.flatnonzero(known == 0)
                    if len(crossed):
                        for half, sign in zip(cell.split(entering[crossed[0]]), (1, -1), strict=True):
                            decided = np.where(known == 0, UNKNOWN, known)
                            decided[crossed[0]] = sign
                            todo.append((at, values, half, rows, signs, decided))
                        break
                    rows = np.concatenate([rows, known[:, None] * entering])
                    signs = np.concatenate([signs, known])
                    out = given[0] * torch.from_numpy(known > 0).reshape(node.shape)
                    known = None
                case Mul() | Elementwise() | MaxPool2d() | Softmax() | Input():
                    raise InputError(f"node {node.name!r}: {type(node.op).__name__} is not piecewise linear")
            values = {i: v for i, v in values.items() if last[i] > at} | {at: out}
            at += 1
        else:
            end = values[len(graph.nodes) - 1].flatten(1).T.numpy()
            yield LinearRegion(end[:, 1:], end[:, 0], rows[:, 1:], rows[:, 0], signs, cell)
