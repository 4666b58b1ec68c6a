"""Write a graph as an ONNX file, for any runtime."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from surefoot.core.errors import InputError
from surefoot.core.files import whole_file
from surefoot.graph.graph import Graph, Node
from surefoot.graph.ops import (
    Add,
    Affine,
    Concat,
    Conv2d,
    Elementwise,
    ElementwiseAffine,
    Gather,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Relu,
    Reshape,
    Softmax,
)

_OPSET = 17
_LATER = {"Gelu": 20, "Mish": 18}  # operations that came after
_IR = 9


class Names:
    """Gives names that no other value of a file has."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def fresh(self, wanted: str) -> str:
        """Return the name that is wanted, or one like it that is free.

        >>> names = Names(["fc"])
        >>> names.fresh("fc"), names.fresh("fc"), names.fresh("")
        ('fc_1', 'fc_2', 'value')
        """
        wanted = wanted or "value"
        numbered = (f"{wanted}_{i}" for i in itertools.count(1))
        name = next(name for name in itertools.chain([wanted], numbered) if name not in self.taken)
        self.taken.add(name)
        return name


class _Writer:
    def __init__(self, dtype: np.dtype, names: Names) -> None:
        self.dtype, self.names = dtype, names
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: "np.ndarray | torch.Tensor", name: str) -> str:
        name = self.names.fresh(name)
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else value
        array = array.astype(self.dtype) if array.dtype.kind == "f" else array.astype(np.int64)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def inner(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Write a node whose result is no node of the graph; return the result's name."""
        return self.node(op, inputs, self.names.fresh(output), **attributes)

    def scaled(self, op: ElementwiseAffine, x: str, out: str) -> None:
        factors = [x, self.constant(op.scale, f"{out}_scale")]
        if op.bias is None:
            self.node("Mul", factors, out)
        else:
            scaled = self.inner("Mul", factors, f"{out}_scaled")
            self.node("Add", [scaled, self.constant(op.bias, f"{out}_shift")], out)

    def function(self, op: Elementwise, x: str, out: str) -> None:
        match op.name:
            case "Silu":
                self.node("Mul", [x, self.inner("Sigmoid", [x], f"{out}_sigmoid")], out)
            case "Gelu" if op.parameters:
                inverse, factor = (*op.parameters, 1.0)[:2]
                argument = self.inner("Mul", [x, self.constant(np.array(inverse), f"{out}_c")], f"{out}_cx")
                one = self.constant(np.array(1.0), f"{out}_one")
                above = self.inner("Add", [self.inner("Erf", [argument], f"{out}_erf"), one], f"{out}_above")
                half = self.inner("Mul", [x, self.constant(np.array(factor / 2), f"{out}_half")], f"{out}_x")
                self.node("Mul", [half, above], out)
            case "Gelu" | "GeluTanh":
                self.node("Gelu", [x], out, approximate="none" if op.name == "Gelu" else "tanh")
            case "Pow":
                self.node("Pow", [x, self.constant(np.array(op.parameters[0]), f"{out}_exponent")], out)
            case "Greater" | "GreaterOrEqual":
                found = self.inner(op.name, [x, self.constant(np.array(0.0), f"{out}_zero")], f"{out}_truth")
                to = TensorProto.DOUBLE if self.dtype == np.float64 else TensorProto.FLOAT
                self.node("Cast", [found], out, to=to)
            case "Round" if op.parameters not in ((), (1.0,)):
                scale = self.constant(np.array(op.parameters[0]), f"{out}_step")
                self.node("Round", [self.inner("Div", [x, scale], f"{out}_steps")], out)
            case "Elu":
                alpha = op.parameters[0] if op.parameters else 1.0
                if float(np.float32(alpha)) != alpha:
                    raise InputError(
                        f"node {out!r}: its alpha {alpha!r} is no float32 number, as the file must have it"
                    )
                self.node("Elu", [x], out, alpha=alpha)
            case name:
                self.node(name, [x], out)

    def write(self, node: Node, x: list[str], out: str, given: list[tuple[int, ...]]) -> None:
        op = node.op
        match op:
            case Linear():
                weight = self.constant(op.weight.T, f"{out}_weight")
                if op.bias is None:
                    self.node("MatMul", [x[0], weight], out)
                else:
                    product = self.inner("MatMul", [x[0], weight], f"{out}_product")
                    self.node("Add", [product, self.constant(op.bias, f"{out}_bias")], out)
            case Conv2d():
                inputs = [x[0], self.constant(op.weight, f"{out}_weight")]
                inputs += [] if op.bias is None else [self.constant(op.bias, f"{out}_bias")]
                left, right, top, bottom = op.padding
                self.node(
                    "Conv", inputs, out, strides=op.stride, pads=(top, left, bottom, right), dilations=op.dilation,
                    group=op.groups,
                )  # fmt: skip
            case ElementwiseAffine():
                self.scaled(op, x[0], out)
            case Gather():
                size = int(np.prod(given[0]))
                flat = self.inner(
                    "Reshape", [x[0], self.constant(np.array([-1, size]), f"{out}_flat")], f"{out}_values"
                )
                index = op.index.flatten().numpy()
                if (index < 0).any():  # one more value, 0, for what lies outside
                    amounts = self.constant(np.array([0, 0, 0, 1]), f"{out}_amounts")
                    flat = self.inner("Pad", [flat, amounts], f"{out}_padded")
                    index = np.where(index < 0, size, index)
                taken = self.inner("Gather", [flat, self.constant(index, f"{out}_index")], f"{out}_taken", axis=1)
                self.node("Reshape", [taken, self.constant(np.array([-1, *node.shape]), f"{out}_shape")], out)
            case Reshape():
                self.node("Reshape", [x[0], self.constant(np.array([-1, *op.target]), f"{out}_shape")], out)
            case Relu():
                self.node("Relu", x, out)
            case Elementwise():
                self.function(op, x[0], out)
            case MaxPool2d():
                left, right, top, bottom = op.padding
                self.node(
                    "MaxPool", x, out, kernel_shape=op.kernel, strides=op.stride, pads=(top, left, bottom, right),
                    dilations=op.dilation,
                )  # fmt: skip
            case Add():
                self.node("Add", x, out)
            case Mul():
                self.node("Mul", x, out)
            case Concat():
                self.node("Concat", x, out, axis=op.axis + 1)
            case Softmax():
                self.node("LogSoftmax" if op.log else "Softmax", x, out, axis=-1)
            case Input() | Affine():
                raise AssertionError(f"{op} is not written")
            case _:
                assert_never(op)


def onnx_of_graph(graph: Graph, dtype: torch.dtype = torch.float32) -> onnx.ModelProto:
    """Translate a graph into an ONNX model of any batch size, computing in float32 (or float64).

    Names of nodes are kept where they are unique. `read_onnx` reads it back as the same function.
    """
    kind = TensorProto.DOUBLE if dtype == torch.float64 else TensorProto.FLOAT
    given_names = Names()
    names = [given_names.fresh(node.name) for node in graph.nodes]
    writer = _Writer(np.dtype(np.float64 if dtype == torch.float64 else np.float32), given_names)
    for at, node in enumerate(graph.nodes):
        if at:
            writer.write(node, [names[i] for i in node.inputs], names[at], [graph.nodes[i].shape for i in node.inputs])
    body = helper.make_graph(
        writer.nodes,
        "surefoot",
        [helper.make_tensor_value_info(names[0], kind, ["n", *graph.input_shape])],
        [helper.make_tensor_value_info(names[-1], kind, ["n", *graph.output_shape])],
        writer.constants,
    )
    opset = max([_OPSET, *(_LATER.get(node.op_type, 0) for node in writer.nodes)])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], producer_name="surefoot")
    model.ir_version = _IR
    onnx.checker.check_model(model)
    return model


