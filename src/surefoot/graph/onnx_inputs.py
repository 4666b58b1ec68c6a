"""What a network is given: several inputs as parts of one vector, a fixed batch as rows that do not meet."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto

from surefoot.core.errors import InputError
from surefoot.graph.onnx_values import OnnxValue, Values, guard
from surefoot.graph.ops import Shape

TYPES = (TensorProto.FLOAT, TensorProto.DOUBLE)
Shapes: TypeAlias = Mapping[str, Shape]  # of inputs, as they were declared


@dataclass(frozen=True)
class Part:
    """One input of a file: its whole shape there, the place where it begins in the network's, and its type."""

    name: str
    full: Shape
    begin: int
    double: bool = False


@dataclass(frozen=True)
class Inputs:
    """The inputs of a file in their order. The network's is all of them, flat, one after another, if there are several.

    `rows`: how many rows the file takes at once, where the network is read as a function of one; else 1.
    """

    parts: tuple[Part, ...]
    rows: int = 1

    def shape_of(self, part: Part) -> Shape:
        """Return the shape of what the network takes of a part: without the batch's axis."""
        apart = len(part.full) > 1 and part.full[0] == self.rows
        return part.full[1:] if apart else part.full

    def feed(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return what a runtime is given for one flat input; of several rows each is that one.

        Raises:
            InputError: another number of values.

        >>> Inputs((Part("x", (2, 1), 0), Part("z", (2, 2), 1)), rows=2).feed(np.array([5.0, 6.0, 7.0]))["z"]
        array([[6., 7.],
               [6., 7.]], dtype=float32)
        """
        given: dict[str, np.ndarray] = {}
        size = sum(math.prod(self.shape_of(part)) for part in self.parts)
        if x.size != size:
            raise InputError(f"the network takes {size} values, given {x.size}")
        for part in self.parts:
            shape = self.shape_of(part)
            values = x[part.begin : part.begin + math.prod(shape)].reshape(shape)
            whole = np.broadcast_to(values, part.full) if self.rows > 1 else values.reshape(part.full)
            given[part.name] = np.ascontiguousarray(whole, dtype=np.float64 if part.double else np.float32)
        return given

    @property
    def sentence(self) -> str:
        """Say on one line which values belong to which input; nothing of a single input whose batch is one or open.

        >>> Inputs((Part("x", (4,), 0), Part("z", (1, 2), 4))).sentence
        'the values of X are those of x (4), z (2), one after another'
        """
        if not self.described:
            return ""
        shapes = [f"{part.name} ({', '.join(map(str, self.shape_of(part)))})" for part in self.parts]
        several = f"the values of X are those of {', '.join(shapes)}, one after another"
        if self.rows == 1:
            return several
        whole = " ".join(f"--shape {part.name}={','.join(map(str, part.full))}" for part in self.parts)
        rows = f"of a batch of {self.rows} rows, which do not meet, one is read; {whole} makes all of them one input"
        return rows if len(self.parts) == 1 else f"{several}; {rows}"

    @property
    def described(self) -> list[dict[str, Any]]:
        """Say which values belong to which input; nothing of a single input whose batch is one or open."""
        if len(self.parts) == 1 and self.rows == 1:
            return []
        more = {"rows": self.rows} if self.rows > 1 else {}
        return [
            {"name": part.name, "shape": list(self.shape_of(part)), "first": part.begin, **more} for part in self.parts
        ]


def inputs_of(model: onnx.ModelProto, shapes: Shapes | None = None, apart: bool = False) -> Inputs:
    """Find the inputs of a model; `apart`: a batch that the file fixes is taken apart into rows.

    A side that the file leaves open is the batch's, and 1, where it is the first; others must be declared in `shapes`,
    by the name of the input. Who declares a shape speaks of all of it.

    Raises:
        InputError: no input, or one of another type than float32 and float64; sides that are not known, or declared
            otherwise than the file has them; no such input.
    """
    shapes = shapes or {}
    constants = {tensor.name for tensor in model.graph.initializer}
    infos = [value for value in model.graph.input if value.name not in constants]
    names = [info.name for info in infos]
    if not infos:
        raise InputError("the network has no input")
    for name in shapes:
        if name not in names:
            raise InputError(f"--shape {name}=...: the network has no such input; it has {', '.join(map(repr, names))}")
    parts: list[Part] = []
    full = [_shape(info, shapes.get(info.name)) for info in infos]
    first = {sides[0] if len(sides) > 1 else 1 for sides in full}
    rows = first.pop() if apart and len(first) == 1 and not shapes else 1
    begin = 0
    for info, sides in zip(infos, full, strict=True):
        parts.append(Part(info.name, sides, begin, _type(info) == TensorProto.DOUBLE))
        begin += math.prod(sides) // rows
    guard([begin])
    return Inputs(tuple(parts), rows)


def _type(info: onnx.ValueInfoProto) -> int:
    given = info.type.tensor_type.elem_type
    if given not in TYPES:
        names = {number: name.lower() for name, number in TensorProto.DataType.items()}
        raise InputError(
            f"the input {info.name!r} is of type {names.get(given, given)}: proofs are about networks of "
            "float32 or float64; convert the network"
        )
    return given


def _shape(info: onnx.ValueInfoProto, declared: Shape | None) -> Shape:
    dims = info.type.tensor_type.shape.dim
    sides = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims]
    shown = [d.dim_value or d.dim_param or "?" for d in dims]
    example = f"--shape {info.name}=" + ",".join(str(n or 1) for n in sides or [1])
    if declared is not None:
        unlike = len(sides) != len(declared) or any(n not in (None, m) for n, m in zip(sides, declared, strict=True))
        if (unlike and info.type.tensor_type.HasField("shape")) or min(declared, default=0) < 1:
            raise InputError(
                f"--shape {info.name}={','.join(map(str, declared))}: the file has the sides {shown}, as in {example}"
            )
        shape = tuple(declared)
    else:
        if len(sides) > 1 and sides[0] is None:
            sides[0] = 1
        if not sides or None in sides:
            raise InputError(
                f"the input {info.name!r} has the open sides {shown}: say how long they are, as in {example}"
            )
        shape = tuple(n for n in sides if n is not None)
    guard(shape)
    return shape


def begun(inputs: Inputs, opset: int) -> tuple[Values, dict[str, OnnxValue]]:
    """Begin a graph, of one input in its own shape, of several in one vector; and give each input its values."""
    if len(inputs.parts) == 1:
        values = Values(inputs.parts[0].full, inputs.parts[0].name, opset, inputs.rows)
        return values, {inputs.parts[0].name: values.first}
    total = sum(math.prod(inputs.shape_of(part)) for part in inputs.parts)
    values = Values((inputs.rows, total) if inputs.rows > 1 else (total,), "inputs", opset, inputs.rows)
    places = np.arange(inputs.rows * total).reshape(inputs.rows, -1)
    given = {}
    for part in inputs.parts:
        own = places[:, part.begin : part.begin + math.prod(part.full) // inputs.rows]
        given[part.name] = values.taken(values.first, own.reshape(part.full), part.name)
    return values, given
