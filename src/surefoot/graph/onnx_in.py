"""Read a network from an ONNX file, plain or gzipped.

Constants are folded with ONNX's own reference implementation; whatever only moves data becomes one `Take`.
"""

import gzip
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from surefoot.core.errors import FileError, InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, Concat, Conv2d, Linear, MaxPool2d, Mul, Relu, Reshape, Scale, Shape, Softmax, Take

LARGEST_FILE = 2**32  # bytes after unpacking: a gzipped file of a few kilobytes may claim any size
LARGEST_VALUE = 2**27  # numbers in one value
_OLDEST_OPSET = 7


@dataclass(frozen=True)
class _Value:
    """What a name stands for: the result of a node, with its shape as ONNX sees it, for a batch of one."""

    place: int
    full: Shape

    @property
    def lead(self) -> bool:
        """Whether the first axis is the batch's."""
        return len(self.full) > 1 and self.full[0] == 1

    @property
    def sample(self) -> Shape:
        """The shape of one example."""
        return self.full[1:] if self.lead else self.full


_Known: TypeAlias = "_Value | np.ndarray"


def read_onnx(path: Path | str) -> Graph:
    """Read a network; constants become float64, exactly.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
        InputError: an operation that is not in the list, by name and node; weights that are not finite.
    """
    return graph_of_onnx(load_model(path))


