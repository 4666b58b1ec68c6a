"""Smooth functions, powers and a softmax inside a network are what ONNX Runtime computes."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.ops import Softmax

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
for op in ("Sigmoid", "Tanh", "Exp", "Sin", "Cos", "Softplus", "Erf", "Softsign", "HardSwish", "Reciprocal"):
    case(op.lower(), op, [1, 6])
case("mish", "Mish", [1, 6], 18)
case("gelu", "Gelu", [1, 6], 20)
case("gelu-tanh", "Gelu", [1, 6], 20, approximate="tanh")
case("elu", "Elu", [1, 6], alpha=1.5)
case("celu", "Celu", [1, 6])
case("celu-own", "Celu", [1, 6], alpha=1.5)
case("selu", "Selu", [1, 6])
case("selu-own", "Selu", [1, 6], alpha=1.1, gamma=2.0)
case("pow-2", "Pow", [1, 6], constants={"e": np.array([2.0], np.float32)})
case("pow-3", "Pow", [1, 1, 6], constants={"e": np.full((4, 1), 3.0, np.float32)})
case("pow-whole", "Pow", [1, 6], constants={"e": np.array(-2)})
case("softmax-inside", "Softmax", IMAGE, axis=1)
case("softmax-inside-12", "Softmax", [1, 2, 3], 12, axis=1)
case("log-softmax-inside", "LogSoftmax", [1, 3, 4], axis=-1)


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize("exponents", [np.array([2.0, 3.0]), np.array(0.0), np.array(3000.0)])
def test_a_power_that_is_none_of_the_catalogue_is_refused(exponents: np.ndarray) -> None:
    node = helper.make_node("Pow", ["x", "e"], ["y"])
    with pytest.raises(InputError, match="exponent"):
        graph_of_onnx(model_of([node], {"e": exponents.astype(np.float32)}, [1, 2]))


def test_an_approximation_that_is_not_known_is_refused() -> None:
    node = helper.make_node("Gelu", ["x"], ["y"], approximate="quick")
    with pytest.raises(InputError, match="quick"):
        graph_of_onnx(model_of([node], {}, [1, 2], 20))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_a_softmax_that_is_not_the_last_is_written_with_functions(op: str) -> None:
    nodes = [helper.make_node(op, ["x"], ["s"]), helper.make_node("Relu", ["s"], ["y"])]
    graph = agree(model_of(nodes, {}, [1, 6]), [1, 6])
    assert not any(isinstance(node.op, Softmax) for node in graph.nodes)
    last = graph_of_onnx(model_of([helper.make_node(op, ["x"], ["y"])], {}, [1, 6]))
    assert isinstance(last.nodes[-1].op, Softmax)
