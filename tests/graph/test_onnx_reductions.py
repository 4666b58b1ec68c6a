"""Operations that make one number of many are what ONNX Runtime computes."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.ops import Elementwise

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
for op in (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
):
    case(f"{op}-images", op, IMAGE, 17, axes=[2, 3], keepdims=0)
    case(f"{op}-classes", op, [1, 6], 17, axes=[-1])
    case(f"{op}-plain", op, [6], 17)
    case(f"{op}-18", op, IMAGE, 18, {"axes": np.array([-1, 1])})
case("cumulative", "CumSum", IMAGE, 17, {"axis": np.array(2)})
case("cumulative-back", "CumSum", [1, 6], 17, {"axis": np.array(-1)}, reverse=1, exclusive=1)
for at, equation in enumerate(("bij,jk->bik", "bij,bij->b", "bij,i->bj", "bij,jk", "bij,ik->bkji")):
    shape = {"jk": (4, 2), "bij": (1, 3, 4), "i": (3,), "ik": (3, 2)}[equation.split("->")[0].split(",")[1]]
    case(f"einsum-{at}", "Einsum", [1, 3, 4], 17, {"w": array(*shape)}, equation=equation)
case("einsum-alone", "Einsum", [1, 3, 4], 17, equation="bij->bj")
case("sum", "ReduceSum", IMAGE, 17, {"axes": np.array([1])}, keepdims=0)
case("sum-11", "ReduceSum", IMAGE, 11, axes=[1, 3])


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


def test_the_largest_and_the_least_are_exact() -> None:
    for name, (nodes, constants, shape, opset) in ONE_OP.items():
        if name.startswith(("ReduceMax", "ReduceMin", "ReduceL1")):
            graph = graph_of_onnx(model_of(nodes, constants, shape, opset))
            assert not any(isinstance(node.op, Elementwise) for node in graph.nodes)


def test_the_batch_stays() -> None:
    with pytest.raises(InputError, match="the batch's must stay"):
        graph_of_onnx(model_of([helper.make_node("ReduceMax", ["x"], ["y"], axes=[0, 1])], {}, [1, 6]))
    log = helper.make_node("ReduceLogSum", ["x"], ["y"], axes=[1])
    assert len(graph_of_onnx(model_of([log], {}, [1, 6])).nodes) > 2


@pytest.mark.parametrize("equation", ["bij,bkj->bik", "bij,bij->bij", "bij,bij"])
def test_sums_of_products_of_two_values(equation: str) -> None:
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Einsum", ["x", "s"], ["y"], equation=equation),
    ]
    model = model_of(nodes, {}, [1, 3, 4])
    agree(model, [1, 3, 4])


@pytest.mark.parametrize("equation", ["...ij->...i", "bii->b", "bij,jk->bk"])
def test_equations_that_are_not_read(equation: str) -> None:
    with pytest.raises(InputError, match="is not read"):
        graph_of_onnx(model_of([helper.make_node("Einsum", ["x"], ["y"], equation=equation)], {}, [1, 3, 3]))
