"""One function an operation of ONNX: (values, inputs, attributes, name) -> value. Most are written with others."""

import math
from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import ARITHMETIC, branches, matrix_product
from surefoot.graph.onnx_attributes import attribute, constant
from surefoot.graph.onnx_choices import CHOICES
from surefoot.graph.onnx_functions import FUNCTIONS, softmax
from surefoot.graph.onnx_norms import NORMS
from surefoot.graph.onnx_piecewise import PIECEWISE
from surefoot.graph.onnx_reductions import REDUCTIONS
from surefoot.graph.onnx_resize import RESIZES
from surefoot.graph.onnx_steps import STEPS
from surefoot.graph.onnx_values import Known, OnnxValue, Read, Values, guard, rounded_from, value_of
from surefoot.graph.onnx_volumes import conv_of_volumes, over_volumes
from surefoot.graph.onnx_windows import average_pool, conv_transpose, global_pool, max_pool
from surefoot.graph.ops import Concat, Linear


def _gemm(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    """Compute alpha x W + beta C, in the runtime's steps: folded into W, alpha would hide what overflows."""
    if isinstance(inputs[1], OnnxValue):
        return _gemm_of_two(reader, value_of(inputs[0]), inputs[1], inputs[2:], a, name)
    value, weight = value_of(inputs[0]), constant(inputs[1], "matrix")
    if len(value.full) != 2:
        raise InputError(f"a matrix (1, n) is needed; the values have the shape {value.full}")
    if a.get("transA", 0):
        value = reader.taken(value, np.arange(math.prod(value.full)).reshape(value.full).T)
    weight = weight if a.get("transB", 0) else weight.T
    alpha, beta, bias, rounded = attribute(a, "alpha", 1.0), attribute(a, "beta", 1.0), None, ""
    if len(inputs) > 2 and inputs[2] is not None:
        bias = constant(inputs[2], "bias")
        target = (value.full[0], len(weight))
        if bias.ndim > 2 or np.broadcast_shapes(bias.shape, target) != target:
            raise InputError(f"the bias of shape {bias.shape} is not one for values of shape {target}")
        double = isinstance(inputs[2], np.ndarray) and inputs[2].dtype == np.float64
        # a product of two float32 is exact in float64
        rounded = rounded_from("beta c", bias, beta) if double and beta != 1 else ""
        bias = bias * beta
    matrix = torch.tensor(weight)
    if alpha == 1 and (bias is None or bias.ndim < 2 or len(bias) == 1):  # the same bias for every row
        row = None if bias is None else torch.tensor(np.broadcast_to(bias.flatten(), (len(weight),)).copy())
        return reader.add(Linear(matrix, row, rounded), value, name=name)
    product = reader.add(Linear(matrix), value, name=name and f"{name}_product")
    return reader.scaled(product, alpha, bias, name, rounded)


def _gemm_of_two(
    reader: Values, x: OnnxValue, y: OnnxValue, more: "list[Known | None]", a: dict[str, Any], name: str
) -> OnnxValue:
    """Multiply two values, one or both turned, and add a constant or a value."""

    def turned(value: OnnxValue, which: str) -> OnnxValue:
        places = np.arange(math.prod(value.full)).reshape(value.full)
        return reader.taken(value, places.T) if a.get(which, 0) else value

    product = matrix_product(reader, turned(x, "transA"), turned(y, "transB"), "")
    product = reader.scaled(product, attribute(a, "alpha", 1.0), None, name)
    if not more or more[0] is None:
        return product
    bias = more[0] if isinstance(more[0], OnnxValue) else reader.lifted(constant(more[0], "bias"))
    return branches(reader, "Add", product, reader.scaled(bias, attribute(a, "beta", 1.0), None, ""), name)


def _matmul(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    if isinstance(inputs[0], OnnxValue) and isinstance(inputs[1], OnnxValue):
        return matrix_product(reader, inputs[0], inputs[1], name)
    if isinstance(inputs[0], OnnxValue):
        value, weight = inputs[0], constant(inputs[1], "matrix")
        matrix = _one_matrix(weight if weight.ndim > 1 else weight[:, None])
        out = reader.add(Linear(torch.tensor(matrix.T)), value, name=name)
        if weight.ndim == 1:
            return reader.taken(out, np.arange(math.prod(out.full)).reshape(out.full[:-1]))
        return _of_rank(reader, out, weight.ndim, len(value.full))
    weight, value = constant(inputs[0], "matrix"), value_of(inputs[1])
    if weight.ndim == 1 and len(value.full) > 1:
        product = matrix_product(reader, reader.lifted(weight[None]), value, name)
        shape = (*product.full[:-2], product.full[-1])
        return reader.taken(product, np.arange(math.prod(shape)).reshape(shape))
    matrix = _one_matrix(weight)
    if len(value.full) == 1:
        out = reader.add(Linear(torch.tensor(matrix)), value, name=name)
        return _of_rank(reader, out, weight.ndim, 1)
    places = np.arange(math.prod(value.full)).reshape(value.full)
    columns = reader.taken(value, places.swapaxes(-1, -2))
    out = reader.add(Linear(torch.tensor(matrix)), columns, name=name)
    places = np.arange(math.prod(out.full)).reshape(out.full)
    return _of_rank(reader, reader.taken(out, places.swapaxes(-1, -2)), weight.ndim, len(value.full))


def _one_matrix(weight: np.ndarray) -> np.ndarray:
    if weight.ndim < 2 or math.prod(weight.shape[:-2]) != 1:
        raise InputError(f"a matrix is needed; the constant has the shape {weight.shape}")
    return weight.reshape(weight.shape[-2:])


def _of_rank(reader: Values, out: OnnxValue, matrix: int, values: int) -> OnnxValue:
    """Put the axes of length 1 before a product's that a matrix of a higher rank than its values' gives it."""
    more = matrix - 2 if values == 1 else max(matrix - values, 0)
    return reader.taken(out, np.arange(math.prod(out.full)).reshape((1,) * more + out.full)) if more else out


def _same(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    return value_of(inputs[0])


def _dropout(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    if len(inputs) > 2 and inputs[2] is not None and np.any(constant(inputs[2], "mode")):
        raise InputError("dropout in training mode: export the network in inference mode")
    return value_of(inputs[0])


def _concat(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    values = [reader.lifted(x.astype(np.float64)) if isinstance(x, np.ndarray) else value_of(x) for x in inputs]
    rank = len(values[0].full)
    axis = int(a.get("axis", 1)) % rank - (1 if values[0].lead else 0)
    if axis < 0:
        return reader.stacked(values, name)
    return reader.add(Concat(axis), *values, name=name)


def _pad(reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str) -> OnnxValue:
    value = value_of(inputs[0])
    pads = np.asarray(a["pads"] if "pads" in a else constant(inputs[1], "amounts")).astype(int).flatten()
    fill = attribute(a, "value", 0.0)
    if len(inputs) > 2 and inputs[2] is not None:
        fill = float(constant(inputs[2], "fill").reshape(()))
    rank = len(value.full)
    begin, end = np.zeros(rank, int), np.zeros(rank, int)
    axes = range(rank) if len(inputs) < 4 or inputs[3] is None else constant(inputs[3], "axes").astype(int)
    for at, axis in enumerate(axes):
        begin[axis], end[axis] = pads[at], pads[at + len(pads) // 2]
    guard([int(n + max(b, 0) + max(e, 0)) for n, b, e in zip(value.full, begin, end, strict=True)])
    mode = a.get("mode", b"constant").decode()
    places = np.arange(math.prod(value.full)).reshape(value.full)
    places = places[tuple(slice(max(-b, 0), n - max(-e, 0)) for n, b, e in zip(value.full, begin, end, strict=True))]
    widths = [(max(b, 0), max(e, 0)) for b, e in zip(begin, end, strict=True)]
    if mode == "constant":
        places = np.pad(places, widths, constant_values=-1)
    elif mode in ("reflect", "edge", "wrap"):
        places = np.pad(places, widths, mode=mode)  # type: ignore[call-overload]
    else:
        raise InputError(f"padding mode {mode!r} is not read")
    moved = reader.taken(value, places, name)
    if mode == "constant" and fill != 0:
        return reader.scaled(moved, 1.0, np.where(places < 0, fill, 0.0), "")
    return moved


READERS: dict[str, Read] = {
    **ARITHMETIC,
    **CHOICES,
    **FUNCTIONS,
    **NORMS,
    **PIECEWISE,
    **REDUCTIONS,
    **RESIZES,
    **STEPS,
    "AveragePool": over_volumes(average_pool),
    "Concat": _concat,
    "Conv": conv_of_volumes,
    "ConvTranspose": conv_transpose,
    "Dropout": _dropout,
    "Gemm": _gemm,
    "GlobalAveragePool": global_pool(over_volumes(average_pool)),
    "GlobalMaxPool": global_pool(over_volumes(max_pool)),
    "Identity": _same,
    "LogSoftmax": softmax(log=True),
    "MatMul": _matmul,
    "MaxPool": over_volumes(max_pool),
    "Pad": _pad,
    "Softmax": softmax(log=False),
}
