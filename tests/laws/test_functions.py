"""Networks with smooth functions: no method contradicts an input, proofs are certified, forged ones refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import EVERYWHERE, random_box, random_network, samples, with_functions
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.ops import Add, Elementwise, Linear
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated
from surefoot.verify.network import Network
from surefoot.verify.run import verify

METHODS = ("auto", "crown", "alpha-crown", "relu-splitting", "input-splitting", "zonotope", "star")


def dense(seed: int, op: Elementwise | None = None) -> Graph:
    """Make a network of two inputs and two layers of functions."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder((2,))
    last, width = 0, 2
    for _ in range(2):
        weight, bias = torch.from_numpy(rng.normal(size=(5, width))), torch.from_numpy(rng.normal(size=5) / 2)
        last, width = builder.add(Linear(weight, bias), last), 5
        last = builder.add(op or EVERYWHERE[int(rng.integers(len(EVERYWHERE)))], last)
    builder.add(Linear(torch.from_numpy(rng.normal(size=(2, width)))), last)
    return builder.build()


def query_below(graph: Graph, seed: int, distance: float) -> tuple[Query, float]:
    """Ask whether a row of the outputs can be so far below the least that samples have, in parts of their spread."""
    rng = np.random.default_rng(seed)
    lower, upper = random_box(graph, seed)
    y = evaluate(graph, samples(lower, upper, graph, 2000, seed)).numpy()
    row = rng.normal(size=y.shape[1])
    values = y @ row
    least, spread = float(values.min()), float(np.ptp(values)) + 1e-6
    bound = least - distance * spread
    return Query(InputSet(lower, upper), (Unsafe(row[None], np.array([bound])),)), least


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(6))
def test_no_method_contradicts_an_input(seed: int, method: str) -> None:
    graph = dense(seed) if seed % 2 else with_functions(random_network(seed, products=True), seed)
    network = Network.of(graph)
    for distance in (-0.05, 0.02, 1.0):
        query, least = query_below(graph, seed, distance)
        found = verify(network, query, 3.0, method)
        if isinstance(found, Holds):
            assert least > query.unsafe[0].bounds[0]
            assert not found.float32
        if isinstance(found, Violated):
            assert distance < 1


STEPS = (Elementwise("Sign"), Elementwise("GreaterOrEqual"), Elementwise("Floor"), Elementwise("Round", (0.25,)),
         Elementwise("Round", (0.3,)))  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("op", STEPS, ids=str)
def test_no_method_contradicts_an_input_of_steps(op: Elementwise, method: str) -> None:
    graph = dense(3, op)
    network = Network.of(graph)
    for distance in (-0.05, 0.02, 1.0):
        query, least = query_below(graph, 3, distance)
        found = verify(network, query, 0.3, method)
        if isinstance(found, Holds):
            assert least > query.unsafe[0].bounds[0]
            assert not found.float32


@pytest.mark.parametrize("op", STEPS, ids=str)
def test_steps_that_do_not_jump_are_proven_exactly(op: Elementwise) -> None:
    """Over a box that no jump crosses the network is affine, and its bound what it computes."""
    graph = dense(5, op)
    x = random_box(graph, 5)[0]
    y = evaluate(graph, torch.from_numpy(x)[None])[0].numpy()
    query = Query(InputSet(x - 1e-9, x + 1e-9), (Unsafe(np.array([[1.0, -1.0]]), np.array([y[0] - y[1] - 1e-3])),))
    for method in ("crown", "auto"):
        assert isinstance(verify(Network.of(graph), query, 5.0, method), Holds)


@pytest.mark.parametrize(
    "op", [Elementwise(name) for name in ("Sigmoid", "Tanh", "Gelu", "Sin")], ids=lambda op: op.name
)
def test_what_holds_by_a_margin_is_proven(op: Elementwise) -> None:
    graph = dense(11, op)
    query, _ = query_below(graph, 11, 0.2)
    assert isinstance(verify(Network.of(graph), query, 20.0), Holds)


