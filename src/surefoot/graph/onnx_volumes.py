"""ONNX operations that slide a window over volumes (c, d, h, w), written with those over images."""

import math
from typing import Any

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, value_of
from surefoot.graph.onnx_windows import conv, padding_of


def over_volumes(pool: Read) -> Read:
    """Pool volumes over height and width, then over depth: the largest, and the mean, of a box are found so."""

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        value = value_of(inputs[0])
        if len(value.full) != 5:
            return pool(reader, inputs, a, name)
        n, c, d, h, w = value.full
        flat = pool(reader, [reader.shaped(value, (n, c * d, h, w))], _of_axes(a, (1, 2)), "")
        h, w = flat.full[2:]
        deep = reader.shaped(flat, (n, c, d, h * w))
        pooled = pool(reader, [deep], _of_axes(a, (0,)), name)
        return reader.shaped(pooled, (n, c, pooled.full[2], h, w))

    return read


def conv_of_volumes(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Convolve volumes: what lies in depth under a kernel becomes channels, of one image for each place in depth."""
    value = value_of(inputs[0])
    if len(value.full) != 5:
        return conv(reader, inputs, a, name)
    n, c, d, h, w = value.full
    weight, groups = constant(inputs[1], "kernel"), int(a.get("group", 1))
    if weight.ndim != 5 or groups < 1 or c % groups or weight.shape[0] % groups or weight.shape[1] * groups != c:
        raise InputError(f"a kernel of shape {weight.shape} in {groups} groups for {c} channels")
    kernel, (stride, *_), (dilation, *_) = weight.shape[2], a.get("strides", [1]), a.get("dilations", [1])
    depth = _of_axes(a, (0,))
    _, _, begin, end = padding_of(depth, (1, d, 1), (kernel, 1), (stride, 1), (dilation, 1), signal=False)
    guard([n, c, d + begin + end, h, w])
    places = np.arange(math.prod(value.full)).reshape(value.full)
    padded = np.pad(places, [(0, 0), (0, 0), (begin, end), (0, 0), (0, 0)], constant_values=-1)
    out = (d + begin + end - dilation * (kernel - 1) - 1) // stride + 1
    if out < 1:
        raise InputError(f"a kernel of depth {kernel} does not fit {d + begin + end} places")
    at = stride * np.arange(out)[:, None] + dilation * np.arange(kernel)  # (out, kernel)
    guard([n, c, out, kernel, h, w])
    under = padded[:, :, at].transpose(0, 2, 1, 3, 4, 5).reshape(n, out * c * kernel, h, w)
    repeated = np.tile(weight.reshape(weight.shape[0], -1, *weight.shape[3:]), (out, 1, 1, 1))
    bias: list[Known | None] = [np.tile(constant(x, "bias"), out) if x is not None else None for x in inputs[2:]]
    image = reader.taken(value, under)
    flat = conv(reader, [image, repeated, *bias], {**_of_axes(a, (1, 2)), "group": out * groups}, name)
    k, (h, w) = weight.shape[0], flat.full[2:]
    places = np.arange(math.prod(flat.full)).reshape(n, out, k, h, w)
    return reader.taken(flat, places.swapaxes(1, 2))


def _of_axes(a: dict[str, Any], axes: tuple[int, ...]) -> dict[str, Any]:
    """Return the attributes of a window for some of three axes; those of depth alone are of an image one wide."""
    one = {"kernel_shape": 1, "strides": 1, "dilations": 1, "pads": 0}
    some = dict(a)
    for name, none in one.items():
        if name not in a:
            continue
        given = list(a[name])
        if len(given) != (6 if name == "pads" else 3):
            raise InputError(f"its {name} {given} are not those of a volume")
        halves = [given[:3], given[3:]] if name == "pads" else [given]
        some[name] = [n for half in halves for n in [*(half[axis] for axis in axes), *[none] * (2 - len(axes))]]
    return some
