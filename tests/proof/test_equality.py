"""The difference of two networks is bounded over the domain that is named, of which some input is shown to be there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from planted import dense
from surefoot.compress.interior import inside
from surefoot.compress.stability import stability
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Reshape
from surefoot.proof.certificate import Certificate, Proof
from surefoot.proof.equality import check_equal, check_units, is_inside
from surefoot.proof.question import certificate_of_difference, checked_graph
from surefoot.spec.input_set import InputSet, LinearConstraints


@pytest.fixture(scope="module")
def pair() -> tuple[Graph, Graph]:
    graph = dense(3, ("inactive", "active"), (6, 5), 3)
    return checked_graph(graph), checked_graph(graph.to(torch.float32))


@pytest.fixture(scope="module")
def cut(pair: tuple[Graph, Graph]) -> Certificate:
    domain = InputSet(np.zeros(3), np.ones(3), LinearConstraints(np.ones((1, 3)), np.array([1.5])))
    one, two = (stability(graph, domain, 0.2).proof() for graph in pair)
    return certificate_of_difference(pair, (one, two))


def test_the_bound_holds_over_the_part_that_rows_leave(pair: tuple[Graph, Graph], cut: Certificate) -> None:
    bound = check_equal(cut, *pair)
    proof = cut.proofs[0]
    assert proof.constraints is not None
    x = inside(InputSet(proof.lower, proof.upper, LinearConstraints(*proof.constraints)), (3,), 2000, 1)
    met = (evaluate(pair[0], x) - evaluate(pair[1], x)).abs().amax(0).numpy()
    assert (met <= bound).all()
    assert bound.max() < 1e-4


def changed(cut: Certificate, pair: tuple[Graph, Graph], **changes: object) -> Certificate:
    one, two = (replace(proof, **changes) for proof in cut.proofs)
    return certificate_of_difference(pair, (one, two))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"constraints": (np.ones((1, 3)), np.array([-1.0]))}, "may be empty"),
        ({"inside": (1, 1, 1, 1)}, "may be empty"),
        ({"inside": (-1, 0, 0, 1)}, "may be empty"),
        ({"inside": (0, 0, 0, 0)}, "malformed"),
        ({"inside": (0, 0, 0, -1)}, "malformed"),
        ({"inside": (0, 0, 1)}, "malformed"),
        ({"inside": (0.0, 0, 0, 1)}, "malformed"),
        ({"inside": (2**20_000, 0, 0, 1)}, "malformed"),
        ({"inside": None}, "make it anew"),
        ({"constraints": None}, "malformed"),
        ({"unsafe": ((np.ones((1, 3)), np.zeros(1)),), "places": ()}, "1 unsafe sets at 0 nodes"),
        ({"upper": np.full(3, -1.0)}, "empty"),
    ],
)
def test_a_domain_of_no_input_is_refused(
    pair: tuple[Graph, Graph], cut: Certificate, changes: dict[str, object], why: str
) -> None:
    with pytest.raises(InputError, match=why):
        check_equal(changed(cut, pair, **changes), *pair)


def test_two_domains_and_other_networks_are_refused(pair: tuple[Graph, Graph], cut: Certificate) -> None:
    one, two = cut.proofs
    with pytest.raises(InputError, match="two domains"):
        check_equal(certificate_of_difference(pair, (one, replace(two, upper=np.full(3, 0.5)))), *pair)
    with pytest.raises(InputError, match="another network"):
        check_equal(cut, pair[1], pair[1])
    with pytest.raises(InputError, match="another region"):
        check_equal(replace(cut, region="0" * 64), *pair)
    shaped = GraphBuilder((1, 3))
    last = shaped.add(Linear(torch.ones(3, 3).double()), shaped.add(Reshape((3,)), 0))
    with pytest.raises(InputError, match="cannot be equal"):
        check_equal(cut, pair[0], shaped.build(last))


def test_a_sign_is_used_only_where_it_is_proven(pair: tuple[Graph, Graph]) -> None:
    low, high = np.zeros(3), np.ones(3)
    boxes = check_units(Proof(low, high, (), "signs"), pair[0])
    value = int(np.flatnonzero((boxes[1][0] < 0) & (boxes[1][1] > 0))[0])
    row = np.zeros((1, 6))
    row[0, value] = 1.0
    with pytest.raises(InputError, match="missing"):
        check_units(Proof(low, high, ((row, np.zeros(1)),), "signs", places=(1,)), pair[0])


def test_exact_arithmetic_decides_whether_an_input_is_there() -> None:
    row = np.array([[3.0], [-3.0]])
    proof = Proof(np.zeros(1), np.ones(1), (), "signs", constraints=(row, np.array([1.0, -1.0])), inside=(1, 3))
    assert is_inside(proof)
    assert not is_inside(replace(proof, inside=(10**15, 3 * 10**15 + 1)))
