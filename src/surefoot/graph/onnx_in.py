"""Read a network from ONNX.

Constants are folded with ONNX's own reference implementation; whatever only moves data becomes one `Take`.
"""

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from surefoot.core.errors import FileError, InputError
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_file import load_model
from surefoot.graph.onnx_ops import READERS
from surefoot.graph.onnx_values import Known, Value, Values, guard
from surefoot.graph.ops import Shape

_OLDEST_OPSET = 7
_MOVES = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
}  # fmt: skip
_FOLDED = {
    *_MOVES, "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Identity", "Mul", "Neg", "ReduceProd",
    "Shape", "Sqrt", "Sub",
}  # fmt: skip
SUPPORTED = {*READERS, *_MOVES, "Constant", "Shape"}


def read_onnx(path: Path | str) -> Graph:
    """Read a network; constants become float64, exactly.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
        InputError: an operation that is not in the list, by name and node; weights that are not finite.
    """
    return graph_of_onnx(load_model(path))


def graph_of_onnx(model: onnx.ModelProto) -> Graph:
    """Translate a loaded model.

    Raises:
        InputError: an operation that is not in the list, by name and node; weights that are not finite.
    """
    reader = _Reader(model)
    for node in model.graph.node:
        try:
            reader.read(node)
        except InputError as error:
            raise InputError(f"{_named(node)}: {error}") from error
        except (ValueError, TypeError, IndexError, KeyError, AttributeError, RuntimeError, OverflowError) as error:
            if isinstance(error, FileError):
                raise
            raise InputError(f"{_named(node)} cannot be read: {error}") from error
    return reader.finish()


def _named(node: onnx.NodeProto) -> str:
    return f"node {node.name or node.output[0] if node.output else node.name!r} ({node.op_type})"


class _Reader:
    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        if opset < _OLDEST_OPSET:
            raise InputError(f"opset {opset} is too old: {_OLDEST_OPSET} at least; onnx.version_converter can lift it")
        self.known: dict[str, Known] = {}
        for tensor in graph.initializer:
            self.known[tensor.name] = _array(tensor)
        inputs = [value for value in graph.input if value.name not in self.known]
        if len(inputs) != 1 or len(graph.output) < 1:
            raise InputError(f"one input and an output are needed; the graph has {[value.name for value in inputs]}")
        self.values = Values(_input_shape(inputs[0]), inputs[0].name, opset)
        self.known[inputs[0].name] = self.values.first
        self.output = graph.output[0].name

    def finish(self) -> Graph:
        last = self.known.get(self.output)
        if not isinstance(last, Value):
            raise InputError(f"the output {self.output!r} does not depend on the input")
        return self.values.builder.build(last.place)

    def read(self, node: onnx.NodeProto) -> None:
        inputs: list[Known | None] = []
        for name in node.input:
            if name and name not in self.known:
                raise InputError(f"its input {name!r} is the result of nothing before it")
            inputs.append(self.known[name] if name else None)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values = [x for x in inputs if isinstance(x, Value)]
        if node.domain not in ("", "ai.onnx"):
            raise InputError(f"operations of the domain {node.domain!r} are not read")
        if node.op_type == "Shape" and values:
            outputs: list[Known] = [np.array(values[0].full, dtype=np.int64)]
        elif not values:
            outputs = self._constant(node, [x for x in inputs if isinstance(x, np.ndarray)])
        elif node.op_type in _MOVES:
            outputs = self._move(node, inputs)
        elif node.op_type in READERS:
            outputs = [READERS[node.op_type](self.values, inputs, attributes, node.name)]
        else:
            raise InputError(
                f"the operation {node.op_type} is not one that surefoot reads ({', '.join(sorted(SUPPORTED))}); "
                "rewrite the network with these, or cut it off before"
            )
        for name, value in zip(node.output, outputs, strict=False):
            self.known[name] = value

    def _constant(self, node: onnx.NodeProto, inputs: list[np.ndarray]) -> list["Known"]:
        if node.op_type == "Constant":
            attribute = node.attribute[0]
            if attribute.name == "value":
                return [_array(attribute.t)]
        elif node.op_type not in _FOLDED:
            raise InputError(f"the operation {node.op_type} of constants is not one that surefoot folds")
        if node.op_type in ("ConstantOfShape", "Expand", "Tile"):
            guard([int(n) for n in inputs[-1].flatten()])
        return list(self._run(node, inputs))

    def _run(self, node: onnx.NodeProto, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Run one node with ONNX's reference implementation, on constants or on places."""
        names = [name for name in node.input if name]
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in dict.fromkeys(names)],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in node.output],
        )
        one = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.values.opset)])
        return [np.asarray(x) for x in ReferenceEvaluator(one).run(None, dict(zip(names, inputs, strict=True)))]

    def _move(self, node: onnx.NodeProto, inputs: "list[Known | None]") -> list["Known"]:
        """Anything that only moves data: run it on the places themselves, and see where each goes."""
        value = inputs[0]
        if not isinstance(value, Value) or any(isinstance(x, Value) for x in inputs[1:]):
            raise InputError("where data is moved to must be constant")
        if node.op_type in ("Expand", "Tile"):
            target = inputs[1]
            guard([int(n) for n in np.asarray(target).flatten()] + ([*value.full] if node.op_type == "Tile" else []))
        places = np.arange(math.prod(value.full), dtype=np.int64).reshape(value.full)
        rest = [x for x in inputs[1:] if isinstance(x, np.ndarray)]
        return [self.values.taken(value, moved) for moved in self._run(node, [places, *rest])]


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    if any(n < 0 for n in tensor.dims):
        raise InputError(f"the constant {tensor.name!r} has the shape {tuple(tensor.dims)}")
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the constant {tensor.name!r} is damaged: {error}") from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
        raise InputError(f"the constant {tensor.name!r} is {array[where]} at {tuple(map(int, where))}; finite needed")
    return array


def _input_shape(info: onnx.ValueInfoProto) -> Shape:
    dims = info.type.tensor_type.shape.dim
    sides = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    if sides and len(sides) > 1 and sides[0] in (None, 0, -1):
        sides[0] = 1
    if not sides or any(n is None or n < 1 for n in sides):
        raise InputError(
            f"the input {info.name!r} has the shape {[d.dim_value or d.dim_param for d in dims]}: fix its sides"
        )
    if len(sides) > 1 and sides[0] != 1:
        raise InputError(f"the input {info.name!r} has a batch of {sides[0]}; export it with one of 1, or open")
    shape = tuple(int(n) for n in sides if n is not None)
    guard(shape)
    return shape
