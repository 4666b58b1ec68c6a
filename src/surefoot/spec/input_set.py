"""Sets of inputs: what every question, bound and compression is about."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.core.rounding import step_error
from surefoot.spec.exact import above, root_below

Exact: TypeAlias = dict[int, tuple[Fraction, Fraction]]


@dataclass(frozen=True, eq=False)
class LinearConstraints:
    """The flat inputs x with rows x <= bounds.

    Raises:
        InputError: weights or bounds that are not finite.
    """

    rows: Float[np.ndarray, "r d"]
    bounds: Float[np.ndarray, " r"]

    def __post_init__(self) -> None:
        """Refuse what constrains nothing."""
        if not (np.isfinite(self.rows).all() and np.isfinite(self.bounds).all()):
            raise InputError("linear constraints hold what is not finite: finite numbers are needed")

    @staticmethod
    def of(rows: Any, bounds: Any) -> "LinearConstraints":
        """Make constraints of arrays or lists of any numbers; rows whose bound is infinity constrain nothing, and go.

        >>> LinearConstraints.of([[1, 1], [0, 1]], [1, np.inf]).rows
        array([[1., 1.]])

        Raises:
            InputError: not one bound for each row, or numbers that are not finite.
        """
        rows, bounds = np.atleast_2d(np.asarray(rows, np.float64)), np.asarray(bounds, np.float64).ravel()
        if rows.shape[:-1] != bounds.shape:
            raise InputError(f"rows {rows.shape} need one bound each: there are {len(bounds)}")
        kept = bounds != np.inf
        return LinearConstraints(rows[kept], bounds[kept])

    def distance(self, x: Float[np.ndarray, " d"]) -> Fraction:
        """Return the largest (row x - bound) / |row| of an input, not below what it is; 0 exactly where all hold."""
        used, largest = [Fraction(v) for v in x.tolist()], Fraction(0)
        for row, bound in zip(self.rows, self.bounds, strict=True):
            excess = sum((Fraction(float(row[i])) * used[i] for i in np.flatnonzero(row)), Fraction(0))
            excess -= Fraction(float(bound))
            if excess > 0:
                square = sum((Fraction(float(w)) ** 2 for w in row[row != 0]), Fraction(0))
                largest = max(largest, excess / (root_below(square) or 1))
        return largest


@dataclass(frozen=True, eq=False)
class Ball:
    """The flat inputs x with |x - centre|_p <= radius, p = 1 or 2.

    >>> ball = Ball(np.zeros(2), 1.0, 2)
    >>> ball.distance(np.array([0.6, 0.8])) > 0, ball.distance(np.array([0.5, 0.5]))  # 0.6 and 0.8 are rounded up
    (True, Fraction(0, 1))

    Raises:
        InputError: a centre or radius that is not finite, a negative radius, another norm.
    """

    centre: Float[np.ndarray, " d"]
    radius: float
    norm: Literal[1, 2]

    def __post_init__(self) -> None:
        """Refuse what is no ball."""
        if not np.isfinite(self.centre).all():
            raise InputError("the centre of a ball holds what is not finite: finite numbers are needed")
        if not 0 <= self.radius < np.inf:
            raise InputError(f"a radius of at least 0 is needed, given {self.radius}")
        if self.norm not in (1, 2):
            raise InputError(f"balls are of the norms 1 and 2, given {self.norm}")

    def distance(self, x: Float[np.ndarray, " d"]) -> Fraction:
        """Return |x - centre| - radius of an input, not below what it is; 0 exactly where it lies inside."""
        moved = [Fraction(a) - Fraction(b) for a, b in zip(x.tolist(), self.centre.tolist(), strict=True) if a != b]
        radius = Fraction(self.radius)
        if self.norm == 1:
            return max(sum(map(abs, moved), Fraction(0)) - radius, Fraction(0))
        square = sum((step * step for step in moved), Fraction(0))
        excess = square - radius * radius
        return excess / (root_below(square) + radius) if excess > 0 else Fraction(0)


Limits: TypeAlias = LinearConstraints | Ball


@dataclass(frozen=True, eq=False)
class Origin:
    """What coordinates a stand for: the inputs centre + a · directions, a line, a plane, any zonotope."""

    centre: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "m d"]

    def __call__(self, a: Float[np.ndarray, "*n m"]) -> Float[np.ndarray, "*n d"]:
        """Return the inputs at coordinates, rounded."""
        return self.centre + a @ self.directions


@dataclass(frozen=True, eq=False)
class InputSet:
    """The flat inputs x, lower <= x <= upper, that satisfy the linear constraints or lie in the ball, if there is one.

    With an `origin` it is a set of coordinates, which stand for inputs. `exact` are the bounds of those inputs for
    which no float64 holds them: the box is rounded outward there. `interior` is an input that satisfies the
    constraints, as far inside as there is one; `compress.interior` looks for it, and keeps it here.

    >>> triangle = InputSet.of([0, 0], [1, 1], LinearConstraints.of([[1, 1]], [1]))
    >>> triangle.contains(np.array([0.5, 0.5])), triangle.contains(np.array([0.5, 0.6]))
    (True, False)

    Raises:
        InputError: bounds that are not finite, of different lengths, or a lower above an upper; constraints or an
            origin of another size.
    """

    lower: Float[np.ndarray, " d"]
    upper: Float[np.ndarray, " d"]
    constraints: LinearConstraints | None = None
    origin: Origin | None = None
    exact: Exact = field(default_factory=dict, repr=False)
    interior: Float[np.ndarray, " d"] | None = field(default=None, repr=False)
    ball: Ball | None = None

    def __post_init__(self) -> None:
        """Refuse what is no set of inputs."""
        if self.lower.shape != self.upper.shape or self.lower.ndim != 1 or not self.lower.size:
            raise InputError(f"bounds of shapes {self.lower.shape} and {self.upper.shape} are not those of one input")
        for bounds, which in ((self.lower, "lower"), (self.upper, "upper")):
            if not np.isfinite(bounds).all():
                at = int(np.argmin(np.isfinite(bounds)))
                raise InputError(f"the {which} bound of input {at} is {bounds[at]}; finite bounds are needed")
        if np.any(self.lower > self.upper):
            at = int(np.argmax(self.lower > self.upper))
            raise InputError(f"the region is empty: input {at} from {self.lower[at]:g} to {self.upper[at]:g}")
        if self.constraints is not None and self.constraints.rows.shape[1] != self.size:
            raise InputError(f"constraints of shape {self.constraints.rows.shape} do not fit {self.size} inputs")
        if self.ball is not None and (self.constraints is not None or self.origin is not None):
            raise InputError("a ball goes neither with linear constraints nor with an origin")
        if self.ball is not None and len(self.ball.centre) != self.size:
            raise InputError(f"a ball of {len(self.ball.centre)} values does not fit {self.size} inputs")
        if self.origin is not None and len(self.origin.directions) != self.size:
            raise InputError(f"{len(self.origin.directions)} directions do not fit {self.size} coordinates")

    @staticmethod
    def of(lower: Any, upper: Any, constraints: LinearConstraints | None = None) -> "InputSet":
        """Make a set of bounds in any shape: arrays, tensors or lists.

        Raises:
            InputError: bounds that are those of no set.
        """
        lower, upper = np.asarray(lower, np.float64), np.asarray(upper, np.float64)
        if lower.shape != upper.shape:
            raise InputError(f"bounds of shapes {lower.shape} and {upper.shape} are not those of one input")
        return InputSet(lower.ravel(), upper.ravel(), constraints)

    @property
    def size(self) -> int:
        """How many numbers an input is."""
        return len(self.lower)

    @property
    def limits(self) -> Limits | None:
        """What narrows the box: linear constraints, or a ball."""
        return self.ball if self.ball is not None else self.constraints

    @property
    def boxes(self) -> list[tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]]:
        """Boxes of inputs: this one, or, of coordinates, their middle and two corners, as points."""
        if self.origin is None:
            return [(self.lower, self.upper)]
        places = [0.5 * self.lower + 0.5 * self.upper, self.lower, self.upper]
        return [(x, x) for x in map(self.origin, places)]

    def ends(self, shape: tuple[int, ...]) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
        """Return the lower and the upper bounds in the shape of a network's input.

        Raises:
            InputError: a network of other inputs, or a set of coordinates.
        """
        if self.origin is not None:
            raise InputError("this is a set of coordinates, of which only a question can be asked: `region_to_query`")
        if self.size != np.prod(shape):
            raise InputError(f"a set of inputs of {self.size} values does not fit a network of inputs {shape}")
        return self.lower.reshape(shape), self.upper.reshape(shape)

    def contains(self, x: Float[np.ndarray, " d"]) -> bool:
        """Whether one input (d,) lies inside, in exact arithmetic."""
        return self.distance(x) == 0.0

    def distance(self, x: Float[np.ndarray, " d"]) -> float:
        """Return how far one input (d,) lies outside, rounded upwards: 0 exactly where it lies inside.

        The largest over inputs of the distance from the box, over its linear input constraints of (row x - bound) /
        |row|, and of |x - centre| - radius of its ball.
        """
        far = max(float(np.max(self.lower - x)), float(np.max(x - self.upper)), 0.0)
        far += step_error(2, far)
        outside = [Fraction(0)]
        for at, (low, high) in self.exact.items():
            if not self.lower[at] < x[at] < self.upper[at]:  # strictly inside of the rounded box is inside
                value = Fraction(float(x[at]))
                outside.append(max(low - value, value - high))
        if self.limits is not None:
            outside.append(self.limits.distance(x))
        return max(far, above(max(outside)))
