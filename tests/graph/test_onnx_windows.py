"""Operations that slide a window are what ONNX Runtime computes; where runtimes differ they are refused."""

from functools import partial
from typing import Any

import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
case("conv", "Conv", IMAGE, constants={"w": array(3, 2, 3, 2), "b": array(3)}, pads=[1, 0, 2, 1], strides=[2, 1])
case("conv-dilated", "Conv", IMAGE, constants={"w": array(2, 1, 2, 2)}, dilations=[2, 1], group=2)
case("conv-same-upper", "Conv", IMAGE, constants={"w": array(1, 2, 2, 3)}, auto_pad="SAME_UPPER", strides=[2, 2])
case("conv-same-lower", "Conv", IMAGE, constants={"w": array(1, 2, 2, 3)}, auto_pad="SAME_LOWER")
case("conv-signal", "Conv", [1, 2, 7], constants={"w": array(3, 2, 3)}, pads=[1, 1], strides=[2])
case("maxpool", "MaxPool", IMAGE, kernel_shape=[3, 2], strides=[1, 2], pads=[1, 1, 1, 0])
case("maxpool-ceil", "MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1)
case("maxpool-dilated", "MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3])
case("maxpool-signal", "MaxPool", [1, 2, 7], kernel_shape=[3], strides=[2])
case("averagepool", "AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
case("averagepool-counted", "AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
case("averagepool-ceil", "AveragePool", IMAGE, 19, kernel_shape=[2, 2], strides=[2, 4], ceil_mode=1)
PADDED: dict[str, Any] = {"kernel_shape": [2, 3], "strides": [2, 4], "pads": [0, 1, 0, 1]}
case("averagepool-ceil-counted", "AveragePool", IMAGE, 19, ceil_mode=1, count_include_pad=1, **PADDED)
up = partial(case, op="ConvTranspose", shape=IMAGE)
up("transpose", constants={"w": array(2, 3, 3, 2), "b": array(3)}, strides=[2, 3], pads=[1, 0, 0, 1])
up(
    "transpose-groups",
    constants={"w": array(2, 3, 2, 2)},
    group=2,
    dilations=[2, 1],
    output_padding=[1, 0],
    strides=[2, 2],
)
up("transpose-upper", constants={"w": array(2, 1, 4, 3)}, auto_pad="SAME_UPPER", strides=[2, 2])
up("transpose-lower", constants={"w": array(2, 1, 4, 3)}, auto_pad="SAME_LOWER", strides=[3, 2])
up("transpose-shape", constants={"w": array(2, 1, 4, 3)}, auto_pad="SAME_LOWER", strides=[3, 2], output_shape=[15, 12])
up("transpose-cropped", constants={"w": array(2, 1, 2, 2)}, pads=[2, 1, 2, 3])
case("transpose-signal", "ConvTranspose", [1, 2, 7], constants={"w": array(2, 3, 3)}, pads=[1, 0], strides=[2])
case("globalaverage", "GlobalAveragePool", IMAGE)
case("globalmax", "GlobalMaxPool", IMAGE)


@pytest.mark.parametrize("name", ONE_OP)
def test_every_window_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"dilations": [2, 2], "auto_pad": "SAME_UPPER"}, "dilations and auto_pad SAME: runtimes differ"),
        ({"strides": [2, 2], "ceil_mode": 1, "auto_pad": "VALID"}, "ceil_mode and auto_pad VALID: runtimes differ"),
        ({"strides": [9, 9], "auto_pad": "SAME_LOWER"}, "strides that skip values: runtimes differ"),
        ({"pads": [0, -1, 0, 0]}, "four amounts of padding from 0 are needed"),
        ({"strides": [0, 1]}, "two sides of at least 1 are needed"),
    ],
)
def test_what_runtimes_place_otherwise_is_refused(asked: dict[str, Any], said: str) -> None:
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], **asked)
    with pytest.raises(InputError, match=said):
        graph_of_onnx(model_of([node], {}, IMAGE, 17))
