"""VNN-LIB 1.0: what is asked about a network, as the field's competition writes it.

A file asserts what a counterexample would satisfy. Several asserts are a conjunction, also after an `or`. Numbers are
read as the decimals that they are and added up exactly; what is rounded in the end is rounded outward.
"""

import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from surefoot.core.deadline import tick
from surefoot.core.errors import FileError, InputError
from surefoot.spec.exact import Row, above, below, decimal
from surefoot.spec.input_set import Exact, InputSet
from surefoot.spec.query import Query, Unsafe

LARGEST_FILE = 2**26
LARGEST_TOKENS = 2**23
LARGEST_ATOMS = 2**24  # of all cases
LARGEST_ARRAYS = 2**27  # numbers, of all boxes and all rows
LARGEST_CLAUSES = 100_000
OFTEN = 10_000  # tokens, after which the limit of time is looked at
QUOTE = '"'
_TOKEN = re.compile(  # of SMT-LIB 2: a comment ends where its line does; "" in a string is one quote
    r"""(?P<skipped>[ \t\r\n]+|;[^\r\n]*)|"[^"]*"(?:"[^"]*")*|\|(?P<symbol>[^|\\]*)\||(?P<broken>["|])"""
    r"""|[()]|[^ \t\r\n()";|]+"""
)
_VARIABLE = re.compile("[XY]_[0-9]+")
_Tree: TypeAlias = str | list[Any]  # of trees
_Weights: TypeAlias = dict[str, Fraction]
_Ends: TypeAlias = tuple[Fraction | None, Fraction | None]
_Box: TypeAlias = dict[int, _Ends]


@dataclass(frozen=True)
class _Atom:
    """sum of weights[v] v <= bound."""

    weights: _Weights
    bound: Fraction


