"""Cases of a property as questions: each a box of inputs, perhaps cut by linear constraints, and a polytope of outputs.

What a box and constraints cannot say exactly is asked of outputs: a condition on inputs and outputs together, a strict
one, one whose weights no float64 holds, one on products. Inputs then count as further outputs, after the others, in
their order, and after them the products that occur.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.spec.exact import Row, above, below
from surefoot.spec.formula import Assertions, Atom
from surefoot.spec.input_set import Exact, InputSet, LinearConstraints
from surefoot.spec.query import Query, Unsafe

LARGEST_ARRAYS = 2**27  # numbers, of all boxes and all rows
ROUNDS = 20  # in which bounds of inputs are sought in conditions on several
DIGITS = 500  # binary, of bounds that follow from others
_Ends: TypeAlias = tuple[Fraction | None, Fraction | None]
_Box: TypeAlias = dict[int, _Ends]
_FREE: _Ends = (None, None)


class EmptyRegion(InputError):
    """No input satisfies what is asserted of inputs, exactly: in a question of one's own a mistake, mostly."""


@dataclass(frozen=True)
class Property:
    """Questions, one for each region of inputs.

    `of_inputs`: inputs count as outputs, after those that there are. `products` of two of all of these follow.
    """

    queries: list[Query]
    of_inputs: bool
    products: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Case:
    """Conditions of one case: bounds of inputs (None: no input has them), rows over inputs, and over outputs."""

    box: _Box | None
    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]


def property_of(asserted: Assertions, inputs: int, outputs: int) -> Property:
    """Divide cases into regions and unsafe sets; put those of the same region together.

    Property: exact: a point satisfies the assertions where a query's region and one of its unsafe sets hold it.

    Raises:
        EmptyRegion: no region is left.
        InputError: nothing is asserted, inputs without a bound, more numbers than are read.
    """
    if not asserted.any:
        raise InputError("the property asserts nothing")
    atoms = [atom for case in (asserted.common, *asserted.cases) for atom in case]
    of_inputs = any(map(_asks_of_inputs, atoms))
    products = tuple(sorted({_columns(name, outputs) for atom in atoms for name in atom.weights if "*" in name}))
    place_of = {pair: outputs + inputs + i for i, pair in enumerate(products)}
    size = outputs + inputs * of_inputs + len(products)
    shared = _split(asserted.common, outputs, place_of)
    unsafe_of: dict[tuple, list[Unsafe]] = {}
    numbers = 0
    for atoms in asserted.cases if shared.box is not None else ():
        tick()
        case = _split(atoms, outputs, place_of)
        changed = None if case.box is None or shared.box is None else _narrowed(case.box, shared.box)
        if changed is None:
            continue
        key = (tuple(sorted(changed.items())), tuple(_plain(row) for row in case.inputs))
        rows = (*case.outputs, *shared.outputs)
        numbers += len(rows) * size + (0 if key in unsafe_of else (2 + len(case.inputs) + len(shared.inputs)) * inputs)
        if numbers > LARGEST_ARRAYS:
            raise InputError(f"the cases of the property take more than {LARGEST_ARRAYS} numbers: ask fewer at once")
        unsafe_of.setdefault(key, []).append(_unsafe(rows, size))
    if shared.box is None or not unsafe_of:
        raise EmptyRegion("no input satisfies the property's conditions: some lower bound is above its upper bound")
    low, high, exact = np.full(inputs, -np.inf), np.full(inputs, np.inf), {}
    _put(low, high, exact, shared.box.items())
    queries = []
    for (changed, rows), unsafe in unsafe_of.items():
        tick()
        constraints = (*(Row(dict(weights), bound) for weights, bound in rows), *shared.inputs)
        region = _region((low, high, exact), shared.box, changed, constraints)
        if region is not None:
            queries.append(Query(region, tuple(unsafe)))
    if not queries:
        raise EmptyRegion("no input satisfies the property's conditions on several inputs")
    return Property(queries, of_inputs, products)


