"""ONNX operations that slide a window over an image or a signal: convolution, and pooling by maximum and by mean."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import constant, optional
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, inverted, value_of
from surefoot.graph.ops import Conv2d, MaxPool2d, Shape


def conv(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Convolution of an image, or of a signal as an image of one row."""
    full = value_of(inputs[0]).full
    signal = len(full) == 3
    value, side_by_side = reader.image(inputs[0])
    weight = torch.from_numpy(constant(inputs[1], "kernel"))
    if signal:
        weight = weight.unsqueeze(2)
    kernel = _sides(weight.shape[2:], signal=False)
    stride, dilation = _sides(a.get("strides", [1, 1]), signal), _sides(a.get("dilations", [1, 1]), signal)
    padding = padding_of(a, value.sample, kernel, stride, dilation, signal)
    op = Conv2d(weight, optional(inputs, 2, "bias"), stride, padding, dilation, int(a.get("group", 1)))
    if weight.shape[0] % op.groups:
        raise InputError(f"{weight.shape[0]} channels cannot be made of {op.groups} groups")
    return _again(reader, reader.add(_repeated(op, side_by_side), value, name=name), full)


def _repeated(op: Conv2d, times: int) -> Conv2d:
    """Return a convolution of images that lie side by side as more channels."""
    bias = None if op.bias is None else op.bias.repeat(times)
    return replace(op, weight=op.weight.repeat(times, 1, 1, 1), bias=bias, groups=op.groups * times)