def read_vnnlib(path: Path | str, inputs: int, outputs: int) -> list[Query]:
    """Read a property, plain or gzipped: one query for each box of inputs.

    Raises:
        FileError: missing or damaged.
        InputError: not VNN-LIB 1.0, variables that the network does not have, inputs without a bound, no box left.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise FileError(f"{path} has more than {LARGEST_FILE} bytes")
        text = content.decode()
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not a whole text or gzip file: {error}") from error
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return parse_vnnlib(text, inputs, outputs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def parse_vnnlib(text: str, inputs: int, outputs: int) -> list[Query]:
    """Read a property from its text.

    >>> text = "(declare-const X_0 Real) (declare-const Y_0 Real)"
    >>> text += "(assert (>= X_0 -1)) (assert (<= X_0 1)) (assert (>= Y_0 3))"
    >>> parse_vnnlib(text, inputs=1, outputs=1)[0].unsafe[0]
    Unsafe(weights=array([[-1.]]), bounds=array([-3.]))

    Raises:
        InputError: not VNN-LIB 1.0, variables that the network does not have, inputs without a bound, no box left.
    """
    known = {f"X_{i}" for i in range(inputs)} | {f"Y_{i}" for i in range(outputs)}
    common: list[_Atom] = []  # what every case satisfies: kept once, however many cases there are
    cases: list[list[_Atom]] = [[]]
    asserted = ended = False
    for statement in _statements(text):
        if ended:
            raise InputError(f"something follows (exit): {_shown(statement)}")
        match statement:
            case ["declare-const", str(name), "Real"]:
                if name not in known:
                    raise InputError(
                        f"the property speaks of {name}; the network has X_0 to X_{inputs - 1}, Y_0 to Y_{outputs - 1}"
                    )
            case ["declare-fun", str(name), [], "Real"] if name in known:
                pass
            case ["assert", formula]:
                asserted = True
                clauses = _clauses(formula, known)
                if len(clauses) == 1:
                    common += clauses[0]
                else:
                    cases = _and(cases, clauses)
            case [("set-logic" | "check-sat" | "get-model" | "set-info"), *_]:
                pass
            case ["exit"]:
                ended = True
            case _:
                raise InputError(f"this is not a statement of VNN-LIB 1.0: {_shown(statement)}")
    if not asserted:
        raise InputError("the property asserts nothing")
    return _queries(common, cases, inputs, outputs)


def _statements(text: str) -> Iterator[list[_Tree]]:
    """Read parentheses without recursion: a hostile file may nest them deeply."""
    stack: list[list[_Tree]] = []
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number % OFTEN == 0:
            tick()
        if number > LARGEST_TOKENS:
            raise InputError(f"the property has more than {LARGEST_TOKENS} words and parentheses")
        token = match[0]
        if match.lastgroup == "skipped":
            continue
        if match.lastgroup == "broken":
            raise InputError(f"{'a string' if token == QUOTE else 'a symbol between |'} does not end")
        if token == "(":
            stack.append([])
        elif token == ")":
            if not stack:
                raise InputError("a closing parenthesis too many")
            done = stack.pop()
            if stack:
                stack[-1].append(done)
            else:
                yield done
        elif stack:
            symbol = match["symbol"]  # |X_0| is X_0, but |0.5| is no number, and |assert| no command
            stack[-1].append(symbol if symbol and _VARIABLE.fullmatch(symbol) else token)
        else:
            raise InputError(f"{token[:40]!r} stands outside all parentheses")
        if len(stack) > 200:
            raise InputError("parentheses nest more than 200 deep")
    if stack:
        raise InputError("the text ends inside parentheses")


def _clauses(tree: _Tree, known: set[str]) -> list[list[_Atom]]:
    """Bring a formula to clauses: one of the lists holds whole."""
    match tree:
        case ["and", *parts]:
            clauses: list[list[_Atom]] = [[]]
            for part in parts:
                clauses = _and(clauses, _clauses(part, known))
            return clauses
        case ["or", *parts] if parts:
            return [clause for part in parts for clause in _clauses(part, known)]
        case [("<=" | ">=" | "=") as sign, *terms] if len(terms) >= 2:
            atoms: list[_Atom] = []
            for left, right in itertools.pairwise(terms):
                if sign in ("<=", "="):
                    atoms.append(_atom(left, right, known))
                if sign in (">=", "="):
                    atoms.append(_atom(right, left, known))
            return [atoms]
        case [("<" | ">"), *_]:
            raise InputError(f"unsafe sets are closed in VNN-LIB 1.0: write <= or >= in {_shown(tree)}")
        case _:
            raise InputError(f"this is not a formula of <=, >=, and, or: {_shown(tree)}")


def _and(left: list[list[_Atom]], right: list[list[_Atom]]) -> list[list[_Atom]]:
    if len(left) * len(right) > LARGEST_CLAUSES:
        raise InputError(f"the property has more than {LARGEST_CLAUSES} cases")
    if len(left) == len(right) == 1:
        left[0].extend(right[0])
        return left
    if len(left) * sum(map(len, right)) + len(right) * sum(map(len, left)) > LARGEST_ATOMS:
        raise InputError(f"the cases of the property have more than {LARGEST_ATOMS} conditions together")
    return [a + b for a in left for b in right]


def _atom(less: _Tree, more: _Tree, known: set[str]) -> _Atom:
    weights, constant = _linear(less, known)
    others, bound = _linear(more, known)
    for name, weight in others.items():
        weights[name] = weights.get(name, Fraction(0)) - weight
    return _Atom({name: w for name, w in weights.items() if w}, bound - constant)


def _linear(tree: _Tree, known: set[str]) -> tuple[_Weights, Fraction]:
    match tree:
        case str(name) if name in known:
            return {name: Fraction(1)}, Fraction(0)
        case str(text):
            value = decimal(text)
            if value is None:
                if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
                    raise InputError(f"{text} is not a finite number")
                raise InputError(f"{text[:40]!r} is neither a number nor an input or output of the network")
            return {}, value
        case ["-", only]:
            weights, constant = _linear(only, known)
            return {name: -w for name, w in weights.items()}, -constant
        case [("+" | "-") as sign, *parts] if len(parts) >= 2:
            weights, constant = _linear(parts[0], known)
            for part in parts[1:]:
                more, c = _linear(part, known)
                constant = constant + c if sign == "+" else constant - c
                for name, w in more.items():
                    before = weights.get(name, Fraction(0))
                    weights[name] = before + w if sign == "+" else before - w
            return weights, constant
        case ["*", left, right]:
            a, b = _linear(left, known), _linear(right, known)
            if a[0] and b[0]:
                raise InputError(f"a product of variables is not linear: {_shown(tree)}")
            (weights, constant), factor = (a, b[1]) if a[0] else (b, a[1])
            return {name: factor * w for name, w in weights.items()}, factor * constant
        case _:
            raise InputError(f"this is not a linear term: {_shown(tree)}")


def _queries(common: list[_Atom], cases: list[list[_Atom]], inputs: int, outputs: int) -> list[Query]:
    """Split each case into a box of inputs and a polytope of outputs; put those of the same box together."""
    shared, rows = _split(common)
    unsafe_of: dict[tuple[tuple[int, _Ends], ...], list[Unsafe]] = {}
    numbers = 0
    for case in cases if shared is not None else ():
        tick()
        box, more = _split(case)
        changed = None if box is None or shared is None else _narrowed(box, shared)
        if changed is not None:
            key = tuple(sorted(changed.items()))
            numbers += (len(more) + len(rows)) * outputs + (0 if key in unsafe_of else 2 * inputs)
            if numbers > LARGEST_ARRAYS:
                raise InputError(
                    f"the cases of the property take more than {LARGEST_ARRAYS} numbers: ask fewer at once"
                )
            unsafe_of.setdefault(key, []).append(_unsafe([*more, *rows], outputs))
    if shared is None or not unsafe_of:
        raise InputError("no input satisfies the property's conditions: some lower bound is above its upper bound")
    low, high, exact = np.full(inputs, -np.inf), np.full(inputs, np.inf), {}
    _put(low, high, exact, shared.items())
    return [_query(low, high, exact, changed, unsafe) for changed, unsafe in unsafe_of.items()]


def _split(atoms: Iterable[_Atom]) -> tuple[_Box | None, list[Row]]:
    """Divide inequalities into bounds of inputs (None: no input satisfies them) and rows over outputs."""
    box: _Box = {}
    empty = False
    rows = []
    for atom in atoms:
        names = {name[0] for name in atom.weights}
        if not names:
            empty |= atom.bound < 0
        elif names == {"X"}:
            if len(atom.weights) > 1:
                raise InputError("a condition on several inputs together is not read: bound each input by numbers")
            ((name, weight),) = atom.weights.items()
            end, at = atom.bound / weight, int(name[2:])
            box[at] = _both(box.get(at, (None, None)), (None, end) if weight > 0 else (end, None))
        elif names == {"Y"}:
            rows.append(Row({int(name[2:]): w for name, w in atom.weights.items()}, atom.bound))
        else:
            raise InputError("a condition on inputs and outputs together is not read")
    empty |= any(low is not None and high is not None and low > high for low, high in box.values())
    return None if empty else box, rows


def _both(one: _Ends, two: _Ends) -> _Ends:
    """Intersect two intervals; None is no bound."""
    lows, highs = ([end for end in ends if end is not None] for ends in zip(one, two, strict=True))
    return max(lows, default=None), min(highs, default=None)


def _narrowed(box: _Box, by: _Box) -> _Box | None:
    """Return the bounds of `box` within those of `by`, where they differ from them; None where nothing is left."""
    changed = {}
    for at, ends in box.items():
        low, high = _both(ends, by.get(at, (None, None)))
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


def _query(low: np.ndarray, high: np.ndarray, exact: Exact, changed: tuple[tuple[int, _Ends], ...],
           unsafe: list[Unsafe]) -> Query:  # fmt: skip
    if changed:
        low, high, exact = low.copy(), high.copy(), dict(exact)
        _put(low, high, exact, changed)
    bounded = np.isfinite(low) & np.isfinite(high)
    if not bounded.all():
        raise InputError(f"X_{int(np.argmin(bounded))} has no lower or no upper bound")
    return Query(InputSet(low, high, exact=exact), tuple(unsafe))


def _unsafe(rows: list[Row], outputs: int) -> Unsafe:
    exact = tuple(row.scaled() for row in rows)
    pairs = [row.as_floats(outputs) for row in exact]
    if not all(math.isfinite(b) for _, b in pairs):
        raise InputError("a condition on outputs has a bound beyond what float64 can hold for its weights")
    weights = np.array([w for w, _ in pairs]).reshape(-1, outputs)
    return Unsafe(weights, np.array([b for _, b in pairs], dtype=np.float64), exact)


def _shown(tree: _Tree) -> str:
    text = str(tree).replace(",", "").replace("'", "").replace("[", "(").replace("]", ")")
    return text if len(text) < 80 else text[:77] + "..."
