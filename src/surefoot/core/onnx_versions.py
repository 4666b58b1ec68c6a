"""Files in words that are read: opset 6 in those of opset 7, where they mean the same; rows instead of named maps."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from surefoot.core.errors import FileError

OLDEST_OPSET = 7
_OF_TWO = {"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "PRelu", "Sub", "Xor"}


def lifted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of opset 6 as one of opset 7; any other as it is.

    From opset 7 on operands are aligned at their last axes, as NumPy does; before, at an axis that is named. Training
    is no attribute any more. What else changed its meaning is refused.

    Raises:
        FileError: an older opset, or an operation that means something else in opset 7.
    """
    (opset, *more) = [o for o in model.opset_import if o.domain in ("", "ai.onnx")] or [helper.make_opsetid("", 1)]
    if more or opset.version >= OLDEST_OPSET:
        return model
    if opset.version < OLDEST_OPSET - 1:
        raise FileError(
            f"opset {opset.version} is too old: {OLDEST_OPSET - 1} at least; onnx.version_converter may lift it"
        )
    new = onnx.ModelProto()
    new.CopyFrom(model)
    ranks = _ranks(model)
    constants = {tensor.name: tensor for tensor in new.graph.initializer}
    for node in new.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        try:
            gone = _changed(node, attributes, ranks, constants, new.graph)
        except (ValueError, IndexError, ZeroDivisionError, onnx.defs.SchemaError) as error:
            raise FileError(f"node {node.name or node.output[0]!r} ({node.op_type}) of opset 6: {error}") from error
        kept = [a for a in node.attribute if a.name not in gone]
        del node.attribute[:]
        node.attribute.extend(kept)
    for entry in new.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = OLDEST_OPSET
    return new


def without_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose outputs are rows where they were maps from classes to numbers: scikit-learn's last step."""
    maps = {node.output[0] for node in model.graph.node if node.op_type == "ZipMap" and node.output}
    if not maps:
        return model
    new = onnx.ModelProto()
    new.CopyFrom(model)
    for node in new.graph.node:
        if node.op_type == "ZipMap":
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
    for value in new.graph.output:
        if value.name in maps:
            value.CopyFrom(helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, None))
    return new


def _changed(
    node: onnx.NodeProto, a: dict[str, Any], ranks: dict[str, int], constants: dict[str, onnx.TensorProto], graph: Any
) -> set[str]:
    """Align a node's constant operand; return the attributes that say nothing any more."""
    op = node.op_type
    if op in _OF_TWO:
        rank, other = ranks.get(node.input[0]), ranks.get(node.input[1])
        axis = a.get("axis", 1 if op == "PRelu" and other == 1 else None)
        if op != "PRelu" and not a.get("broadcast", 0) and (rank is None or rank != other):
            raise ValueError("operands of unlike ranks without broadcast")
        if axis is not None:
            if rank is None or other is None:
                raise ValueError("the ranks of its operands are not known")
            _align(node, rank - int(axis) % rank - other, constants, graph)
        return {"axis", "broadcast"}
    if op in ("BatchNormalization", "Dropout"):
        if not a.get("is_test", 0):
            raise ValueError("it is in training mode: export the network in inference mode")
        return {"is_test"}
    if op == "AveragePool" and any(a.get("pads", ())):
        raise ValueError("whether padding counts is not said")
    if op not in ("AveragePool", "Gemm") and onnx.defs.get_schema(op, OLDEST_OPSET).since_version == OLDEST_OPSET:
        raise ValueError(f"it means something else from opset {OLDEST_OPSET} on")
    return {"broadcast"} if op == "Gemm" else set()


def _align(node: onnx.NodeProto, more: int, constants: dict[str, onnx.TensorProto], graph: Any) -> None:
    """Put so many axes of length 1 behind those of a node's second operand, which must be constant."""
    if more == 0:
        return
    if more < 0 or node.input[1] not in constants:
        raise ValueError("its second operand is aligned at an axis, and is no constant that fits there")
    array = numpy_helper.to_array(constants[node.input[1]])
    name = f"{node.input[1]} of {node.output[0]}"
    graph.initializer.append(numpy_helper.from_array(np.reshape(array, (*array.shape, *[1] * more)), name))
    node.input[1] = name


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    try:
        graph = shape_inference.infer_shapes(model).graph
    except (ValueError, RuntimeError, shape_inference.InferenceError):
        graph = model.graph
    values = {v.name: v.type.tensor_type for v in (*graph.input, *graph.value_info, *graph.output)}
    ranks = {name: len(kind.shape.dim) for name, kind in values.items() if kind.HasField("shape")}
    return ranks | {tensor.name: len(tensor.dims) for tensor in graph.initializer}
