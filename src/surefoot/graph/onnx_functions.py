"""ONNX operations that are smooth functions of each value, or are made of such: powers, softmax inside a network."""

import math
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, inverted, value_of
from surefoot.graph.ops import Elementwise, Linear, Softmax


def _plain(op: str) -> Read:
    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        return reader.add(Elementwise(op), value_of(inputs[0]), name=name)

    return read


def _gelu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    how = a.get("approximate", b"none").decode()
    if how not in ("none", "tanh"):
        raise InputError(f"its approximation {how!r} is not read")
    return reader.add(Elementwise("Gelu" if how == "none" else "GeluTanh"), value_of(inputs[0]), name=name)


def _elu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return reader.add(Elementwise("Elu", (attribute(a, "alpha", 1.0),)), value_of(inputs[0]), name=name)


def _celu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Alpha elu(x / alpha)."""
    value, alpha = value_of(inputs[0]), attribute(a, "alpha", 1.0)
    if alpha == 0:
        raise InputError("its alpha is 0")
    inner = value if alpha == 1 else reader.scaled(value, 1.0 / alpha, None, "", inverted(alpha))
    return reader.scaled(reader.add(Elementwise("Elu", (1.0,)), inner), alpha, None, name)


def _selu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Gamma elu(x)."""
    alpha = attribute(a, "alpha", 1.67326319217681884765625)
    elu = reader.add(Elementwise("Elu", (alpha,)), value_of(inputs[0]))
    return reader.scaled(elu, attribute(a, "gamma", 1.05070102214813232421875), None, name)


def _pow(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    exponents = constant(inputs[1], "exponent")
    if not exponents.size or (exponents != exponents.flat[0]).any():
        raise InputError("its exponents are not all the same")
    value = value_of(inputs[0])
    return power(reader, reader.broadcast(value, exponents.shape), float(exponents.flat[0]), name)


def power(reader: Values, value: OnnxValue, exponent: float, name: str) -> OnnxValue:
    """Raise to a constant power; the first is the value itself."""
    if exponent == 1:
        return reader.scaled(value, 1.0, None, name)
    named = {-1.0: Elementwise("Reciprocal"), 0.5: Elementwise("Sqrt")}
    return reader.add(named.get(exponent, Elementwise("Pow", (exponent,))), value, name=name)


def softmax(log: bool) -> Read:
    """Over the classes at the end of a network it is an operation; else p_i = 1 / sum_j exp(x_j - x_i).

    Each difference is bounded by itself, which is tighter than a quotient whose parts know nothing of each other.
    """

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        value = value_of(inputs[0])
        axis = int(a.get("axis", -1 if reader.opset >= 13 else 1)) % len(value.full)
        if reader.last and len(value.sample) == 1 and axis == len(value.full) - 1:
            return reader.add(Softmax(log), value, name=name)
        if value.lead and axis == 0:
            raise InputError("a softmax over the batch")
        if reader.opset < 13:  # over all axes from this one on, taken together
            lead, shape = value.full[:axis], value.full
            flat = reader.taken(value, np.arange(math.prod(shape)).reshape(*lead, math.prod(shape[axis:])))
            out = _softmax_inside(reader, flat, log, name)
            return reader.taken(out, np.arange(math.prod(shape)).reshape(shape))
        places = np.moveaxis(np.arange(math.prod(value.full)).reshape(value.full), axis, -1)
        out = _softmax_inside(reader, reader.taken(value, places), log, name)
        return reader.taken(out, np.moveaxis(np.arange(math.prod(out.full)).reshape(out.full), -1, axis))

    return read


def _softmax_inside(reader: Values, value: OnnxValue, log: bool, name: str) -> OnnxValue:
    n = value.full[-1]
    guard([math.prod(value.full), n])
    one = torch.eye(n, dtype=torch.float64)
    differences = reader.add(Linear((one.unsqueeze(0) - one.unsqueeze(1)).reshape(n * n, n)), value)
    exponentials = reader.add(Elementwise("Exp"), differences)
    rows = np.arange(math.prod(exponentials.full)).reshape(*value.full, n)
    sums = reader.add(Linear(torch.ones(1, n, dtype=torch.float64)), reader.taken(exponentials, rows))
    sums = reader.taken(sums, np.arange(math.prod(value.full)).reshape(value.full))
    if log:
        return reader.scaled(reader.add(Elementwise("Log"), sums), -1.0, None, name)
    return reader.add(Elementwise("Reciprocal"), sums, name=name)


_PLAIN = (
    "Cos", "Erf", "Exp", "HardSwish", "Log", "Mish", "Reciprocal", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt",
    "Tanh",
)  # fmt: skip
FUNCTIONS: dict[str, Read] = {
    **{op: _plain(op) for op in _PLAIN},
    "Celu": _celu,
    "Elu": _elu,
    "Gelu": _gelu,
    "Pow": _pow,
    "Selu": _selu,
}