def load_model(path: Path | str) -> onnx.ModelProto:
    """Load an ONNX model, plain or gzipped, with its external weights.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
    """
    path = Path(path)
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                content = file.read(LARGEST_FILE + 1)
        else:
            if path.stat().st_size > LARGEST_FILE:
                raise FileError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST_FILE} are read")
            content = path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}") from error
    if len(content) > LARGEST_FILE:
        raise FileError(f"{path} unpacks to more than {LARGEST_FILE} bytes")
    try:
        model = onnx.load_from_string(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FileError(f"{path} is not an ONNX file: {error}") from error
    if not model.graph.node:
        raise FileError(f"{path} is not an ONNX file: it holds no operation")
    _load_external(model, path)
    return model


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    folder = path.resolve().parent
    outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in outside:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        file = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
            raise FileError(f"{path}: the weights {tensor.name!r} lie outside its folder, in {location!r}; not read")
        try:
            size = math.prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            offset = int(entries.get("offset", 0))
            if min(offset, size, *tensor.dims, 0) < 0 or size > LARGEST_FILE:
                raise FileError(f"{path}: the weights {tensor.name!r} claim {size} bytes at {offset}")
            with file.open("rb") as source:
                source.seek(offset)
                tensor.raw_data = source.read(size)
        except (OSError, KeyError, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{path}: cannot read the weights {tensor.name!r} from {location!r}: {error}") from error
        if len(tensor.raw_data) != size:
            raise FileError(f"{path}: {location!r} ends before the weights {tensor.name!r} do")
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


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
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        if self.opset < _OLDEST_OPSET:
            raise InputError(
                f"opset {self.opset} is too old: {_OLDEST_OPSET} at least; onnx.version_converter can lift it"
            )
        self.known: dict[str, _Known] = {}
        for tensor in graph.initializer:
            self.known[tensor.name] = _array(tensor)
        inputs = [value for value in graph.input if value.name not in self.known]
        if len(inputs) != 1 or len(graph.output) < 1:
            raise InputError(f"one input and an output are needed; the graph has {[value.name for value in inputs]}")
        full = _input_shape(inputs[0])
        first = _Value(0, full)
        self.builder = GraphBuilder(first.sample, inputs[0].name)
        self.known[inputs[0].name] = first
        self.output = graph.output[0].name

    def finish(self) -> Graph:
        last = self.known.get(self.output)
        if not isinstance(last, _Value):
            raise InputError(f"the output {self.output!r} does not depend on the input")
        return self.builder.build(last.place)

    # reading a node

    def read(self, node: onnx.NodeProto) -> None:
        inputs: list[_Known | None] = []
        for name in node.input:
            if name and name not in self.known:
                raise InputError(f"its input {name!r} is the result of nothing before it")
            inputs.append(self.known[name] if name else None)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values = [x for x in inputs if isinstance(x, _Value)]
        if node.domain not in ("", "ai.onnx"):
            raise InputError(f"operations of the domain {node.domain!r} are not read")
        if node.op_type == "Shape" and values:
            outputs: list[_Known] = [np.array(values[0].full, dtype=np.int64)]
        elif not values:
            outputs = self._constant(node, [x for x in inputs if isinstance(x, np.ndarray)])
        elif node.op_type in _MOVES:
            outputs = self._move(node, inputs)
        elif node.op_type in _READERS:
            outputs = [_READERS[node.op_type](self, inputs, attributes, node.name)]
        else:
            raise InputError(
                f"the operation {node.op_type} is not one that surefoot reads ({', '.join(sorted(SUPPORTED))}); "
                "rewrite the network with these, or cut it off before"
            )
        for name, value in zip(node.output, outputs, strict=False):
            self.known[name] = value

    def _constant(self, node: onnx.NodeProto, inputs: list[np.ndarray]) -> list["_Known"]:
        if node.op_type == "Constant":
            attribute = node.attribute[0]
            if attribute.name == "value":
                return [_array(attribute.t)]
        elif node.op_type not in _FOLDED:
            raise InputError(f"the operation {node.op_type} of constants is not one that surefoot folds")
        if node.op_type in ("ConstantOfShape", "Expand", "Tile"):
            _guard([int(n) for n in inputs[-1].flatten()])
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
        one = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        return [np.asarray(x) for x in ReferenceEvaluator(one).run(None, dict(zip(names, inputs, strict=True)))]

    def _move(self, node: onnx.NodeProto, inputs: "list[_Known | None]") -> list["_Known"]:
        """Anything that only moves data: run it on the places themselves, and see where each goes."""
        value = inputs[0]
        if not isinstance(value, _Value) or any(isinstance(x, _Value) for x in inputs[1:]):
            raise InputError("where data is moved to must be constant")
        if node.op_type in ("Expand", "Tile"):
            target = inputs[1]
            _guard([int(n) for n in np.asarray(target).flatten()] + ([*value.full] if node.op_type == "Tile" else []))
        places = np.arange(math.prod(value.full), dtype=np.int64).reshape(value.full)
        rest = [x for x in inputs[1:] if isinstance(x, np.ndarray)]
        return [self.taken(value, moved) for moved in self._run(node, [places, *rest])]

    # building blocks

    def taken(self, value: _Value, places: np.ndarray, name: str = "") -> _Value:
        """Move data: a Reshape where the order stays, else a Take."""
        moved = _Value(value.place, tuple(places.shape))
        if math.prod(moved.full) == 0:
            raise InputError("nothing is left of the values")
        if moved.sample == value.sample and np.array_equal(places.ravel(), np.arange(places.size)):
            return moved
        if places.size == math.prod(value.full) and np.array_equal(places.ravel(), np.arange(places.size)):
            op: Reshape | Take = Reshape(moved.sample)
        else:
            op = Take(torch.from_numpy(np.ascontiguousarray(places).reshape(moved.sample)))
        return self.add(op, value, full=moved.full, name=name)

    def add(self, op: Any, *values: _Value, full: Shape | None = None, name: str = "") -> _Value:
        """Add a node; the batch's axis stays where it was unless the full shape says otherwise."""
        place = self.builder.add(op, *(value.place for value in values), name=name)
        sample = self.builder.nodes[place].shape
        if full is None:
            full = (1, *sample) if values[0].lead else sample
        return _Value(place, full)

    def image(self, x: "_Known | None") -> _Value:
        """Give an image (c, h, w), or a signal (c, l) as one of height 1."""
        value = _value(x)
        if not value.lead or len(value.full) not in (3, 4):
            raise InputError(f"an image (1, c, h, w) is needed; the values have the shape {value.full}")
        if len(value.full) == 3:
            places = np.arange(math.prod(value.full)).reshape(1, value.full[1], 1, value.full[2])
            return self.taken(value, places)
        return value

    def broadcast(self, value: _Value, shape: Shape) -> _Value:
        """Repeat values to a larger shape."""
        target = tuple(np.broadcast_shapes(value.full, shape))
        if target == value.full:
            return value
        _guard(target)
        places = np.broadcast_to(np.arange(math.prod(value.full)).reshape(value.full), target)
        return self.taken(value, places)

    def scaled(self, value: _Value, scale: np.ndarray | float, shift: np.ndarray | float | None, name: str) -> _Value:
        """S x + t with constants that are broadcast as ONNX does."""
        s = np.asarray(scale, dtype=np.float64)
        t = None if shift is None else np.asarray(shift, dtype=np.float64)
        value = self.broadcast(value, np.broadcast_shapes(s.shape, () if t is None else t.shape))

        def fit(x: np.ndarray) -> torch.Tensor:
            x = x.reshape((1,) * (len(value.full) - x.ndim) + x.shape)
            return torch.tensor(x[0] if value.lead else x)

        return self.add(Scale(fit(s), None if t is None else fit(t)), value, name=name)


# One function an operation: (reader, inputs, attributes, name) -> value

_Read: TypeAlias = "Callable[[_Reader, list[_Known | None], dict[str, Any], str], _Value]"


def _value(x: "_Known | None") -> _Value:
    if not isinstance(x, _Value):
        raise InputError("its first input must depend on the network's input")
    return x


def _constant(x: "_Known | None", what: str) -> np.ndarray:
    if not isinstance(x, np.ndarray):
        raise InputError(f"its {what} must be constant")
    return x.astype(np.float64)


def _optional(inputs: "list[_Known | None]", at: int, what: str) -> torch.Tensor | None:
    if len(inputs) <= at or inputs[at] is None:
        return None
    return torch.from_numpy(_constant(inputs[at], what))


def _conv(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    signal = len(_value(inputs[0]).full) == 3
    value = reader.image(inputs[0])
    weight = torch.from_numpy(_constant(inputs[1], "kernel"))
    if signal:
        weight = weight.unsqueeze(2)
    kernel = _sides(weight.shape[2:], signal=False)
    stride, dilation = _sides(a.get("strides", [1, 1]), signal), _sides(a.get("dilations", [1, 1]), signal)
    padding = _padding(a, value.sample, kernel, stride, dilation, signal)
    op = Conv2d(weight, _optional(inputs, 2, "bias"), stride, padding, dilation, int(a.get("group", 1)))
    if weight.shape[0] % op.groups:
        raise InputError(f"{weight.shape[0]} channels cannot be made of {op.groups} groups")
    return _again_signal(reader, reader.add(op, value, name=name), signal)


def _again_signal(reader: _Reader, value: _Value, signal: bool) -> _Value:
    if not signal:
        return value
    return reader.taken(value, np.arange(math.prod(value.full)).reshape(1, value.full[1], value.full[3]))


def _gemm(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    value, weight = _value(inputs[0]), _constant(inputs[1], "matrix") * a.get("alpha", 1.0)
    if a.get("transA", 0):
        raise InputError("transA is not read")
    if len(value.full) != 2:
        raise InputError(f"a matrix (1, n) is needed; the values have the shape {value.full}")
    weight = weight if a.get("transB", 0) else weight.T
    offset = _optional(inputs, 2, "offset")
    if offset is not None:
        offset = torch.broadcast_to(offset.flatten() * a.get("beta", 1.0), (weight.shape[0],)).clone()
    return reader.add(Linear(torch.tensor(weight), offset), value, name=name)


def _matmul(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    if isinstance(inputs[0], _Value):
        value, weight = inputs[0], _constant(inputs[1], "matrix")
        if weight.ndim == 1:
            weight = weight[:, None]
        if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
            weight = weight.reshape(weight.shape[-2:])
        if weight.ndim != 2:
            raise InputError(f"a matrix is needed; the constant has the shape {weight.shape}")
        out = reader.add(Linear(torch.tensor(weight.T)), value, name=name)
        if isinstance(inputs[1], np.ndarray) and inputs[1].ndim == 1:
            return reader.taken(out, np.arange(math.prod(out.full)).reshape(out.full[:-1]))
        return out
    weight, value = _constant(inputs[0], "matrix"), _value(inputs[1])
    if weight.ndim > 2 and math.prod(weight.shape[:-2]) == 1:
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim == 2 and len(value.full) == 1:
        return reader.add(Linear(torch.tensor(weight)), value, name=name)
    if weight.ndim != 2 or len(value.full) < 2:
        raise InputError(f"shapes {weight.shape} and {value.full} are not those of a matrix and columns")
    places = np.arange(math.prod(value.full)).reshape(value.full)
    columns = reader.taken(value, places.swapaxes(-1, -2))
    out = reader.add(Linear(torch.tensor(weight)), columns, name=name)
    places = np.arange(math.prod(out.full)).reshape(out.full)
    return reader.taken(out, places.swapaxes(-1, -2))


def _batch_norm(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    """Two steps, x - mean and the rest, so that rounding is bounded by what a runtime really adds and multiplies."""
    value = _value(inputs[0])
    if a.get("training_mode", 0):
        raise InputError("batch normalisation in training mode: export the network in inference mode")
    gamma, beta, mean, variance = (_constant(inputs[i], "statistics") for i in range(1, 5))
    if np.any(variance + a.get("epsilon", 1e-5) <= 0):
        raise InputError("a variance is not above 0")
    axes = (1, -1) + (1,) * (len(value.full) - 2)
    centred = reader.scaled(value, 1.0, -mean.reshape(axes), name and f"{name}_centred")
    scale = gamma / np.sqrt(variance + a.get("epsilon", 1e-5))
    return reader.scaled(centred, scale.reshape(axes), beta.reshape(axes), name)


def _relu(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    return reader.add(Relu(), _value(inputs[0]), name=name)


def _leaky(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    """Slope x + (1 - slope) relu(x)."""
    value, slope = _value(inputs[0]), float(a.get("alpha", 0.01))
    positive = reader.add(Relu(), value, name=name and f"{name}_relu")
    return reader.add(
        Add(), reader.scaled(value, slope, None, ""), reader.scaled(positive, 1.0 - slope, None, ""), name=name
    )


def _clip(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    """Low + relu(x - low) - relu(x - high)."""
    value = _value(inputs[0])
    low, high = (
        float(_constant(inputs[at], what)) if len(inputs) > at and inputs[at] is not None else a.get(what, default)
        for at, what, default in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    if low > high:
        raise InputError(f"it clips to [{low}, {high}], which is empty")
    if abs(low) < 1e30:
        value = reader.scaled(reader.add(Relu(), reader.scaled(value, 1.0, -low, "")), 1.0, low, "")
    if abs(high) < 1e30:  # min(x, high) = high - relu(high - x)
        value = reader.scaled(reader.add(Relu(), reader.scaled(value, -1.0, high, "")), -1.0, high, name)
    return value


def _max_pool(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    value, signal, kernel, stride, dilation, padding = _window(reader, inputs, a)
    out = reader.add(MaxPool2d(kernel, stride, padding, dilation), value, name=name)
    return _again_signal(reader, out, signal)


def _average_pool(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    """A sum over windows, then one over how many are counted."""
    value, signal, kernel, stride, dilation, padding = _window(reader, inputs, a)
    channels = value.sample[0]
    one = torch.ones(1, 1, *kernel, dtype=torch.float64)
    sums = Conv2d(one.expand(channels, 1, *kernel).clone(), None, stride, padding, dilation, channels)
    image = torch.ones(1, 1, *value.sample[1:], dtype=torch.float64)
    if a.get("count_include_pad", 0):  # what a rounded-up size adds beyond the padding is not counted
        asked = _padding({**a, "ceil_mode": 0}, value.sample, kernel, stride, dilation, signal)
        image = torch.nn.functional.pad(image, asked, value=1.0)
        rest = tuple(p - q for p, q in zip(padding, asked, strict=True))
    else:
        rest = padding
    counts = Conv2d(one, None, stride, rest, dilation, 1)(image)[0]
    if bool((counts == 0).any()):
        raise InputError("a pooling window lies in the padding alone")
    out = reader.add(sums, value, name=name and f"{name}_sum")
    return _again_signal(reader, reader.scaled(out, (1 / counts).numpy()[None], None, name), signal)


def _global(pool: _Read) -> _Read:
    def read(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
        full = _value(inputs[0]).full
        return pool(reader, inputs, {"kernel_shape": list(full[2:])}, name)

    return read


def _reduce(mean: bool) -> _Read:
    """Sums and means over axes: the axes moved to the end, and one row of ones."""

    def read(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
        value = _value(inputs[0])
        given = inputs[1] if len(inputs) > 1 else a.get("axes")
        axes = sorted({int(x) % len(value.full) for x in np.asarray(given if given is not None else ()).flatten()})
        if not axes or (value.lead and 0 in axes):
            raise InputError(f"it reduces the axes {axes or 'all'}; the batch's must stay")
        kept = [axis for axis in range(len(value.full)) if axis not in axes]
        places = np.arange(math.prod(value.full)).reshape(value.full).transpose(kept + axes)
        count = math.prod(value.full[axis] for axis in axes)
        moved = reader.taken(value, places.reshape(*(value.full[axis] for axis in kept), count))
        weight = torch.full((1, count), 1.0, dtype=torch.float64)
        out = reader.add(Linear(weight), moved, name=name and f"{name}_sum")
        out = reader.scaled(out, 1.0 / count, None, name) if mean else out
        shape = [1 if axis in axes else n for axis, n in enumerate(value.full)]
        if not a.get("keepdims", 1):
            shape = [value.full[axis] for axis in kept]
        return reader.taken(out, np.arange(math.prod(out.full)).reshape(shape))

    return read


def _arithmetic(op: str) -> _Read:
    def read(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
        x, y = inputs
        if isinstance(x, _Value) and isinstance(y, _Value):
            return _branches(reader, op, x, y, name)
        if isinstance(x, _Value):
            c = _constant(y, "second operand")
            match op:
                case "Add":
                    return reader.scaled(x, 1.0, c, name)
                case "Sub":
                    return reader.scaled(x, 1.0, -c, name)
                case "Mul":
                    return reader.scaled(x, c, None, name)
                case _:
                    if np.any(c == 0):
                        raise InputError("it divides by 0")
                    return reader.scaled(x, 1.0 / c, None, name)
        c, y = _constant(x, "first operand"), _value(y)
        match op:
            case "Add":
                return reader.scaled(y, 1.0, c, name)
            case "Sub":
                return reader.scaled(y, -1.0, c, name)
            case "Mul":
                return reader.scaled(y, c, None, name)
            case _:
                raise InputError("a constant divided by a value is not read")

    return read


def _branches(reader: _Reader, op: str, x: _Value, y: _Value, name: str) -> _Value:
    if op == "Div":
        raise InputError("the quotient of two branches is not read")
    target = tuple(np.broadcast_shapes(x.full, y.full))
    x, y = reader.broadcast(x, target), reader.broadcast(y, target)
    if op == "Sub":
        y = reader.scaled(y, -1.0, None, "")
    return reader.add(Mul() if op == "Mul" else Add(), x, y, name=name)


def _sum(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    total: _Known | None = inputs[0]
    for x in inputs[1:]:
        total = _arithmetic("Add")(reader, [total, x], a, "")
    return _value(total)


def _negate(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    return reader.scaled(_value(inputs[0]), -1.0, None, name)


def _same(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    return _value(inputs[0])


def _dropout(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    if len(inputs) > 2 and inputs[2] is not None and np.any(_constant(inputs[2], "mode")):
        raise InputError("dropout in training mode: export the network in inference mode")
    return _value(inputs[0])


def _cast(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    if a.get("to") not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE):
        raise InputError("a cast to whole or short numbers is not read")
    return _value(inputs[0])


def _concat(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    values = [_value(x) for x in inputs]  # a constant part would need an operation of its own
    rank = len(values[0].full)
    axis = int(a.get("axis", 1)) % rank - (1 if values[0].lead else 0)
    if axis < 0:
        raise InputError("the batch's axis cannot be joined along")
    return reader.add(Concat(axis), *values, name=name)


def _pad(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    value = _value(inputs[0])
    pads = np.asarray(a["pads"] if "pads" in a else _constant(inputs[1], "amounts")).astype(int).flatten()
    fill = a.get("value", 0.0)
    if len(inputs) > 2 and inputs[2] is not None:
        fill = float(_constant(inputs[2], "fill").reshape(()))
    rank = len(value.full)
    begin, end = np.zeros(rank, int), np.zeros(rank, int)
    axes = range(rank) if len(inputs) < 4 or inputs[3] is None else _constant(inputs[3], "axes").astype(int)
    for at, axis in enumerate(axes):
        begin[axis], end[axis] = pads[at], pads[at + len(pads) // 2]
    _guard([n + max(b, 0) + max(e, 0) for n, b, e in zip(value.full, begin, end, strict=True)])
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


def _softmax(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any], name: str) -> _Value:
    value = _value(inputs[0])
    axis = int(a.get("axis", -1 if reader.opset >= 13 else 1)) % len(value.full)
    if len(value.sample) != 1 or axis != len(value.full) - 1:
        raise InputError(f"a softmax over the classes of (1, k) is needed; the values have the shape {value.full}")
    return reader.add(Softmax(), value, name=name)


_READERS: dict[str, _Read] = {
    "Add": _arithmetic("Add"),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic("Div"),
    "Dropout": _dropout,
    "Gemm": _gemm,
    "GlobalAveragePool": _global(_average_pool),
    "GlobalMaxPool": _global(_max_pool),
    "Identity": _same,
    "LeakyRelu": _leaky,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "Mul": _arithmetic("Mul"),
    "Neg": _negate,
    "Pad": _pad,
    "ReduceMean": _reduce(mean=True),
    "ReduceSum": _reduce(mean=False),
    "Relu": _relu,
    "Softmax": _softmax,
    "Sub": _arithmetic("Sub"),
    "Sum": _sum,
}
_MOVES = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze",
}  # fmt: skip
_FOLDED = {
    *_MOVES, "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Identity", "Mul", "Neg", "ReduceProd",
    "Shape", "Sqrt", "Sub",
}  # fmt: skip
SUPPORTED = {*_READERS, *_MOVES, "Constant", "Shape"}


# Attributes


def _guard(shape: "Shape | list[int]") -> None:
    if any(int(n) < 0 for n in shape) or math.prod(int(n) for n in shape) > LARGEST_VALUE:
        raise InputError(f"values of shape {tuple(shape)} are too large; at most {LARGEST_VALUE} numbers")


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
    _guard(shape)
    return shape


def _sides(given: Any, signal: bool) -> tuple[int, int]:
    sides = [int(n) for n in given]
    if signal and len(sides) == 1:
        sides = [1, *sides]
    if signal and len(sides) == 2 and given == [1, 1]:
        sides = [1, 1]
    if len(sides) != 2 or min(sides) < 1 or max(sides) > 2**16:
        raise InputError(f"two sides of at least 1 are needed, given {list(given)}")
    return (sides[0], sides[1])


def _window(reader: _Reader, inputs: "list[_Known | None]", a: dict[str, Any]) -> tuple[Any, ...]:
    signal = len(_value(inputs[0]).full) == 3
    value = reader.image(inputs[0])
    kernel = _sides(a["kernel_shape"], signal)
    stride, dilation = _sides(a.get("strides", [1, 1]), signal), _sides(a.get("dilations", [1, 1]), signal)
    padding = _padding(a, value.sample, kernel, stride, dilation, signal)
    return value, signal, kernel, stride, dilation, padding


def _padding(
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
            total = max((-(-side // stride[axis]) - 1) * stride[axis] + reach[axis] - side, 0)
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
