"""The door: a network is read, and seen to be what ONNX Runtime computes, before anything is said of it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError
from surefoot.core.onnx_file import load_with_files
from surefoot.graph.graph import Graph, evaluate, fold
from surefoot.graph.onnx_in import in_float64, opset_of, output_of, reading_of_onnx
from surefoot.graph.onnx_inputs import Inputs, Shapes
from surefoot.graph.onnx_values import OnnxValue
from surefoot.spec.float32 import LOOSE, allowed, undecided, with_error
from surefoot.spec.operations import products_of, see_operations, see_values
from surefoot.spec.runtime import Runner, runner_of_session, session_of

LARGE = 10**9  # products and values of one evaluation: from here on two inputs are tried, in float32
MEDIUM = 10**7
POINTS = 1000  # at which a network is compared within what is asked of it, if that costs at most `EFFORT` products
EFFORT = 10**8
BATCH_VALUES = 2**22  # of all nodes, for the inputs that are evaluated together
_SEEN: set[tuple[str, str, Inputs]] = set()  # (digest, output, inputs) of networks that this process has compared


@dataclass(frozen=True, eq=False)
class Opened:
    """A network as it was read, in float64, up to its own outputs; how ONNX Runtime runs the file, whole.

    `float32`: it is computed in float32, so that a proof can speak of that. `values` are the shapes of its values, by
    name, for a batch of one.
    """

    model: onnx.ModelProto
    graph: Graph
    run: Runner
    float32: bool
    values: Mapping[str, tuple[int, ...]]
    inputs: Inputs


def open_onnx(path: Path | str, output: str | None = None, shapes: Shapes | None = None) -> Opened:
    """Read an ONNX file, and see on a few inputs that ONNX Runtime computes the same.

    `shapes` declares inputs' sides that the file leaves open, or that a fixed batch is one input.

    Raises:
        FileError: missing or damaged.
        InputError: an operation that surefoot does not read, a file that the runtime refuses, another number of outputs
            or other values here than there.
        MissingExtra: ONNX Runtime is not installed.
    """
    model, files = load_with_files(path)
    return _opened(path, model, files, output, shapes)


def open_joined(path: Path | str, values: Sequence[str], shapes: Shapes | None = None) -> Opened:
    """Read an ONNX file up to some of its values, outputs or others, flat and one after another.

    Raises:
        FileError, InputError, MissingExtra: as `open_onnx`; InputError: no such value, or weights in other files.
    """
    model, files = load_with_files(path)
    if len(files) > 1:
        raise InputError(f"{path}: several values of a network are read only where its weights lie in the same file")
    known = {name for node in model.graph.node for name in node.output} | {v.name for v in model.graph.input}
    for value in values:
        if value not in known:
            raise InputError(f"{path}: the network computes nothing of the name {value!r}")
    return _opened(path, _with_joined(model, values), files, _JOINED, shapes)


_JOINED = "surefoot joins"


def _with_joined(model: onnx.ModelProto, values: Sequence[str]) -> onnx.ModelProto:
    """Append operations that put values one after another, as the only output."""
    more = onnx.ModelProto()
    more.CopyFrom(model)
    graph = more.graph
    flat = numpy_helper.from_array(np.array([1, -1], dtype=np.int64), f"{_JOINED} shape")
    graph.initializer.append(flat)
    for i, value in enumerate(values):
        graph.node.append(helper.make_node("Reshape", [value, flat.name], [f"{_JOINED} {i}"], f"{_JOINED} {i}"))
    parts = [f"{_JOINED} {i}" for i in range(len(values))]
    if len(parts) == 1:
        graph.node.append(helper.make_node("Identity", parts, [_JOINED], _JOINED))
    else:
        graph.node.append(helper.make_node("Concat", parts, [_JOINED], _JOINED, axis=1))
    del graph.output[:]
    graph.output.append(onnx.ValueInfoProto(name=_JOINED))  # of the type that the values have
    return more


def _opened(
    path: Path | str, model: onnx.ModelProto, files: Sequence[Path], output: str | None, shapes: Shapes | None
) -> Opened:
    """See that what is read of a model is what ONNX Runtime computes."""
    reading = reading_of_onnx(model, output, shapes)
    content, name = model.SerializeToString(deterministic=True), output_of(model, output)
    graph, run = reading.graph, runner_of_session(session_of(content), name, reading.inputs)
    key = hashlib.sha256(content).hexdigest(), name, reading.inputs
    if key not in _SEEN:
        try:
            x = _probes(graph)
            see_agreement(graph, run, x)
            see_operations(reading, see_values(model, reading, x), opset_of(model))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        _SEEN.add(key)
    if len(files) > 1 and Path(path).suffix != ".gz":
        _see_weights(path, name, run, _probes(graph)[:2], reading.inputs)
    values = {name: known.full for name, known in reading.known.items() if isinstance(known, OnnxValue)}
    return Opened(model, graph, run, reading.single and not in_float64(model), values, reading.inputs)


def _see_weights(path: Path | str, output: str, run: Runner, x: np.ndarray, inputs: Inputs) -> None:
    """See that ONNX Runtime, given the path, takes the same weights from other files as were read from there.

    Raises:
        InputError: it refuses them, or takes others.
    """
    try:
        theirs = runner_of_session(session_of(str(path)), output, inputs)(x)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not np.array_equal(theirs, run(x), equal_nan=True):
        raise InputError(f"{path}: ONNX Runtime takes other weights from the files beside it than surefoot does")


def see_agreement_within(graph: Graph, run: Runner, boxes: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """See that a graph and a runtime agree in boxes (lower, upper), flat: at ends, middles and random points.

    As many points as `POINTS` and `EFFORT` allow, over all boxes: of one box at least its ends, its middle and a random
    point, of many their middles and a random point of each, and where there are more boxes than points, of boxes that
    are spread over all.

    Raises:
        InputError: they do not, or the runtime gives what is no number.
    """
    most = int(np.clip(EFFORT // max(_products(graph), 1), 4, POINTS))
    rng = np.random.default_rng(0)
    which = np.unique(np.linspace(0, len(boxes) - 1, min(len(boxes), most)).astype(int)) if boxes else []
    each = most // max(len(which), 1)
    points = []
    for i in which:
        low, high = (np.asarray(end, dtype=np.float64).ravel() for end in boxes[i])
        fixed = [0.5 * low + 0.5 * high, low, high][: min(each - 1, 3)]
        shares = rng.random((each - len(fixed), len(low)))
        points += [*fixed, *(low + shares * (high - low))]
    if not points:
        return
    with np.errstate(over="ignore"):
        x = np.stack(points).astype(np.float32)
    x = x[np.isfinite(x).all(1)]
    if not len(x):
        raise InputError("no input of the region has a number in float32, which inputs are given in")
    see_agreement(graph, run, x, everywhere=True)


def see_agreement(graph: Graph, run: Runner, x: np.ndarray, everywhere: bool = False) -> None:
    """Compare a graph (float64) with a runtime at flat float32 inputs (n, d).

    A difference is one of meaning where it is above what rounding can do (`float32.allowed`). Inputs at which float32
    overflows tell nothing; `everywhere`: they must not occur.

    Raises:
        InputError: another number of outputs, other values, or no number anywhere.
    """
    step = max(BATCH_VALUES // sum(math.prod(node.shape) for node in graph.nodes), 1)
    if everywhere and len(x) > step:
        for begin in range(0, len(x), step):
            tick()
            see_agreement(graph, run, x[begin : begin + step], everywhere)
        return
    theirs = run(x)
    rows = torch.from_numpy(x).reshape(-1, *graph.input_shape)
    if theirs.shape[1] != math.prod(graph.output_shape):
        raise InputError(
            f"surefoot reads a network of {math.prod(graph.output_shape)} outputs, and ONNX Runtime gives "
            f"{theirs.shape[1]}: they do not agree on what the file means, and nothing is said of it"
        )
    ours, rounding = _values(graph, rows)
    number = np.asarray(np.isfinite(theirs).all(1))
    if not number.all() and (everywhere or not number.any()):
        row = int(np.argmin(number))
        at = int(np.argmin(np.isfinite(theirs[row])))
        raise InputError(
            f"at the input {_shown(x[row])} output {at} is {theirs[row, at]} by ONNX Runtime, {ours[row, at]:.6g} in "
            "real arithmetic: nothing is said of what is no number"
        )
    with np.errstate(invalid="ignore"):
        agreed = (np.abs(ours - theirs) <= rounding) | np.isinf(rounding)  # no number agrees with nothing
    wrong = ~agreed & number[:, None]
    if wrong.any():
        row, at = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"at the input {_shown(x[row])} output {at} is {ours[row, at]:.9g} as surefoot reads the network, and "
            f"{theirs[row, at]:.9g} by ONNX Runtime: they do not agree on what the file means; nothing is said of it"
        )


def _values(graph: Graph, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate a graph; return (n, k) outputs, and by how much float32 may differ from each."""
    with torch.no_grad():
        single = evaluate(graph.to(torch.float32), x).reshape(len(x), -1).double()
        if _products(graph) > LARGE:
            return single.numpy(), np.full(single.shape, LOOSE * float(single.abs().nan_to_num(posinf=0.0).max()))
        values = fold(graph, (x.double(), torch.zeros_like(x).double()), with_error)
    largest = torch.stack([y.reshape(len(y), -1).abs().amax(1) for y, _ in values]).amax(0)[:, None]
    y, error = (part.reshape(len(x), -1) for part in values[-1])
    rounding = torch.where(undecided(graph.nodes, values)[-1][:, None], torch.inf, allowed(y, error, single, largest))
    return y.numpy(), rounding.numpy()


def _probes(graph: Graph) -> np.ndarray:
    """Inputs of several scales, the most telling first: fewer where each is dear."""
    size = math.prod(graph.input_shape)
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(8, size))
    tried = np.stack(
        [
            rng.random(size), normal[0], np.zeros(size), 10 * normal[1], np.full(size, 0.5), np.sign(normal[2]),
            0.01 * normal[3], 100 * normal[4], np.linspace(-1, 1, size), 1000 * normal[5], normal[6], normal[7],
        ]
    )  # fmt: skip
    products = _products(graph)
    return tried[: 2 if products > LARGE else 4 if products > MEDIUM else len(tried)].astype(np.float32)


def _products(graph: Graph) -> int:
    """Count the products of one evaluation, and the values."""
    return sum(map(products_of, graph.nodes))


def _shown(x: np.ndarray) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in x[:6]) + (", ..." if len(x) > 6 else "") + ")"
