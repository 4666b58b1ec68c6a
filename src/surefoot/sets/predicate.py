"""Predicates: the polytope that the variables of a star live in. The only file that solves linear programs."""

import ctypes
import os
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import highspy
import numpy as np
from jaxtyping import Float
from scipy import sparse

from surefoot.core.deadline import seconds_left, tick, uninterrupted
from surefoot.core.errors import InputError
from surefoot.core.rounding import magnitude, step_error, sum_error

LONGEST = 60.0  # seconds of one linear program


@dataclass(frozen=True, eq=False)
class Predicate:
    """{a : rows a <= bounds, lower <= a <= upper}. The box is always there and finite.

    Immutable; it grows by new variables and new rows, and variables keep their places: whatever was made over an older
    predicate holds over a newer one.
    """

    lower: Float[np.ndarray, " m"]
    upper: Float[np.ndarray, " m"]
    rows: sparse.csr_matrix  # (p, m)
    bounds: Float[np.ndarray, " p"]

    @staticmethod
    def box(lower: np.ndarray, upper: np.ndarray) -> "Predicate":
        """Make a box.

        Raises:
            InputError: bounds that are not finite, or a lower above an upper.
        """
        lower, upper = np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)
        if lower.shape != upper.shape or lower.ndim != 1:
            raise InputError(f"bounds of shapes {lower.shape} and {upper.shape} are not those of one list of variables")
        if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            raise InputError("every variable of a star needs finite bounds")
        if np.any(lower > upper):
            at = int(np.argmax(lower > upper))
            raise InputError(f"variable {at} has the bounds {lower[at]:g} to {upper[at]:g}: empty")
        return Predicate(lower, upper, sparse.csr_matrix((0, len(lower))), np.zeros(0))

    @property
    def variables(self) -> int:
        """How many variables there are."""
        return len(self.lower)

    @property
    def radius(self) -> Float[np.ndarray, " m"]:
        """The largest magnitude of each variable."""
        return magnitude(np.maximum(np.abs(self.lower), np.abs(self.upper)))

    def extended(self, lower: Float[np.ndarray, " m"], upper: Float[np.ndarray, " m"]) -> "Predicate":
        """Add variables."""
        rows = sparse.csr_matrix(
            (self.rows.data, self.rows.indices, self.rows.indptr), (len(self.bounds), self.variables + len(lower))
        )
        return Predicate(np.concatenate([self.lower, lower]), np.concatenate([self.upper, upper]), rows, self.bounds)

    def with_constraints(self, rows: Any, bounds: Float[np.ndarray, " p"]) -> "Predicate":
        """Add linear constraints rows · a <= bounds on the first variables, as many as the rows have columns."""
        more = sparse.csr_matrix(rows)
        more = sparse.csr_matrix((more.data, more.indices, more.indptr), (len(bounds), self.variables))
        joined = sparse.csr_matrix(sparse.vstack([self.rows, more]))
        return Predicate(self.lower, self.upper, joined, np.concatenate([self.bounds, bounds]))

    def contracted(self, row: Float[np.ndarray, " m"], bound: float) -> "Predicate | None":
        """Shrink the box to what a row leaves of it; None if nothing is left. No linear program."""
        m = len(row)
        low, high = self.lower.copy(), self.upper.copy()
        least = np.minimum(row * low[:m], row * high[:m])
        slack = bound - least.sum()
        slack += sum_error(m, float(magnitude(row) @ self.radius[:m] + abs(bound)))
        if slack < 0:
            return None
        with np.errstate(divide="ignore", over="ignore"):
            room = np.where(row != 0, slack / np.where(row == 0, 1.0, np.abs(row)), np.inf)
        highest, lowest = self.lower[:m] + room, self.upper[:m] - room  # a quotient, a sum, the allowance
        highest += step_error(3, np.abs(self.lower[:m]) + room)
        lowest -= step_error(3, np.abs(self.upper[:m]) + room)
        high[:m] = np.where(row > 0, np.minimum(high[:m], highest), high[:m])
        low[:m] = np.where(row < 0, np.maximum(low[:m], lowest), low[:m])
        if np.any(low > high):
            return None
        return Predicate(low, high, self.rows, self.bounds)

    def box_minimum(self, directions: Float[np.ndarray, "q m"]) -> Float[np.ndarray, " q"]:
        """Bound directions · a from below over the box alone, rounded outward."""
        m = directions.shape[1]
        value = directions.clip(min=0) @ self.lower[:m] + directions.clip(max=0) @ self.upper[:m]
        return value - sum_error(m, magnitude(directions) @ self.radius[:m])

    def dual_minimum(self, direction: Float[np.ndarray, " m"], multipliers: Float[np.ndarray, " p"]) -> float:
        """Bound direction · a from below by weak duality, whatever the multipliers of the rows.

        For y = max(multipliers, 0): min f a >= -bounds y + min over the box of (f + rows' y) a, rounded outward.

        Property: sound for any multipliers.
        """
        y = np.where(np.isfinite(multipliers), np.maximum(multipliers, 0.0), 0.0)
        f = np.zeros(self.variables)
        f[: len(direction)] = direction
        reduced = f + self.rows.T @ y
        value = np.minimum(reduced * self.lower, reduced * self.upper).sum() - self.bounds @ y
        rows, most = abs(self.rows), magnitude(y)
        rows.data = magnitude(rows.data)
        size = magnitude(magnitude(f) + rows.T @ most) @ self.radius + magnitude(self.bounds) @ most
        return float(value - sum_error(self.variables + len(y), size))


