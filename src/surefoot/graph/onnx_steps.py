"""ONNX operations that step: rounding, comparing, choosing, quantizing. True is 1, false is 0."""

import math
from typing import Any

import numpy as np
import torch
from onnx import TensorProto

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_piecewise import beyond
from surefoot.graph.onnx_values import (
    Kind,
    Known,
    OnnxValue,
    Read,
    Values,
    guard,
    value_of,
)
from surefoot.graph.ops import Elementwise, Linear, Relu

_REAL = {TensorProto.FLOAT, TensorProto.DOUBLE}
_WHOLE = {TensorProto.INT64, TensorProto.INT32}
_BYTES = {"uint8": (0.0, 255.0), "int8": (-128.0, 127.0)}


def _of_kind(value: OnnxValue, kind: Kind) -> OnnxValue:
    return OnnxValue(value.place, value.full, value.rows, kind)


def _step(op: str) -> Read:
    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        value = value_of(inputs[0])
        return value if value.kind == "whole" and op != "Sign" else reader.add(Elementwise(op), value, name=name)

    return read


def _minus(reader: Values, x: "Known | None", y: "Known | None") -> OnnxValue:
    """Subtract; 0 is not subtracted at all, so that what is compared with it rounds by nothing."""
    if isinstance(x, OnnxValue) and isinstance(y, OnnxValue):
        return branches(reader, "Sub", x, y, "")
    if isinstance(x, OnnxValue):
        c = constant(y, "second operand")
        return reader.scaled(x, 1.0, -c, "") if c.any() else reader.broadcast(x, c.shape)
    return reader.scaled(value_of(y), -1.0, constant(x, "first operand"), "")


def _compare(op: str, turned: bool) -> Read:
    """[x > y] and its like: where x - y steps."""

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        x, y = inputs[::-1] if turned else inputs
        return _of_kind(reader.add(Elementwise(op), _minus(reader, x, y), name=name), "truth")

    return read


