"""Moves of data are what ONNX Runtime does, of one value or of several together."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx

IMAGE = [1, 2, 5, 6]
ints = np.array
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
case("flatten", "Flatten", IMAGE)
case("reshape", "Reshape", IMAGE, 17, {"s": ints([0, -1, 4])})
case("transpose", "Transpose", IMAGE, perm=[0, 2, 3, 1])
case("slice", "Slice", IMAGE, 17, {"a": ints([4, 1]), "b": ints([-10, 5]), "c": ints([2, 3]), "d": ints([-2, 2])})
case("slice-9", "Slice", IMAGE, 9, starts=[1], ends=[4], axes=[2])
case("gather", "Gather", IMAGE, 17, {"i": ints([1, 0, 1])}, axis=1)
case("gather-elements", "GatherElements", [1, 6], 17, {"i": ints([[1, 0, -1]])}, axis=1)
case("gather-nd", "GatherND", IMAGE, 17, {"i": ints([[[0, 1], [1, -2]]])}, batch_dims=1)
case("squeeze", "Squeeze", [1, 1, 4], 17, {"a": ints([1])})
case("squeeze-11", "Squeeze", [1, 1, 4], 11, axes=[1])
case("unsqueeze", "Unsqueeze", [1, 4], 17, {"a": ints([2])})
case("expand", "Expand", [1, 1, 4], 17, {"s": ints([1, 3, 4])})
case("tile", "Tile", [1, 2, 3], 17, {"r": ints([1, 2, 1])})
case("trilu", "Trilu", IMAGE, 17, {"k": ints(1)})
case("trilu-lower", "Trilu", IMAGE, 17, upper=0)
case("depth-to-space", "DepthToSpace", [1, 8, 2, 3], blocksize=2)
case("space-to-depth", "SpaceToDepth", [1, 2, 4, 6], blocksize=2)
case("scatter", "ScatterND", [1, 6], 17, {"i": ints([[0, 1], [0, 4]]), "u": array(2)})
case("scatter-elements", "ScatterElements", [1, 6], 17, {"i": ints([[1, 5]]), "u": array(1, 2)}, axis=1)


@pytest.mark.parametrize("name", ONE_OP)
def test_every_move_is_what_the_runtime_does(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize("kept", ["data", "updates", "neither"])
def test_values_are_put_into_values_or_constants(kept: str) -> None:
    """Exporters write x[:, 1:3] = z so."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Slice", ["r", "a", "b", "c"], ["u"]),
        helper.make_node("ScatterND", ["x" if kept != "data" else "d", "i", "u" if kept != "updates" else "v"], ["y"]),
    ]
    constants = {"a": ints([3]), "b": ints([5]), "c": ints([1]), "i": ints([[[0, 0], [0, 2]]])}
    agree(model_of(nodes, {**constants, "d": array(1, 6), "v": array(1, 2)}, [1, 6]), [1, 6])


def test_what_is_no_constant_move_is_named() -> None:
    for op, given in (("Gather", ["c", "x"]), ("Reshape", ["c", "x"])):
        with pytest.raises(InputError, match="where data is moved to must be constant"):
            graph_of_onnx(model_of([helper.make_node(op, given, ["y"])], {"c": array(6)}, [1, 6]))
    node = helper.make_node("ScatterND", ["x", "i", "u"], ["y"], reduction="add")
    with pytest.raises(InputError, match="its reduction is not read"):
        graph_of_onnx(model_of([node], {"i": ints([[0, 1]]), "u": array(1)}, [1, 6]))
