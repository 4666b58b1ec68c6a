"""Constants that reading rounds are not taken for the file's: 1 / 3 is no float64."""

from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from surefoot.compress.equal import equal, same_operations
from surefoot.compress.finite_field import same_polynomial
from surefoot.compress.within import within
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.proof.checker import Checker
from surefoot.proof.constants import has_rounded, reading_error
from surefoot.proof.question import network_digest
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Unknown


def scaled(operation: str, constant: float, then: str) -> Graph:
    """X op c, then squared or rectified, in float64."""
    nodes = [helper.make_node(operation, ["x", "c"], ["z"])]
    nodes.append(helper.make_node(then, ["z", "z"] if then == "Mul" else ["z"], ["y"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [1, 1]) for name in "xy"]
    c = numpy_helper.from_array(np.array([[constant]]), "c")
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [c]))
    return graph_of_onnx(model)


def exact(graph: Graph, c: Fraction, x: Fraction) -> Fraction:
    return (x * c) ** 2 if len(graph.nodes[-1].inputs) == 2 else max(x * c, Fraction(0))


@pytest.mark.parametrize("then", ["Mul", "Relu"])
@pytest.mark.parametrize("divisor", [3.0, 7.0, -1.1, 49.0])
def test_the_bound_covers_the_files_own_function(then: str, divisor: float) -> None:
    one, two = scaled("Div", divisor, then), scaled("Mul", 1 / divisor, then)
    domain = InputSet.of([-1e10], [1e20])
    bound = equal(one, two, domain, 0.5).bound[0]
    own = reading_error(one, Checker(one).boxes(domain.lower, domain.upper))[0]
    for x in (Fraction(domain.lower[0]), Fraction(domain.upper[0]), Fraction(3)):
        gap = abs(exact(one, 1 / Fraction(divisor), x) - exact(two, Fraction(1 / divisor), x))
        assert gap <= own <= bound
    assert 0 < bound < 1e-13 * (1e20 / abs(divisor)) ** (2 if then == "Mul" else 1)


def test_a_rounded_constant_makes_no_same_polynomial() -> None:
    div, mul = scaled("Div", 3.0, "Mul"), scaled("Mul", 1 / 3, "Mul")
    assert same_polynomial(div, mul).same is None
    assert same_polynomial(div, scaled("Div", 3.0, "Mul")).same is True
    assert same_polynomial(scaled("Div", 4.0, "Mul"), scaled("Mul", 0.25, "Mul")).same is True
    # divisors whose inverses are the same float64 are not the same
    twin = next(c for c in np.nextafter(1.5, 2) + np.arange(40) * 2.0**-52 if 1 / c == 1 / (c + 2.0**-52))
    assert not same_operations(scaled("Div", twin, "Mul"), scaled("Div", twin + 2.0**-52, "Mul"))
    assert network_digest(div) == network_digest(mul)  # format 2 of certificates stays as it is


def test_within_does_not_claim_what_rounding_hides() -> None:
    one, two = scaled("Div", 3.0, "Relu"), scaled("Mul", 1 / 3, "Relu")
    assert isinstance(within(one, two, InputSet.of([0], [1e20]), 1.0, 1.0), Unknown)


def test_certificates_widen_by_it() -> None:
    one, two = scaled("Div", 3.0, "Relu"), scaled("Div", 4.0, "Relu")
    assert has_rounded(one)
    assert not has_rounded(two)
    boxes = Checker(two).boxes(np.zeros(1), np.ones(1))
    assert reading_error(two, boxes).tolist() == [0.0]


def test_statistics_and_means_are_marked() -> None:
    ends = [helper.make_tensor_value_info("x", 1, [1, 3, 2, 2]), helper.make_tensor_value_info("y", 1, None)]
    three = [numpy_helper.from_array(np.full(3, v, np.float32), n) for n, v in zip("gbmv", (1, 0, 0, 2), strict=True)]
    for node, marked in (
        (helper.make_node("BatchNormalization", ["x", *"gbmv"], ["y"]), True),
        (helper.make_node("ReduceMean", ["x"], ["y"], axes=[1]), True),
        (helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3]), False),
        (helper.make_node("GlobalAveragePool", ["x"], ["y"]), False),
        (helper.make_node("LeakyRelu", ["x"], ["y"], alpha=0.01), False),
        (helper.make_node("LeakyRelu", ["x"], ["y"], alpha=1e-20), True),
    ):
        graph = helper.make_graph([node], "g", ends[:1], ends[1:], three)
        opset = [onnx.helper.make_opsetid("", 13)]
        assert has_rounded(graph_of_onnx(helper.make_model(graph, opset_imports=opset))) == marked
