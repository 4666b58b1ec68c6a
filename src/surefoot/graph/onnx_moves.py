"""ONNX operations that only move data: run on the places themselves, they tell where each number goes."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_constants import run_alone
from surefoot.graph.onnx_values import Known, OnnxValue, Values, guard, shape_of

_SCATTERS = {"ScatterElements", "ScatterND"}
MOVES = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Reshape", "Slice", "SpaceToDepth",
    "Split", "Squeeze", "Tile", "Transpose", "Trilu", "Unsqueeze", *_SCATTERS,
}  # fmt: skip


def moved(reader: Values, node: onnx.NodeProto, inputs: "list[Known | None]") -> list[OnnxValue]:
    """Move the first input's data as the others, which are constant, say.

    Raises:
        InputError: they are not constant.
    """
    if node.op_type in _SCATTERS:
        return [_scattered(reader, node, inputs)]
    value = inputs[0]
    if not isinstance(value, OnnxValue) or any(isinstance(x, OnnxValue) for x in inputs[1:]):
        raise InputError("where data is moved to must be constant")
    if node.op_type in ("Expand", "Tile"):
        target = [int(n) for n in constant(inputs[1], "shape").flatten()]
        guard(target + ([*value.full] if node.op_type == "Tile" else []))
        if node.op_type == "Expand":  # refused before it is done
            reader.hold(math.prod(np.broadcast_shapes(value.full, tuple(target))))
    begin = 1 if node.op_type == "Trilu" else 0  # what it leaves out is 0 there, and no place
    places = np.arange(begin, begin + math.prod(value.full), dtype=np.int64).reshape(value.full)
    rest = [x for x in inputs[1:] if isinstance(x, np.ndarray)]
    return [reader.taken(value, there - begin) for there in run_alone(node, [places, *rest], reader.opset)]


def _scattered(reader: Values, node: onnx.NodeProto, inputs: "list[Known | None]") -> OnnxValue:
    """Put updates into data, at constant places; either may be constant."""
    data, indices, updates = inputs
    if isinstance(indices, OnnxValue):
        raise InputError("where data is moved to must be constant")
    if any(a.name == "reduction" and helper.get_attribute_value(a) != b"none" for a in node.attribute):
        raise InputError("its reduction is not read")
    shapes = [shape_of(x) for x in (data, updates)]
    size = math.prod(shapes[0])
    places, news = (np.arange(math.prod(shape), dtype=np.int64).reshape(shape) for shape in shapes)
    (out,) = run_alone(node, [places, np.asarray(indices), news + size], reader.opset)
    new = out >= size
    return merged(reader, (data, updates), (np.where(new, -1, out), np.where(new, out - size, -1)), node.name)


def merged(reader: Values, sources: "Sequence[Known | None]", places: Sequence[np.ndarray], name: str) -> OnnxValue:
    """Take each number from one of several sources, values or constants: places in each, -1 where it is another's.

    Raises:
        InputError: a number that is taken is not finite.
    """
    total, shift = None, np.zeros(places[0].shape)
    for source, there in zip(sources, places, strict=True):
        if isinstance(source, OnnxValue):
            part = reader.taken(source, there)
            total = part if total is None else branches(reader, "Add", total, part, "")
        else:
            shift = np.where(there >= 0, np.asarray(source, dtype=np.float64).flatten()[there], shift)
    if not np.isfinite(shift).all():
        raise InputError("it takes a number that is not finite")
    assert total is not None
    return reader.scaled(total, 1.0, shift, name) if shift.any() else total
