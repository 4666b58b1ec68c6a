"""Refined bounds hold for every input, whatever chose the parts, and no part may be missing."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proof.test_checker import values
from reach.test_alpha_crown import dense
from refined_proofs import refined_proof
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Relu
from surefoot.proof import refined as module
from surefoot.proof.certificate import Proof, RefinedEnds
from surefoot.proof.checker import Checker
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property, checked_graph
from surefoot.proof.refined import check_split, refine


def tree(rng: np.random.Generator, columns: int, chance: float = 0.7) -> np.ndarray:
    """Split at random; each branch in an order of its own, no column twice on a way down."""
    parts, todo = [], [np.zeros(columns, dtype=np.int8)]
    while todo:
        signs = todo.pop()
        free = np.flatnonzero(signs == 0)
        if not len(free) or rng.random() > chance:
            parts.append(signs)
            continue
        column = rng.choice(free)
        for sign in (1, -1):
            todo.append(signs.copy())
            todo[-1][column] = sign
    return rng.permutation(np.array(parts))


def covers_once(parts: np.ndarray) -> bool:
    """Whether each pattern of signs is in one part."""
    patterns = np.array(list(product((1, -1), repeat=parts.shape[1])))
    inside = ((parts[None] == 0) | (parts[None] == patterns[:, None])).all(2)
    return bool((inside.sum(1) == 1).all())


@given(st.integers(0, 2**32))
def test_every_tree_is_accepted_and_none_with_a_part_missing_or_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = tree(rng, int(rng.integers(1, 6)))
    assert covers_once(parts)
    check_split(parts)
    at = int(rng.integers(len(parts)))
    for wrong in (np.delete(parts, at, 0), np.concatenate([parts, parts[at : at + 1]])):
        with pytest.raises(InputError, match="part"):
            check_split(wrong)


@given(st.integers(0, 2**32))
def test_what_is_accepted_covers_the_region(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = tree(rng, int(rng.integers(1, 5)))
    for _ in range(int(rng.integers(1, 3))):
        parts[rng.integers(len(parts)), rng.integers(parts.shape[1])] = rng.integers(-1, 2)
    try:
        check_split(parts)
    except InputError:
        return
    assert covers_once(parts)


def test_parts_that_cover_but_that_no_tree_makes_are_refused() -> None:
    parts = np.array([[1, 1, 1], [-1, -1, -1], [1, -1, 0], [0, 1, -1], [-1, 0, 1]], dtype=np.int8)
    assert covers_once(parts)
    with pytest.raises(InputError, match="different values"):
        check_split(parts)


def at_random(graph: Graph, at: int, rng: np.random.Generator) -> RefinedEnds:
    """Bound some ends of a node by the parts of random trees, with random slopes and multipliers."""
    relus = [n for n, node in enumerate(graph.nodes[:at]) if isinstance(node.op, Relu)]
    neurons = rng.permutation([(n, i) for n in relus for i in range(graph.nodes[n].shape[0])])[:6]
    ends = rng.permutation(2 * graph.nodes[at].shape[0])[:5]
    trees = [tree(rng, len(neurons)) for _ in ends]
    signs, owners = np.concatenate(trees), np.repeat(np.arange(len(ends)), [len(x) for x in trees])
    order = rng.permutation(len(signs))
    duals = rng.exponential(0.5, signs.shape).astype(rng.choice(["f2", "f4", "f8"]))
    return RefinedEnds(ends, owners[order], neurons[:, 0], neurons[:, 1], signs[order], duals)


@pytest.mark.parametrize("seed", range(20))
def test_ends_hold_for_every_input_whatever_chose_the_parts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, rng = dense(seed, 3, 5, 5, 4), np.random.default_rng(seed)
    checker, at = Checker(graph), 5
    before = checker.boxes(-np.ones(3), np.ones(3))
    refined = at_random(graph, at, rng)
    boxes = [(low.copy(), high.copy()) for low, high in before[: at + 1]]  # later ones are not needed
    refine(checker, at, boxes, refined)
    seen = values(graph, torch.rand(2000, 3, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1)[at]
    assert (seen >= boxes[at][0] - 1e-12).all()
    assert (seen <= boxes[at][1] + 1e-12).all()
    assert (boxes[at][0] >= before[at][0]).all()
    assert (boxes[at][1] <= before[at][1]).all()
    others = [(low.copy(), high.copy()) for low, high in before[: at + 1]]
    monkeypatch.setattr(module, "BATCH_NUMBERS", 3 * 4 * checker.widest)  # three parts at once
    refine(checker, at, others, refined)
    assert np.allclose(others[at], boxes[at], rtol=1e-13, atol=1e-13)


def check(graph: Graph, proof: Proof) -> float:
    asked = [Question(proof.lower, proof.upper, proof.unsafe)]
    return check_property(certificate_of_property(graph, (proof,)), checked_graph(graph), asked)


@pytest.mark.parametrize("seed", range(6))
def test_what_only_refined_bounds_prove_is_proven_by_all_parts_and_by_no_fewer(seed: int) -> None:
    graph, proof = refined_proof(seed)
    assert check(graph, proof) > 0
    with pytest.raises(InputError, match="not proven"):
        check(graph, replace(proof, refined={}))
    for at, some in proof.refined.items():
        for ends in some:
            for part in range(len(ends.owners)):
                kept = np.arange(len(ends.owners)) != part
                less = {name: getattr(ends, name)[kept] for name in ("owners", "signs", "duals")}
                now = tuple(replace(ends, **less) if x is ends else x for x in some)
                with pytest.raises(InputError, match="part of a refined bound"):
                    check(graph, replace(proof, refined=proof.refined | {at: now}))