def _asks_of_inputs(atom: Atom) -> bool:
    """Whether a condition on inputs has to be asked of outputs."""
    kinds = _kinds(atom)
    if kinds != {"X"}:
        return "X" in kinds or "*" in kinds
    return atom.strict or (len(atom.weights) > 1 and not _is_exact(_row(atom, 0, {})))


def _kinds(atom: Atom) -> set[str]:
    """Return what a condition speaks of: X, Y, and * for products."""
    return {"*" if "*" in name else name[0] for name in atom.weights}


def _columns(product: str, outputs: int) -> tuple[int, int]:
    """Return which outputs a product is of: outputs first, then inputs."""
    one, two = sorted(_column(name, outputs) for name in product.split("*"))
    return one, two


def _column(name: str, outputs: int) -> int:
    return int(name[2:]) + (outputs if name[0] == "X" else 0)


def _row(atom: Atom, outputs: int, place_of: Mapping[tuple[int, int], int]) -> Row:
    """Return a condition as a row: outputs first, then inputs, then products."""
    places = (place_of[_columns(name, outputs)] if "*" in name else _column(name, outputs) for name in atom.weights)
    return Row(dict(zip(places, atom.weights.values(), strict=True)), atom.bound, atom.strict)


def _is_exact(row: Row) -> bool:
    """Whether float64 holds a row as it is, or a multiple of it."""
    scaled = row.scaled()
    return all(Fraction(w) == scaled.weights[i] for i, w in _floats(scaled)) and above(scaled.bound) == scaled.bound


def _floats(row: Row) -> list[tuple[int, float]]:
    return [(i, float(w)) for i, w in row.weights.items()]


def _plain(row: Row) -> tuple:
    return tuple(sorted(row.weights.items())), row.bound


def _split(atoms: Iterable[Atom], outputs: int, place_of: Mapping[tuple[int, int], int]) -> _Case:
    """Divide conditions into bounds of inputs, rows over inputs, and rows over outputs."""
    box: _Box = {}
    empty = False
    over_inputs, over_outputs = [], []
    for atom in atoms:
        kinds = _kinds(atom)
        if not kinds:
            empty |= atom.bound < 0 or (atom.strict and atom.bound == 0)
            continue
        if kinds == {"X"}:
            if len(atom.weights) == 1:
                ((name, weight),) = atom.weights.items()
                end, at = atom.bound / weight, int(name[2:])
                box[at] = _both(box.get(at, _FREE), (None, end) if weight > 0 else (end, None))
            else:
                over_inputs.append(Row({int(name[2:]): w for name, w in atom.weights.items()}, atom.bound))
        if kinds != {"X"} or _asks_of_inputs(atom):
            over_outputs.append(_row(atom, outputs, place_of))
    empty |= any(low is not None and high is not None and low > high for low, high in box.values())
    return _Case(None if empty else box, tuple(over_inputs), tuple(over_outputs))


def _both(one: _Ends, two: _Ends) -> _Ends:
    """Intersect two intervals; None is no bound."""
    low = one[0] if two[0] is None else two[0] if one[0] is None else max(one[0], two[0])
    high = one[1] if two[1] is None else two[1] if one[1] is None else min(one[1], two[1])
    return low, high


def _narrowed(box: _Box, by: _Box) -> _Box | None:
    """Return the bounds of `box` within those of `by`, where they differ from them; None where nothing is left."""
    changed = {}
    for at, ends in box.items():
        low, high = _both(ends, by.get(at, _FREE))
        if low is not None and high is not None and low > high:
            return None
        if (low, high) != by.get(at):
            changed[at] = (low, high)
    return changed


def _put(low: np.ndarray, high: np.ndarray, exact: Exact, bounds: Iterable[tuple[int, _Ends]]) -> None:
    """Write bounds as float64, rounded outward; keep those that no float64 is."""
    for at, (least, most) in bounds:
        low[at] = -np.inf if least is None else below(least)
        high[at] = np.inf if most is None else above(most)
        exact.pop(at, None)
        if least is not None and most is not None and (low[at] != least or high[at] != most):
            exact[at] = (least, most)


