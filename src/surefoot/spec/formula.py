"""Conditions in exact numbers, and the disjunctive normal form of and, or over them.

A variable is a name: X_0, X_1, ... are what the networks are given, Y_0, Y_1, ... what they give, X_0*Y_1 the product
of two. Conditions are linear in these.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from surefoot.core.errors import InputError

LARGEST_CLAUSES = 100_000
LARGEST_ATOMS = 2**24  # of all cases


@dataclass(frozen=True)
class Atom:
    """sum of weights[v] v <= bound, or < bound if it is strict."""

    weights: dict[str, Fraction]
    bound: Fraction
    strict: bool = False


@dataclass(frozen=True)
class Term:
    """sum of weights[v] v + constant."""

    weights: dict[str, Fraction]
    constant: Fraction

    def plus(self, other: "Term", factor: int = 1) -> "Term":
        """Add a multiple of another term."""
        weights = dict(self.weights)
        for name, weight in other.weights.items():
            more = weight if factor == 1 else factor * weight
            weights[name] = weights[name] + more if name in weights else more
        constant = self.constant + factor * other.constant if other.constant else self.constant
        return Term(weights, constant)

    def times(self, other: "Term") -> "Term | None":
        """Multiply; None where that is a product of more than two variables.

        >>> Term({"X_0": Fraction(2)}, Fraction(1)).times(Term({"Y_1": Fraction(3)}, Fraction(0)))
        Term(weights={'X_0*Y_1': Fraction(6, 1), 'Y_1': Fraction(3, 1)}, constant=Fraction(0, 1))
        """
        weights: dict[str, Fraction] = {}
        for one, w in (*self.weights.items(), ("", self.constant)):
            for two, v in (*other.weights.items(), ("", other.constant)):
                factors = sorted(name for name in (*one.split("*"), *two.split("*")) if name)
                if len(factors) > 2 and w and v:
                    return None
                name = "*".join(factors)
                weights[name] = weights.get(name, Fraction(0)) + w * v
        constant = weights.pop("")
        return Term({name: w for name, w in weights.items() if w}, constant)


def is_input(name: str) -> bool:
    """Whether a name is that of one input."""
    return name[0] == "X" and "*" not in name


Clause: TypeAlias = list[Atom]  # all of them
Clauses: TypeAlias = list[Clause]  # one of them


def at_most(less: Term, more: Term, strict: bool = False) -> Atom:
    """Return less <= more as an atom.

    >>> at_most(Term({"Y_0": Fraction(1)}, Fraction(1)), Term({}, Fraction(3)))
    Atom(weights={'Y_0': Fraction(1, 1)}, bound=Fraction(2, 1), strict=False)
    """
    weights = less.plus(Term(more.weights, Fraction(0)), -1).weights
    bound = more.constant - less.constant if less.constant else more.constant
    return Atom({name: w for name, w in weights.items() if w}, bound, strict)


def comparison(sign: str, left: Term, right: Term) -> Clauses:
    """Return left sign right as clauses, for the signs <=, >=, <, >, = (or ==) and !=.

    Raises:
        KeyError: another sign.
    """
    match sign:
        case "<=":
            return [[at_most(left, right)]]
        case ">=":
            return [[at_most(right, left)]]
        case "<":
            return [[at_most(left, right, strict=True)]]
        case ">":
            return [[at_most(right, left, strict=True)]]
        case "=" | "==":
            return [[at_most(left, right), at_most(right, left)]]
        case "!=":
            return [[at_most(left, right, strict=True)], [at_most(right, left, strict=True)]]
        case _:
            raise KeyError(sign)


def conjunction(left: Clauses, right: Clauses) -> Clauses:
    """Return what holds where both do; it may be `left` itself, extended.

    Raises:
        InputError: more clauses, or conditions, than are read.
    """
    if len(left) * len(right) > LARGEST_CLAUSES:
        raise InputError(f"the property has more than {LARGEST_CLAUSES} cases")
    if len(left) == len(right) == 1:
        left[0].extend(right[0])
        return left
    if len(left) * sum(map(len, right)) + len(right) * sum(map(len, left)) > LARGEST_ATOMS:
        raise InputError(f"the cases of the property have more than {LARGEST_ATOMS} conditions together")
    return [a + b for a in left for b in right]


class Assertions:
    """What a file asserts: conditions of every case, kept once, and the cases."""

    def __init__(self) -> None:
        self.common: Clause = []
        self.cases: Clauses = [[]]
        self.any = False

    def add(self, clauses: Clauses) -> None:
        """Assert one more formula."""
        self.any = True
        if len(clauses) == 1:
            self.common += clauses[0]
        else:
            self.cases = conjunction(self.cases, clauses)


def renamed(atoms: Iterable[Atom], names: dict[str, str]) -> Clause:
    """Return atoms with other names of variables; several may become one."""
    result = []
    for atom in atoms:
        weights: dict[str, Fraction] = {}
        for name, weight in atom.weights.items():
            new = "*".join(sorted(names.get(factor, factor) for factor in name.split("*")))
            weights[new] = weights.get(new, Fraction(0)) + weight
        result.append(Atom({name: w for name, w in weights.items() if w}, atom.bound, atom.strict))
    return result
