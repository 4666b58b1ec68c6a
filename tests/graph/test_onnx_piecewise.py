"""Operations that are written with ReLUs are what ONNX Runtime computes."""

from functools import partial

import numpy as np
import pytest

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.ops import Add, Affine, Input, Relu

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
case("leaky", "LeakyRelu", [1, 6], alpha=0.1)
case("clip", "Clip", [1, 6], constants={"low": np.array(-0.5, np.float32), "high": np.array(0.7, np.float32)})
case("clip-6", "Clip", [1, 6], 7, min=0.0, max=0.5)
case("max", "Max", [1, 6], constants={"c": array(6)})
case("max-three", "Max", IMAGE, constants={"c": array(2, 1, 1), "d": array(6, seed=5)})
case("min", "Min", IMAGE, constants={"c": array(5, 6)})
case("hard-sigmoid", "HardSigmoid", [1, 6], alpha=0.3)
case("prelu", "PRelu", IMAGE, constants={"s": array(2, 1, 1)})
case("abs", "Abs", [1, 6])


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


def test_what_is_written_with_relus_is_exact() -> None:
    """Nothing but affine operations, ReLUs and sums: no function, so that verification stays complete."""
    for nodes, constants, shape, opset in ONE_OP.values():
        graph = graph_of_onnx(model_of(nodes, constants, shape, opset))
        assert all(isinstance(node.op, Input | Affine | Relu | Add) for node in graph.nodes)
