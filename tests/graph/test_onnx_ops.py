"""Every operation of ONNX that is read is what ONNX Runtime computes."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of, runtime
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
ints = np.array
case("gemm", "Gemm", [1, 4], constants={"w": array(4, 3), "c": array(3)}, alpha=0.5, beta=2.0)
case("gemm-transposed", "Gemm", [1, 4], constants={"w": array(3, 4), "c": array(1)}, transB=1)
case("gemm-both-transposed", "Gemm", [4, 1], constants={"w": array(3, 4)}, transA=1, transB=1)
case("matmul", "MatMul", [1, 3, 4], constants={"w": array(4, 2)})
case("matmul-vector", "MatMul", [1, 4], constants={"w": array(4)})
case("pad", "Pad", IMAGE, 17, {"p": ints([0, 0, 1, -1, 0, 0, 2, 1]), "v": np.array(1.5, np.float32)})
case("pad-reflect", "Pad", IMAGE, 17, {"p": ints([0, 0, 1, 1, 0, 0, 2, 1])}, mode="reflect")
case("pad-2", "Pad", IMAGE, 9, pads=[0, 0, 1, 0, 0, 0, 0, 1], value=-2.0)
case("dropout", "Dropout", [1, 6])
case("identity", "Identity", [1, 6])
case("softmax", "Softmax", [1, 6])
case("relu-plain", "Relu", [6])


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


def test_a_matrix_from_the_left() -> None:
    nodes = [helper.make_node("MatMul", ["w", "x"], ["y"])]
    agree(model_of(nodes, {"w": array(5, 3)}, [1, 3, 4]), [1, 3, 4])


@pytest.mark.parametrize("bias", [(), (1,), (3,), (1, 3), (2, 1), (2, 3), (1, 1)])
@pytest.mark.parametrize("factors", [{}, {"alpha": 0.5, "beta": -2.0}])
def test_gemm_broadcasts_its_bias_as_onnx_does(bias: tuple[int, ...], factors: dict[str, Any]) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["a"]),
        helper.make_node("Gemm", ["a", "w", "c"], ["b"], **factors),
        helper.make_node("Reshape", ["b", "t"], ["y"]),
    ]
    shapes = {"s": np.array([2, 4]), "t": np.array([1, 6])}
    agree(model_of(nodes, {"w": array(4, 3), "c": array(*bias), **shapes}, [1, 8]), [1, 8])


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_a_matrix_of_a_higher_rank_raises_the_rank(rank: int, left: bool) -> None:
    """Where an axis is counted from, summed over or moved tells the rank."""
    weight = array(*(1,) * (rank - 2), *((2, 1) if left else (3, 3)))
    nodes = [
        helper.make_node("MatMul", ["w", "x"] if left else ["x", "w"], ["a"]),
        helper.make_node("Transpose", ["a"], ["y"]),
    ]
    model = model_of(nodes, {"w": weight}, [1, 3])
    if rank == 2 and left:
        return  # (2, 3): no batch is left
    graph = graph_of_onnx(model)
    x = array(1, 3, seed=3)
    theirs = runtime(model, x)
    ours = evaluate(graph, torch.from_numpy(x).double().reshape(1, *graph.input_shape)).numpy()
    assert np.prod(graph.output_shape) == theirs.size
    assert np.allclose(ours.ravel(), theirs.ravel(), atol=1e-6)


def test_ranks_are_those_of_onnx() -> None:
    """(1, 4) times (1, 4, 4) is (1, 1, 4): a sum over axis 1 leaves four numbers, not one."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("ReduceSum", ["a", "axes"], ["y"], keepdims=0),
    ]
    agree(model_of(nodes, {"w": array(1, 4, 4), "axes": np.array([1])}, [1, 4]), [1, 4])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_values_and_constants_are_joined_along_any_axis(axis: int) -> None:
    """Also along the first, where each is of one row: recurrent layers are unrolled so."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Concat", ["x", "c", "r"], ["j"], axis=axis),
        helper.make_node("Transpose", ["j"], ["y"], perm=[1, 0, 2]),
    ]
    agree(model_of(nodes, {"c": array(1, 2, 3)}, [1, 2, 3]), [1, 2, 3])


@pytest.mark.parametrize("turned", [{}, {"transA": 1}, {"transB": 1, "alpha": 0.5, "beta": -2.0}])
@pytest.mark.parametrize("bias", [False, True])
def test_gemm_of_two_values(turned: dict[str, Any], bias: bool) -> None:
    nodes = [helper.make_node(op, ["x"], [out]) for op, out in (("Relu", "r"), ("Abs", "s"))]
    nodes += [helper.make_node("Reshape", [given, "3"], [out]) for given, out in (("r", "a"), ("s", "b"))]
    nodes.append(helper.make_node("Gemm", ["a", "b", *(["c"] if bias else [])], ["y"], **turned))
    agree(model_of(nodes, {"3": np.array([3, 3]), "c": array(3)}, [1, 9]), [1, 9])
