"""ONNX's arithmetic of values and constants, and of two values."""

import math
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, finite, guard, inverted, value_of
from surefoot.graph.ops import Add, Elementwise, Linear, Mul


def _arithmetic(op: str) -> Read:
    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        x, y = inputs
        if op == "Div" and any(isinstance(z, OnnxValue) and z.kind != "real" for z in inputs):
            raise InputError("whole numbers are divided, which rounds: cast them first")
        if isinstance(x, OnnxValue) and isinstance(y, OnnxValue):
            return branches(reader, op, x, y, name)
        if isinstance(x, OnnxValue):
            c = constant(y, "second operand")
            match op:
                case "Add":
                    return reader.scaled(x, 1.0, c, name)
                case "Sub":
                    return reader.scaled(x, 1.0, -c, name)
                case "Mul":
                    return reader.scaled(x, c, None, name)
                case _:
                    if np.any(c == 0):
                        raise InputError("it divides by 0")
                    inverse = finite(np.asarray(1.0 / c), "the inverse of its second operand")
                    return reader.scaled(x, inverse, None, name, inverted(c))
        c, y = constant(x, "first operand"), value_of(y)
        match op:
            case "Add":
                return reader.scaled(y, 1.0, c, name)
            case "Sub":
                return reader.scaled(y, -1.0, c, name)
            case "Mul":
                return reader.scaled(y, c, None, name)
            case _:
                return reader.scaled(reader.add(Elementwise("Reciprocal"), y), c, None, name)

    return read


def branches(reader: Values, op: str, x: OnnxValue, y: OnnxValue, name: str) -> OnnxValue:
    """Add, subtract, multiply or divide two values, broadcast as ONNX does."""
    target = tuple(np.broadcast_shapes(x.full, y.full))
    if op == "Div":
        y = reader.add(Elementwise("Reciprocal"), y)
    x, y = reader.broadcast(x, target), reader.broadcast(y, target)
    if op == "Sub":
        y = reader.scaled(y, -1.0, None, "")
    return reader.add(Mul() if op in ("Mul", "Div") else Add(), x, y, name=name)


def matrix_product(reader: Values, x: OnnxValue, y: OnnxValue, name: str) -> OnnxValue:
    """Multiply two values as matrices: all products, one after another, then their sums."""
    if len(x.full) < 2 or len(y.full) < 2 or x.full[-1] != y.full[-2]:
        raise InputError(f"matrices of shapes {x.full} and {y.full} cannot be multiplied")
    (rows, inner), columns = x.full[-2:], y.full[-1]
    lead = np.broadcast_shapes(x.full[:-2], y.full[:-2])
    guard([*lead, rows, columns, inner])
    left = np.arange(math.prod(x.full)).reshape(*x.full[:-2], rows, 1, inner)
    right = np.arange(math.prod(y.full)).reshape(y.full).swapaxes(-1, -2)[..., None, :, :]
    whole = (*lead, rows, columns, inner)
    pair = [reader.taken(v, np.broadcast_to(p, whole)) for v, p in ((x, left), (y, right))]
    products = reader.add(Mul(), *pair, name=name and f"{name}_products")
    sums = reader.add(Linear(torch.ones(1, inner, dtype=torch.float64)), products, name=name)
    return reader.taken(sums, np.arange(math.prod(sums.full)).reshape(*lead, rows, columns))


def _sum(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    total: Known | None = inputs[0]
    for x in inputs[1:]:
        total = _arithmetic("Add")(reader, [total, x], a, "")
    return value_of(total)


def _negate(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return reader.scaled(value_of(inputs[0]), -1.0, None, name)


ARITHMETIC: dict[str, Read] = {
    "Add": _arithmetic("Add"),
    "Div": _arithmetic("Div"),
    "Mul": _arithmetic("Mul"),
    "Neg": _negate,
    "Sub": _arithmetic("Sub"),
    "Sum": _sum,
}