@pytest.mark.parametrize("method", ["alpha-crown", "relu-splitting", "input-splitting"])
@pytest.mark.parametrize("seed", range(6))
def test_a_proof_is_certified_and_a_forged_one_refused(seed: int, method: str) -> None:
    graph = dense(seed, (None, None, None, None, STEPS[0], STEPS[2])[seed])
    query, least = query_below(graph, seed, 1.5)
    found = verify(Network.of(graph), query, 20.0, method, prove=True)
    assert isinstance(found, Holds)
    assert found.proof is not None
    box, unsafe = query.inputs, query.unsafe[0]

    def asked(bound: float) -> list[Question]:
        return [Question(box.lower, box.upper, [(unsafe.weights, np.array([bound]))])]

    assert check_property(certificate_of_property(graph, (found.proof,)), graph, asked(float(unsafe.bounds[0]))) > 0
    false = replace(found.proof, unsafe=((unsafe.weights, np.array([least + 1e-6 * (1 + abs(least))])),))
    with pytest.raises(InputError, match="not proven"):
        check_property(certificate_of_property(graph, (false,)), graph, asked(float(false.unsafe[0][1][0])))
    for place in [at for at, node in enumerate(graph.nodes) if isinstance(node.op, Elementwise)]:
        leaf = found.proof.leaves[0] if found.proof.leaves else None
        if leaf is not None and place in leaf.slopes:
            half = replace(leaf, slopes={**leaf.slopes, place: leaf.slopes[place][:-1]})
            wrong = replace(found.proof, leaves=(half, *found.proof.leaves[1:]))
            with pytest.raises(InputError, match="malformed"):
                check_property(certificate_of_property(graph, (wrong,)), graph, asked(float(unsafe.bounds[0])))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("op", "scale", "shift"),
    [(Elementwise("Exp"), 1000.0, 0.0), (Elementwise("Log"), 1.0, 0.0), (Elementwise("Reciprocal"), 1.0, 0.0),
     (Elementwise("Sqrt"), 1.0, 0.0), (Elementwise("Pow", (-2.0,)), 1.0, 0.0), (Elementwise("Pow", (3.0,)), 1e150, 0.0),
     (Elementwise("Sin"), 1e7, 0.0), (Elementwise("Log"), 1.0, 1.5)],
    ids=str,
)  # fmt: skip
def test_what_overflows_or_is_not_defined_is_unknown(op: Elementwise, scale: float, shift: float, method: str) -> None:
    """Over [-1, 1]; the last two are defined, and bounded."""
    builder = GraphBuilder((1,))
    entering = builder.add(Linear(torch.tensor([[scale]]).double(), torch.tensor([shift]).double()), 0)
    builder.add(op, entering)
    query = Query(InputSet(-np.ones(1), np.ones(1)), (Unsafe(np.ones((1, 1)), np.array([-3.0])),))
    found = verify(Network.of(builder.build()), query, 2.0, method)
    if op.name in ("Sin",) or shift:
        assert isinstance(found, Holds)
    elif isinstance(found, Violated):  # an input that overflows to what is unsafe, or a pole
        assert op.name in ("Log", "Reciprocal", "Pow")
        assert query.slack(found.output[None].astype(float))[0] <= 0
    else:
        assert isinstance(found, Unknown)
        assert "defined" in found.why


def test_a_softmax_inside_whose_intervals_overflow_is_bounded_by_crown() -> None:
    """Intervals of z - z' pass 709 where z and z' are the same number; what CROWN knows of them does not."""
    builder = GraphBuilder((2,))
    wide = builder.add(Linear(torch.full((2, 2), 600.0).double()), 0)
    narrow = builder.add(Linear(torch.eye(2).double()), 0)
    gap = builder.add(Linear(torch.tensor([[1.0, -1.0]]).double()), builder.add(Add(), wide, narrow))
    builder.add(Elementwise("Reciprocal"), builder.add(Elementwise("Exp"), gap))
    query = Query(InputSet(-np.ones(2), np.ones(2)), (Unsafe(np.ones((1, 1)), np.zeros(1)),))
    assert isinstance(verify(Network.of(builder.build()), query, 10.0, "crown"), Holds)


@pytest.mark.parametrize("seed", range(8))
def test_they_are_written_and_read_as_the_same_function(seed: int) -> None:
    graph = dense(seed)
    again = graph_of_onnx(onnx_of_graph(graph, torch.float64))
    lower, upper = random_box(graph, seed)
    x = samples(lower, upper, graph, 50, seed)
    assert torch.allclose(evaluate(graph, x), evaluate(again, x), rtol=1e-12, atol=1e-12)
