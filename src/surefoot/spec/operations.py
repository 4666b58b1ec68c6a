"""See that every value and every operation of a file is what ONNX Runtime makes of it.

Outputs alone hide what is read wrongly behind values that are 0 at all inputs that are tried. So the runtime is asked
for all it computes on the way, whose shapes, constants and values must be those that were read; and each operation is
run by itself, on inputs of its true shapes that need not occur in the network.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import SINGLE_LARGEST
from surefoot.graph.graph import Graph, Node, apply, fold
from surefoot.graph.onnx_in import Reading, Step
from surefoot.graph.onnx_ml import ML
from surefoot.graph.onnx_values import OnnxValue
from surefoot.graph.ops import Conv2d, Linear
from surefoot.spec.float32 import LOOSE, SLACK, allowed, undecided, with_error
from surefoot.spec.runtime import one_line, session_of, values_of

DEAR = 10**5  # products of one operation: from here on it is run once; below, at inputs of many sizes
DEAREST = 10**6  # products of sums: from here on in float32
MEDIUM = 10**7  # products of the network: from here on values on the way are compared at one input,
LARGE = 10**9  # and from here on by shape alone
WIDE = 2**23  # numbers of all values at all inputs, beyond which it is so too
HUGE = 2**20  # numbers of a constant, from which on the runtime is given it as it was read
PORTION = 2**25  # numbers that the runtime is asked for at once
GIVEN = 2**12  # numbers of a constant, from which on it is given to an operation as an input is: copying it is dear
TINY = 1e-30  # a size of inputs at which nothing overflows
NEAR_OVERFLOW = 1e-3 * SINGLE_LARGEST
SIZES = (1.0, 1.0, 1e-3, 1e2, 1e5, 1e30, TINY)  # of inputs of one operation
_PLAIN = {"float32", "float64", "float16", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
          "uint64"}  # fmt: skip


def see_values(model: onnx.ModelProto, reading: Reading, x: np.ndarray) -> dict[str, np.dtype]:
    """Run a file at flat inputs (n, d) and compare all it computes with what was read; return the types of values.

    Raises:
        InputError: another shape, another constant, other values beyond rounding, or the runtime refuses the file.
    """
    used = itertools.chain.from_iterable((*step.node.input, *step.node.output) for step in reading.steps)
    names = [name for name in dict.fromkeys(used) if name in reading.known]
    constants = {name: known for name, known in reading.known.items() if isinstance(known, np.ndarray)}
    given = {t.name: constants[t.name] for t in model.graph.initializer if math.prod(t.dims) >= HUGE}
    names = [name for name in names if name not in given]
    session = session_of(_with_outputs(model, names, reading, given))
    products, numbers = sum(map(products_of, reading.nodes)), sum(math.prod(node.shape) for node in reading.nodes)
    rows = 1 if products > MEDIUM else max(WIDE // numbers, 1)
    ours = None if products > LARGE or numbers > WIDE else _values(reading, x[:rows])
    kinds: dict[str, np.dtype] = {}
    for row in range(1 if ours is None else len(ours[0][0])):
        wanted = [name for name in names if row == 0 or isinstance(reading.known[name], OnnxValue)]
        for portion in _portions(wanted, lambda name: _size(reading, name)):
            computed = values_of(session, [_seen(name) for name in portion], reading.inputs.feed(x[row]) | given)
            for name, theirs in zip(portion, computed, strict=True):
                known = reading.known[name]
                if not isinstance(known, OnnxValue):
                    _see_constant(name, known, theirs)
                    continue
                kinds[name] = theirs.dtype
                _see_shape(name, known.full, theirs.shape)
                if ours is not None:
                    y, rounding = (_of_every_row(known, part[row].numpy()) for part in ours[known.place])
                    _see_close(f"the value {name!r}", y, theirs.ravel(), rounding)
    return kinds


def see_operations(reading: Reading, kinds: Mapping[str, np.dtype], opset: int) -> None:
    """Run every operation of a file by itself, and compare it with the nodes that were read of it.

    At inputs that are drawn: of many sizes where it is cheap, once where it is dear. `kinds`: the types of values.

    Raises:
        InputError: it gives another shape, or other values beyond rounding.
    """
    alone = [_Alone(step, reading) for step in reading.steps if step.alone]
    alone = [one for one in alone if one.given and one.results and one.by_itself]
    for kind in get_args(_Kind):
        draw = _drawn(kind)
        rows = len(draw((1,)))
        for portion in _portions([one for one in alone if one.kind == kind], lambda one, rows=rows: rows * one.size):
            _see_portion(portion, reading, kinds, opset, draw)


def products_of(node: Node) -> int:
    """Count the products of one operation, or its values."""
    return math.prod(node.shape) * (node.op.terms if isinstance(node.op, Linear | Conv2d) else 1)


# Values on the way


def _seen(name: str) -> str:
    return f"surefoot sees {name}"


def _with_outputs(model: onnx.ModelProto, names: Sequence[str], reading: Reading, given: Mapping[str, Any]) -> bytes:
    """Let a model also give values of its own; and be given what is too large to be copied, instead of holding it."""
    more = onnx.ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    more.functions.extend(model.functions)
    graph = more.graph
    graph.node.extend(model.graph.node)
    graph.input.extend(value for value in model.graph.input if value.name not in given)
    graph.input.extend(_info(name, constant.dtype, constant.shape) for name, constant in given.items())
    graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name not in given)
    graph.name = "values"
    for name in names:
        known = reading.known[name]
        short = isinstance(known, np.ndarray) and known.dtype.name not in _PLAIN  # which NumPy has no type for
        how = {"op_type": "Cast", "to": TensorProto.FLOAT} if short else {"op_type": "Identity"}
        graph.node.append(helper.make_node(inputs=[name], outputs=[_seen(name)], **how))
        graph.output.append(onnx.ValueInfoProto(name=_seen(name)))
    return more.SerializeToString()


def _info(name: str, dtype: np.dtype, shape: Sequence[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)


def _size(reading: Reading, name: str) -> int:
    known = reading.known[name]
    return math.prod(known.full) if isinstance(known, OnnxValue) else known.size


def _portions(items: Sequence[Any], size: Any) -> Iterator[list[Any]]:
    """Divide what is asked for into portions of at most `PORTION` numbers, or of one item."""
    portion: list[Any] = []
    size_so_far = 0
    for item in items:
        if portion and size_so_far + size(item) > PORTION:
            yield portion
            portion, size_so_far = [], 0
        portion.append(item)
        size_so_far += size(item)
    if portion:
        yield portion


def _values(reading: Reading, x: np.ndarray) -> list[tuple[Tensor, Tensor]]:
    """Return every node's values (n, k) at inputs, and by how much the runtime's may differ."""
    graph = Graph(reading.nodes)
    rows = torch.from_numpy(x).double().reshape(-1, *graph.input_shape)
    single = fold(graph.to(torch.float32), rows.float(), lambda node, values: apply(node.op, values))
    double = fold(graph, (rows, torch.zeros_like(rows)), with_error)
    largest, values_and_errors = torch.zeros(len(rows), 1, dtype=torch.float64), []
    for both, once, open_ in zip(double, single, undecided(graph.nodes, double), strict=True):
        y, error, one = (part.reshape(len(rows), -1) for part in (*both, once.double()))
        largest = torch.maximum(largest, y.abs().amax(1, keepdim=True))
        values_and_errors.append((y, torch.where(open_[:, None], torch.inf, allowed(y, error, one, largest))))
    return values_and_errors


def _loosely(y: Tensor) -> Tensor:
    """Return by how much others may differ from values in float32: infinitely, where they overflow."""
    return torch.where(y.isfinite(), LOOSE * y.abs().nan_to_num(nan=0.0, posinf=0.0).max(), torch.inf)


def _see_constant(name: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    _see_shape(name, ours.shape, theirs.shape)
    ours = ours if ours.dtype.name in _PLAIN else ours.astype(np.float32)
    if not np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        at = np.unravel_index(int(np.argmax(ours != theirs)), ours.shape)
        raise InputError(
            f"the constant {name!r} is {ours[at]} at {tuple(map(int, at))} as surefoot reads it, and {theirs[at]} by "
            f"ONNX Runtime: {_DISAGREE}"
        )


def _of_every_row(value: OnnxValue, y: np.ndarray) -> np.ndarray:
    """Return the flat values of all rows of a batch that is read row by row, each being the same."""
    return np.tile(y.ravel(), value.rows if value.lead else 1)


def _see_shape(name: str, ours: Sequence[int], theirs: Sequence[int]) -> None:
    if tuple(ours) != tuple(theirs):
        raise InputError(
            f"the value {name!r} has the shape {tuple(ours)} as surefoot reads it, and {tuple(theirs)} by ONNX "
            f"Runtime: {_DISAGREE}"
        )


def _see_close(what: str, ours: np.ndarray, theirs: np.ndarray, rounding: np.ndarray) -> None:
    """Compare values; where float32 overflows nothing is told."""
    finite = np.isfinite(theirs)
    with np.errstate(all="ignore"):
        wrong = ~((np.abs(ours - theirs) <= rounding) | np.isinf(rounding)) & finite
    if not finite.all() and not _may_overflow(ours, rounding):
        wrong |= ~finite
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(
            f"{what} is {ours[at]:.9g} at place {at} as surefoot reads it, and {theirs[at]:.9g} by ONNX Runtime: "
            f"{_DISAGREE}"
        )


def _may_overflow(ours: np.ndarray, rounding: np.ndarray) -> bool:
    """Whether something on the way to values may pass float32's largest number: their errors are relative to that."""
    with np.errstate(all="ignore"):
        largest = np.max(np.abs(ours) + 2.0**20 * rounding)
    return not largest < NEAR_OVERFLOW


