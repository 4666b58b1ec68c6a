"""Rounds of refinement and splits: what is proven is true, what is violated is never proven, rounds only tighten."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import first
from reach.test_alpha_crown import dense
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import FLOAT32
from surefoot.graph.graph import Graph, evaluate
from surefoot.proof.certificate import Proof
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property, checked_graph
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, Unsafe
from surefoot.verify import refined_splitting
from surefoot.verify.refined_splitting import RefinedSearch
from surefoot.verify.refinement import refined_ends
from surefoot.verify.relu_subproblems import bound_again, kept_slopes, split_leaves

FIXED = 0.3  # of seven inputs five: what has few inputs in its first layer is not reduced


def padded(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, torch.full((len(x), 5), FIXED, dtype=x.dtype)], 1)


def least(graph: Graph, row: np.ndarray, side: int = 300) -> float:
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    y = evaluate(graph, padded(torch.cartesian_prod(line, line))).numpy() @ row
    return float(y.min())


def search(graph: Graph, row: np.ndarray, bound: float, seconds: float = 20.0) -> RefinedSearch:
    low, high = padded(-torch.ones(1, 2).double()), padded(torch.ones(1, 2).double())
    query = Query(InputSet(low[0].numpy(), high[0].numpy()), (Unsafe(row[None], np.array([bound])),))
    return RefinedSearch(graph, Box(low, high), query, Deadline.of(seconds), Deadline.of(seconds))


@pytest.mark.parametrize("seed", first(3, range(40)))
@pytest.mark.parametrize("at_first", [0.0, 1.0])
def test_margins_are_true_and_what_is_violated_is_not_proven(
    seed: int, at_first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `at_first` 0 all is left to refinement and the search after it."""
    monkeypatch.setattr(refined_splitting, "AT_FIRST", at_first)
    monkeypatch.setattr(refined_splitting, "PARTS", 16)
    graph = dense(seed, 7, 8, 8, 8, 3)
    row = np.random.default_rng(seed).normal(size=3)
    lowest, size = least(graph, row), 1 + np.abs(evaluate(graph, padded(torch.zeros(1, 2).double())).numpy()).max()
    true = search(graph, row, lowest - 0.05 * size)
    found = true.prove(lambda _: None, 1000)
    assert found.margin <= 0.05 * size + 1e-9
    assert found.proven or found.why != "time is up"  # with all signs decided ascent may not suffice
    again = true.relaxed(FLOAT32, Deadline.of(20.0))
    x = padded(torch.rand(2000, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1)
    single = evaluate(graph.to(torch.float32), x).double()
    assert bool(((single >= again.boxes[-1].lower) & (single <= again.boxes[-1].upper)).all())
    if found.proven and bound_again(again, true.query, found.leaves) > 0:
        assert bool((single @ torch.from_numpy(row) > lowest - 0.05 * size).all())
    false = search(graph, row, lowest + 1e-3 * size, 1.0)
    assert not false.prove(lambda _: None, 200).proven


def test_rounds_tighten_all_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refined_splitting, "AT_FIRST", 0.0)
    graph = dense(5, 7, 10, 10, 10, 3)
    row = np.random.default_rng(5).normal(size=3)
    one = search(graph, row, least(graph, row) - 0.2)
    one.prove(lambda _: None, 1)  # no more than the roots
    before = dict(one.known)
    assert one.rounds == 0
    one.prove(lambda _: None, 100)
    assert one.rounds > 0
    for at, box in one.known.items():
        assert bool((box.lower >= before[at].lower).all())
        assert bool((box.upper <= before[at].upper).all())
    assert any(bool((one.known[at].upper < before[at].upper).any()) for at in before)


@pytest.mark.parametrize("seed", first(2, range(8)))
def test_certificates_hold_the_refined_bounds_that_prove(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check finds the margin of the search by what is recorded, and none by the boxes of CROWN alone."""
    monkeypatch.setattr(refined_splitting, "AT_FIRST", 0.0)
    monkeypatch.setattr(refined_splitting, "PARTS", 64)
    graph = dense(seed, 7, 10, 10, 10, 3)
    row = np.random.default_rng(seed).normal(size=3)
    one = search(graph, row, least(graph, row, 60) - 0.3, 60.0)
    one.certifiable = True
    result = one.prove(lambda _: None, 1000)
    assert result.proven
    box, unsafe = one.query.inputs, tuple((u.weights, u.bounds) for u in one.query.unsafe)
    proof = Proof(
        box.lower, box.upper, unsafe, "signs", leaves=tuple(split_leaves(result.leaves, 0)),
        tightened=kept_slopes(one.tightened), refined=refined_ends(one.record),
    )  # fmt: skip
    asked = [Question(box.lower, box.upper, unsafe)]
    margin = check_property(certificate_of_property(graph, (proof,)), checked_graph(graph), asked)
    assert margin == pytest.approx(result.margin, rel=1e-6, abs=1e-9)
    with pytest.raises(InputError, match="not proven"):
        check_property(certificate_of_property(graph, (replace(proof, refined={}),)), checked_graph(graph), asked)
