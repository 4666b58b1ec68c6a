"""A property and its files as one question: answers agree with brute force over the networks as they run."""

import random
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from surefoot.core.errors import InputError
from surefoot.spec.query import Holds, Violated
from surefoot.verify.question import read_question
from surefoot.verify.several import answer_all, beyond_certificates
from two_layers import box, declared, two_layers

HEAD = "(vnnlib-version <2.0>)"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {name: two_layers(tmp_path / f"{name}.onnx", seed) for seed, name in enumerate("fg")}


def asked(tmp_path: Path, text: str, files: dict[str, Path] | Path):
    (tmp_path / "p.vnnlib").write_text(text)
    return read_question(tmp_path / "p.vnnlib", files)


@pytest.mark.parametrize("seed", range(12))
def test_no_answer_contradicts_samples(tmp_path: Path, files: dict[str, Path], seed: int) -> None:
    """Relations between inputs, hidden values and outputs of two networks; a sample may break what holds, never."""
    rng = random.Random(seed)
    names = ["X[0,0]", "X[0,2]", "H[0,1]", "Y[0,0]", "Y[0,1]", "U[0,0]", "V[0,0]", "V[0,1]"]
    text = HEAD + declared("f", "XY", hidden='(declare-hidden H float32 [1,4] "h")')
    text += declared("g", "UV", "(isomorphic-to f)", '(declare-hidden I float32 [1,4] "h")') + box("X")
    text += "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in range(2)) + box("U", -0.5, 0.75)
    if rng.random() < 0.5:
        text += "(assert (<= (+ X[0,0] U[0,2]) X[0,1]))"
    sign, far = rng.choice(["<=", ">=", "<", ">"]), rng.choice([0.5, 2.0, 5.0])
    one, two, three = rng.sample(names, 3)
    text += f"(assert ({sign} (+ {one} (* 2.0 {two})) (- {three} {far if sign[0] == '<' else -far})))"
    question = asked(tmp_path, text, files)
    assert question.joint is not None
    verdict, _ = answer_all(question.network, question.queries, 5.0, "auto", 0)
    low, high = (np.array([getattr(q.inputs, end) for q in question.queries]) for end in ("lower", "upper"))
    points = np.random.default_rng(seed).uniform(low[0], high[0], size=(300, low.shape[1])).astype(np.float32)
    inside = [x for x in points if question.queries[0].inputs.contains(x.astype(float))]
    broken = [y for y in question.network.run(np.stack(inside or [points[0]])) if question.queries[0].broken_by(y)]
    if isinstance(verdict, Holds):
        assert not (inside and broken)
        assert verdict.margin > 0
    if isinstance(verdict, Violated):
        assert question.queries[0].broken_by(verdict.output)
        values = {t.name: v for t, v in question.joint.assignment(verdict.input, verdict.output)}
        np.testing.assert_array_equal(values["X"][:2], values["U"][:2])


def test_a_network_equals_itself_and_not_another(tmp_path: Path, files: dict[str, Path]) -> None:
    same = "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in range(3))
    differs = "(assert (or (> Y[0,0] (+ V[0,0] 0.001)) (> V[0,0] (+ Y[0,0] 0.001))))"
    text = HEAD + declared("f", "XY") + declared("g", "UV", "(equal-to f)") + box("X") + same + differs
    question = asked(tmp_path, text, {"f": files["f"]})
    assert isinstance(answer_all(question.network, question.queries, 10.0, "auto", 0)[0], Holds)
    text = text.replace("equal-to", "isomorphic-to")
    question = asked(tmp_path, text, files)
    assert isinstance(answer_all(question.network, question.queries, 10.0, "auto", 0)[0], Violated)


def test_counterexamples_are_found_in_thin_regions(tmp_path: Path, files: dict[str, Path]) -> None:
    """One in two thousand points of the box lies in the wedge, and none but for rounding on the plane."""
    text = HEAD + declared("f", "XY") + declared("g", "UV") + box("X", -0.5, 0.5) + box("U", -0.5, 0.5)
    wedge = "(assert (<= (+ X[0,0] X[0,1] X[0,2]) (- (+ U[0,0] U[0,1] U[0,2]) 2.0)))(assert (<= Y[0,0] (+ V[0,0] 9.0)))"
    plane = "(assert (or (== (+ X[0,0] X[0,1]) (+ U[0,0] 0.125)) (>= X[0,0] 1.0)))(assert (<= Y[0,0] (+ V[0,0] 9.0)))"
    for more in (wedge, plane):
        question = asked(tmp_path, text + more, files)
        verdict, _ = answer_all(question.network, question.queries, 5.0, "auto", 0)
        assert isinstance(verdict, Violated)
        assert verdict.distance_to_region <= 1e-7