_DISAGREE = "they do not agree on what the file means, and nothing is said of it"


# Operations by themselves


_Kind = Literal["cheap", "wide", "sums"]


@dataclass(eq=False)
class _Alone:
    """One operation of a file; the values that it is given and gives, by name."""

    step: Step
    reading: Reading
    given: list[str] = field(init=False)
    results: list[str] = field(init=False)

    def __post_init__(self) -> None:
        known = self.reading.known

        def values(names: Sequence[str]) -> list[str]:
            return [name for name in dict.fromkeys(names) if isinstance(known.get(name), OnnxValue)]

        self.given, self.results = values(self.step.node.input), values(self.step.node.output)

    @property
    def nodes(self) -> range:
        """Where its nodes are."""
        return range(self.step.begin, self.step.end)

    @property
    def by_itself(self) -> bool:
        """Whether its nodes take nothing but what it is given, and the input, of which constants are made."""
        known = self._places(self.given) | {0} | set(self.nodes)
        return all(i in known for place in self.nodes for i in self.reading.nodes[place].inputs)

    @property
    def products(self) -> int:
        """What evaluating it costs."""
        return sum(products_of(self.reading.nodes[place]) for place in self.nodes)

    @property
    def kind(self) -> _Kind:
        """Whether it is cheap, or many values one by one, or long sums."""
        if self.products <= DEAR:
            return "cheap"
        sums = any(isinstance(self.reading.nodes[place].op, Linear | Conv2d) for place in self.nodes)
        return "sums" if sums and self.products > DEAREST else "wide"

    @property
    def size(self) -> int:
        """Count the numbers that it is given and gives, and its constants."""
        names = {*self.step.node.input, *self.step.node.output} & self.reading.known.keys()
        return sum(_size(self.reading, name) for name in names)

    @property
    def shown(self) -> str:
        """Say which it is."""
        node = self.step.node
        return f"node {node.name or self.results[0]} ({node.op_type})"

    def values(self, x: Mapping[int, Tensor]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """Compute its results of values (n, ...) by place, and by how much float32 may differ from each.

        And in which rows (n,) something on the way may pass float32's largest number.
        """
        nodes = self.reading.nodes
        rows = next(iter(x.values()))
        x = {
            0: rows.new_zeros(len(rows), *nodes[0].shape),
            **x,
        }  # of which a constant that became a value takes nothing
        taken = self._places(self.given) | {0}
        if self.kind == "sums":
            single = {place: x[place] for place in taken}
            for place in self.nodes:
                op = nodes[place].op.to(torch.float32)
                single[place] = apply(op, [single[i] for i in nodes[place].inputs])
            results = {name: single[self._place(name)].double() for name in self.results}
            return {name: (y, _loosely(y), y.new_zeros(len(y), dtype=torch.bool)) for name, y in results.items()}
        given = {place: x[place].double() for place in taken}
        known = {place: (value, torch.zeros_like(value)) for place, value in given.items()}
        for place in self.nodes:
            known[place] = with_error(nodes[place], [known[i] for i in nodes[place].inputs])
        results = {name: known[self._place(name)] for name in self.results}
        largest = torch.stack([value.flatten(1).abs().nan_to_num().amax(1) for value, _ in known.values()]).amax(0)
        over = largest >= NEAR_OVERFLOW
        return {
            name: (y, torch.where(error.isfinite(), SLACK * error, _loosely(y)), over)
            for name, (y, error) in results.items()
        }

    def _place(self, name: str) -> int:
        value = self.reading.known[name]
        assert isinstance(value, OnnxValue)
        return value.place

    def _places(self, names: Sequence[str]) -> set[int]:
        return {self._place(name) for name in names}


def _drawn(kind: _Kind) -> Callable[[Sequence[int]], Tensor]:
    """Return what draws inputs (n, *shape) for a kind of operation: rows of several sizes and signs, or one."""
    rng = np.random.default_rng(0)

    def normal(shape: Sequence[int]) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    def spread(shape: Sequence[int]) -> np.ndarray:
        return normal(shape) * np.exp(9 * normal(shape))

    def draw(shape: Sequence[int]) -> Tensor:
        if kind == "sums":
            rows = normal((1, *shape))
        elif kind == "wide":
            rows = np.where(rng.random((1, *shape), dtype=np.float32) < 0.5, normal(shape), spread(shape))
        else:
            sized = [np.float32(size) * normal(shape) for size in SIZES]
            rows = np.stack([*sized, -np.abs(normal(shape)), spread(shape), np.round(4 * normal(shape))])
        return torch.from_numpy(rows)

    return draw


def _of_kind(x: Tensor, kind: np.dtype) -> Tensor:
    """Return the numbers of a type that are nearest: whole ones, or true and false as 1 and 0."""
    if kind.kind == "b":
        return (x > 0).to(x.dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return x.round().clamp(max(limits.min, -(2**20)), min(limits.max, 2**20))
    return x


def _see_portion(
    portion: Sequence[_Alone],
    reading: Reading,
    kinds: Mapping[str, np.dtype],
    opset: int,
    draw: Callable[[Sequence[int]], Tensor],
) -> None:
    """Run some operations beside one another, in one model, each with inputs of its own."""
    values = {name: value for name, value in reading.known.items() if isinstance(value, OnnxValue)}
    given = {name: values[name] for one in portion for name in one.given}
    x = {value.place: draw(reading.nodes[value.place].shape) for value in given.values()}
    for name, value in given.items():
        x[value.place] = _of_kind(x[value.place], kinds[name])
    model, fixed = _side_by_side(portion, reading, kinds, opset)
    session = session_of(model)
    wanted = [(one, name) for one in portion for name in one.results]
    known = {name: np.zeros(math.prod(values[name].full), bool) for _, name in wanted}  # what was compared once

    def compare(x: Mapping[int, Tensor]) -> None:
        ours = {name: both for one in portion for name, both in one.values(x).items()}
        for row in range(len(next(iter(x.values())))):
            tick()
            feed = dict(fixed)
            for name, value in given.items():
                feed[_seen(name)] = (
                    _of_every_row(value, x[value.place][row].numpy()).reshape(value.full).astype(kinds[name])
                )
            try:
                computed = session.run([f"result {name}" for _, name in wanted], feed)
            except Exception as error:
                raise InputError(f"ONNX Runtime does not run operations by themselves: {one_line(error)}") from error
            for (one, name), theirs in zip(wanted, computed, strict=True):
                _see_shape(name, values[name].full, theirs.shape)
                y, rounding = (_of_every_row(values[name], part[row].numpy()) for part in ours[name][:2])
                if ours[name][2][row] and not np.isfinite(theirs).all():  # it overflowed on the way
                    continue
                _see_close(f"{one.shown}: by itself its result", y, theirs.ravel(), rounding)
                known[name] |= np.isfinite(theirs).ravel() & np.isfinite(rounding)

    compare(x)
    if not all(known[name].all() for _, name in wanted):
        compare({place: TINY * value for place, value in x.items()})
    for one, name in wanted:
        if not known[name].all():
            raise InputError(
                f"{one.shown}: by itself it gives no number that can be compared at place {int(np.argmin(known[name]))}"
            )


def _side_by_side(
    portion: Sequence[_Alone], reading: Reading, kinds: Mapping[str, np.dtype], opset: int
) -> tuple[bytes, dict[str, np.ndarray]]:
    """Make a model of operations that do not know each other; and the large constants, which it is given."""
    nodes, inputs, constants, fixed = [], {}, {}, {}
    for one in portion:
        node = onnx.NodeProto()
        node.CopyFrom(one.step.node)
        for at, name in enumerate(node.input):
            known = reading.known.get(name)
            if known is None:
                continue
            node.input[at] = _seen(name)
            if isinstance(known, OnnxValue):
                inputs[name] = _info(_seen(name), kinds[name], known.full)
            elif known.size < GIVEN or known.dtype.name not in _PLAIN:
                constants[name] = numpy_helper.from_array(known, _seen(name))
            else:
                fixed[_seen(name)] = known
                inputs[name] = _info(_seen(name), known.dtype, known.shape)
        for at, name in enumerate(node.output):
            node.output[at] = name and f"result {name}"
        nodes.append(node)
    outputs = [onnx.ValueInfoProto(name=f"result {name}") for one in portion for name in one.results]
    graph = helper.make_graph(nodes, "operations", list(inputs.values()), outputs, list(constants.values()))
    learning = max((v for name, v in reading.opsets.items() if name == ML), default=1)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, learning)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8 if opset < 21 else 10
    return model.SerializeToString(), fixed
