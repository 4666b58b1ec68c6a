"""Resizing by fixed scales is what ONNX Runtime computes, and exact; what runtimes round is refused."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx, reading_of_onnx
from surefoot.graph.ops import Gather
from surefoot.proof.constants import has_rounded

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
for how, nearest in itertools.product(COORDINATES, ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")):
    for scale in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
        ONE_OP[f"nearest-{how}-{nearest}-{scale}"] = (
            [helper.make_node("Resize", ["x", "", "s"], ["y"], mode="nearest", nearest_mode=nearest,
                              coordinate_transformation_mode=how)],
            {"s": np.array([1, 1, scale, 2], np.float32)}, IMAGE, 13,
        )  # fmt: skip
for mode, how, scale in itertools.product(("linear", "cubic"), COORDINATES, (0.5, 1.0, 2.0, 3.0, 1.7)):
    ONE_OP[f"{mode}-{how}-{scale}"] = (
        [helper.make_node("Resize", ["x", "", "s"], ["y"], mode=mode, coordinate_transformation_mode=how)],
        {"s": np.array([1, 1, 2, scale], np.float32)}, IMAGE, 13,
    )  # fmt: skip
case("upsample", "Upsample", IMAGE, 9, {"s": np.array([1, 1, 2, 3], np.float32)})
case("upsample-7", "Upsample", IMAGE, 7, scales=[1.0, 1.0, 2.0, 1.5])
case("upsample-linear", "Upsample", IMAGE, 9, {"s": np.array([1, 1, 2, 4], np.float32)}, mode="linear")
case("resize-10", "Resize", IMAGE, 10, {"s": np.array([1, 1, 2, 1.5], np.float32)})
case("length", "Upsample", [1, 100], 9, {"s": np.array([1, 2.3], np.float32)})
ONE_OP["sizes"] = ([helper.make_node("Resize", ["x", "", "", "s"], ["y"])], {"s": np.array([1, 2, 7, 12])}, IMAGE, 13)
ONE_OP["axes"] = (
    [helper.make_node("Resize", ["x", "", "", "s"], ["y"], axes=[3, 2], mode="linear")],
    {"s": np.array([12, 10])}, IMAGE, 18,
)  # fmt: skip


@pytest.mark.parametrize("name", ONE_OP)
def test_every_resize_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    graph = agree(model_of(nodes, constants, shape, opset), shape, 1e-5)
    if name.startswith("nearest"):
        assert all(isinstance(node.op, Gather) for node in graph.nodes[1:])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"mode": "cubic", "exclude_outside": 1}, "its exclude_outside 1 is not read"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "'tf_crop_and_resize' is not read"),
        ({"antialias": 1}, "its antialias 1 is not read"),
    ],
)
def test_what_is_not_read_is_named(asked: dict[str, Any], said: str) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], **asked)
    with pytest.raises(InputError, match=said):
        graph_of_onnx(model_of([node], {"s": np.array([1, 1, 3, 3], np.float32)}, IMAGE, 18))


@pytest.mark.parametrize(("scale", "how", "single"), [(2.0, "half_pixel", True), (3.0, "half_pixel", False),
                                                      (2.0, "align_corners", False)])  # fmt: skip
def test_weights_that_float32_does_not_hold_are_not_spoken_of(scale: float, how: str, single: bool) -> None:
    node = helper.make_node("Resize", ["x", "", "s"], ["y"], mode="linear", coordinate_transformation_mode=how)
    reading = reading_of_onnx(model_of([node], {"s": np.array([1, 1, scale, 1], np.float32)}, IMAGE, 13))
    assert reading.single == single
    assert has_rounded(reading.graph) != single
