"""VNN-LIB 2.0: a text means what it says, in exact numbers, and what is no such text is refused in a line."""

import contextlib
import math
import random
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surefoot.core.errors import InputError
from surefoot.spec.vnnlib2 import parse_vnnlib2

HEAD = """; two networks
(vnnlib-version <2.0>)
(declare-network f (declare-input A real [2,2]) (declare-hidden H real [2] "h") (declare-output B real [1]))
(declare-network g (isomorphic-to f) (declare-input C real [2,2]) (declare-hidden I real [2] "i")
  (declare-output D real [1]))
"""
PLACES = {
    **{f"A[{i},{j}]": f"X_{2 * i + j}" for i in range(2) for j in range(2)},
    **{f"C[{i},{j}]": f"X_{4 + 2 * i + j}" for i in range(2) for j in range(2)},
    "H[0]": "Y_0", "H[1]": "Y_1", "B[0]": "Y_2", "I[0]": "Y_3", "I[1]": "Y_4", "D[0]": "Y_5",
}  # fmt: skip


def number(rng: random.Random) -> str:
    return rng.choice([f"{rng.uniform(-2, 2):.3f}", f"{rng.randint(-3, 3)}.0", f"0.{rng.getrandbits(90)}"])


def term(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(6 if depth < 3 else 2)
    if kind == 0:
        return rng.choice(sorted(PLACES))
    if kind == 1:
        return number(rng)
    if kind == 2:
        return f"(* {number(rng)} {number(rng)} {rng.choice(sorted(PLACES))} {rng.choice(sorted(PLACES))})"
    if kind == 3:
        return f"(- {term(rng, depth + 1)})"
    return f"({rng.choice('+-')} {' '.join(term(rng, depth + 1) for _ in range(rng.randint(2, 3)))})"


def formula(rng: random.Random, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.5:
        parts = " ".join(formula(rng, depth + 1) for _ in range(rng.randint(2, 3)))
        return f"({rng.choice(['and', 'or'])} {parts})"
    return f"({rng.choice(['<=', '>=', '<', '>', '==', '!='])} {term(rng)} {term(rng)})"


def said(text: str, point: dict[str, Fraction]) -> Any:
    """Evaluate a formula or a term, in another way than the product does."""
    code = re.sub(r"[^\s()]+", lambda m: repr(m[0]) + ",", text).replace("(", "[").replace(")", "],")
    return evaluated(eval(code)[0], point)


def evaluated(tree: Any, point: dict[str, Fraction]) -> Any:
    if isinstance(tree, str):
        return point[PLACES[tree]] if tree in PLACES else Fraction(tree)
    word, *parts = tree[0], *[evaluated(part, point) for part in tree[1:]]
    a, b = parts[0], parts[-1]
    match word:
        case "and" | "or":
            return all(parts) if word == "and" else any(parts)
        case "<=" | ">=" | "<" | ">" | "==" | "!=":
            return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "==": a == b, "!=": a != b}[word]
        case "*":
            return math.prod(parts)
        case "-":
            return -a if len(parts) == 1 else a - sum(parts[1:], Fraction(0))
        case _:
            return sum(parts, Fraction(0))


@given(st.integers(0, 10**6))
def test_a_text_means_what_it_says(seed: int) -> None:
    rng = random.Random(seed)
    texts = [formula(rng) for _ in range(rng.randint(1, 3))]
    read = parse_vnnlib2(HEAD + "\n".join(f"(assert {text})" for text in texts)).asserted
    for _ in range(10):
        point = {name: Fraction(rng.randint(-16, 16), 8) for name in PLACES.values()}
        by_atoms = all(_holds(atom, point) for atom in read.common) and any(
            all(_holds(atom, point) for atom in case) for case in read.cases
        )
        assert by_atoms == all(said(text, point) for text in texts)


def _holds(atom: Any, point: dict[str, Fraction]) -> bool:
    products = ((w, [point[factor] for factor in name.split("*")]) for name, w in atom.weights.items())
    total = sum((w * math.prod(factors) for w, factors in products), Fraction(0))
    return total < atom.bound or (total == atom.bound and not atom.strict)


def test_what_is_declared() -> None:
    read = parse_vnnlib2(
        "(vnnlib-version <2.0>)(declare-network f (declare-input X float32 [1,2]) (declare-output Y real [3]))"
        "(declare-network g (equal-to f) (declare-input U float32 [1,2]) (declare-output V real [3]))"
        "(declare-network h (equal-to f) (declare-input S float32 [1,2]) (declare-output T real [3]))"
        "(assert (<= X[0,1] 1.0))"
    )
    f, g, h = read.networks
    assert [(t.name, t.kind, t.type, t.shape) for t in f.tensors] == [
        ("X", "input", "float32", (1, 2)), ("Y", "output", "real", (3,)),
    ]  # fmt: skip
    assert [network.file_of for network in (f, g, h)] == ["f", "f", "f"]
    assert (read.inputs, read.outputs) == (6, 9)
    assert parse_vnnlib2(HEAD + "(assert (<= A[0,0] 1.0))").tensors("hidden")[0].node == "h"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(vnnlib-version <2.0>)", "not VNN-LIB 2.0"),
        (HEAD + "(assert (<= A[0,2] 1.0))", "line 6"),
        (HEAD + "(assert (<= Z[0] 1.0))", "Undeclared variable"),
        (HEAD + "(assert (<= (* A[0,0] B[0] B[0]) 1.0))", "product of more than two variables"),
        (HEAD.replace("2.0>", "3.0>") + "(assert (<= A[0,0] 1.0))", "Incompatible"),
        (HEAD + "(assert (<= " + "(- " * 300 + "1.0" + ")" * 300 + " A[0,0]))", "more than 200 deep"),
        (HEAD + f"(assert (<= A[0,0] 0.{'9' * 3000}))", "more than 2000 digits"),
        (HEAD + f"(assert (<= A[0,0] {'9' * 3000}.0))", "larger than the parser holds"),
        (HEAD + f"(assert (<= A[0,{'9' * 30}] 1.0))", "larger than the parser holds|line 6"),
        (HEAD.replace("[2,2]", f"[2,{'9' * 30}]") + "(assert (<= A[0,0] 1.0))", "larger than the parser holds|line"),
        (HEAD + "(assert (or (<= A[0,0] 0.0) (<= B[0] 1.0)))" * 40, "more than 100000 cases"),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_vnnlib2(text)


def test_damaged_texts_are_refused() -> None:
    whole = HEAD + "(assert (or (<= A[0,0] 1.0) (== (+ B[0] D[0]) (* 2.0 I[1]))))"
    rng = random.Random(0)
    for _ in range(200):
        broken = list(whole)
        for _ in range(rng.randint(1, 4)):
            broken[rng.randrange(len(broken))] = chr(rng.randrange(1, 128))
        with contextlib.suppress(InputError):
            parse_vnnlib2("".join(broken))
