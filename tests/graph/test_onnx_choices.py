"""Where is what ONNX Runtime computes; what is piecewise linear is written with ReLUs."""

from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper

from onnx_models import OneOp, agree, array, model_of, runtime
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.ops import Elementwise, Mul, Relu

Named = tuple[str, list[str], list[str]]
ONE_OP: dict[str, OneOp] = {}
ZERO = {"z": np.zeros((), np.float32)}
MASK = np.array([True, False, True, True, False, False])


def several(name: str, steps: list[Named], **constants: np.ndarray) -> None:
    nodes = [helper.make_node(op, given, out) for op, given, out in steps]
    ONE_OP[name] = (nodes, {**ZERO, **constants}, [1, 6], 17)


ABOVE: Named = ("Greater", ["x", "z"], ["m"])
several("values", [ABOVE, ("Exp", ["x"], ["e"]), ("Where", ["m", "x", "e"], ["y"])])
several("constants", [ABOVE, ("Where", ["m", "c", "d"], ["y"])], c=array(6), d=array(1))
several("by-a-constant", [("Where", ["m", "x", "x"], ["y"])], m=MASK)
several("by-a-constant-of-one", [("Where", ["m", "x", "c"], ["y"])], m=MASK, c=array(6, seed=4))
several("wider", [("Where", ["m", "x", "c"], ["y"])], m=np.ones((1, 3, 1), bool), c=array(6))

BENT: dict[str, tuple[list[Named], dict[str, np.ndarray]]] = {
    "leaky": ([ABOVE, ("Mul", ["x", "a"], ["s"]), ("Where", ["m", "x", "s"], ["y"])],
              {"a": np.array(0.01, np.float32)}),
    "leaky, from below": (
        [("Less", ["x", "z"], ["m"]), ("Mul", ["x", "a"], ["s"]), ("Where", ["m", "s", "x"], ["y"])],
        {"a": np.array(0.01, np.float32)},
    ),
    "relu": ([ABOVE, ("Where", ["m", "x", "z"], ["y"])], {}),
    "above a number": ([("GreaterOrEqual", ["x", "c"], ["m"]), ("Where", ["m", "x", "c"], ["y"])],
                       {"c": np.array(0.3, np.float32)}),
    "slopes of their own": ([ABOVE, ("Mul", ["x", "a"], ["s"]), ("Where", ["m", "x", "s"], ["y"])], {"a": array(6)}),
}  # fmt: skip
JUMPING: dict[str, tuple[list[Named], dict[str, np.ndarray]]] = {
    "threshold": ([("Greater", ["x", "c"], ["m"]), ("Where", ["m", "x", "v"], ["y"])],
                  {"c": np.array(0.25, np.float32), "v": np.array(20, np.float32)}),
    "hard": ([("LessOrEqual", ["x", "c"], ["m"]), ("Where", ["m", "x", "z"], ["y"])],
             {"c": np.array(-0.5, np.float32)}),
}  # fmt: skip
for name, (steps, constants) in {**BENT, **JUMPING}.items():
    several(name, steps, **constants)


@pytest.mark.parametrize("name", ONE_OP)
def test_every_choice_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


def graph_of(name: str) -> tuple[Graph, Any]:
    nodes, constants, shape, opset = ONE_OP[name]
    model = model_of(nodes, constants, shape, opset)
    return graph_of_onnx(model), model


@pytest.mark.parametrize("name", [*BENT, *JUMPING])
def test_what_is_piecewise_linear_has_no_product_and_is_right_at_its_ends(name: str) -> None:
    graph, model = graph_of(name)
    assert any(isinstance(node.op, Relu) for node in graph.nodes)
    assert not any(isinstance(node.op, Mul) for node in graph.nodes)
    assert any(isinstance(node.op, Elementwise) for node in graph.nodes) == (name in JUMPING)
    for centre in (0.0, 0.25, 0.3, -0.5):
        x = np.full((1, 6), centre, np.float32)
        for at, far in ((1, 9), (2, -9)):
            x[0, at] = np.nextafter(np.float32(centre), np.float32(far))
        x[0, 3:] += np.array([0.5, -0.5, 2.0], np.float32)
        ours = evaluate(graph, torch.from_numpy(x).double().reshape(1, *graph.input_shape)).numpy()
        assert np.allclose(ours.ravel(), runtime(model, x).ravel(), rtol=1e-6, atol=1e-9)


def test_what_is_chosen_must_be_finite() -> None:
    far = {"m": MASK, "c": np.full(6, -np.inf, np.float32)}
    with pytest.raises(InputError, match="a number that is not finite"):
        graph_of_onnx(model_of([helper.make_node("Where", ["m", "x", "c"], ["y"])], far, [1, 6]))
    nodes = [helper.make_node(op, given, out) for op, given, out in (ABOVE, ("Where", ["m", "x", "c"], ["y"]))]
    with pytest.raises(InputError, match="what it chooses is -inf"):
        graph_of_onnx(model_of(nodes, {**ZERO, "c": far["c"]}, [1, 6]))
    never = {"m": ~MASK & MASK, "c": far["c"]}  # of which nothing is chosen
    graph_of_onnx(model_of([helper.make_node("Where", ["m", "c", "x"], ["y"])], never, [1, 6]))


def test_what_is_chosen_has_its_own_kind() -> None:
    """Of real numbers that a comparison chooses a quotient is one, and of whole numbers it is refused."""
    divided = ("Div", ["w", "t"], ["y"])
    for kind, said in ((np.float32, ""), (np.int64, "whole numbers are divided")):
        chosen = {"c": np.array(3, kind), "d": np.array(5, kind), "t": np.array(2, kind)}
        nodes = [helper.make_node(*node) for node in (ABOVE, ("Where", ["m", "c", "d"], ["w"]), divided)]
        model = model_of(nodes, {**ZERO, **chosen}, [1, 6])
        if not said:
            agree(model, [1, 6])
            continue
        with pytest.raises(InputError, match=said):
            graph_of_onnx(model)
