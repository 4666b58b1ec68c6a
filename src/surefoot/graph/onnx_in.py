"""Read a network from ONNX. Only what leads to the output is read: a file may hold more."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from surefoot.core.errors import FileError, InputError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.core.onnx_versions import OLDEST_OPSET
from surefoot.graph.graph import Graph, Node
from surefoot.graph.onnx_attributes import MORE_OUTPUTS, known_attributes
from surefoot.graph.onnx_constants import FOLDED, array_of, folded
from surefoot.graph.onnx_inputs import TYPES, Inputs, Shapes, begun, inputs_of
from surefoot.graph.onnx_ml import ML, ML_READERS
from surefoot.graph.onnx_moves import MOVES, moved
from surefoot.graph.onnx_ops import READERS
from surefoot.graph.onnx_recurrent import RECURRENT
from surefoot.graph.onnx_values import Known, OnnxValue, finite

_TAKE_INFINITY = {"Clip", "Max", "Min", "Where"}  # as no bound, or not at all; else a constant is refused that is none
SUPPORTED = {*READERS, *MOVES, *RECURRENT, "Constant", "Shape", "Size"}


def read_onnx(path: Path | str, output: str | None = None, shapes: Shapes | None = None) -> Graph:
    """Read a network; constants become float64, exactly.

    Raises:
        FileError: missing, damaged, too large, or weights outside the file's folder.
        InputError: an operation that is not in the list, by name and node; weights that are not finite; no such output.
    """
    return graph_of_onnx(load_onnx_model(path), output, shapes)


def output_of(model: onnx.ModelProto, output: str | None = None) -> str:
    """Return the name of the output that is meant: the only one, or the only one of real numbers.

    Raises:
        InputError: several, or none of that name.
    """
    names = [value.name for value in model.graph.output]
    if output is not None:
        if output not in names:
            raise InputError(f"the network has no output {output!r}; it has {', '.join(map(repr, names))}")
        return output
    real = [value.name for value in model.graph.output if value.type.tensor_type.elem_type in (*TYPES, 0)]
    if len(names) > 1 and len(real) != 1:
        raise InputError(
            f"the network has {len(names)} outputs, {', '.join(map(repr, names))}: say which is meant (--output NAME "
            "of `surefoot verify`, `check` and `certify`), or cut the others off"
        )
    if not names:
        raise InputError("the network has no output")
    return real[0] if real else names[0]


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's operations that a network is written in.

    Raises:
        InputError: too old, or several.
    """
    opsets = {o.version for o in model.opset_import if o.domain in ("", "ai.onnx")}
    opset = max(opsets, default=1)
    if len(opsets) > 1:
        raise InputError(f"the file names several opsets, {sorted(opsets)}: which of them is meant?")
    if opset < OLDEST_OPSET:
        raise InputError(f"opset {opset} is too old: {OLDEST_OPSET} at least; onnx.version_converter can lift it")
    return opset


def in_float64(model: onnx.ModelProto) -> bool:
    """Whether a network holds anything that is computed in float64: float32 is then not what it is executed in."""
    double = TensorProto.DOUBLE
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return (
        any(value.type.tensor_type.elem_type == double for value in values)
        or any(tensor.data_type == double for tensor in model.graph.initializer)
        or any(
            a.i == double if a.name in ("to", "dtype") else a.t.data_type == double
            for node in model.graph.node
            for a in node.attribute
        )
    )


@dataclass(frozen=True)
class Step:
    """What one operation of a file became: the nodes from `begin` on, before `end`.

    Without `alone` it means, or is computed well, only of what enters it, and not of any values: dividing probabilities
    by their sum.
    """

    node: onnx.NodeProto
    begin: int
    end: int
    alone: bool = True


@dataclass(frozen=True, eq=False)
class Reading:
    """A network as it was read: its graph, and what the file's names and operations became in it.

    `nodes` are those of the graph before what leads nowhere is dropped: places of `known` and `steps` are in these.
    `single`: what float32 makes of it is known, but for rounding.
    """

    graph: Graph
    nodes: tuple[Node, ...]
    known: Mapping[str, Known]
    steps: tuple[Step, ...]
    inputs: Inputs
    opsets: Mapping[str, int]
    single: bool