def write_onnx(
    graph: Graph,
    path: Path | str,
    dtype: torch.dtype = torch.float32,
    metadata: Mapping[str, str] | None = None,
    clip: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> None:
    """Write a graph as an ONNX file, whole or not at all, with `metadata` as properties of the model.

    `clip`: the file moves each input into the box between these first.
    """
    model = onnx_of_graph(graph, dtype)
    if clip is not None:
        _clip_input(model, *clip)
    if metadata:
        helper.set_model_props(model, dict(metadata))
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _clip_input(model: onnx.ModelProto, lower: torch.Tensor, upper: torch.Tensor) -> None:
    body, name = model.graph, model.graph.input[0].name
    names = Names([name, *(t.name for t in body.initializer), *(out for node in body.node for out in node.output)])
    kind = helper.tensor_dtype_to_np_dtype(body.input[0].type.tensor_type.elem_type).type
    ends = [end.numpy().astype(kind) for end in (lower, upper)]
    # rounded into the box, not out of it
    ends[0] = np.where(ends[0] < lower.numpy(), np.nextafter(ends[0], kind(np.inf)), ends[0])
    ends[1] = np.where(ends[1] > upper.numpy(), np.nextafter(ends[1], kind(-np.inf)), ends[1])
    if (ends[0] > ends[1]).any():
        at = int(np.argmax(ends[0] > ends[1]))
        low, high = (float(end.flatten()[at]) for end in (lower, upper))
        raise InputError(
            f"input {at} lies between {low!r} and {high!r}, where there is no {np.dtype(kind).name} number to clip to: "
            "widen the domain"
        )
    inside, least, most = (names.fresh(f"{name}_{word}") for word in ("inside", "lower", "upper"))
    for node in body.node:
        for at, given in enumerate(node.input):
            if given == name:
                node.input[at] = inside
    if all(np.ptp(end) == 0 for end in ends):
        ends = [end.reshape(-1)[0] for end in ends]
        nodes = [helper.make_node("Clip", [name, least, most], [inside], name=inside)]
    else:
        above = names.fresh(f"{name}_above")
        nodes = [
            helper.make_node("Max", [name, least], [above], name=above),
            helper.make_node("Min", [above, most], [inside], name=inside),
        ]
    body.initializer.extend(numpy_helper.from_array(np.asarray(e), c) for e, c in zip(ends, (least, most), strict=True))
    for node in reversed(nodes):
        body.node.insert(0, node)
    onnx.checker.check_model(model)
