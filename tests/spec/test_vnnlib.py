"""VNNLIB 1.0, whole: what the field's files say, and what damaged ones cannot do."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from surefoot.core.errors import FileError, InputError
from surefoot.spec import cases, formula, vnnlib
from surefoot.spec.vnnlib import parse_vnnlib, read_vnnlib

DECLARED = """(declare-const X_0 Real)
(declare-const X_1 Real) ; a comment (with parentheses
(declare-const Y_0 Real)(declare-const Y_1 Real)"""
BOX = "(assert (>= X_0 -1)) (assert (<= X_0 1)) (assert (<= 0 X_1)) (assert (<= X_1 2.5e-1))"


def test_a_conjunction_after_a_disjunction() -> None:
    """Trap T7: a later assert is no further case, but a condition on each."""
    text = DECLARED + BOX + "(assert (or (and (<= Y_0 0)) (and (>= Y_1 3) (<= Y_0 1))))(assert (<= Y_0 Y_1))"
    (query,) = parse_vnnlib(text, 2, 2)
    assert [u.weights.tolist() for u in query.unsafe] == [[[1, 0], [1, -1]], [[0, -1], [1, 0], [1, -1]]]
    assert [u.bounds.tolist() for u in query.unsafe] == [[0, 0], [-3, 1, 0]]
    y = np.array([[-1.0, -2.0], [-1.0, 0.0], [0.5, 3.0], [0.5, 2.0]])
    assert (query.slack(y) <= 0).tolist() == [False, True, True, False]


def test_several_boxes() -> None:
    text = DECLARED + "(assert (or (and (<= X_0 1) (>= X_0 0) (<= Y_0 1)) (and (<= X_0 3) (>= X_0 2) (<= Y_0 2))))"
    text += "(assert (<= 0 X_1 1))"
    first, second = parse_vnnlib(text, 2, 2)
    assert (first.inputs.lower.tolist(), first.inputs.upper.tolist()) == ([0, 0], [1, 1])
    assert (second.inputs.lower.tolist(), second.inputs.upper.tolist()) == ([2, 0], [3, 1])
    assert second.unsafe[0].bounds.tolist() == [2]


def test_linear_terms() -> None:
    text = DECLARED + BOX + "(assert (<= (+ (* 2 Y_0) (- Y_1) 1) (- 4 (* Y_0 -3) 1)))"
    (unsafe,) = parse_vnnlib(text, 2, 2)[0].unsafe
    assert unsafe.weights.tolist() == [[-1, -1]]  # 2 y0 - y1 + 1 <= 4 + 3 y0 - 1
    assert unsafe.bounds.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "asserts nothing"),
        (DECLARED + BOX + "(assert (<= Y_5 0))", "neither a number nor an input or output"),
        ("(declare-const Y_7 Real)", "speaks of Y_7; the network has X_0 to X_1, Y_0 to Y_1"),
        (DECLARED + "(assert (<= X_0 1)) (assert (<= Y_0 1))", "X_0 has no lower or no upper bound"),
        (DECLARED + BOX + "(assert (>= X_0 2)) (assert (<= Y_0 1))", "no input satisfies"),
        (DECLARED + BOX + "(assert (<= (* Y_0 Y_1) 1))", "answers it"),
        (DECLARED + BOX + "(assert (<= (* Y_0 (* Y_1 X_0)) 1))", "product of more than two variables"),
        (DECLARED + BOX + "(assert (<= (+ X_0 Y_1) 1))", "answers it"),
        (DECLARED + "(assert (<= (+ X_0 X_1) 1)) (assert (<= Y_0 1))", "no lower or no upper bound"),
        (DECLARED + BOX + "(assert (>= (+ X_0 X_1) 2))(assert (<= Y_0 1))", "conditions on several inputs"),
        ("; two\n(vnnlib-version <2.0>)", "VNN-LIB 2.0"),
        (DECLARED + BOX + "(assert (<= Y_0 nan))", "not a finite number"),
        (DECLARED + BOX + "(assert (=> Y_0 1))", "not a formula"),
        (DECLARED + BOX + "(assert (< Y_0 1))", "closed in VNN-LIB 1.0"),
        (DECLARED + BOX + "(maximise Y_0)", "not a statement"),
        (DECLARED + BOX + "(assert (<= Y_0 1)", "ends inside parentheses"),
        (DECLARED + BOX + "(assert (<= Y_0 1)))", "parenthesis too many"),
        ("(" * 5000, "more than 200 deep"),
        ("Y_0", "outside all parentheses"),
        (DECLARED + BOX + "(assert (or (<= Y_0 1) (<= Y_1 1)))" * 40, "more than 100000 cases"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_vnnlib(text, 2, 2)


def test_damaged_files_are_refused_in_bounded_time(tmp_path: Path) -> None:
    whole = (DECLARED + BOX + "(assert (or (and (<= Y_0 0)) (and (>= Y_1 3))))").encode()
    rng = np.random.default_rng(0)
    path = tmp_path / "p.vnnlib"
    for _ in range(300):
        broken = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
        path.write_bytes(bytes(broken))
        try:
            read_vnnlib(path, 2, 2)
        except (FileError, InputError):
            continue
    (tmp_path / "p.vnnlib.gz").write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(FileError, match="gzip"):
        read_vnnlib(tmp_path / "p.vnnlib.gz", 2, 2)
    with pytest.raises(FileError, match="cannot read"):
        read_vnnlib(tmp_path / "absent.vnnlib", 2, 2)


def test_the_competition_s_files(shared_data: Path) -> None:
    acas = shared_data / "verify" / "acasxu" / "vnnlib"
    assert len(read_vnnlib(acas / "prop_6.vnnlib.gz", 5, 5)) == 2
    assert len(read_vnnlib(acas / "prop_7.vnnlib.gz", 5, 5)[0].unsafe) == 2


def read_of(extra: str) -> list[tuple[np.ndarray, np.ndarray]]:
    queries = parse_vnnlib(DECLARED + BOX + "(assert (<= Y_0 1))" + extra, 2, 2)
    return [(q.inputs.lower, q.inputs.upper) for q in queries]


@pytest.mark.parametrize(
    "extra",
    [
        '(set-info :source ") (assert (<= X_0 -0.9)) (set-info x")',
        '(set-info :source "a "" ) (assert (<= X_0 -0.9)) "" b")',
        "(set-info :source |) (assert (<= X_0 -0.9)) (set-info x|)",
        '(set-info :source "; no comment") ; (assert (<= X_0 -0.9)) "\n',
        '(set-info :source "two\nlines; (assert (<= X_0 -0.9))")',
        "(check-sat)(exit)",
    ],
)
def test_strings_symbols_and_comments_assert_nothing(extra: str) -> None:
    for one, two in zip(read_of(extra), read_of(""), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ('(set-info :source "', "a string does not end"),
        ("(set-info :source |a", "does not end"),
        ("(exit)(assert (<= X_0 0))", "follows"),
        ("(assert (<= X_0 |0|))", "neither a number"),
        ('(assert (<= X_0 "0"))', "neither a number"),
        ("(|assert| (<= X_0 0))", "not a statement"),
        ("(assert (<= (* 1e300 (* 1e300 Y_0)) (* 1e300 (* 1e300 (* 1e300 1e300)))))", "beyond what float64"),
    ],
)
def test_what_is_odd_is_refused(extra: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_of(extra)
    assert read_of("(assert (<= |X_0| 0.25))")[0][1][0] == 0.25


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "(assert (or (<= Y_0 1) (<= Y_1 1)))(assert (or (<= Y_0 1) (<= Y_1 1)))"
    for room, name, words in (
        (vnnlib, "LARGEST_TOKENS", "words"),
        (formula, "LARGEST_ATOMS", "conditions"),
        (cases, "LARGEST_ARRAYS", "numbers"),
    ):
        with monkeypatch.context() as less:
            less.setattr(room, name, 4)
            with pytest.raises(InputError, match=words):
                read_of(text)
