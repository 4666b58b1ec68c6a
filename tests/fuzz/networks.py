"""Random VNN-LIB 2.0 questions about two networks (equal, isomorphic or not; hidden values, relations of inputs and
outputs, products, strict and unequal), answered and judged by ONNX Runtime on the original files: at the counterexample
in exact rationals, and at samples of inputs that the text allows.
"""

import random
import re
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from fuzz import Attack
from surefoot.spec.cases import EmptyRegion
from surefoot.spec.query import Holds, Violated
from surefoot.verify.question import read_question
from surefoot.verify.several import answer_all
from two_layers import box, declared, two_layers

CASES = 2_000
BEFORE = "0 of 2,000: it was written beside what it attacks"
SECONDS, SAMPLES = 2.0, 300
OUTSIDE = 1e-6  # by how much a counterexample may lie outside where no float32 input is inside, and says so
SIZES = {"X": 3, "H": 4, "Y": 2, "U": 3, "I": 4, "V": 2}
NAMES = [f"{letter}[0,{i}]" for letter, size in SIZES.items() for i in range(size)]


def attack(seed: int, count: int) -> Attack:
    """Ask, and judge the answers."""
    met = Attack()
    with tempfile.TemporaryDirectory() as folder:
        for case in range(count):
            met.tried += 1
            try:
                fault = _one(Path(folder), f"{seed}/{case}", met)
            except Exception as error:  # no question here may be refused, nor end otherwise
                fault = f"{type(error).__name__}: {error}"
            if fault:
                met.faults.append(f"{seed}/{case}: {fault}")
    return met


def _one(folder: Path, name: str, met: Attack) -> str:
    rng = random.Random(name)
    files = {n: two_layers(folder / f"{n}.onnx", rng.randrange(10**6)) for n in "fg"}
    relation = rng.choice(["(isomorphic-to f)", "(equal-to f)", ""])
    given = {"f": files["f"]} if "equal" in relation else files
    asserts = [f"(== X[0,{i}] U[0,{i}])" for i in range(rng.randrange(4))]
    asserts += [_formula(rng) for _ in range(rng.randint(1, 3))]
    hidden = '(declare-hidden {} float32 [1,4] "h")'
    text = "(vnnlib-version <2.0>)" + declared("f", "XY", hidden=hidden.format("H"))
    text += declared("g", "UV", relation, hidden.format("I")) + box("X") + box("U", -0.5, 0.75)
    text += "".join(f"(assert {one})" for one in asserts)
    (folder / "p.vnnlib").write_text(text)
    runs = [_runtime(given[n]) for n in ("f", "f" if "equal" in relation else "g")]
    samples = _samples(asserts, rng)
    broken = any(_holds(asserts, _values(runs, x)) for x in samples)
    try:
        question = read_question(folder / "p.vnnlib", given)
    except EmptyRegion:
        met.outcomes["empty"] += 1
        return "called empty, and is not" if broken else ""
    assert question.joint is not None
    verdict, _ = answer_all(question.network, question.queries, SECONDS, "auto", rng.randrange(99))
    met.outcomes[type(verdict).__name__.lower()] += 1
    if isinstance(verdict, Holds) and broken:
        return f"holds, and is broken: {text}"
    if isinstance(verdict, Violated):
        whole = {t.name: v for t, v in question.joint.assignment(verdict.input, verdict.output)}
        values = _values(runs, np.concatenate([whole["X"], whole["U"]]).astype(np.float32))
        same = all(values[f"{n}[0,{i}]"] == Fraction(float(whole[n][i])) for n in SIZES for i in range(SIZES[n]))
        if not same:
            return f"another output than the runtime's: {text}"
        if verdict.distance_to_region == 0 and not _holds(asserts, values):
            return f"violated, and the text does not say so: {text}"
        if verdict.distance_to_region > OUTSIDE:
            return f"a counterexample {verdict.distance_to_region} outside: {text}"
    return ""


def _term(rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return f"(* {rng.choice(NAMES)} {rng.choice(NAMES)})"
    if kind == 1:
        return f"(+ {rng.choice(NAMES)} (* {rng.uniform(-2, 2):.2f} {rng.choice(NAMES)}))"
    return f"{rng.uniform(-3, 3):.2f}" if kind == 2 else rng.choice(NAMES)


def _formula(rng: random.Random, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.4:
        return f"({rng.choice(['and', 'or'])} {_formula(rng, depth + 1)} {_formula(rng, depth + 1)})"
    return f"({rng.choice(['<=', '>=', '<', '>', '<=', '>=', '!='])} {_term(rng)} {_term(rng)})"


def _runtime(path: Path) -> onnxruntime.InferenceSession:
    """Open a file, its hidden values made an output."""
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _values(runs: list[onnxruntime.InferenceSession], x: np.ndarray) -> dict[str, Fraction]:
    """Return every declared number by its name."""
    values: dict[str, Fraction] = {}
    for run, part, (given, hidden, output) in zip(runs, (x[:3], x[3:]), ("XHY", "UIV"), strict=True):
        y, h = run.run(["y", "h"], {"x": part.reshape(1, 3)})
        for letter, numbers in ((given, part), (hidden, h), (output, y)):
            flat = np.asarray(numbers).ravel()
            values |= {f"{letter}[0,{i}]": Fraction(float(v)) for i, v in enumerate(flat)}
    return values


def _samples(asserts: list[str], rng: random.Random) -> np.ndarray:
    """Draw inputs in both boxes that are equal where the text says so at its beginning."""
    draw = np.random.default_rng(rng.randrange(10**6))
    x = np.concatenate([draw.uniform(-1, 1, (SAMPLES, 3)), draw.uniform(-0.5, 0.75, (SAMPLES, 3))], 1)
    for i in range(3):
        if asserts[min(i, len(asserts) - 1)] == f"(== X[0,{i}] U[0,{i}])":
            x[:, i] = x[:, 3 + i]
    return x.astype(np.float32)


def _holds(asserts: list[str], values: dict[str, Fraction]) -> bool:
    return all(_evaluated(one, values) for one in asserts)


def _evaluated(text: str, values: dict[str, Fraction]) -> Any:
    code = re.sub(r"[^\s()]+", lambda m: repr(m[0]) + ",", text).replace("(", "[").replace(")", "],")
    return _value(eval(code)[0], values)


def _value(tree: Any, values: dict[str, Fraction]) -> Any:
    if isinstance(tree, str):
        return values[tree] if tree in values else Fraction(tree)
    a, b = (_value(part, values) for part in tree[1:])
    match tree[0]:
        case "and":
            return a and b
        case "or":
            return a or b
        case "*":
            return a * b
        case "+":
            return a + b
        case sign:
            return {"<=": a <= b, ">=": a >= b, "<": a < b, ">": a > b, "==": a == b, "!=": a != b}[sign]
