"""ONNX operations that make one number of many: sums, means, norms, the largest and the least, over axes."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_functions import power
from surefoot.graph.onnx_piecewise import absolute
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, inverted, shape_of, value_of
from surefoot.graph.ops import Concat, Elementwise, Linear, MaxPool2d, Mul

Reduce: TypeAlias = Callable[[Values, OnnxValue, list[int], str], OnnxValue]  # the axes stay, with length 1


def _over_axes(reduce: Reduce) -> Read:
    """Read the axes, an attribute or an input; none are all of them."""

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        value = value_of(inputs[0])
        given = inputs[1] if len(inputs) > 1 else a.get("axes")
        if isinstance(given, OnnxValue):
            raise InputError("its axes must be constant")
        axes = sorted({int(x) % len(value.full) for x in np.asarray(given if given is not None else ()).flatten()})
        if not axes and a.get("noop_with_empty_axes", 0):
            raise InputError("it reduces no axis")
        axes = axes or list(range(len(value.full)))
        if value.lead and 0 in axes:
            raise InputError(f"it reduces the axes {axes}; the batch's must stay")
        out = reduce(reader, value, axes, name)
        if a.get("keepdims", 1):
            return out
        return reader.shaped(out, tuple(n for axis, n in enumerate(value.full) if axis not in axes))

    return read


def _at_the_end(reader: Values, value: OnnxValue, axes: list[int]) -> OnnxValue:
    """Move axes to the end, as one."""
    kept = [axis for axis in range(len(value.full)) if axis not in axes]
    places = np.arange(math.prod(value.full)).reshape(value.full).transpose(kept + axes)
    return reader.taken(value, places.reshape(*(value.full[axis] for axis in kept), -1))


def _with_ones(value: OnnxValue, axes: list[int]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else n for axis, n in enumerate(value.full))


def summed(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Sum over axes: the axes moved to the end, and one row of ones."""
    moved = _at_the_end(reader, value, axes)
    weight = torch.full((1, moved.full[-1]), 1.0, dtype=torch.float64)
    return reader.shaped(reader.add(Linear(weight), moved, name=name and f"{name}_sum"), _with_ones(value, axes))


def mean_of(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Return the mean over axes: a sum, then its part."""
    count = math.prod(value.full[axis] for axis in axes)
    return reader.scaled(summed(reader, value, axes, name), 1.0 / count, None, name, inverted(count))


def _largest(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Pool each row of an image of one channel."""
    moved = _at_the_end(reader, value, axes)
    count = moved.full[-1]
    lead = value.rows if value.lead else 1
    rows = reader.shaped(moved, (lead, 1, math.prod(moved.full) // count // lead, count))
    return reader.shaped(reader.add(MaxPool2d((1, count), (1, count)), rows, name=name), _with_ones(value, axes))


def _least(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    negative = reader.scaled(value, -1.0, None, "")
    return reader.scaled(_largest(reader, negative, axes, ""), -1.0, None, name)


def l1(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Return the sum of magnitudes over axes."""
    return summed(reader, absolute(reader, value, ""), axes, name)


def _sum_of_squares(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    return summed(reader, power(reader, value, 2.0, ""), axes, name)


def l2(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Return the root of the sum of squares over axes."""
    return reader.add(Elementwise("Sqrt"), _sum_of_squares(reader, value, axes, ""), name=name)


def _log_of_sum(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    return reader.add(Elementwise("Log"), summed(reader, value, axes, ""), name=name)


def _log_sum_exp(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    return _log_of_sum(reader, reader.add(Elementwise("Exp"), value), axes, name)


def _product(reader: Values, value: OnnxValue, axes: list[int], name: str) -> OnnxValue:
    """Multiply halves with each other, until one is left."""
    moved = _at_the_end(reader, value, axes)
    while (n := moved.full[-1]) > 1:
        places, half = np.arange(math.prod(moved.full)).reshape(moved.full), n // 2
        both = (reader.taken(moved, places[..., part]) for part in (slice(half), slice(half, 2 * half)))
        rest = [reader.taken(moved, places[..., -1:])] if n % 2 else []
        moved = reader.add(Mul(), *both, name=name)
        if rest:
            moved = reader.add(Concat(len(moved.sample) - 1), moved, *rest)
    return reader.shaped(moved, _with_ones(value, axes))


def _cumulative(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Sum up along an axis: a triangle of ones."""
    value = value_of(inputs[0])
    axis = int(constant(inputs[1], "axis").reshape(())) % len(value.full)
    n = value.full[axis]
    at = torch.arange(n, dtype=torch.float64)
    gap = (at[None] - at[:, None]) if a.get("reverse", 0) else (at[:, None] - at[None])
    ones = (gap >= (1 if a.get("exclusive", 0) else 0)).to(torch.float64)

    def swapped(x: OnnxValue) -> OnnxValue:
        return reader.taken(x, np.arange(math.prod(x.full)).reshape(x.full).swapaxes(axis, -1))

    return swapped(reader.add(Linear(ones), swapped(value), name=name))


def _einsum(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Multiply two operands, spread over all letters, and sum over those that the result lacks."""
    equation = a["equation"].decode().replace(" ", "")
    given, arrow, out = equation.partition("->")
    terms = given.split(",")
    if "." in equation or len(terms) != len(inputs) or any(len(set(t)) != len(t) for t in (*terms, out)):
        raise InputError(f"its equation {equation!r} is not read: letters, each once in an operand, are needed")
    if not arrow:
        out = "".join(sorted(c for c in set(given) - {","} if given.count(c) == 1))
    letters = out + "".join(sorted(set(given) - set(out) - {","}))
    own = [dict(zip(term, shape_of(x), strict=True)) for term, x in zip(terms, inputs, strict=True)]
    sides = {c: max(sides.get(c, 1) for sides in own) for c in letters}
    whole = tuple(sides[c] for c in letters)
    guard(whole)
    factors: list[OnnxValue | np.ndarray] = []
    for term, x, lengths in zip(terms, inputs, own, strict=True):
        places = np.arange(math.prod(shape_of(x))).reshape(shape_of(x))
        order = [term.index(c) for c in letters if c in term]
        spread = places.transpose(order).reshape([lengths.get(c, 1) for c in letters])
        there = np.broadcast_to(spread, whole)
        factors.append(reader.taken(x, there) if isinstance(x, OnnxValue) else constant(x, "operand").flatten()[there])
    values = [x for x in factors if isinstance(x, OnnxValue)]
    total = values[0]
    for other in values[1:]:
        total = branches(reader, "Mul", total, other, "")
    for factor in (x for x in factors if isinstance(x, np.ndarray)):
        total = reader.scaled(total, factor, None, "")
    axes = list(range(len(out), len(letters)))
    if not axes:
        return reader.scaled(total, 1.0, None, name)
    return reader.shaped(summed(reader, total, axes, name), whole[: len(out)])


REDUCTIONS: dict[str, Read] = {
    "CumSum": _cumulative,
    "Einsum": _einsum,
    "ReduceL1": _over_axes(l1),
    "ReduceL2": _over_axes(l2),
    "ReduceLogSum": _over_axes(_log_of_sum),
    "ReduceLogSumExp": _over_axes(_log_sum_exp),
    "ReduceMax": _over_axes(_largest),
    "ReduceMean": _over_axes(mean_of),
    "ReduceMin": _over_axes(_least),
    "ReduceProd": _over_axes(_product),
    "ReduceSum": _over_axes(summed),
    "ReduceSumSquare": _over_axes(_sum_of_squares),
}
