"""VNNLIB 1.0: what is asked about a network, as the field's competition writes it.

A file asserts what a counterexample would satisfy. Several asserts are a conjunction, also after an `or`.
"""

import gzip
import itertools
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from surefoot.core.errors import FileError, InputError
from surefoot.verify.query import Query, Unsafe

LARGEST_FILE = 2**28
LARGEST_CLAUSES = 100_000
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_Tree: TypeAlias = "str | list[_Tree]"
_Weights: TypeAlias = dict[str, float]


@dataclass(frozen=True)
class _Atom:
    """sum of weights[v] v <= bound."""

    weights: tuple[tuple[str, float], ...]
    bound: float


def read_vnnlib(path: Path | str, inputs: int, outputs: int) -> list[Query]:
    """Read a property, plain or gzipped: one query for each box of inputs.

    Raises:
        FileError: missing or damaged.
        InputError: not VNNLIB 1.0, variables that the network does not have, inputs without a bound, no box left.
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
        InputError: not VNNLIB 1.0, variables that the network does not have, inputs without a bound, no box left.
    """
    known = {f"X_{i}" for i in range(inputs)} | {f"Y_{i}" for i in range(outputs)}
    clauses: list[list[_Atom]] = [[]]
    some = False
    for statement in _statements(text):
        match statement:
            case ["declare-const", str(name), "Real"]:
                if name not in known:
                    raise InputError(
                        f"the property speaks of {name}; the network has X_0 to X_{inputs - 1}, Y_0 to Y_{outputs - 1}"
                    )
            case ["declare-fun", str(name), [], "Real"] if name in known:
                pass
            case ["assert", formula]:
                some = True
                clauses = _and(clauses, _clauses(formula, known))
            case [("set-logic" | "check-sat" | "get-model" | "set-info" | "exit"), *_]:
                pass
            case _:
                raise InputError(f"this is not a statement of VNNLIB 1.0: {_shown(statement)}")
    if not some:
        raise InputError("the property asserts nothing")
    return _queries(clauses, inputs, outputs)


def _statements(text: str) -> Iterator[list[_Tree]]:
    """Read parentheses without recursion: a hostile file may nest them deeply."""
    stack: list[list[_Tree]] = []
    for line in text.splitlines():
        for token in _TOKEN.findall(line.split(";", 1)[0]):
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
                stack[-1].append(token)
            else:
                raise InputError(f"{token!r} stands outside all parentheses")
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
            raise InputError(f"unsafe sets are closed in VNNLIB 1.0: write <= or >= in {_shown(tree)}")
        case _:
            raise InputError(f"this is not a formula of <=, >=, and, or: {_shown(tree)}")


def _and(left: list[list[_Atom]], right: list[list[_Atom]]) -> list[list[_Atom]]:
    if len(left) * len(right) > LARGEST_CLAUSES:
        raise InputError(f"the property has more than {LARGEST_CLAUSES} cases")
    if len(left) == len(right) == 1:  # thousands of bounds, one after another: no copy for each
        left[0].extend(right[0])
        return left
    return [a + b for a in left for b in right]


def _atom(less: _Tree, more: _Tree, known: set[str]) -> _Atom:
    weights, constant = _linear(less, known)
    others, bound = _linear(more, known)
    for name, weight in others.items():
        weights[name] = weights.get(name, 0.0) - weight
    return _Atom(tuple((name, w) for name, w in weights.items() if w), bound - constant)


def _linear(tree: _Tree, known: set[str]) -> tuple[_Weights, float]:
    match tree:
        case str(name) if name in known:
            return {name: 1.0}, 0.0
        case str(number):
            try:
                value = float(number)
            except ValueError:
                raise InputError(f"{number!r} is neither a number nor an input or output of the network") from None
            if not math.isfinite(value):
                raise InputError(f"{number} is not a finite number")
            return {}, value
        case ["-", only]:
            weights, constant = _linear(only, known)
            return {name: -w for name, w in weights.items()}, -constant
        case [("+" | "-") as sign, *parts] if len(parts) >= 2:
            weights, constant = _linear(parts[0], known)
            for part in parts[1:]:
                more, c = _linear(part, known)
                factor = 1.0 if sign == "+" else -1.0
                constant += factor * c
                for name, w in more.items():
                    weights[name] = weights.get(name, 0.0) + factor * w
            return weights, constant
        case ["*", left, right]:
            a, b = _linear(left, known), _linear(right, known)
            if a[0] and b[0]:
                raise InputError(f"a product of variables is not linear: {_shown(tree)}")
            (weights, constant), factor = (a, b[1]) if a[0] else (b, a[1])
            return {name: factor * w for name, w in weights.items()}, factor * constant
        case _:
            raise InputError(f"this is not a linear term: {_shown(tree)}")


def _queries(clauses: list[list[_Atom]], inputs: int, outputs: int) -> list[Query]:
    """Split each clause into a box of inputs and a polytope of outputs; put those of the same box together."""
    boxes: dict[bytes, tuple[np.ndarray, np.ndarray, list[Unsafe]]] = {}
    for clause in clauses:
        low, high = np.full(inputs, -np.inf), np.full(inputs, np.inf)
        rows, bounds, empty = [], [], False
        for atom in clause:
            names = {name[0] for name, _ in atom.weights}
            if not names:
                empty |= atom.bound < 0
            elif names == {"X"}:
                _narrow(low, high, atom)
            elif names == {"Y"}:
                row = np.zeros(outputs)
                for name, w in atom.weights:
                    row[int(name[2:])] = w
                rows.append(row)
                bounds.append(atom.bound)
            else:
                raise InputError("a condition on inputs and outputs together is not read")
        if empty or np.any(low > high):
            continue
        if not np.isfinite(low).all() or not np.isfinite(high).all():
            which = int(np.argmin(np.isfinite(low) & np.isfinite(high)))
            raise InputError(f"X_{which} has no lower or no upper bound")
        polytope = Unsafe(np.array(rows).reshape(-1, outputs), np.array(bounds))
        boxes.setdefault(low.tobytes() + high.tobytes(), (low, high, []))[2].append(polytope)
    if not boxes:
        raise InputError("no input satisfies the property's conditions: some lower bound is above its upper bound")
    return [Query(low, high, tuple(unsafe)) for low, high, unsafe in boxes.values()]


def _narrow(low: np.ndarray, high: np.ndarray, atom: _Atom) -> None:
    if len(atom.weights) > 1:
        raise InputError("a condition on several inputs together is not read: bound each input by numbers")
    name, w = next(iter(atom.weights))
    at = int(name[2:])
    end = atom.bound / w
    if w > 0:
        high[at] = min(high[at], end if w == 1 else math.nextafter(end, math.inf))  # a quotient is rounded: outward
    else:
        low[at] = max(low[at], end if w == -1 else math.nextafter(end, -math.inf))


def _shown(tree: _Tree) -> str:
    text = str(tree).replace(",", "").replace("'", "").replace("[", "(").replace("]", ")")
    return text if len(text) < 80 else text[:77] + "..."