def _region(
    shared: tuple[np.ndarray, np.ndarray, Exact], box: _Box, changed: Sequence[tuple[int, _Ends]], rows: Sequence[Row]
) -> InputSet | None:
    """Make the region of a case, of bounds that all share and of some that differ; None where no input is left."""
    low, high, exact = shared
    if rows:
        whole = _implied({**box, **dict(changed)}, rows)
        if whole is None:
            return None
        changed = [item for item in whole.items() if item[1] != box.get(item[0])]
    if changed:
        low, high, exact = low.copy(), high.copy(), dict(exact)
        _put(low, high, exact, changed)
    bounded = np.isfinite(low) & np.isfinite(high)
    if not bounded.all():
        raise InputError(f"X_{int(np.argmin(bounded))} has no lower or no upper bound")
    return InputSet(low, high, _constraints(rows, low, high), exact=exact)


def _implied(box: _Box, rows: Sequence[Row]) -> _Box | None:
    """Narrow bounds of inputs by what rows over several of them imply; None where no input is left.

    >>> _implied({0: (Fraction(0), Fraction(1))}, [Row({0: Fraction(1), 1: Fraction(-1)}, Fraction(0)),
    ...                                            Row({1: Fraction(1)}, Fraction(2))])[1]
    (Fraction(0, 1), Fraction(2, 1))
    """
    box = dict(box)
    for _ in range(ROUNDS):
        before = dict(box)
        for row in rows:
            tick()
            least = {i: _least(w, box.get(i, _FREE)) for i, w in row.weights.items()}
            open_ = [i for i, value in least.items() if value is None]
            if len(open_) > 1:
                continue
            total = sum((value for value in least.values() if value is not None), Fraction(0))
            if not open_ and total > row.bound:
                return None
            for i, w in row.weights.items():
                own = least[i]
                if open_ and own is not None:
                    continue
                end = _short((row.bound - total + (own or 0)) / w, w > 0)
                box[i] = low, high = _both(box.get(i, _FREE), (None, end) if w > 0 else (end, None))
                if low is not None and high is not None and low > high:
                    return None
        if box == before:
            break
    return box


def _short(end: Fraction, is_upper: bool) -> Fraction:
    """Return a bound of not too many digits, rounded outward: each round of implications adds some."""
    if max(end.numerator.bit_length(), end.denominator.bit_length()) < DIGITS:
        return end
    rounded = above(end) if is_upper else below(end)
    return Fraction(rounded) if math.isfinite(rounded) else end


def _least(weight: Fraction, ends: _Ends) -> Fraction | None:
    end = ends[0] if weight > 0 else ends[1]
    return None if end is None else weight * end


def _constraints(rows: Sequence[Row], low: np.ndarray, high: np.ndarray) -> LinearConstraints | None:
    """Return rows as float64, their bounds raised by what rounded weights can cost within the box."""
    if not rows:
        return None
    weights, bounds = np.zeros((len(rows), len(low))), np.zeros(len(rows))
    for r, row in enumerate(row.scaled() for row in rows):
        weights[r], _ = row.as_floats(len(low))
        cost = Fraction(0)
        for i, w in row.weights.items():
            cost += abs(w - Fraction(float(weights[r, i]))) * Fraction(max(abs(float(low[i])), abs(float(high[i]))))
        bounds[r] = above(row.bound + cost)
    return LinearConstraints.of(weights, bounds)


def _unsafe(rows: Sequence[Row], outputs: int) -> Unsafe:
    exact = tuple(row.scaled() for row in rows)
    pairs = [row.as_floats(outputs) for row in exact]
    if not all(math.isfinite(b) for _, b in pairs):
        raise InputError("a condition on outputs has a bound beyond what float64 can hold for its weights")
    weights = np.array([w for w, _ in pairs]).reshape(-1, outputs)
    return Unsafe(weights, np.array([b for _, b in pairs], dtype=np.float64), exact)
