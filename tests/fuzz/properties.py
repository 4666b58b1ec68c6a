"""Random VNN-LIB texts (nested sums, products, disjunctions, long and short decimals, constants that cancel; conditions
on one input, several, outputs, and both) against their meaning in exact rationals at random points of inputs and
outputs, on and beside every bound.
"""

import random
import re
from fractions import Fraction

import numpy as np

from fuzz import Attack
from surefoot.core.errors import InputError
from surefoot.spec.query import Query
from surefoot.spec.vnnlib import parse_property

CASES = 20_000
BEFORE = "310 of 2,000: 17 points of unsafe sets missed, 293 invented"
INPUTS, OUTPUTS, POINTS = 2, 2, 30

Tree = str | list["Tree"]


def attack(seed: int, count: int) -> Attack:
    """Read texts, and compare what was read with what they say."""
    met = Attack()
    for case in range(count):
        rng = random.Random(f"{seed}/{case}")
        text = property_text(rng)
        met.tried += 1
        try:
            asked = parse_property(text, INPUTS, OUTPUTS)
            queries, of_inputs = asked.queries, asked.of_inputs
        except InputError as error:
            if "no input satisfies" in str(error):
                met.outcomes["refused: empty"] += 1
                queries, of_inputs = [], False
            else:
                met.faults.append(f"{seed}/{case}: refused: {error}")
                continue
        met.outcomes["read"] += 1
        asserts = [tree[1] for tree in trees(text) if tree[0] == "assert"]
        for x, y in points(rng, queries, text):
            given = [*y, *x] if of_inputs else y
            values = {f"X_{i}": Fraction(v) for i, v in enumerate(x)} | {f"Y_{i}": Fraction(v) for i, v in enumerate(y)}
            said = all(formula(tree, values) for tree in asserts)
            seen = any(
                query.inputs.distance(np.array(x)) == 0 and query.broken_by(np.array(given)) for query in queries
            )
            if said != seen:
                met.faults.append(f"{seed}/{case}: {'missed' if said else 'invented'} x={x} y={y} of {text}")
                break
            if said and not any(relaxed_holds(query, x, given) for query in queries):
                met.faults.append(f"{seed}/{case}: the rounded property misses x={x} y={y} of {text}")
                break
    return met


def relaxed_holds(query: Query, x: list[float], y: list[float]) -> bool:
    """Whether a point is in the rounded box and in a rounded unsafe set: what proofs speak of."""
    inside = (query.inputs.lower <= x).all() and (x <= query.inputs.upper).all()
    if inside and query.inputs.constraints is not None:
        inside = query.inputs.constraints.distance(np.array(x)) == 0
    largest = np.abs(np.array(y))
    values = {i: Fraction(v) for i, v in enumerate(y)}
    for unsafe in query.unsafe:
        relaxed = unsafe.relaxed(largest)
        rows = zip(relaxed.weights.tolist(), relaxed.bounds.tolist(), strict=True)
        if inside and all(sum(Fraction(w) * values[i] for i, w in enumerate(row)) <= Fraction(b) for row, b in rows):
            return True
    return False


def number(rng: random.Random) -> str:
    """Write a decimal: short, long, tiny, huge, with an exponent, or that of a float."""
    return str(
        rng.choice(
            [
                rng.randint(-3, 3),
                f"{rng.uniform(-2, 2):.2f}",
                repr(rng.uniform(-2, 2)),
                repr(float(np.float32(rng.uniform(-2, 2)))),
                rng.choice(["1e16", "-1e16", "1E+16", "1e17", "9007199254740993"]),
                f"{rng.randint(-9, 9)}.{rng.getrandbits(80)}",
                rng.choice(["0.1", "0.2", "0.3", ".5", "-0.45", "1e-3", "00.10"]),
            ]
        )
    )


