"""ONNX operations that normalise: by statistics that are constant, or by those of the values themselves."""

import math
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_functions import power
from surefoot.graph.onnx_reductions import l1, l2, mean_of
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, rounded_from, value_of
from surefoot.graph.ops import Linear

_SMALL = 2.0**-126  # a scale below is rounded to a subnormal number, by much
_LARGE = 1e30  # a mean times its scale: beside it float32's largest number has room for what else is added


def _batch_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Two steps, x - mean and the rest, so that rounding is bounded by what a runtime really adds and multiplies."""
    value = value_of(inputs[0])
    if a.get("training_mode", 0):
        raise InputError("batch normalisation in training mode: export the network in inference mode")
    gamma, beta, mean, variance = (constant(inputs[i], "statistics") for i in range(1, 5))
    epsilon = attribute(a, "epsilon", 1e-5)
    if np.any(variance + epsilon <= 0):
        raise InputError("a variance is not above 0")
    axes = (1, -1) + (1,) * (len(value.full) - 2) if len(value.full) > 1 else (1,)
    centred = reader.scaled(value, 1.0, -mean.reshape(axes), name and f"{name}_centred")
    scale = gamma / np.sqrt(variance + epsilon)
    if np.any((scale != 0) & (np.abs(scale) < _SMALL)) or np.any(np.abs(mean * scale) > _LARGE):
        raise InputError(
            f"its statistics, folded as runtimes do, leave float32: scales of {np.abs(scale).min():g} to "
            f"{np.abs(scale).max():g}, means of up to {np.abs(mean).max():g}"
        )
    rounded = rounded_from("gamma / sqrt(variance + epsilon)", gamma, variance, epsilon)
    return reader.scaled(centred, scale.reshape(axes), beta.reshape(axes), name, rounded)


def _standardised(reader: Values, value: OnnxValue, axes: list[int], epsilon: float) -> OnnxValue:
    """(x - mean) (variance + epsilon)^(-1/2), over axes."""
    centred = branches(reader, "Sub", value, mean_of(reader, value, axes, ""), "")
    return _by_root(reader, centred, mean_of(reader, power(reader, centred, 2.0, ""), axes, ""), epsilon)


def _by_root(reader: Values, value: OnnxValue, square: OnnxValue, epsilon: float) -> OnnxValue:
    return branches(reader, "Mul", value, power(reader, reader.scaled(square, 1.0, epsilon, ""), -0.5, ""), "")


def _layer_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Over the last axes, then scale and bias."""
    value = value_of(inputs[0])
    axes = list(range(int(a.get("axis", -1)) % len(value.full), len(value.full)))
    out = _standardised(reader, value, axes, attribute(a, "epsilon", 1e-5))
    bias = constant(inputs[2], "bias") if len(inputs) > 2 and inputs[2] is not None else None
    return reader.scaled(out, constant(inputs[1], "scale"), bias, name)


def _rms_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """X (mean of x^2 + epsilon)^(-1/2) over the last axes, then scale."""
    value = value_of(inputs[0])
    axes = list(range(int(a.get("axis", -1)) % len(value.full), len(value.full)))
    squares = mean_of(reader, power(reader, value, 2.0, ""), axes, "")
    out = _by_root(reader, value, squares, attribute(a, "epsilon", 1e-5))
    return reader.scaled(out, constant(inputs[1], "scale"), None, name)


def _instance_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Each channel of each image by itself."""
    value = value_of(inputs[0])
    out = _standardised(reader, value, list(range(2, len(value.full))), attribute(a, "epsilon", 1e-5))
    return _per_channel(reader, out, inputs, name)


def _per_channel(reader: Values, value: OnnxValue, inputs: "list[Known | None]", name: str) -> OnnxValue:
    shape = (-1, *(1,) * (len(value.full) - 2))
    scale, bias = (constant(inputs[at], what).reshape(shape) for at, what in ((1, "scale"), (2, "bias")))
    return reader.scaled(value, scale, bias, name)


def _group_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Each group of channels of each image by itself; then scale and bias of each channel (opset 18: of each group)."""
    value, groups = value_of(inputs[0]), int(a["num_groups"])
    grouped = reader.shaped(value, (value.full[0], groups, math.prod(value.full[1:]) // groups))
    out = _standardised(reader, grouped, [2], attribute(a, "epsilon", 1e-5))
    if reader.opset < 21:
        return reader.shaped(_per_channel(reader, out, inputs, name), value.full)
    return _per_channel(reader, reader.shaped(out, value.full), inputs, name)


def _local_response(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """X (bias + alpha / size * sum of x^2 over the channels around)^(-beta)."""
    value, size = value_of(inputs[0]), int(a["size"])
    reader.alone = False  # a runtime adds to a running sum and subtracts again: of unlike sizes it loses digits
    channels = value.full[1]
    at = np.arange(channels)
    near = (at >= at[:, None] - (size - 1) // 2) & (at <= at[:, None] + size // 2)
    back = np.moveaxis(np.arange(math.prod(value.full)).reshape(value.full), 1, -1)
    squares = reader.taken(power(reader, value, 2.0, ""), back)
    sums = reader.add(Linear(torch.from_numpy(near.astype(np.float64))), squares)
    forth = np.moveaxis(np.arange(math.prod(sums.full)).reshape(sums.full), -1, 1)
    alpha, bias = attribute(a, "alpha", 1e-4), attribute(a, "bias", 1.0)
    rounded = "" if size & (size - 1) == 0 else rounded_from("alpha / size", alpha, float(size))
    inner = reader.scaled(reader.taken(sums, forth), alpha / size, bias, "", rounded)
    return branches(reader, "Mul", value, power(reader, inner, -attribute(a, "beta", 0.75), ""), name)


def _lp_norm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    value = value_of(inputs[0])
    axis, p = int(a.get("axis", -1)) % len(value.full), int(a.get("p", 2))
    if p not in (1, 2) or (value.lead and axis == 0):
        raise InputError(f"the norm {p} over axis {axis} is not read")
    reader.alone = False  # squares overflow where their root does not, and 0 is divided by 0 to be 0
    return branches(reader, "Div", value, (l1 if p == 1 else l2)(reader, value, [axis], ""), name)


NORMS: dict[str, Read] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _local_response,
    "LayerNormalization": _layer_norm,
    "LpNormalization": _lp_norm,
    "RMSNormalization": _rms_norm,
}
