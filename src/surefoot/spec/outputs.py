"""What a question about a network's own outputs says of its logits, where a softmax or its logarithm follows them.

With p = softmax(z) and v = w - b, the condition w p <= b is v_1 exp z_1 + ... + v_k exp z_k <= 0, for probabilities sum
to 1. So a comparison of two is one of logits, a threshold of one is one of a log-sum-exp of differences, and some
conditions hold always or never. Of log-probabilities y, where w sums to 0, w y = w z.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.rounding import formula_error
from surefoot.graph.passes.softmax import OUTPUTS, Link
from surefoot.spec.exact import below as rounded_down
from surefoot.spec.query import Query, Unsafe

GAP = 2.0**-13  # between logits: from here on no softmax of float32 ties the largest with another
NEAREST, FARTHEST = 1e-300, 1e300  # thresholds of log-probabilities within are read


@dataclass(frozen=True)
class Threshold:
    """A condition on p_j = 1 / (1 + exp s), where s is the log-sum-exp of z_i - z_j over all i but j.

    `at_most`: p_j <= c, or s >= level; else p_j >= c, or s <= level. The level is log((1 - c) / c), rounded so that the
    condition can only become wider.
    """

    output: int
    at_most: bool
    level: float


@dataclass(frozen=True, eq=False)
class Conditions:
    """Rows and thresholds of logits, all at once: an unsafe set."""

    rows: Unsafe
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, eq=False)
class OfLogits:
    """A query in terms of logits; its sets may only be wider than what was asked, and are the same but for rounding.

    `never` is the least distance of the sets that were left out, which no probabilities reach; None where all are here.
    """

    sets: tuple[Conditions, ...]
    never: float | None


_Row: TypeAlias = "tuple[np.ndarray, float] | Threshold | Literal['always'] | _Never | None"  # None: cannot be read


@dataclass(frozen=True)
class _Never:
    margin: float


def of_logits(query: Query, link: Link) -> OfLogits:
    """Rewrite a query on outputs as one on logits.

    Property: in real arithmetic an output is in one of the query's sets only if its logits are in one of these.

    Raises:
        InputError: a condition that is neither a comparison of two outputs nor a threshold of one, by name.
    """
    sets, never = [], math.inf
    for number, unsafe in enumerate(query.unsafe, 1):
        rows = [_read(w, float(b), link) for w, b in zip(unsafe.weights, unsafe.bounds, strict=True)]
        out_of_reach = [row.margin for row in rows if isinstance(row, _Never)]
        if out_of_reach:
            never = min(never, max(out_of_reach))
            continue
        for at, row in enumerate(rows):
            if row is None:
                raise InputError(_refusal(unsafe, at, number, link))
        linear = [row for row in rows if isinstance(row, tuple)]
        k = unsafe.weights.shape[1]
        weights = np.array([w for w, _ in linear]).reshape(-1, k)
        thresholds = tuple(row for row in rows if isinstance(row, Threshold))
        sets.append(Conditions(Unsafe(weights, np.array([b for _, b in linear])), thresholds))
    return OfLogits(tuple(sets), None if never == math.inf else never)


def no_certificate_of_thresholds(link: Link) -> str:
    """Say which properties certificates do not cover."""
    return (
        f"certificates cover comparisons of two outputs; the property has a threshold of {OUTPUTS[link]}, which they "
        "do not cover"
    )


def comparisons_of_logits(query: Query, link: Link) -> Query | None:
    """Rewrite a query whose conditions are comparisons; None where no output can be unsafe. What certificates speak of.

    Raises:
        InputError: any other condition.
    """
    if link == "identity":
        return query
    question = of_logits(query, link)
    if any(asked.thresholds for asked in question.sets):
        raise InputError(no_certificate_of_thresholds(link))
    if not question.sets:
        return None
    return Query(query.inputs, tuple(asked.rows for asked in question.sets))


def widened_for_float32(question: OfLogits, classes: int) -> tuple[Unsafe, ...] | None:
    """Return sets of logits such that outside of them one class keeps the largest output in float32 too; None: no such.

    That is a softmax's order, where every other class is compared with one: its exponential is the largest, hence never
    lost, and those of the others, `GAP` below, are at most 1 - 2^-14 of it, which no quotient of the same sum ties, for
    any implementation whose exponentials are right to a part in 2^20. Of other pairs both may be rounded to 0.
    """
    rows = [conditions.rows for conditions in question.sets]
    plain = all(r.bounds.tolist() == [0.0] and sorted(r.weights[0][r.weights[0] != 0]) == [-1, 1] for r in rows)
    if question.never is not None or not plain or any(conditions.thresholds for conditions in question.sets):
        return None
    tops = {int(r.weights[0].argmax()) for r in rows}
    if len(tops) != 1 or {int(r.weights[0].argmin()) for r in rows} | tops != set(range(classes)):
        return None
    return tuple(Unsafe(r.weights, r.bounds + GAP) for r in rows)


def _read(weights: np.ndarray, bound: float, link: Link) -> _Row:
    """Read one row, weights y <= bound."""
    if link == "softmax":
        return _of_probabilities(weights, Fraction(bound))
    if link == "log-softmax":
        return _of_log_probabilities(weights, bound)
    return weights, bound


def _of_probabilities(weights: np.ndarray, bound: Fraction) -> _Row:
    k = len(weights)
    given = {int(i): Fraction(float(weights[i])) for i in np.flatnonzero(weights)}
    signs = {i: w - bound for i, w in given.items()}
    if bound:
        signs |= {i: -bound for i in range(k) if i not in given}
    elif len(given) < k:
        signs.setdefault(next(i for i in range(k) if i not in given), Fraction(0))
    above, below = ([i for i, v in signs.items() if s * v > 0] for s in (1, -1))
    if not above:
        return "always"
    if not below:
        return _Never(rounded_down(min(signs.values())))
    if len(above) == len(below) == 1:  # v_i exp z_i <= -v_j exp z_j
        ratio = -signs[below[0]] / signs[above[0]]
        return _difference(k, above[0], below[0], 0.0 if ratio == 1 else _up(_logarithm(ratio)))
    if len(given) > 1:
        return None
    ((j, w),) = given.items()
    c = bound / w
    level = _logarithm((1 - c) / c)  # k > 2, so that no tie is exact
    return Threshold(j, w > 0, -_up(-level) if w > 0 else _up(level))


def _of_log_probabilities(weights: np.ndarray, bound: float) -> _Row:
    k = len(weights)
    given = {int(i): Fraction(float(weights[i])) for i in np.flatnonzero(weights)}
    if k == 1 or not given:
        return "always" if bound >= 0 else _Never(-bound)
    if sum(given.values()) == 0:
        return weights, bound
    if all(w > 0 for w in given.values()) and bound >= 0:
        return "always"
    if all(w < 0 for w in given.values()) and bound <= 0:
        return _Never(-bound)
    if len(given) > 1:
        return None
    ((j, w),) = given.items()
    t = rounded_down(-Fraction(bound) / w)  # the threshold is exp(-t), and the level log(exp(t) - 1)
    if not NEAREST < t < FARTHEST:
        return None
    level = math.log(math.expm1(t)) if t < 500 else t
    level = -_up(-level) if w > 0 else _up(level)
    if k > 2:
        return Threshold(j, w > 0, level)
    return _difference(2, j, 1 - j, -level) if w > 0 else _difference(2, 1 - j, j, level)


def _difference(k: int, i: int, j: int, bound: float) -> tuple[np.ndarray, float]:
    """z_i - z_j <= bound."""
    row = np.zeros(k)
    row[i], row[j] = 1.0, -1.0
    return row, bound


def _logarithm(ratio: Fraction) -> float:
    """Return log of a positive ratio, of any size, to less than half of what `_up` adds."""
    if abs(ratio - 1) < Fraction(1, 2):
        return math.log1p(float(ratio - 1))
    return math.log(ratio.numerator) - math.log(ratio.denominator)


def _up(x: float) -> float:
    return x + formula_error(abs(x))


def _refusal(unsafe: Unsafe, at: int, number: int, link: Link) -> str:
    weights, bound = unsafe.weights[at], unsafe.bounds[at]
    terms = [f"{weights[i]:+g} Y_{i}" for i in np.flatnonzero(weights)[:6]]
    more = " ..." if np.count_nonzero(weights) > 6 else ""
    return (
        f"the condition {' '.join(terms)}{more} <= {bound:g} (row {at + 1} of unsafe set {number}) speaks of "
        f"{OUTPUTS[link]}, for the network ends in a {link}: two can be compared (Y_0 <= Y_1) and one bounded "
        "(Y_0 <= 0.5); ask for no more, or cut the softmax off and ask of logits"
    )
