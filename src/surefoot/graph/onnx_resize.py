"""ONNX operations that resize by fixed scales: the nearest value is moved, a linear mixture is a matrix an axis."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, value_of
from surefoot.graph.ops import Linear

_FINEST = 2**12  # a weight is a multiple of one in so many: float32 then holds it, and what runtimes compute it from


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
        out = [math.floor(n * s) for n, s in zip(given, factors, strict=True)]
    return _resized(reader, value, a.get("mode", b"nearest").decode(), how, list(zip(axes, out, factors, strict=True)))


def _upsample(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    value = value_of(inputs[0])
    scales = constant(inputs[1], "scales") if len(inputs) > 1 else np.asarray(a["scales"], dtype=np.float64)
    factors = [Fraction(float(s)) for s in scales.flatten()]
    sides = [(axis, math.floor(n * s), s) for axis, (n, s) in enumerate(zip(value.full, factors, strict=True))]
    how = {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    return _resized(reader, value, a.get("mode", b"nearest").decode(), how, sides)


def _resized(
    reader: Values, value: OnnxValue, mode: str, how: dict[str, Any], sides: list[tuple[int, int, Fraction]]
) -> OnnxValue:
    """Resize along axes, one after another: (axis, its length then, scale)."""
    if mode not in ("nearest", "linear"):
        raise InputError(f"its mode {mode!r} is not read")
    guard([*(m for _, m, _ in sides), math.prod(value.full)])
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
            value = _mixed(reader, value, axis, _weights(places, n))
    return value


def _place(k: int, n: int, m: int, scale: Fraction, coordinates: str) -> Fraction:
    """Return where the k-th of m values lies among n, exactly."""
    match coordinates:
        case "asymmetric":
            return k / scale
        case "align_corners":
            return Fraction(k * (n - 1), m - 1) if m > 1 else Fraction(0)
        case "pytorch_half_pixel" if m == 1:
            return Fraction(0)
        case "half_pixel" | "pytorch_half_pixel":
            return (k + Fraction(1, 2)) / scale - Fraction(1, 2)
        case _:
            raise InputError(f"its coordinate_transformation_mode {coordinates!r} is not read")


def _nearest(x: Fraction, how: dict[str, Any]) -> int:
    match how.get("nearest_mode", b"round_prefer_floor").decode():
        case "floor":
            return math.floor(x)
        case "ceil":
            return math.ceil(x)
        case "round_prefer_ceil":
            return math.floor(x + Fraction(1, 2))
        case _:
            return math.ceil(x - Fraction(1, 2))


def _weights(places: list[Fraction], n: int) -> torch.Tensor:
    """Return the matrix (m, n) of linear mixtures.

    Raises:
        InputError: a weight is none that runtimes compute without rounding.
    """
    weights = torch.zeros(len(places), n, dtype=torch.float64)
    for k, place in enumerate(places):
        x = min(max(place, Fraction(0)), Fraction(n - 1))
        share = x - math.floor(x)
        if _FINEST % x.denominator:
            raise InputError(
                f"it mixes values by {share} and {1 - share}, which runtimes round each in its own way; scales that "
                "are powers of 2 are read, but with align_corners"
            )
        weights[k, math.floor(x)] += float(1 - share)
        weights[k, min(math.floor(x) + 1, n - 1)] += float(share)
    return weights


def _mixed(reader: Values, value: OnnxValue, axis: int, weights: torch.Tensor) -> OnnxValue:
    """Multiply one axis by a matrix (m, n)."""

    def swapped(x: OnnxValue) -> OnnxValue:
        return reader.taken(x, np.arange(math.prod(x.full)).reshape(x.full).swapaxes(axis, -1))

    return swapped(reader.add(Linear(weights), swapped(value)))


RESIZES: dict[str, Read] = {"Resize": _resize, "Upsample": _upsample}
