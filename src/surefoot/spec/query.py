"""What is asked, and what can be answered."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from surefoot.core.errors import InputError
from surefoot.proof.certificate import Proof
from surefoot.spec.exact import Row, above
from surefoot.spec.input_set import InputSet


@dataclass(frozen=True, eq=False)
class Unsafe:
    """The outputs y with weights y <= bounds, all rows at once: what must not be reached.

    `exact` are the same rows as they were asked, where that is more than float64 can hold: `bounds` are rounded upwards
    then, and `weights` to the nearest.
    """

    weights: Float[np.ndarray, "r k"]
    bounds: Float[np.ndarray, " r"]
    exact: tuple[Row, ...] | None = field(default=None, repr=False)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows in exact numbers."""
        if self.exact is not None:
            return self.exact
        return tuple(
            Row({i: Fraction(float(row[i])) for i in np.flatnonzero(row).tolist()}, Fraction(float(bound)))
            for row, bound in zip(self.weights, self.bounds, strict=True)
        )

    def holds(self, y: Float[np.ndarray, " k"]) -> bool:
        """Whether one output (k,) is inside, in exact arithmetic."""
        values = {i: Fraction(float(v)) for i, v in enumerate(y)}
        return all(row.holds(values) for row in self.rows)

    @property
    def weight_errors(self) -> Float[np.ndarray, "r k"]:
        """Bound |weights - the weights that were asked|; 0 where these are float64 numbers."""
        errors = np.zeros_like(self.weights)
        for r, row in enumerate(self.exact or ()):
            for i, w in row.weights.items():
                if w != self.weights[r, i]:
                    errors[r, i] = above(abs(w - Fraction(float(self.weights[r, i]))))
        return errors

    def relaxed(self, largest: Float[np.ndarray, " k"]) -> "Unsafe":
        """Raise the bounds by what rounded weights can cost for outputs of magnitudes up to `largest`."""
        errors = self.weight_errors
        if not errors.any():
            return self
        cost = [sum((Fraction(e) * Fraction(m) for e, m in zip(row.tolist(), largest.tolist(), strict=True) if e),
                    Fraction(0)) for row in errors]  # fmt: skip
        bounds = np.array([above(Fraction(b) + c) for b, c in zip(self.bounds.tolist(), cost, strict=True)])
        return Unsafe(self.weights, bounds, self.rows)

    def slack(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Return how far outputs (n, k) are outside: the largest of weights y - bounds, inside where <= 0.

        Without rows everything is unsafe, and the slack is minus infinity.
        """
        y = np.asarray(y, dtype=np.float64)
        if not len(self.bounds):
            return np.full(len(y), -np.inf)
        return (y @ self.weights.T - self.bounds).max(1)


@dataclass(frozen=True, eq=False)
class Query:
    """Is there an input in a set whose output lies in one of the unsafe polytopes?

    Raises:
        InputError: no unsafe set, or coordinates that stand for inputs: see `verify.network.region_to_query`.
    """

    inputs: InputSet
    unsafe: tuple[Unsafe, ...]

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        if self.inputs.origin is not None:
            raise InputError("a question is about inputs; `region_to_query` asks it about coordinates of inputs")
        if not self.unsafe:
            raise InputError("nothing is unsafe: every network has such a property")

    @property
    def has_exact_weights(self) -> bool:
        """Whether float64 holds the weights that were asked."""
        return not any(unsafe.weight_errors.any() for unsafe in self.unsafe)

    def broken_by(self, y: np.ndarray) -> bool:
        """Whether one output (k,) is unsafe, in exact arithmetic: what `slack` says may be a rounding error."""
        return any(unsafe.holds(y) for unsafe in self.unsafe)

    def slack(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Return how far outputs (n, k) are from all that is unsafe; <= 0 is a counterexample."""
        return np.min([unsafe.slack(y) for unsafe in self.unsafe], axis=0)


def robustness(inputs: InputSet, label: int, classes: int) -> Query:
    """Ask whether every input of a set keeps its class: a tie with another class is unsafe.

    >>> robustness(InputSet.of([0, 0], [1, 1]), label=0, classes=3).slack(np.array([[2.0, 1.0, 0.5]]))
    array([1.])

    Raises:
        InputError: a label that is no class.
    """
    return Query(inputs, other_classes(label, classes))


def other_classes(label: int, classes: int) -> tuple[Unsafe, ...]:
    """Return the outputs of every other class, ties included: what is unsafe where a class must be kept.

    Raises:
        InputError: a label that is no class.
    """
    if not 0 <= label < classes:
        raise InputError(f"label {label} is not one of {classes} classes")
    unsafe = []
    for other in range(classes):
        if other != label:
            row = np.zeros((1, classes))
            row[0, label], row[0, other] = 1.0, -1.0
            unsafe.append(Unsafe(row, np.zeros(1)))
    return tuple(unsafe)


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
    """An input that reaches what is unsafe, replayed in float32 before this was made.

    It lies in the region, or, where a region holds no float32 input or a row cuts it, a unit in the last place beside
    it: `distance_to_region` is 0 for the first, and for the second how far off any of its values is.
    """

    input: Float[np.ndarray, " d"]
    output: Float[np.ndarray, " k"]
    method: str
    details: dict[str, float] = field(default_factory=dict)
    distance_to_region: float = 0.0


@dataclass(frozen=True)
class Unknown:
    """Neither was shown."""

    why: str
    margin: float
    details: dict[str, float] = field(default_factory=dict)


Verdict: TypeAlias = Holds | Violated | Unknown