def _equal(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """[d >= 0] - [d > 0]."""
    gap = _minus(reader, *inputs)
    reached, passed = (reader.add(Elementwise(op), gap) for op in ("GreaterOrEqual", "Greater"))
    return _of_kind(branches(reader, "Sub", reached, passed, name), "truth")


def _not(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return reader.scaled(value_of(inputs[0]), -1.0, 1.0, name)


def _logic(op: str) -> Read:
    """Of what is 0 or 1: x y, which is relu(x + y - 1); x + y - x y; x + y - 2 x y."""

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        x, y = (x if isinstance(x, OnnxValue) else _truths(reader, x) for x in inputs)
        total = branches(reader, "Add", x, y, "")
        both = reader.add(Relu(), reader.scaled(total, 1.0, -1.0, ""), name=name if op == "And" else "")
        if op == "And":
            return both
        return branches(reader, "Add", total, reader.scaled(both, -1.0 if op == "Or" else -2.0, None, ""), name)

    return read


def _truths(reader: Values, x: "Known | None") -> OnnxValue:
    return _of_kind(reader.lifted(constant(x, "operand")), "truth")


def _cast(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Truncate real numbers to whole ones, floor(max(x, 0)) - floor(max(-x, 0)); any but 0 is true."""
    value, to = value_of(inputs[0]), a.get("to")
    if to in _REAL:
        return _of_kind(value, "real")
    if to in _WHOLE:
        if value.kind != "real":
            return _of_kind(value, "whole")
        reader.alone = False  # beyond the largest whole number there is none
        negative = reader.scaled(value, -1.0, None, "")
        above, below = (reader.add(Elementwise("Floor"), reader.add(Relu(), x)) for x in (value, negative))
        return _of_kind(branches(reader, "Sub", above, below, name), "whole")
    if to == TensorProto.BOOL:
        if value.kind == "truth":
            return value
        negative = reader.scaled(value, -1.0, None, "")
        above, below = (reader.add(Elementwise("Greater"), x) for x in (value, negative))
        return _of_kind(branches(reader, "Add", above, below, name), "truth")
    raise InputError("a cast to short numbers rounds, and is not read: export the network in float32 throughout")


def _arg(sign: float) -> Read:
    """Compare all pairs; who wins against all n - 1 others is the place, relu(wins - (n - 2)) being 1 there, else 0.

    Of equal values the first wins, or the last.
    """

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        value = value_of(inputs[0])
        axis = int(a.get("axis", 0)) % len(value.full)
        if value.lead and axis == 0:
            raise InputError("it compares the rows of the batch")
        n = value.full[axis]
        at_end = np.moveaxis(np.arange(math.prod(value.full)).reshape(value.full), axis, -1)
        guard([math.prod(value.full), n])
        first, second = np.triu_indices(n, 1)
        pairs, wins = torch.zeros(len(first), n, dtype=torch.float64), torch.zeros(n, len(first), dtype=torch.float64)
        each = torch.arange(len(first))
        pairs[each, first], pairs[each, second] = sign, -sign
        wins[first, each], wins[second, each] = 1.0, -1.0
        shape = [m for at, m in enumerate(value.full) if at != axis]
        kept = tuple(1 if at == axis else m for at, m in enumerate(value.full))
        index = reader.scaled(reader.taken(value, at_end[..., :1]), 0.0, None, "")
        if n > 1:
            gaps = reader.add(Linear(pairs), reader.taken(value, at_end))
            won = reader.add(Elementwise("Greater" if a.get("select_last_index", 0) else "GreaterOrEqual"), gaps)
            missing = torch.arange(n, dtype=torch.float64) - (n - 2)  # of the pairs before it, those not lost are won
            best = reader.add(Relu(), reader.add(Linear(wins, missing), won))
            index = reader.add(Linear(torch.arange(n, dtype=torch.float64)[None]), best, name=name)
        return _of_kind(reader.shaped(index, kept if a.get("keepdims", 1) else tuple(shape)), "whole")

    return read


def looked_up(reader: Values, table: np.ndarray, index: OnnxValue, name: str) -> OnnxValue:
    """Return the rows of a constant that whole numbers name: of each row what is there, where the number is its own."""
    if index.kind != "whole":
        raise InputError("whole numbers are needed to look up constants by")
    reader.alone = False  # a runtime takes no number that names nothing
    ends = np.array([0.0, 1.0])
    found = _one_hot(reader, [index, np.array(len(table)), ends], {"axis": -1}, "")
    rows = table.reshape(len(table), -1)
    out = reader.add(Linear(torch.from_numpy(np.ascontiguousarray(rows.T))), found, name=name)
    return reader.shaped(out, (*index.full, *table.shape[1:]))


def _one_hot(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Off + (on - off) [x = k or x = k - depth], along a new axis."""
    value, depth, ends = (
        value_of(inputs[0]),
        int(constant(inputs[1], "depth").reshape(())),
        constant(inputs[2], "values"),
    )
    if value.kind != "whole" or depth < 1:
        raise InputError("whole numbers, and a depth of at least 1, are needed")
    rank = len(value.full) + 1
    axis = int(a.get("axis", -1)) % rank
    apart = reader.shaped(value, (*value.full[:axis], 1, *value.full[axis:]))
    k = np.arange(depth, dtype=np.float64).reshape([-1 if at == axis else 1 for at in range(rank)])
    one, other = (_equal(reader, [apart, here], {}, "") for here in (k, k - depth))
    return _of_kind(reader.scaled(branches(reader, "Add", one, other, ""), ends[1] - ends[0], ends[0], name), "real")


def _quantize(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Compute min(max(round(x / scale) + zero, least), most)."""
    value, scale = value_of(inputs[0]), constant(inputs[1], "scale")
    zero = inputs[2] if len(inputs) > 2 and inputs[2] is not None else np.zeros((), np.uint8)
    if scale.size != 1 or not isinstance(zero, np.ndarray) or zero.dtype.name not in _BYTES:
        raise InputError("one scale, and a constant zero point of int8 or uint8, are needed")
    low, high = _BYTES[zero.dtype.name]
    rounded = reader.add(Elementwise("Round", (float(scale.reshape(())),)), value)
    shifted = reader.scaled(rounded, 1.0, zero.astype(np.float64).reshape(()), "") if zero.any() else rounded
    above = beyond(reader, shifted, np.array(low), 1.0, "")
    return _of_kind(beyond(reader, above, np.array(high), -1.0, name), "whole")


def _dequantize(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Compute (q - zero) scale."""
    value, scale = value_of(inputs[0]), constant(inputs[1], "scale")
    zero = constant(inputs[2], "zero point") if len(inputs) > 2 and inputs[2] is not None else np.zeros(())
    if scale.size > 1:
        axis = int(a.get("axis", 1)) % len(value.full)
        scale, zero = (
            x.reshape([-1 if at == axis and x.size > 1 else 1 for at in range(len(value.full))]) for x in (scale, zero)
        )
    else:
        scale, zero = scale.reshape(()), zero.reshape(())
    centred = reader.scaled(value, 1.0, -zero, "") if zero.any() else value
    return _of_kind(reader.scaled(centred, scale, None, name), "real")


def _thresholded(reader: Values, value: OnnxValue, threshold: float, jump: float) -> OnnxValue:
    """Compute relu(x - threshold) + jump [x > threshold]."""
    gap = reader.scaled(value, 1.0, -threshold, "")
    rest = reader.add(Relu(), gap)
    if jump == 0:
        return rest
    return branches(reader, "Add", rest, reader.scaled(reader.add(Elementwise("Greater"), gap), jump, None, ""), "")


def _thresholded_relu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    alpha = attribute(a, "alpha", 1.0)
    return reader.scaled(_thresholded(reader, value_of(inputs[0]), alpha, alpha), 1.0, None, name)


def _shrink(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Compute x - bias above lambd, x + bias below -lambd, 0 between."""
    value, lambd, bias = value_of(inputs[0]), attribute(a, "lambd", 0.5), attribute(a, "bias", 0.0)
    if lambd < 0:
        raise InputError(f"its lambd is {lambd:g}, below 0")
    negative = reader.scaled(value, -1.0, None, "")
    above, below = (_thresholded(reader, x, lambd, lambd - bias) for x in (value, negative))
    return branches(reader, "Sub", above, below, name)


STEPS: dict[str, Read] = {
    "And": _logic("And"),
    "ArgMax": _arg(1.0),
    "ArgMin": _arg(-1.0),
    "Cast": _cast,
    "Ceil": _step("Ceil"),
    "DequantizeLinear": _dequantize,
    "Equal": _equal,
    "Floor": _step("Floor"),
    "Greater": _compare("Greater", turned=False),
    "GreaterOrEqual": _compare("GreaterOrEqual", turned=False),
    "Less": _compare("Greater", turned=True),
    "LessOrEqual": _compare("GreaterOrEqual", turned=True),
    "Not": _not,
    "OneHot": _one_hot,
    "Or": _logic("Or"),
    "QuantizeLinear": _quantize,
    "Round": _step("Round"),
    "Shrink": _shrink,
    "Sign": _step("Sign"),
    "ThresholdedRelu": _thresholded_relu,
    "Xor": _logic("Xor"),
}
