"""Windows over volumes are what ONNX Runtime computes."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx

VOLUME = [1, 2, 4, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
case("conv", "Conv", VOLUME, constants={"w": array(3, 2, 3, 2, 2), "b": array(3)}, pads=[1, 0, 2, 2, 1, 0])
case("conv-strided", "Conv", VOLUME, constants={"w": array(4, 1, 2, 2, 3)}, strides=[2, 1, 2], group=2)
case("conv-dilated", "Conv", VOLUME, constants={"w": array(1, 2, 2, 2, 2)}, dilations=[3, 2, 1])
case("conv-same", "Conv", VOLUME, constants={"w": array(1, 2, 2, 3, 4)}, auto_pad="SAME_LOWER", strides=[2, 2, 1])
case("maxpool", "MaxPool", VOLUME, kernel_shape=[2, 3, 2], strides=[1, 2, 1], pads=[1, 1, 0, 0, 1, 1])
case("maxpool-ceil", "MaxPool", VOLUME, kernel_shape=[3, 2, 2], strides=[2, 2, 4], ceil_mode=1)
case("averagepool", "AveragePool", VOLUME, kernel_shape=[2, 3, 2], strides=[2, 1, 1], pads=[1, 1, 0, 1, 1, 1])
case("averagepool-counted", "AveragePool", VOLUME, kernel_shape=[2, 3, 2], pads=[1, 1, 0, 1, 1, 1], count_include_pad=1)
case("globalaverage", "GlobalAveragePool", VOLUME)
case("globalmax", "GlobalMaxPool", VOLUME)


@pytest.mark.parametrize("name", ONE_OP)
def test_every_window_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_response_normalised_over_channels_as_pytorch_writes_it(rows: int) -> None:
    """The channels are the depth of a volume of one channel."""
    nodes = [
        helper.make_node("Reshape", ["x", "wide"], ["v"]),
        helper.make_node("AveragePool", ["v"], ["m"], kernel_shape=[3, 1, 1], strides=[1, 1, 1]),
        helper.make_node("Reshape", ["m", "flat"], ["y"]),
    ]
    shapes = {"wide": np.array([rows, 1, 6, 2, 2]), "flat": np.array([rows, 4, 2, 2])}
    graph = agree(model_of(nodes, shapes, [rows, 6, 2, 2]), [rows, 6, 2, 2]) if rows == 1 else None
    graph = graph or graph_of_onnx(model_of(nodes, shapes, [rows, 6, 2, 2]))
    assert graph.output_shape == (4, 2, 2)


def test_what_does_not_fit_is_named() -> None:
    for kernel, said in ((array(3, 2, 9, 2, 2), "does not fit"), (array(3, 1, 2, 2, 2), "for 2 channels")):
        with pytest.raises(InputError, match=said):
            graph_of_onnx(model_of([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": kernel}, VOLUME))
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])
    with pytest.raises(InputError, match="are not those of a volume"):
        graph_of_onnx(model_of([node], {}, VOLUME))
