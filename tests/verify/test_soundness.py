"""A wrong verdict is the worst that can happen: small networks of every operation against brute force and attack."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from networks import random_box, random_network, random_polynomial, samples
from surefoot.graph.graph import Graph, evaluate
from surefoot.proof.certificate import Proof
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property
from surefoot.reach.exact_stars import exact
from surefoot.reach.star_state import begin
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.stars import star_of_inputs


def question(graph: Graph, seed: int) -> tuple[Query, np.ndarray]:
    """Ask for a bound near the least value that sampling meets: on either side of it, and sometimes just on it."""
    rng = np.random.default_rng(seed + 3)
    lower, upper = random_box(graph, seed)
    (k,) = graph.output_shape
    y = evaluate(graph, samples(lower, upper, graph, 400, seed)).numpy()
    unsafe = []
    for _ in range(int(rng.integers(1, 3))):
        rows = rng.normal(size=(int(rng.integers(1, 3)), k))
        reached = (y @ rows.T).max(1).min()
        spread = np.ptp((y @ rows.T).max(1)) + 0.05
        bound = reached - spread * rng.choice([-0.1, 0.0, 0.02, 0.3, 1.0])
        unsafe.append(Unsafe(rows, np.full(len(rows), bound)))
    return Query(InputSet(lower, upper), tuple(unsafe)), y


def judge(seed: int, method: str, products: bool = False) -> str:
    graph = random_network(seed, products)
    query, y = question(graph, seed)
    verdict = verify(Network.of(graph), query, 3.0, method)
    least = float(query.slack(y).min())
    match verdict:
        case Holds():
            assert least > -1e-9 * (1 + np.abs(y).max()), (seed, method, verdict, least)
            assert verdict.margin <= least + 1e-9 * (1 + np.abs(y).max())
        case Violated():
            x = torch.from_numpy(verdict.input)
            assert bool((x >= torch.from_numpy(query.inputs.lower)).all())
            assert bool((x <= torch.from_numpy(query.inputs.upper)).all())
            seen = evaluate(graph.to(torch.float32), x.float().reshape(1, *graph.input_shape)).double().numpy()
            assert query.broken_by(seen[0])
        case Unknown():
            assert verdict.why
    return type(verdict).__name__


METHODS: tuple[str, ...] = (
    "auto", "crown", "alpha-crown", "relu-splitting", "input-splitting", "star", "zonotope", "polytope", "relaxed"
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_no_verdict_is_refuted(method: str) -> None:
    seen = [judge(seed, method, products=True) for seed in range(30)]
    assert seen.count("Holds") > 5
    assert seen.count("Violated") > 2


def test_exact_stars_decide() -> None:
    seen = [judge(seed, "exact") for seed in range(12)]
    assert seen.count("Unknown") <= 4


def test_a_product_has_no_exact_star() -> None:
    seed = next(s for s in range(100) if any(type(n.op).__name__ == "Mul" for n in random_network(s, True).nodes))
    graph = random_network(seed, products=True)
    query = Query(InputSet(*random_box(graph, seed)), (Unsafe(np.ones((1, 3)), np.zeros(1)),))
    with pytest.raises(ValueError, match="product of branches has no exact star"):
        list(exact(graph, begin(star_of_inputs(query.inputs, graph.input_shape))))


def asked(proof: Proof) -> Question:
    """Return the question that a proof answers."""
    return Question(proof.lower, proof.upper, proof.unsafe)


@pytest.mark.parametrize("kind", [random_network, random_polynomial])
def test_proofs_pass_the_independent_check_and_damaged_ones_do_not(kind: Callable[[int], Graph]) -> None:
    checked = 0
    for seed in range(25):
        graph = kind(seed)
        query, _ = question(graph, seed)
        network = Network.of(graph)
        for method in ("input-splitting", "relu-splitting"):
            verdict = verify(network, query, 1.0, method, prove=True)
            if not isinstance(verdict, Holds):
                continue
            assert verdict.proof is not None
            margin = check_property(
                certificate_of_property(network.graph, (verdict.proof,)), network.graph, [asked(verdict.proof)]
            )
            assert margin == pytest.approx(verdict.margin, rel=1e-5, abs=1e-7)
            checked += 1
            moved = tuple((w, b + 2 * verdict.margin + 10.0) for w, b in verdict.proof.unsafe)
            stronger = type(verdict.proof)(**{**vars(verdict.proof), "unsafe": moved})
            with pytest.raises(ValueError, match="not proven"):
                check_property(certificate_of_property(network.graph, (stronger,)), network.graph, [asked(stronger)])
            if verdict.proof.leaves:
                less = type(verdict.proof)(**{**vars(verdict.proof), "leaves": verdict.proof.leaves[1:]})
                with pytest.raises(ValueError, match=r"missing|different|another"):
                    check_property(certificate_of_property(network.graph, (less,)), network.graph, [asked(less)])
    assert checked > 20


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_networks(part: int) -> None:
    """The fuzz: every method in turn, products in some; not one wrong verdict."""
    methods: tuple[str, ...] = (*METHODS, "exact")
    for seed in range(1000 * part + 1000, 1000 * part + 2000):
        method = methods[seed % len(methods)]
        judge(seed, method, products=method != "exact" and seed % 3 == 0)
