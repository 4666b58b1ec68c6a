"""What is asked, and what can be answered."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.proof.certificate import Proof


@dataclass(frozen=True, eq=False)
class Unsafe:
    """The outputs y with weights y <= bounds, all rows at once: what must not be reached."""

    weights: Float[np.ndarray, "r k"]
    bounds: Float[np.ndarray, " r"]

    def holds(self, y: np.ndarray) -> bool:
        """Whether one output (k,) is inside, in exact arithmetic."""
        exact = [Fraction(float(v)) for v in y]
        return all(
            sum(Fraction(float(w)) * v for w, v in zip(row, exact, strict=True) if w) <= Fraction(float(bound))
            for row, bound in zip(self.weights, self.bounds, strict=True)
        )

    def slack(self, y: np.ndarray) -> np.ndarray:
        """Return how far outputs (n, k) are outside: the largest of weights y - bounds, inside where <= 0.

        Without rows everything is unsafe, and the slack is minus infinity.
        """
        y = np.asarray(y, dtype=np.float64)
        if not len(self.bounds):
            return np.full(len(y), -np.inf)
        return (y @ self.weights.T - self.bounds).max(1)


@dataclass(frozen=True, eq=False)
class Query:
    """Is there an input in the box [lower, upper] (flat) whose output lies in one of the unsafe polytopes?

    `cuts` (rows, bounds), if there are any, narrow the box to rows x <= bounds.

    Raises:
        InputError: bounds that are not finite, of different lengths, or a lower above an upper; no unsafe set.
    """

    lower: Float[np.ndarray, " d"]
    upper: Float[np.ndarray, " d"]
    unsafe: tuple[Unsafe, ...]
    cuts: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        if self.lower.shape != self.upper.shape or self.lower.ndim != 1 or not self.lower.size:
            raise InputError(f"bounds of shapes {self.lower.shape} and {self.upper.shape} are not those of one input")
        for bounds, which in ((self.lower, "lower"), (self.upper, "upper")):
            if not np.isfinite(bounds).all():
                at = int(np.argmin(np.isfinite(bounds)))
                raise InputError(f"the {which} bound of input {at} is {bounds[at]}; finite bounds are needed")
        if np.any(self.lower > self.upper):
            at = int(np.argmax(self.lower > self.upper))
            raise InputError(f"the region is empty: input {at} from {self.lower[at]:g} to {self.upper[at]:g}")
        if self.cuts is not None and self.cuts[0].shape != (len(self.cuts[1]), len(self.lower)):
            raise InputError(f"cuts of shape {self.cuts[0].shape} do not fit {len(self.lower)} inputs")
        if not self.unsafe:
            raise InputError("nothing is unsafe: every network has such a property")

    def holds_inputs(self, x: np.ndarray) -> np.ndarray:
        """Return which of the inputs (n, d) satisfy the cuts, to rounding."""
        if self.cuts is None:
            return np.ones(len(x), dtype=bool)
        rows, bounds = self.cuts
        spare = 1e-7 * (np.abs(x) @ np.abs(rows).T + np.abs(bounds))
        return np.asarray((x @ rows.T <= bounds + spare).all(1))

    def broken_by(self, y: np.ndarray) -> bool:
        """Whether one output (k,) is unsafe, in exact arithmetic: what `slack` says may be a rounding error."""
        return any(unsafe.holds(y) for unsafe in self.unsafe)

    def slack(self, y: np.ndarray) -> np.ndarray:
        """Return how far outputs (n, k) are from all that is unsafe; <= 0 is a counterexample."""
        return np.min([unsafe.slack(y) for unsafe in self.unsafe], axis=0)


def robustness(lower: np.ndarray, upper: np.ndarray, label: int, classes: int) -> Query:
    """Ask whether every input of a box keeps its class: a tie with another class is unsafe.

    >>> robustness(np.zeros(2), np.ones(2), label=0, classes=3).slack(np.array([[2.0, 1.0, 0.5]]))
    array([1.])

    Raises:
        InputError: a label that is no class, or a box that is none.
    """
    if not 0 <= label < classes:
        raise InputError(f"label {label} is not one of {classes} classes")
    unsafe = []
    for other in range(classes):
        if other != label:
            row = np.zeros((1, classes))
            row[0, label], row[0, other] = 1.0, -1.0
            unsafe.append(Unsafe(row, np.zeros(1)))
    return Query(np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64), tuple(unsafe))


@dataclass(frozen=True)
class Holds:
    """No input of the region reaches what is unsafe.

    `margin` is a sound lower bound on the distance from it. It is proven for real arithmetic; `float32` says whether
    also for any float32 evaluation of the network's operations, in any order of summation.
    """

    margin: float
    method: str
    float32: bool
    details: dict[str, float] = field(default_factory=dict)
    proof: Proof | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Violated:
    """An input of the region that reaches what is unsafe, replayed in float32 before this was made."""

    input: Float[np.ndarray, " d"]
    output: Float[np.ndarray, " k"]
    method: str
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Unknown:
    """Neither was shown."""

    why: str
    margin: float
    details: dict[str, float] = field(default_factory=dict)


Verdict: TypeAlias = Holds | Violated | Unknown
