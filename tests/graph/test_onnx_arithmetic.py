"""Arithmetic of values and constants is what ONNX Runtime computes."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
case("add", "Add", IMAGE, constants={"c": array(2, 1, 1)})
case("add-broadcast", "Add", [1, 1, 3], constants={"c": array(4, 1)})
case("sub", "Sub", [1, 6], constants={"c": array(6)})
case("mul", "Mul", IMAGE, constants={"c": array(1, 2, 1, 6)})
case("div", "Div", [1, 6], constants={"c": np.abs(array(6)) + 1})
case("neg", "Neg", [1, 6])


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize(
    "name", ["square-root", "logarithm", "quotient", "constant-quotient", "root-power", "attention"]
)
def test_operations_of_two_branches_and_of_what_is_positive(name: str) -> None:
    """Exp before what needs positive values; attention is two products of values around a softmax."""
    node, positive = helper.make_node, [helper.make_node("Exp", ["x"], ["e"])]
    constants = {"c": array(4, 3), "r": np.array(1.5, np.float32)}
    nodes = {
        "square-root": [*positive, node("Sqrt", ["e"], ["y"])],
        "logarithm": [*positive, node("Log", ["e"], ["y"])],
        "quotient": [*positive, node("Div", ["x", "e"], ["y"])],
        "constant-quotient": [*positive, node("Div", ["r", "e"], ["y"])],
        "root-power": [*positive, node("Pow", ["e", "r"], ["y"])],
        "attention": [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            node("MatMul", ["x", "t"], ["scores"]),
            node("Softmax", ["scores"], ["p"], axis=-1),
            node("MatMul", ["p", "x"], ["y"]),
        ],
    }
    agree(model_of(nodes[name], constants, [1, 3, 4]), [1, 3, 4])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 3, 1)])
def test_two_values_are_broadcast(op: str, shape: tuple[int, ...]) -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Slice", ["e", "a", "b", "c"], ["s"]),
        helper.make_node(op, ["x", "s"], ["y"]),
    ]
    constants = {"a": np.zeros(3, int), "b": np.array(shape), "c": np.arange(3)}
    agree(model_of(nodes, constants, [1, 3, 4]), [1, 3, 4])


def test_what_is_computed_of_constants_rounds_as_values_do() -> None:
    """A matrix product of constants is one of a value that is fixed."""
    nodes = [
        helper.make_node("MatMul", ["v", "m"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    agree(model_of(nodes, {"v": array(4), "m": array(4, 6)}, [1, 6]), [1, 6])
    agree(model_of([helper.make_node("Concat", ["c", "x"], ["y"], axis=1)], {"c": array(1, 3)}, [1, 6]), [1, 6])
