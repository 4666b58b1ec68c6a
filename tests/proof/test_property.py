"""A property is proven whole or not at all: no part missing, no bound taken on trust, and just what is asked."""

from dataclasses import replace

import numpy as np
import pytest

from small_proofs import asked, by_boxes, by_signs, certified, distance, leaf
from surefoot.core.errors import InputError
from surefoot.proof.certificate import Certificate, Proof
from surefoot.proof.property import check_cover, check_property, parts_of
from surefoot.proof.question import Question, certificate_of_property


def check(proof: Proof | Certificate, bound: float) -> float:
    certificate = proof if isinstance(proof, Certificate) else certified(proof)
    return check_property(certificate, distance(), asked(bound))


def test_honest_proofs_are_accepted() -> None:
    assert check(by_boxes(-0.1), -0.1) == pytest.approx(0.1)
    both = by_signs(-0.6, leaf((2, 0, 1)), leaf((2, 0, -1)))
    assert check(both, -0.6) > 0
    halves = by_boxes(-0.1, (0, 0, 0.5), (2, 0, 0.75), (1, 0, 0.5))
    assert check(halves, -0.1) > 0
    assert (parts_of(both), parts_of(halves)) == (2, 4)


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        (by_boxes(0.1), "not proven"),
        (by_boxes(0.1, (0, 0, 0.3), (2, 0, 0.7)), "box 3 is not proven"),
        (by_boxes(0.1, (0, 0, 2.0)), "not between"),
        (by_boxes(0.1, (0, 0, 0.3), (2, 0, 0.1)), "not between"),
        (by_boxes(0.1, (0, 0, np.nan)), "not a finite number"),
        (by_boxes(0.1, (1, 0, 0.5)), "not there yet"),
        (by_boxes(0.1, (3, 0, 0.5)), "not between 0 and 2"),
        (by_boxes(0.1, (0, 0, 0.5), (0, 0, 0.5)), "twice"),
        (by_boxes(0.1, (0, -1, 0.5)), "not between 0 and 0"),
        (by_signs(0.1), "missing"),
        (by_signs(0.1, leaf()), "not proven"),
        (by_signs(-0.1, leaf((2, 0, 1))), "missing"),
        (by_signs(-0.1, leaf((2, 0, 1)), leaf((2, 0, 1))), "missing|another"),
        (by_signs(-0.1, leaf((2, 0, 1)), leaf((2, 1, -1))), "different"),
        (by_signs(-0.1, leaf(), leaf((2, 1, -1))), "lies in another"),
        (by_signs(-0.1, leaf((2, -1, 1)), leaf((2, -1, -1))), "a value"),
        (by_signs(-0.1, leaf((1, 0, 1)), leaf((1, 0, -1))), "a ReLU"),
        (by_signs(-0.1, leaf((2, 0, True)), leaf((2, 0, -1))), "a sign"),
        (by_signs(-0.1, leaf((2, 0, 1), (2, 0, -1)), leaf((2, 0, -1))), "twice"),
        (by_signs(-0.1, leaf(row=-1)), "row"),
        (by_signs(-0.1, leaf(unsafe=-1)), "unsafe set"),
        (replace(by_signs(-0.1, leaf()), places=(1,)), "inner nodes"),
        (replace(by_boxes(-0.1), constraints=(np.ones((1, 1)), np.zeros(1))), "part of a box"),
        (replace(by_boxes(-0.1), leaves=(leaf(),)), "no leaves"),
        (replace(by_signs(-0.1, leaf()), thorough=True), "bisects no box"),
    ],
)  # fmt: skip
def test_what_is_missing_or_false_is_refused(proof: Proof, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check(proof, float(proof.unsafe[0][1][0]))


def test_a_proof_of_another_question_is_refused_with_what_differs() -> None:
    honest = by_boxes(-0.1)
    with pytest.raises(InputError, match="another property"):
        check(honest, -0.05)
    narrow = replace(honest, upper=np.array([0.4]))
    with pytest.raises(InputError, match="another region"):
        check(narrow, -0.1)
    named = replace(certified(narrow), region=certified(honest).region, property=certified(honest).property)
    with pytest.raises(InputError, match="of another region"):  # the names are those that are asked for
        check(named, -0.1)
    weak = replace(certified(by_boxes(-0.2)), property=certified(honest).property)
    with pytest.raises(InputError, match="of other outputs"):
        check(weak, -0.1)
    with pytest.raises(InputError, match="another network"):
        check(replace(certified(honest), networks=("0" * 64,)), -0.1)
    with pytest.raises(InputError, match="no proof"):
        check(replace(certified(honest), proofs=()), -0.1)


def test_order_and_repetition_of_sets_do_not_matter_and_every_output_is_never_avoided() -> None:
    low, high = np.zeros(1), np.ones(1)
    one, two = (np.ones((1, 1)), np.array([-0.1])), (-np.ones((2, 1)), np.array([-0.7, -0.9]))
    proof = Proof(low, high, (one, two), "boxes")
    question = [Question(low - 0.0, high, [(two[0], two[1][::-1]), one, one])]
    assert check_property(certificate_of_property(distance(), (proof,)), distance(), question) > 0
    for proven in ((one,), (two,)):
        less = replace(certificate_of_property(distance(), (proof,)), proofs=(replace(proof, unsafe=proven),))
        with pytest.raises(InputError, match="other outputs"):
            check_property(less, distance(), question)
    every = (np.zeros((0, 1)), np.zeros(0))
    whole = replace(proof, unsafe=(every,))
    with pytest.raises(InputError, match="every output"):
        check_property(certificate_of_property(distance(), (whole,)), distance(), [Question(low, high, [every])])


def test_five_disjuncts_are_not_one_conjunction_whose_bytes_are_the_same() -> None:
    sets = [(row[None], np.zeros(1)) for row in np.eye(5)]
    joined = b"|".join(part.tobytes() for pair in sets for part in pair)[:-9]
    forged = (np.frombuffer(joined).reshape(6, 5), np.zeros(1))
    assert b"|".join(part.tobytes() for part in forged) == b"|".join(part.tobytes() for pair in sets for part in pair)
    low, high = np.zeros(1), np.ones(1)
    proof = Proof(low, high, (forged,), "boxes")
    certificate = replace(certified(by_boxes(-0.1)), proofs=(proof,))
    with pytest.raises(InputError):
        check_property(certificate, distance(), [Question(low, high, sets)])


def test_a_deep_tree_is_walked_without_recursion() -> None:
    parts = [(*((2, i, 1) for i in range(n)), (2, n, -1)) for n in range(1100)]
    check_cover([*parts, tuple((2, i, 1) for i in range(1100))])
    with pytest.raises(InputError, match="missing"):
        check_cover(parts)
