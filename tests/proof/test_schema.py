"""Every array of a certificate is just what it must be: type, rank, length, range, uniqueness, finite numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from small_proofs import asked, by_boxes, by_signs, certified, distance, leaf
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Relu
from surefoot.proof.certificate import Proof, RefinedEnds, SplitLeaf
from surefoot.proof.property import check_property
from surefoot.proof.schema import ARRAYS, check_equality_schema, check_property_schema

GOOD = np.array([0.0])
SLOPES = {2: np.array([0.5, 0.5], dtype=np.float32)}


def refuse(proof: Proof, why: str) -> None:
    """A certificate of the proof, named as an honest one is, is refused for this."""
    with pytest.raises(InputError, match=why):
        check_property(replace(certified(by_boxes(-0.1)), proofs=(proof,)), distance(), asked(-0.1))


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (np.array([0]), "an array of <i8"),
        (np.array([0.0], dtype=np.float32), "an array of <f4"),
        (np.array([0.0], dtype=">f8"), "an array of >f8"),
        (np.array([0j]), "an array of <c16"),
        (np.array([0.0], dtype=object), r"an array of \|O"),
        (np.array(["0"]), "an array of <U1"),
        (np.array([True]), r"an array of \|b1"),
        (np.ma.array([0.0]), "is no array"),
        ([0.0], "is no array"),
        (np.array(0.0), "rank 1"),
        (np.array([[0.0]]), "rank 1"),
        (np.array([0.0, 0.0]), r"\(1,\) is needed"),
        (np.zeros(0), r"\(1,\) is needed"),
        (np.array([np.nan]), "nan is not a finite"),
        (np.array([np.inf]), "inf is not a finite"),
        (np.array([2.0]), "above its upper bound"),
    ],
)
def test_a_region_of_another_type_shape_or_value_is_refused(odd: Any, why: str) -> None:
    refuse(replace(by_boxes(-0.1), lower=odd), why)


def test_an_integer_region_cuts_nothing_short() -> None:
    """Halved at 0.999 the lower half of integers would end at 0."""
    cut = by_boxes(0.1, (0, 0, 0.999))
    refuse(replace(cut, lower=np.array([0]), upper=np.array([1])), "an array of <i8")


def test_bounds_of_another_shape_are_not_broadcast() -> None:
    row, bounds = np.ones((2, 1)), np.array([5.0, -5.0])
    for odd in (bounds[:, None], bounds[None], bounds[:1], np.append(bounds, 0.0)):
        refuse(replace(by_boxes(-0.1), unsafe=((row, odd),)), "rank 1|is needed")


@pytest.mark.parametrize(
    "which", [[[0, 1]], [[0], [1]], [-1], [2], [0, 0], [0.0], [True], np.array([0], np.int32), np.array(0)]
)
def test_values_to_tighten_are_a_list_of_different_places(which: Any) -> None:
    proof = replace(by_signs(-0.1, leaf()), tightened={1: (np.asarray(which), {})})
    refuse(proof, "values to tighten")


@pytest.mark.parametrize("name", ["slopes", "multipliers"])
@pytest.mark.parametrize(
    "odd",
    [
        {2: np.ones((2, 1))}, {2: np.ones(1)}, {2: np.ones((1, 2))}, {2: np.array([np.nan, 0])}, {1: np.ones(2)},
        {-1: np.ones(2)}, {3: np.ones(1)}, {True: np.ones(2)}, {2.0: np.ones(2)}, {2: np.ones(2, int)}, {2: [1.0]}, [],
    ],
)  # fmt: skip
def test_proposals_fit_a_rectifier(name: str, odd: Any) -> None:
    parts: dict[str, Any] = {"slopes": SLOPES, "multipliers": {}} | {name: odd}
    refuse(by_signs(-0.1, SplitLeaf(0, 0, (), **parts)), name)


def test_honest_types_pass() -> None:
    for kind in (np.float16, np.float32, np.float64):
        slopes = {2: np.array([0.5, 0.25], dtype=kind)}
        ends = {2: np.full((4, 2), 0.5, dtype=kind)}
        proof = replace(by_signs(-0.1, SplitLeaf(0, 0, (), slopes, slopes)), tightened={1: (np.array([1, 0]), {})})
        check_property_schema(certified(proof), distance())
        late = replace(proof, tightened={3: (np.array([0]), ends)})
        with pytest.raises(InputError, match="a node to tighten"):
            check_property_schema(certified(late), distance())


def refined(**odd: Any) -> Proof:
    """Refine the sum of two ReLUs, which enters another, by two parts."""
    good = {
        "ends": np.array([0, 1]), "owners": np.array([0, 0, 1]), "relus": np.array([2, 2]), "values": np.array([0, 1]),
        "signs": np.array([[1, 0], [-1, 0], [0, 0]], dtype=np.int8), "duals": np.zeros((3, 2), dtype=np.float16),
    }  # fmt: skip
    return replace(by_signs(-0.1, leaf()), refined={3: (RefinedEnds(**(good | odd)),)})


def then_relu() -> Graph:
    builder = GraphBuilder((1,))
    builder.nodes[:] = distance().nodes
    return builder.build(builder.add(Relu(), 3))


def test_well_formed_refined_ends_pass() -> None:
    check_property_schema(certified(refined()), then_relu())
    for kind in (np.float32, np.float64):
        check_property_schema(certified(refined(duals=np.full((3, 2), 1e9, dtype=kind))), then_relu())


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"ends": np.array([0, 2])}, "between 0 and 1"),
        ({"ends": np.array([-1, 1])}, "between 0 and 1"),
        ({"ends": np.array([1, 1])}, "twice"),
        ({"ends": np.array([0.0, 1.0])}, "an array of <f8"),
        ({"ends": np.array([[0, 1]])}, "rank 1"),
        ({"ends": [0, 1]}, "is no array"),
        ({"owners": np.array([0, 0, 2])}, "between 0 and 1"),
        ({"owners": np.array([0, 0, -1])}, "between 0 and 1"),
        ({"owners": np.array([0, 0])}, "is needed"),
        ({"relus": np.array([2, 4])}, "between 0 and 2"),
        ({"relus": np.array([2, 1])}, "no value of a ReLU"),
        ({"relus": np.array([2, -1])}, "between 0 and 2"),
        ({"relus": np.array([2])}, "is needed"),
        ({"values": np.array([0, 2])}, "between 0 and 1"),
        ({"values": np.array([0, -1])}, "between 0 and 1"),
        ({"values": np.array([0, 0])}, "a sign twice"),
        ({"signs": np.array([[2, 0], [-1, 0], [0, 0]], dtype=np.int8)}, "none of 1, -1 and 0"),
        ({"signs": np.array([[-128, 0], [1, 0], [0, 0]], dtype=np.int8)}, "none of 1, -1 and 0"),
        ({"signs": np.array([[1, 0], [-1, 0], [0, 0]])}, "an array of <i8"),
        ({"signs": np.zeros((3, 2), dtype=np.uint8)}, r"an array of \|u1"),
        ({"signs": np.zeros((3, 2), dtype=bool)}, r"an array of \|b1"),
        ({"signs": np.zeros((2, 3), dtype=np.int8)}, "is needed"),
        ({"signs": np.zeros((3, 2, 1), dtype=np.int8)}, "rank 2"),
        ({"duals": np.zeros((3, 1))}, "is needed"),
        ({"duals": np.full((3, 2), -1e-9)}, "below 0"),
        ({"duals": np.full((3, 2), np.nan)}, "not a finite number"),
        ({"duals": np.full((3, 2), np.inf, dtype=np.float16)}, "not a finite number"),
        ({"duals": np.zeros((3, 2), dtype=int)}, "an array of <i8"),
    ],
)
def test_refined_ends_of_another_type_shape_or_value_are_refused(odd: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_property_schema(certified(refined(**odd)), then_relu())


def test_refined_ends_are_of_what_enters_a_rectifier_in_proofs_by_signs() -> None:
    good = refined()
    for odd, why in (
        (replace(good, refined={2: good.refined[3]}), "a node that is refined"),
        (replace(good, refined={True: good.refined[3]}), "a node that is refined"),
        (replace(good, refined={3: list(good.refined[3])}), "are no ends"),
        (replace(good, refined={3: (good.refined[3],)}), "are no ends"),
        (replace(good, refined=[]), "not named by nodes"),
        (replace(by_boxes(-0.1), refined=good.refined), "no parts"),
    ):
        with pytest.raises(InputError, match=why):
            check_property_schema(certified(odd), then_relu())
    two = replace(certified(good), networks=certified(good).networks * 2, proofs=(good,) * 2)
    with pytest.raises(InputError, match="refines bounds"):
        check_equality_schema(two, then_relu(), then_relu())


def test_two_networks_need_two_proofs_by_signs() -> None:
    one = certified(by_signs(-0.1, leaf()))
    for odd, why in ((one, "of 1 networks"), (replace(one, networks=one.networks * 2), "1 proofs")):
        with pytest.raises(InputError, match=why):
            check_equality_schema(odd, distance(), distance())
    two = replace(one, networks=one.networks * 2, proofs=one.proofs * 2)
    with pytest.raises(InputError, match="at 0 nodes"):
        check_equality_schema(two, distance(), distance())
    halved = replace(two, proofs=(by_boxes(-0.1),) * 2)
    with pytest.raises(InputError, match="by signs"):
        check_equality_schema(halved, distance(), distance())
    sums = replace(one.proofs[0], unsafe=((np.ones((1, 2)), np.zeros(1)),), places=(1,))
    with pytest.raises(InputError, match="more than the sign"):
        check_equality_schema(replace(two, proofs=(sums, sums)), distance(), distance())


def test_names_are_digests() -> None:
    held = certified(by_boxes(-0.1))
    for odd in (replace(held, networks=("x",)), replace(held, property="0"), replace(held, region=None)):
        with pytest.raises(InputError, match="SHA-256"):
            check_property_schema(odd, distance())


def test_the_table_says_of_every_index_how_far_it_goes() -> None:
    assert all(form.below for form in ARRAYS.values() if form.types == ("<i8",))