def graph_of_onnx(model: onnx.ModelProto, output: str | None = None, shapes: Shapes | None = None) -> Graph:
    """Translate a loaded model, up to one of its outputs.

    Raises:
        InputError: as `reading_of_onnx`.
    """
    return reading_of_onnx(model, output, shapes).graph


def reading_of_onnx(model: onnx.ModelProto, output: str | None = None, shapes: Shapes | None = None) -> Reading:
    """Translate a loaded model, up to one of its outputs, and keep what became of each name.

    Of a batch that the file fixes the graph computes one row, where no rows meet: every move of data is seen to take
    each row from its own, alike. Else, and where `shapes` declares the input's, all rows are one input.

    Raises:
        InputError: an operation that is not in the list, by name and node; weights that are not finite; an input that
            is neither float32 nor float64; several outputs, of which none is named.
    """
    inputs = inputs_of(model, shapes, apart=True)
    if inputs.rows > 1:
        try:
            return _read(model, output, inputs)
        except InputError:  # rows meet, perhaps: all of them are one input then
            inputs = inputs_of(model, shapes)
    return _read(model, output, inputs)


def _read(model: onnx.ModelProto, output: str | None, inputs: Inputs) -> Reading:
    output = output_of(model, output)
    nodes = _leading_to(model, output)
    reader = _Reader(model, output, inputs, nodes)
    for node in nodes:
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


def _leading_to(model: onnx.ModelProto, output: str) -> list[onnx.NodeProto]:
    """Return the nodes that an output needs, each after those whose results it takes, in whatever order they stand."""
    makers = {name: at for at, node in enumerate(model.graph.node) for name in node.output if name}
    nodes: dict[int, None] = {}  # in the order in which they are done
    open_ = [(output, False)]
    begun: set[int] = set()
    while open_:
        name, done = open_.pop()
        at = makers.get(name)
        if at is None:
            continue
        if done:
            nodes.setdefault(at)
        elif at not in begun:
            begun.add(at)
            open_.append((name, True))
            open_.extend((given, False) for given in reversed(model.graph.node[at].input))
    return [model.graph.node[at] for at in nodes]


def _ends(nodes: list[onnx.NodeProto], output: str) -> set[str]:
    """Return the names of the output's value: its own, and those that become it without a change, and nothing else."""
    ends, uses = {output}, Counter(name for node in nodes for name in node.input)
    for node in reversed(nodes):
        norm = next((a.s for a in node.attribute if a.name == "norm"), b"")
        same = node.op_type == "Identity" or (node.op_type == "Normalizer" and norm == b"L1")
        if same and not ends.isdisjoint(node.output) and uses[node.input[0]] == 1:
            ends.add(node.input[0])
    return ends


