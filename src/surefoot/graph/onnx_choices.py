"""ONNX's Where: of two values one is chosen, by a constant or by a comparison; piecewise linear ones become ReLUs."""

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_moves import merged
from surefoot.graph.onnx_values import (
    Kind,
    Known,
    OnnxValue,
    Read,
    Values,
    finite,
    guard,
    rounded_from,
    shape_of,
    value_of,
)  # fmt: skip
from surefoot.graph.ops import Elementwise, ElementwiseAffine, Relu

_MOST = 2**12  # numbers of a constant: from here on lines are not looked for, in exact arithmetic


def _where(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Choose: y + c (x - y); by a constant, values are moved alone."""
    condition, x, y = inputs
    return replace(_of_two(reader, condition, x, y, name), kind=_kind_of(x))


def _of_two(reader: Values, condition: "Known | None", x: "Known | None", y: "Known | None", name: str) -> OnnxValue:
    if isinstance(condition, np.ndarray):
        return _chosen(reader, condition.astype(bool), x, y, name)
    condition = value_of(condition)
    if not any(isinstance(z, OnnxValue) for z in (x, y)):
        return _of_constants(reader, condition, _finite(x), _finite(y), name)
    bent = _bent(reader, condition, x, y, name)
    if bent is not None:
        return bent
    one, two = (z if isinstance(z, OnnxValue) else reader.lifted(_finite(z)) for z in (x, y))
    moved = branches(reader, "Mul", condition, branches(reader, "Sub", one, two, ""), "")
    return branches(reader, "Add", two, moved, name)


def _kind_of(x: "Known | None") -> Kind:
    """Return the kind of what is chosen: both are of one type in a file."""
    if isinstance(x, OnnxValue):
        return x.kind
    return "real" if x is None or x.dtype.kind == "f" else "truth" if x.dtype.kind == "b" else "whole"


def _finite(x: "Known | None") -> np.ndarray:
    return finite(constant(x, "choice"), "what it chooses")


def _of_constants(reader: Values, condition: OnnxValue, x: np.ndarray, y: np.ndarray, name: str) -> OnnxValue:
    gap = finite(np.asarray(x - y), "the difference of what it chooses")
    exact = bool((y + gap == x).all() and (gap - x == -y).all())
    return reader.scaled(condition, gap, y, name, "" if exact else rounded_from("x - y", x, y))


def _chosen(reader: Values, chosen: np.ndarray, x: "Known | None", y: "Known | None", name: str) -> OnnxValue:
    """Take of each place what a constant chooses there."""
    shapes = [shape_of(z) for z in (x, y)]
    shape = np.broadcast_shapes(chosen.shape, *shapes)
    guard(shape)
    one, two = (np.broadcast_to(np.arange(math.prod(own)).reshape(own), shape) for own in shapes)
    return merged(reader, (x, y), (np.where(chosen, one, -1), np.where(chosen, -1, two)), name)


@dataclass(frozen=True, eq=False)
class _Line:
    """Scale v + shift of a node's values v, in rational numbers; of no node where the scale is 0."""

    base: int
    scale: np.ndarray
    shift: np.ndarray


def _bent(reader: Values, condition: OnnxValue, x: "Known | None", y: "Known | None", name: str) -> OnnxValue | None:
    """Where(d > 0, x, y) with x - y = k d + m, lines of the same values all: y + k relu(d) + m [d > 0]. Else None.

    A leaky ReLU, a threshold, a clip are such; without a jump (m = 0) they are as exact as any ReLU.
    """
    step = reader.builder.nodes[condition.place]
    if not isinstance(step.op, Elementwise) or step.op.name not in ("Greater", "GreaterOrEqual"):
        return None
    if math.prod(step.shape) > _MOST or not all(_fits(z, condition) for z in (x, y)):
        return None
    gap = OnnxValue(step.inputs[0], condition.full, condition.rows)
    for d, one, two in itertools.product(*(_lines(reader, z, condition) for z in (gap, x, y))):
        if any(line.scale.any() and line.base != d.base for line in (one, two)) or not d.scale.all():
            continue
        k = (one.scale - two.scale) / d.scale
        m = one.shift - two.shift - k * d.shift
        if all(Fraction(float(v)) == v for v in (*k.flat, *m.flat)):
            reader.alone = False  # of other values than these three it would be another function
            return _put_together(reader, gap, condition, y, k.astype(np.float64), m.astype(np.float64), name)
    return None


def _fits(z: "Known | None", like: OnnxValue) -> bool:
    if isinstance(z, OnnxValue):
        return z.full == like.full
    return np.broadcast_shapes(shape_of(z), like.full) == like.full


def _put_together(
    reader: Values, gap: OnnxValue, condition: OnnxValue, y: "Known | None", k: np.ndarray, m: np.ndarray, name: str
) -> OnnxValue:
    def whole(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, condition.full) if condition.lead else values

    parts = [reader.scaled(reader.add(Relu(), gap), whole(k), None, "")] if k.any() else []
    parts += [reader.scaled(condition, whole(m), None, "")] if m.any() else []
    total = y if isinstance(y, OnnxValue) else None
    for part in parts:
        total = part if total is None else branches(reader, "Add", total, part, name)
    if total is None:
        return reader.lifted(np.broadcast_to(constant(y, "choice"), condition.full).copy())
    return total if isinstance(y, OnnxValue) else reader.scaled(total, 1.0, constant(y, "choice"), name)


def _lines(reader: Values, z: "Known | None", like: OnnxValue) -> list[_Line]:
    """Return a value as lines: of itself, and of what it was made of by one scale and shift; or a constant."""
    shape = like.sample
    if not isinstance(z, OnnxValue):
        values = np.broadcast_to(_finite(z), like.full)
        if like.lead and (values != values[:1]).any():
            return []
        return [_Line(-1, _rational(0.0, shape), _rational(values[0] if like.lead else values, shape))]
    lines = [_Line(z.place, _rational(1.0, shape), _rational(0.0, shape))]
    node = reader.builder.nodes[z.place]
    if isinstance(node.op, ElementwiseAffine) and not node.op.rounded:
        shift = 0.0 if node.op.bias is None else node.op.bias.numpy()
        lines.append(_Line(node.inputs[0], _rational(node.op.scale.numpy(), shape), _rational(shift, shape)))
    return lines


def _rational(values: "np.ndarray | float", shape: tuple[int, ...]) -> np.ndarray:
    spread = np.broadcast_to(np.asarray(values, dtype=np.float64), shape)
    return np.array([Fraction(float(v)) for v in spread.flat], dtype=object).reshape(shape)


CHOICES: dict[str, Read] = {"Where": _where}