def test_strict_conditions_are_strict(tmp_path: Path, files: dict[str, Path]) -> None:
    """At one input, where the output is known exactly: y < y is false, y <= y is not."""
    point = "".join(f"(assert (== X[0,{i}] 0.5))" for i in range(3))
    value = float(asked(tmp_path, HEAD + declared("f", "XY") + point + "(assert (<= Y[0,0] 0.0))", files["f"])
                  .network.run(np.full((1, 3), 0.5, np.float32))[0, 0])  # fmt: skip
    for sign, broken in (("<=", True), ("<", False), (">=", True), (">", False), ("!=", False), ("==", True)):
        text = HEAD + declared("f", "XY") + point + f"(assert ({sign} Y[0,0] {value:.40f}))"
        question = asked(tmp_path, text, files["f"])
        verdict, _ = answer_all(question.network, question.queries, 2.0, "crown", 0)
        assert isinstance(verdict, Violated) == broken, sign
    question = asked(tmp_path, HEAD + declared("f", "XY") + box("X") + "(assert (and (< X[0,0] 0.0) (> X[0,0] 0.0)))",
                     files["f"])  # fmt: skip
    assert not isinstance(answer_all(question.network, question.queries, 2.0, "auto", 0)[0], Violated)


def test_products_of_two_are_bounded_together(tmp_path: Path, files: dict[str, Path]) -> None:
    for text, expected in (
        ("(>= (* X[0,0] X[0,1]) 1.01)", Holds), ("(>= (* X[0,0] X[0,1]) 1.0)", Violated),
        ("(< (* X[0,0] X[0,0]) 0.0)", None), ("(>= (* Y[0,0] X[0,1]) 1000.0)", Holds),
        ("(and (>= (* Y[0,0] Y[0,1]) 0.0) (<= X[0,0] X[0,1]))", Violated),
    ):  # fmt: skip
        question = asked(tmp_path, HEAD + declared("f", "XY") + box("X") + f"(assert {text})", files["f"])
        verdict, _ = answer_all(question.network, question.queries, 5.0, "auto", 0)
        if expected is None:  # of all inputs but one
            assert not isinstance(verdict, Violated)
        else:
            assert isinstance(verdict, expected), text


def test_products_of_float64_are_refused(tmp_path: Path) -> None:
    file = two_layers(tmp_path / "d.onnx", 0, kind=TensorProto.DOUBLE)
    text = HEAD + declared("f", "XY", kind="real") + box("X") + "(assert (>= (* Y[0,0] Y[0,1]) 0.0))"
    with pytest.raises(InputError, match="products are read of networks of float32"):
        asked(tmp_path, text, file)


def test_version_1_relates_inputs_to_outputs(tmp_path: Path, files: dict[str, Path]) -> None:
    names = [f"X_{i}" for i in range(3)] + ["Y_0", "Y_1"]
    text = "".join(f"(declare-const {name} Real)" for name in names)
    text += "".join(f"(assert (>= X_{i} -1))(assert (<= X_{i} 1))" for i in range(3))
    question = asked(tmp_path, text + "(assert (>= Y_0 (+ X_0 100)))", files["f"])
    assert question.network.outputs == 5
    assert not question.plain
    assert isinstance(answer_all(question.network, question.queries, 5.0, "auto", 0)[0], Holds)
    assert "relates inputs" in str(beyond_certificates(question.queries, question.network, question.plain))
    question = asked(tmp_path, text + "(assert (<= (+ X_0 X_1) X_2))(assert (>= Y_0 100))", files["f"])
    assert question.plain
    assert "relates several inputs" in str(beyond_certificates(question.queries, question.network, question.plain))


def test_a_counterexample_is_of_what_was_asked(tmp_path: Path, files: dict[str, Path]) -> None:
    equal = "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in range(3))
    text = HEAD + declared("f", "XY") + declared("g", "UV") + box("X") + equal + "(assert (< Y[0,0] (+ X[0,1] 9.0)))"
    question = asked(tmp_path, text, files)
    verdict = question.as_asked(answer_all(question.network, question.queries, 5.0, "auto", 0)[0])
    assert isinstance(verdict, Violated)
    assert (len(verdict.input), len(verdict.output)) == (6, 4)
    np.testing.assert_array_equal(verdict.input[:3], verdict.input[3:])


def test_what_does_not_go_together_is_said(tmp_path: Path, files: dict[str, Path]) -> None:
    two = HEAD + declared("f", "XY") + declared("g", "UV") + box("X") + box("U") + "(assert (<= Y[0,0] V[0,0]))"
    with pytest.raises(InputError, match=r"several networks: .* --network f=FILE\.onnx --network g=FILE\.onnx"):
        asked(tmp_path, two, files["f"])
    with pytest.raises(InputError, match="names no networks"):
        asked(tmp_path, "(declare-const X_0 Real)(assert (<= X_0 1))", files)
    (tmp_path / "p.vnnlib").write_text(two)
    with pytest.raises(InputError, match=r"--output and --shape are for 1\.0"):
        read_question(tmp_path / "p.vnnlib", files, "y")