def term(rng: random.Random, letter: str, depth: int = 0) -> str:
    """Write a linear term of inputs (X) or outputs (Y)."""
    kind = rng.randrange(6) if depth < 3 else rng.randrange(2)
    variable = f"{letter}_{rng.randrange(INPUTS if letter == 'X' else OUTPUTS)}"
    if kind == 0:
        return variable
    if kind == 1:
        return number(rng)
    if kind == 2:
        return f"(* {number(rng)} {term(rng, letter, depth + 1)})"
    if kind == 3:
        return f"(- {term(rng, letter, depth + 1)})"
    parts = " ".join(term(rng, letter, depth + 1) for _ in range(rng.randint(2, 3)))
    return f"({rng.choice('+-')} {parts})"


def atom(rng: random.Random) -> str:
    """Write an inequality: of outputs, of inputs, of both, or of one input shifted and scaled."""
    sign = rng.choice(["<=", ">=", ">=", "<=", "="])
    kind = rng.random()
    if kind < 0.1:
        return f"({sign} {term(rng, 'X')} {term(rng, 'X')})"
    if kind < 0.2:
        return f"({sign} {term(rng, 'X')} {term(rng, 'Y')})"
    if kind < 0.4:
        shift = number(rng)
        return f"({sign} (+ {rng.choice(['X_0', 'X_1'])} {shift}) (+ {shift} {number(rng)}))"
    return f"({sign} {term(rng, 'Y')} {term(rng, 'Y')})"


def property_text(rng: random.Random) -> str:
    """Write a property whose inputs are bounded."""
    text = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0", "Y_1"))
    parts = [f"(assert (>= X_{i} {rng.choice(['-1', '-0.3', '0.1'])}))" for i in range(INPUTS)]
    parts += [f"(assert (<= X_{i} {rng.choice(['1', '0.7', '0.1', '3e0'])}))" for i in range(INPUTS)]
    parts += [f"(assert {atom(rng)})" for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.5:
        cases = [f"(and {' '.join(atom(rng) for _ in range(rng.randint(1, 2)))})" for _ in range(rng.randint(2, 3))]
        parts.append(f"(assert (or {' '.join(cases)}))")
    rng.shuffle(parts)
    return text + "\n".join(parts)


def points(rng: random.Random, queries: list[Query], text: str) -> list[tuple[list[float], list[float]]]:
    """Choose points on, just below and just above the numbers that stand in the text, and at the queries' ends."""
    ends = [0.1, 0.5, 1.0, *(float(n) for n in re.findall(r"(?<![_\d])-?\d*\.?\d+(?:[eE][+-]?\d+)?", text))]
    for query in queries:
        ends += [*query.inputs.lower.tolist(), *query.inputs.upper.tolist()]
        ends += [*(b for u in query.unsafe for b in u.bounds.tolist())]

    def near() -> float:
        end = rng.choice(ends)
        return float(rng.choice([end, np.nextafter(end, np.inf), np.nextafter(end, -np.inf), rng.uniform(-2, 2)]))

    return [([near() for _ in range(INPUTS)], [near() for _ in range(OUTPUTS)]) for _ in range(POINTS)]


def trees(text: str) -> list[list[Tree]]:
    """Read parentheses, in another way than the product does."""
    code = re.sub(r"[^\s()]+", lambda m: repr(m[0]) + ",", text).replace("(", "[").replace(")", "],")
    return list(eval(f"[{code}]"))


def formula(tree: Tree, values: dict[str, Fraction]) -> bool:
    """Evaluate a formula exactly."""
    word, *parts = tree
    if word == "and":
        return all([formula(part, values) for part in parts])
    if word == "or":
        return any(formula(part, values) for part in parts)
    left, right = (exact(part, values) for part in parts)
    return {"<=": left <= right, ">=": left >= right, "=": left == right}[str(word)]


def exact(tree: Tree, values: dict[str, Fraction]) -> Fraction:
    """Evaluate a term exactly."""
    if isinstance(tree, str):
        return values[tree] if tree in values else Fraction(tree)
    word, *parts = tree
    numbers = [exact(part, values) for part in parts]
    if word == "*":
        return numbers[0] * numbers[1]
    if word == "-":
        return -numbers[0] if len(numbers) == 1 else numbers[0] - sum(numbers[1:], Fraction(0))
    return sum(numbers, Fraction(0))