@cache
def _greeted() -> None:
    """Let HiGHS print its greeting where nobody reads it: it writes to standard output, past every option.

    Output that a program reads, such as JSON, must not begin with it.
    """
    with uninterrupted():  # what is left half done would stay so
        _greet()


def _greet() -> None:
    flush = ctypes.CDLL(None).fflush
    try:
        flush(None)
        kept = os.dup(1)
    except OSError:  # no standard output: nobody is bothered
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        highspy.Highs()
        flush(None)
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


def _model() -> Any:
    _greeted()
    model = highspy.Highs()
    model.silent()
    return model


@dataclass(eq=False)
class Solver:
    """Many linear programs over one predicate: one model that is kept, and only its costs change.

    Each starts from the vertex that is best over the box alone, which is dual feasible: few rows bind, so the dual
    simplex has few steps left (a primal start from the last optimum, the textbook's choice, took five times as long).
    """

    predicate: Predicate
    solved: int = 0
    solutions: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Build the model."""
        p = self.predicate
        self._solvable = len(p.bounds) > 0 and bool(np.isfinite(p.rows.data).all()) and not np.isnan(p.bounds).any()
        model = _model()
        for option, value in (
            ("output_flag", False),
            ("solver", "simplex"),
            ("simplex_strategy", 1),
            ("presolve", "off"),
            ("threads", 1),
        ):
            model.setOptionValue(option, value)
        program: Any = highspy.HighsLp()
        program.num_col_, program.num_row_ = p.variables, len(p.bounds)
        program.col_cost_ = np.zeros(p.variables)
        program.col_lower_, program.col_upper_ = p.lower, p.upper
        program.row_lower_, program.row_upper_ = np.full(len(p.bounds), -highspy.kHighsInf), p.bounds
        by_column = sparse.csc_matrix(p.rows)
        program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        program.a_matrix_.start_ = by_column.indptr
        program.a_matrix_.index_ = by_column.indices
        program.a_matrix_.value_ = by_column.data
        model.passModel(program)
        self._model = model
        self._columns = np.arange(p.variables, dtype=np.int32)

    def minimum(self, direction: Float[np.ndarray, " m"]) -> float:
        """Bound direction · a from below; the LP's optimum if the solver found it, and sound whatever it did."""
        p = self.predicate
        if not np.isfinite(direction).all():  # the solver would look for ever
            return -np.inf
        cost = np.zeros(p.variables)
        cost[: len(direction)] = direction
        if not self._solvable or not p.variables:
            self.solutions.append(np.where(cost > 0, p.lower, p.upper))
            return float(p.box_minimum(cost[None])[0])
        tick()
        model = self._model
        model.setOptionValue("time_limit", model.getRunTime() + seconds_left(LONGEST))  # its clock runs on
        scale = float(np.abs(cost).max()) or 1.0  # tolerances of the solver are absolute
        model.changeColsCost(p.variables, self._columns, cost / scale)
        basis = highspy.HighsBasis()
        low, high = highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kUpper
        basis.col_status = [low if c >= 0 else high for c in cost]
        basis.row_status = [highspy.HighsBasisStatus.kBasic] * len(p.bounds)
        model.setBasis(basis)
        model.run()
        self.solved += 1
        solution = model.getSolution()
        point = np.asarray(solution.col_value)
        if len(point) == p.variables and np.isfinite(point).all():
            self.solutions.append(point)
        bound = float(p.box_minimum(cost[None])[0])
        multipliers = -np.asarray(solution.row_dual) * scale
        if len(multipliers) == len(p.bounds):
            bound = max(bound, p.dual_minimum(cost, multipliers))
        return bound
