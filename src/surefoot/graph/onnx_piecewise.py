"""ONNX operations that are piecewise linear, written with ReLUs: exact, so that bounds need to know nothing else."""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, rounded_from, value_of
from surefoot.graph.ops import Relu

_FAR = 1e3  # a bound from here on is seldom reached: written so that what lies within stays as it is


def _relu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return reader.add(Relu(), value_of(inputs[0]), name=name)


def _leaky(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return _two_slopes(reader, value_of(inputs[0]), np.array(attribute(a, "alpha", 0.01)), name)


def _prelu(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return _two_slopes(reader, value_of(inputs[0]), constant(inputs[1], "slope"), name)


def _two_slopes(reader: Values, value: OnnxValue, slope: np.ndarray, name: str) -> OnnxValue:
    """Slope x + (1 - slope) relu(x)."""
    positive = reader.add(Relu(), value, name=name and f"{name}_relu")
    rest = 1.0 - slope
    exact = all(Fraction(r) == 1 - Fraction(s) for r, s in zip(rest.flat, slope.flat, strict=True))
    more = reader.scaled(positive, rest, None, "", "" if exact else rounded_from("1 - slope", slope))
    return branches(reader, "Add", reader.scaled(value, slope, None, ""), more, name)


def _abs(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return absolute(reader, value_of(inputs[0]), name)


def absolute(reader: Values, value: OnnxValue, name: str) -> OnnxValue:
    """Relu(x) + relu(-x)."""
    negative = reader.add(Relu(), reader.scaled(value, -1.0, None, ""))
    return branches(reader, "Add", reader.add(Relu(), value), negative, name)


def _hard_sigmoid(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """min(max(alpha x + beta, 0), 1)."""
    line = reader.scaled(value_of(inputs[0]), attribute(a, "alpha", 0.2), attribute(a, "beta", 0.5), "")
    return beyond(reader, beyond(reader, line, np.array(0.0), 1.0, ""), np.array(1.0), -1.0, name)


def _clip(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """min(max(x, low), high), whatever the size of a bound; an infinite one is none."""
    value = value_of(inputs[0])
    low, high = (
        _bound(inputs[at], what) if len(inputs) > at and inputs[at] is not None else np.array(float(a.get(what, none)))
        for at, what, none in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    if np.isnan(low) or np.isnan(high) or low > high:
        raise InputError(f"it clips to [{low}, {high}], which is empty")
    return beyond(reader, beyond(reader, value, low, 1.0, ""), high, -1.0, name)


def _bound(x: "Known | None", what: str) -> np.ndarray:
    """Return one constant, which may be infinite."""
    if not isinstance(x, np.ndarray) or x.size != 1:
        raise InputError(f"its {what} must be one constant")
    return x.astype(np.float64).reshape(())


def beyond(reader: Values, value: OnnxValue, bound: np.ndarray, sign: float, name: str) -> OnnxValue:
    """Take the larger of values and constants (sign 1), or the smaller (sign -1); infinite constants are none.

    max(x, c) = c + relu(x - c) = x + relu(c - x). The first has one term in x, so that intervals stay exact; where c is
    far off the second gives x itself, which the first would lose in rounding.
    """
    if np.any(np.isnan(bound) | (bound == sign * np.inf)):
        raise InputError(f"it takes the {'larger' if sign > 0 else 'smaller'} of values and {bound.max():g}")
    bounded = np.isfinite(bound)
    if not bounded.any():
        return reader.broadcast(value, bound.shape)  # no bound, and a shape all the same
    c = np.where(bounded, bound, 0.0)
    if bounded.all() and np.abs(c).max() < _FAR:
        gap = reader.add(Relu(), reader.scaled(value, sign, -sign * c, ""))
        return reader.scaled(gap, sign, c, name)
    gap = reader.add(Relu(), reader.scaled(value, np.where(bounded, -sign, 0.0), sign * c, ""))
    return branches(reader, "Add", value, reader.scaled(gap, sign, None, ""), name)


def _extreme(op: str) -> Read:
    """max(x, y) = y + relu(x - y), min(x, y) = y - relu(y - x), of two or more, one of them a value.

    Constants are put together first: infinite ones are none.
    """
    sign = 1.0 if op == "Max" else -1.0

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        total, *others = [x for x in inputs if isinstance(x, OnnxValue)]
        for other in others:
            gap = branches(reader, "Sub", total, other, "")
            open_ = reader.add(Relu(), reader.scaled(gap, sign, None, "") if sign < 0 else gap)
            total = branches(reader, "Add", reader.scaled(open_, sign, None, ""), other, "")
        for bound in (x.astype(np.float64) for x in inputs if isinstance(x, np.ndarray)):
            total = beyond(reader, total, bound, sign, "")
        return reader.scaled(total, 1.0, None, name)

    return read


PIECEWISE: dict[str, Read] = {
    "Abs": _abs,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky,
    "Max": _extreme("Max"),
    "Min": _extreme("Min"),
    "PRelu": _prelu,
    "Relu": _relu,
}