class _Reader:
    def __init__(self, model: onnx.ModelProto, output: str, inputs: Inputs, nodes: list[onnx.NodeProto]) -> None:
        graph = model.graph
        opset, self.opsets = opset_of(model), {o.domain: o.version for o in model.opset_import}
        if graph.sparse_initializer:
            sparse = graph.sparse_initializer[0].values.name
            raise InputError(f"the constant {sparse!r} is a sparse_initializer, which is not read: store it densely")
        _each_name_once(graph)
        self.functions = {(f.domain, f.name) for f in model.functions}
        self.known: dict[str, Known] = {tensor.name: array_of(tensor) for tensor in graph.initializer}
        self.inputs = inputs
        self.values, given = begun(inputs, opset)
        self.known |= given
        self.output = output
        self.wanted = {output, *(name for node in nodes for name in node.input)}
        self.ends = _ends(nodes, output)
        self.steps: list[Step] = []

    def finish(self) -> Reading:
        last = self.known.get(self.output)
        if not isinstance(last, OnnxValue):
            raise InputError(f"the output {self.output!r} is nothing that is computed from the input")
        built = self.values.builder
        if last.rows > 1 and not last.lead:
            raise InputError(f"the output {self.output!r} has no batch")
        graph = built.build(last.place)
        steps, single = tuple(self.steps), self.values.single
        return Reading(graph, tuple(built.nodes), self.known, steps, self.inputs, self.opsets, single)

    def read(self, node: onnx.NodeProto) -> None:
        begin = len(self.values.builder.nodes)
        inputs: list[Known | None] = []
        for name in node.input:
            if name and name not in self.known:
                raise InputError(f"its input {name!r} is the result of nothing before it")
            inputs.append(self.known[name] if name else None)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values = [x for x in inputs if isinstance(x, OnnxValue)]
        self.values.alone = True
        self.values.last = not self.ends.isdisjoint(node.output)
        learning = node.domain == ML and node.op_type in ML_READERS
        if (node.domain not in ("", "ai.onnx") and not learning) or (node.domain, node.op_type) in self.functions:
            raise InputError(f"operations of the domain {node.domain!r} are not read")
        if node.op_type in SUPPORTED | FOLDED or learning:
            known_attributes(node.op_type, attributes)
        if values and node.op_type not in _TAKE_INFINITY:
            for name, x in zip(node.input, inputs, strict=True):
                if isinstance(x, np.ndarray) and x.dtype.kind == "f":
                    finite(x, f"the constant {name!r}")
        outputs: list[Known | None]
        if learning:
            wanted = [name in self.wanted for name in node.output]
            outputs = list(ML_READERS[node.op_type](self.values, inputs, attributes, node.name, wanted))
        elif node.op_type in RECURRENT and values:
            wanted = [name in self.wanted for name in node.output]
            outputs = RECURRENT[node.op_type](self.values, inputs, attributes, node.name, wanted)
        elif node.op_type == "Shape" and values:
            sides = values[0].full[slice(attributes.get("start", 0), attributes.get("end"))]
            outputs = [np.array(sides, dtype=np.int64)]
        elif node.op_type == "Size" and values:
            outputs = [np.array(math.prod(values[0].full), dtype=np.int64)]
        elif not values and node.op_type in READERS and node.op_type not in FOLDED and _is_real(inputs):
            outputs = [READERS[node.op_type](self.values, self._first_lifted(node, inputs), attributes, node.name)]
        elif not values:
            outputs = list(folded(node, inputs, self.values.opset))
        elif node.op_type in MOVES:
            outputs = list(moved(self.values, node, inputs))
        elif node.op_type in READERS:
            outputs = [READERS[node.op_type](self.values, inputs, attributes, node.name)]
        else:
            raise InputError(
                f"the operation {node.op_type} is not read: rewrite the network, or cut it off before; what is read "
                "stands in docs/guide/onnx.md"
            )
        more = [name for name in node.output[len(outputs) :] if name]
        if more and node.op_type not in MORE_OUTPUTS:
            raise InputError(f"its further outputs, {', '.join(map(repr, more))}, are not read: export it without them")
        for name, value in zip(node.output, outputs, strict=False):
            if value is not None:
                self.known[name] = value
        self.steps.append(Step(node, begin, len(self.values.builder.nodes), self.values.alone))

    def _first_lifted(self, node: onnx.NodeProto, inputs: "list[Known | None]") -> "list[Known | None]":
        """Let the first constant be a value: what is computed of constants then rounds as bounds allow for."""
        first = finite(np.asarray(inputs[0]), f"the constant {node.input[0]!r}")
        return [self.values.lifted(first.astype(np.float64)), *inputs[1:]]


def _is_real(inputs: "list[Known | None]") -> bool:
    """Whether the first input is a constant of real numbers."""
    return bool(inputs) and isinstance(inputs[0], np.ndarray) and inputs[0].dtype.name in ("float32", "float64")


def _each_name_once(graph: onnx.GraphProto) -> None:
    """See that no name stands for two values: runtimes take the first, or the last.

    Raises:
        InputError: which one does.
    """
    constants = [tensor.name for tensor in graph.initializer]
    given = [value.name for value in graph.input if value.name not in set(constants)]  # these may be inputs, too
    results = [name for node in graph.node for name in node.output if name]
    name, times = max(Counter([*constants, *given, *results]).items(), key=lambda item: item[1], default=("", 1))
    if times > 1:
        raise InputError(f"the name {name!r} stands for {times} values")