def conv_transpose(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Transposed convolution: zeros between the values and around them, then a convolution with the kernel turned."""
    full = value_of(inputs[0]).full
    signal = len(full) == 3
    value, side_by_side = reader.image(inputs[0])
    weight, groups = torch.from_numpy(constant(inputs[1], "kernel")), int(a.get("group", 1))
    if signal:
        weight = weight.unsqueeze(2)
    channels, kernel = value.sample[0] // side_by_side, _sides(weight.shape[2:], signal=False)
    if groups < 1 or weight.shape[0] != channels or channels % groups:
        raise InputError(f"a kernel of shape {tuple(weight.shape)} in {groups} groups for {channels} channels")
    stride, dilation = _sides(a.get("strides", [1, 1]), signal), _sides(a.get("dilations", [1, 1]), signal)
    places = np.arange(math.prod(value.full)).reshape(value.full)
    for axis, (begin, end) in enumerate(_around(a, value.sample, kernel, stride, dilation, signal), 2):
        spread = np.full((*places.shape[:axis], (places.shape[axis] - 1) * stride[axis - 2] + 1,
                          *places.shape[axis + 1 :]), -1)  # fmt: skip
        guard(spread.shape)
        spread[(slice(None),) * axis + (slice(None, None, stride[axis - 2]),)] = places
        widths = [(max(begin, 0), max(end, 0)) if at == axis else (0, 0) for at in range(4)]
        places = np.pad(spread, widths, constant_values=-1)
        kept = slice(max(-begin, 0), places.shape[axis] - max(-end, 0))
        places = places[(slice(None),) * axis + (kept,)]
    turned = weight.reshape(groups, channels // groups, *weight.shape[1:]).transpose(1, 2).flip(3, 4)
    op = Conv2d(turned.reshape(-1, channels // groups, *kernel), optional(inputs, 2, "bias"), (1, 1), (0, 0, 0, 0),
                dilation, groups)  # fmt: skip
    return _again(reader, reader.add(_repeated(op, side_by_side), reader.taken(value, places), name=name), full)


def _around(
    a: dict[str, Any],
    image: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    signal: bool,
) -> list[tuple[int, int]]:
    """Return how many zeros stand before and after the values of each axis, below 0 how many values go."""
    pads = [int(n) for n in a.get("pads", [0, 0] if signal else [0, 0, 0, 0])]
    more = [int(n) for n in a.get("output_padding", [0] if signal else [0, 0])]
    out = [int(n) for n in a.get("output_shape", [])]
    if signal:
        pads, more = [0, *pads[:1], 0, *pads[1:]], [0, *more]
        out = [1, *out] if out else out
    if len(pads) != 4 or len(more) != 2 or len(out) not in (0, 2) or min(*pads, *more) < 0:
        raise InputError(f"its pads {pads}, output_padding {more} or output_shape {out} do not fit")
    auto = a.get("auto_pad", b"NOTSET").decode()
    if out and auto == "NOTSET":  # where the odd one goes is said otherwise in each version
        raise InputError("output_shape without auto_pad is not read: export it with pads")
    around = []
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1)
        begin, end = pads[axis], pads[axis + 2]
        if auto.startswith("SAME") or out:
            wanted = out[axis] if out else image[1 + axis] * stride[axis]
            total = max(stride[axis] * (image[1 + axis] - 1) + more[axis] + reach + 1 - wanted, 0)
            less, rest = total // 2, total - total // 2
            begin, end = (less, rest) if auto == "SAME_UPPER" else (rest, less)
        elif auto == "VALID":
            begin = end = 0
        around.append((reach - begin, reach - end + more[axis]))
    return around


def max_pool(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Take the largest of each window."""
    value, _, kernel, stride, dilation, padding = _window(reader, inputs, a)
    out = reader.add(MaxPool2d(kernel, stride, padding, dilation), value, name=name)
    return _again(reader, out, value_of(inputs[0]).full)


def average_pool(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """A sum over windows, then one over how many are counted."""
    value, signal, kernel, stride, dilation, padding = _window(reader, inputs, a)
    channels = value.sample[0]
    one = torch.ones(1, 1, *kernel, dtype=torch.float64)
    sums = Conv2d(one.expand(channels, 1, *kernel).clone(), None, stride, padding, dilation, channels)
    image = torch.ones(1, 1, *value.sample[1:], dtype=torch.float64)
    if a.get("count_include_pad", 0):  # what a rounded-up size adds beyond the padding is not counted
        asked = padding_of({**a, "ceil_mode": 0}, value.sample, kernel, stride, dilation, signal)
        image = torch.nn.functional.pad(image, asked, value=1.0)
        rest = tuple(p - q for p, q in zip(padding, asked, strict=True))
    else:
        rest = padding
    counts = Conv2d(one, None, stride, rest, dilation, 1)(image)[0]
    if bool((counts == 0).any()):
        raise InputError("a pooling window lies in the padding alone")
    out = reader.add(sums, value, name=name and f"{name}_sum")
    mean = reader.scaled(out, (1 / counts).numpy()[None], None, name, inverted(counts.numpy()))
    return _again(reader, mean, value_of(inputs[0]).full)


def global_pool(pool: Read) -> Read:
    """Pool over the whole image."""

    def read(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
        full = value_of(inputs[0]).full
        return pool(reader, inputs, {"kernel_shape": list(full[2:])}, name)

    return read


def _window(reader: Values, inputs: "list[Known | None]", a: dict[str, Any]) -> tuple[Any, ...]:
    signal = len(value_of(inputs[0]).full) == 3
    value, _ = reader.image(inputs[0])
    kernel = _sides(a["kernel_shape"], signal)
    stride, dilation = _sides(a.get("strides", [1, 1]), signal), _sides(a.get("dilations", [1, 1]), signal)
    _runtimes_agree(a, value.sample, kernel, stride, dilation)
    padding = padding_of(a, value.sample, kernel, stride, dilation, signal)
    return value, signal, kernel, stride, dilation, padding


def _again(reader: Values, value: OnnxValue, given: Shape) -> OnnxValue:
    """Return images as many, and signals as signals, as they were given."""
    count = math.prod(value.full[:2]) // given[0]
    return reader.shaped(value, (given[0], count, *value.full[2 if len(given) == 4 else 3 :]))


def _sides(given: Any, signal: bool) -> tuple[int, int]:
    sides = [int(n) for n in given]
    if signal and len(sides) == 1:
        sides = [1, *sides]
    if signal and len(sides) == 2 and given == [1, 1]:
        sides = [1, 1]
    if len(sides) != 2 or min(sides) < 1 or max(sides) > 2**16:
        raise InputError(f"two sides of at least 1 are needed, given {list(given)}")
    return (sides[0], sides[1])


def _runtimes_agree(
    a: dict[str, Any], image: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> None:
    """Refuse a pool whose window ONNX Runtime and ONNX's reference place otherwise.

    Raises:
        InputError: dilations with auto_pad SAME; ceil_mode with auto_pad VALID, where it changes the size.
    """
    auto = a.get("auto_pad", b"NOTSET").decode()
    for side, k, s, d in zip(image[1:], kernel, stride, dilation, strict=True):
        if auto.startswith("SAME") and k > 1 and d > 1:
            raise InputError("pooling with dilations and auto_pad SAME: runtimes differ; export it with pads")
        if auto == "VALID" and a.get("ceil_mode", 0) and (side - d * (k - 1) - 1) % s:
            raise InputError("pooling with ceil_mode and auto_pad VALID: runtimes differ; export it with pads")


def padding_of(
    a: dict[str, Any],
    image: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    signal: bool,
) -> tuple[int, int, int, int]:
    """Return (left, right, top, bottom), with what a rounded-up size adds."""
    pads = [int(n) for n in a.get("pads", [0, 0] if signal else [0, 0, 0, 0])]
    if signal and len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
    if len(pads) != 4 or min(pads) < 0 or max(pads) > 2**16:
        raise InputError(f"four amounts of padding from 0 are needed, given {pads}")
    auto = a.get("auto_pad", b"NOTSET").decode()
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    for axis in (0, 1):
        side = image[1 + axis]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-side // stride[axis]) - 1) * stride[axis] + reach[axis] - side
            if total < -1:  # some runtimes begin later then, and some do not
                raise InputError("auto_pad SAME with strides that skip values: runtimes differ; export it with pads")
            total = max(total, 0)
            less, more = total // 2, total - total // 2
            pads[axis], pads[axis + 2] = (less, more) if auto == "SAME_UPPER" else (more, less)
        elif auto == "VALID":
            pads[axis] = pads[axis + 2] = 0
        elif a.get("ceil_mode", 0):
            whole = side + pads[axis] + pads[axis + 2] - reach[axis]
            steps = -(-whole // stride[axis])
            if steps * stride[axis] >= side + pads[axis]:  # a window may not begin in the padding at the end
                steps -= 1
            pads[axis + 2] += max(steps * stride[axis] - whole, 0)
    return (pads[1], pads[3], pads[0], pads[2])
