"""ONNX operations that resize by fixed scales: the nearest value is moved, a linear mixture is a matrix an axis."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_values import MIXTURE, Known, OnnxValue, Read, Values, guard, rounded_from, value_of
from surefoot.graph.ops import Linear

_FINEST = 2**12  # a weight that is a multiple of one in so many float32 holds, and what runtimes compute it from


def _resize(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    value = value_of(inputs[0])
    if reader.opset < 11:
        scales, sizes = inputs[1], None
        how = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    else:
        scales, sizes = (inputs[at] if len(inputs) > at else None for at in (2, 3))
        how = a
        for one, only in (("keep_aspect_ratio_policy", b"stretch"), ("antialias", 0), ("exclude_outside", 0)):
            if how.get(one, only) != only:
                raise InputError(f"its {one} {how[one]!r} is not read")
    axes = [int(axis) % len(value.full) for axis in a.get("axes", range(len(value.full)))]
    given = [value.full[axis] for axis in axes]
    out = [] if sizes is None else [int(n) for n in constant(sizes, "sizes").flatten()]
    if out:
        factors = [Fraction(m, n) for m, n in zip(out, given, strict=True)]
    else:
        factors = [Fraction(float(s)) for s in constant(scales, "scales").flatten()]
        out = [_length(n, s) for n, s in zip(given, factors, strict=True)]
    return _resized(reader, value, a.get("mode", b"nearest").decode(), how, list(zip(axes, out, factors, strict=True)))


def _length(n: int, scale: Fraction) -> int:
    """Return how long an axis of n becomes, as runtimes compute it: 100 times 2.3 is 230 in float32."""
    return math.floor(np.float32(n) * np.float32(float(scale)))


def _upsample(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    value = value_of(inputs[0])
    scales = constant(inputs[1], "scales") if len(inputs) > 1 else np.asarray(a["scales"], dtype=np.float64)
    factors = [Fraction(float(s)) for s in scales.flatten()]
    sides = [(axis, _length(n, s), s) for axis, (n, s) in enumerate(zip(value.full, factors, strict=True))]
    how = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    return _resized(reader, value, a.get("mode", b"nearest").decode(), how, sides)


def _resized(
    reader: Values, value: OnnxValue, mode: str, how: dict[str, Any], sides: list[tuple[int, int, Fraction]]
) -> OnnxValue:
    """Resize along axes, one after another: (axis, its length then, scale)."""
    if mode not in ("nearest", "linear", "cubic"):
        raise InputError(f"its mode {mode!r} is not read")
    guard([m for _, m, _ in sides])
    coordinates = how.get("coordinate_transformation_mode", b"half_pixel").decode()
    for axis, m, scale in sides:
        n = value.full[axis]
        if m < 1 or scale <= 0:
            raise InputError(f"it leaves {m} values of an axis of {n}")
        if m == n and scale == 1:
            continue
        if value.lead and axis == 0:
            raise InputError("it resizes the batch")
        places = [_place(k, n, m, scale, coordinates) for k in range(m)]
        if mode == "nearest":
            index = [min(max(_nearest(x, how), 0), n - 1) for x in places]
            whole = np.arange(math.prod(value.full)).reshape(value.full)
            value = reader.taken(value, np.take(whole, index, axis))
        else:
            guard([n, m])
            value = _mixed(
                reader,
                value,
                axis,
                _weights([x for x, _ in places], n, mode, Fraction(attribute(how, "cubic_coeff_a", -0.75))),
            )
    return value


def _place(k: int, n: int, m: int, scale: Fraction, coordinates: str) -> tuple[Fraction, float]:
    """Return where the k-th of m values lies among n, exactly, and as runtimes compute it in float32."""
    one, half, s = np.float32, np.float32(0.5), np.float32(float(scale))
    match coordinates:
        case "asymmetric":
            return k / scale, float(one(k) / s)
        case "align_corners" if m > 1:
            return Fraction(k * (n - 1), m - 1), float(one(k) * one(n - 1) / one(m - 1))
        case "align_corners" | "pytorch_half_pixel" if m == 1:
            return Fraction(0), 0.0
        case "half_pixel" | "pytorch_half_pixel":
            return (k + Fraction(1, 2)) / scale - Fraction(1, 2), float((one(k) + half) / s - half)
        case _:
            raise InputError(f"its coordinate_transformation_mode {coordinates!r} is not read")


def _nearest(places: tuple[Fraction, float], how: dict[str, Any]) -> int:
    """Return the nearest value of a place.

    Raises:
        InputError: it is between two, as near as float32 can tell.
    """
    half = Fraction(1, 2)
    ways: dict[str, Callable[[Fraction], int]] = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_ceil": lambda x: math.floor(x + half),
        "round_prefer_floor": lambda x: math.ceil(x - half),
    }
    nearest = ways[how.get("nearest_mode", b"round_prefer_floor").decode()]
    exact, seen = nearest(places[0]), nearest(Fraction(places[1]))
    if exact != seen:
        raise InputError(f"the place {float(places[0]):g} is between two values, of which runtimes take either")
    return exact


def _weights(places: list[Fraction], n: int, mode: str, a: Fraction) -> list[list[Fraction]]:
    """Return the matrix (m, n) of mixtures: of two neighbours, or of four; beyond an end stands the value there."""
    matrix = [[Fraction(0)] * n for _ in places]
    for row, x in zip(matrix, places, strict=True):
        left = math.floor(x)
        t = x - left
        taps = {0: 1 - t, 1: t} if mode == "linear" else {k: _keys(abs(t - k), a) for k in (-1, 0, 1, 2)}
        for k, weight in taps.items():
            row[min(max(left + k, 0), n - 1)] += weight
    return matrix


def _keys(x: Fraction, a: Fraction) -> Fraction:
    """Return the weight of a value at a distance (Keys 1981)."""
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else Fraction(0)


def _mixed(reader: Values, value: OnnxValue, axis: int, weights: list[list[Fraction]]) -> OnnxValue:
    """Multiply one axis by a matrix (m, n). Where float32 does not hold a weight runtimes round it in their own way."""
    matrix, rounded = np.array(weights, dtype=np.float64), ""
    if any(_FINEST % weight.denominator for row in weights for weight in row):
        reader.single = False
        rounded = rounded_from(MIXTURE, matrix)

    def swapped(x: OnnxValue) -> OnnxValue:
        return reader.taken(x, np.arange(math.prod(x.full)).reshape(x.full).swapaxes(axis, -1))

    return swapped(reader.add(Linear(torch.from_numpy(matrix), None, rounded), swapped(value)))


RESIZES: dict[str, Read] = {"Resize": _resize, "Upsample": _upsample}
