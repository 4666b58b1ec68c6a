"""Maps, and networks with their calibrators, as ONNX graphs: calibrated probabilities without Python.

Each step becomes a few nodes in float64, whatever the type of the logits; the output is float32.
"""

import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_never

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sklearn.utils.validation import check_is_fitted

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import whole_file
from surefoot.core.numerics import row_log_sums
from surefoot.core.onnx_file import load_model
from surefoot.recalibrate.base import Calibrator, Steps
from surefoot.recalibrate.checks import check_reach
from surefoot.recalibrate.curves import CalibrationCurve, LogOddsCurve, PiecewiseLinear, StepFunction
from surefoot.recalibrate.steps import (
    ABOVE,
    FAR,
    LEAST_TEMPERATURE,
    TOP_SCORES,
    Affine,
    Curves,
    InverseFocal,
    LogSoftmax,
    Mix,
    Normalise,
    Reweigh,
    RowTemperature,
    Softmax,
    Step,
    TopCurve,
)

_OPSET = 18
_LEAST = 2.0**-53
_SUMS = 1e-3  # by which sums of probabilities may miss 1: those of float16
_BATCH = 4
_FREE_SIZES = (8, 32, 224, 1)  # of a dimension that is not said
_CUT_OFF = ", and the calibrator takes logits: cut it off, or export up to there"


class _Writer:
    """Collects nodes and constants; each method adds a node and gives the name of its output."""

    def __init__(self, classes: int) -> None:
        self.k = classes
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def _name(self) -> str:
        self._count += 1
        return f"map_{self._count}"

    def node(self, op: str, *inputs: "str | float | np.ndarray", **attributes: Any) -> str:
        """Add a node; numbers among the inputs become float64 constants."""
        name = self._name()
        names = [x if isinstance(x, str) else self.constant(np.asarray(x, dtype=np.float64)) for x in inputs]
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        """Add a constant of its own type."""
        name = self._name()
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        """Add a constant of int64."""
        return self.constant(np.array(values, dtype=np.int64))

    def sum(self, x: str) -> str:
        """Sum over classes, kept as a column."""
        return self.node("ReduceSum", x, self.integers(1), keepdims=1)

    def max(self, x: str) -> str:
        """Take the largest over classes, kept as a column."""
        return self.node("ReduceMax", x, self.integers(1), keepdims=1)

    def top(self, x: str) -> str:
        """Return a mask (n, k), 1 at the first largest class, in float64."""
        at = self.node("ArgMax", x, axis=1, keepdims=1)
        return self.node("Cast", self.node("Equal", at, self.integers(*range(self.k))), to=TensorProto.DOUBLE)

    def log_sums(self, x: str) -> tuple[str, str, str]:
        """Return log softmax, log of one minus softmax, and the mask of the top; see `log_probs_and_complements`."""
        mask = self.top(x)
        shifted = self.node("Sub", x, self.max(x))
        mass = self.node("Mul", self.node("Exp", shifted), self.node("Sub", 1.0, mask))
        others = self.sum(mass)
        log_total = self.log1p(others)
        log_p = self.node("Sub", shifted, log_total)
        p = self.node("Exp", self.node("Min", log_p, 0.0))
        below = self.log1p(self.node("Neg", p))
        is_top = self.node("Greater", mask, 0.5)
        rest = self.node("Where", is_top, -np.inf, shifted)
        runner_up = self.node("Max", self.max(rest), -FAR)
        summed = self.node("Log", self.sum(self.node("Exp", self.node("Sub", rest, runner_up))))
        top_log = self.node("Sub", self.node("Add", runner_up, summed), log_total)
        tied = self.node("Equal", shifted, 0.0)  # with the largest: by the one formula, so that they stay tied
        return log_p, self.node("Where", tied, top_log, below), mask

    def log1p(self, x: str) -> str:
        """Compute log(1 + x) to the last digits: log(u) x / (u - 1), u = 1 + x."""
        u = self.node("Add", x, 1.0)
        small = self.node("Equal", u, 1.0)
        gap = self.node("Where", small, 1.0, self.node("Sub", u, 1.0))
        return self.node("Where", small, x, self.node("Div", self.node("Mul", self.node("Log", u), x), gap))

    def sigmoid(self, x: str) -> str:
        """Compute 1 / (1 + exp(-x)); ONNX Runtime's own has three digits at -30, and is 0 below -50."""
        small = self.node("Exp", self.node("Neg", self.node("Abs", x)))
        upper = self.node("Where", self.node("GreaterOrEqual", x, 0.0), 1.0, small)
        return self.node("Div", upper, self.node("Add", small, 1.0))

    def below(self, x: str, edges: np.ndarray, strictly: bool) -> str:
        """Count the edges below each value of a column (n, 1): int64, (n,)."""
        op = "Less" if strictly else "LessOrEqual"
        passed = self.node("Cast", self.node(op, edges[None, :], x), to=TensorProto.INT64)
        return self.node("ReduceSum", passed, self.integers(1), keepdims=0)

    def pick(self, table: np.ndarray, index: str) -> str:
        """Look values up: (n,) indices to a column (n, 1)."""
        values = self.node("Gather", self.constant(table.astype(np.float64)), index)
        return self.node("Unsqueeze", values, self.integers(1))


def _curve(w: _Writer, curve: CalibrationCurve, x: str) -> str:
    """Apply a curve to a column (n, 1)."""
    match curve:
        case PiecewiseLinear():
            if len(curve.x) == 1:
                return w.node("Add", w.node("Mul", x, 0.0), float(curve.y[0]))
            inner = w.below(x, curve.x[1:-1], strictly=False)
            x0, y0 = w.pick(curve.x[:-1], inner), w.pick(curve.y[:-1], inner)
            width, rise = w.pick(np.diff(curve.x), inner), w.pick(np.diff(curve.y), inner)
            inside = w.node("Max", w.node("Min", x, float(curve.x[-1])), float(curve.x[0]))
            share = w.node("Div", w.node("Sub", inside, x0), width)  # a slope may be larger than a float64 can be
            y = w.node("Add", y0, w.node("Mul", share, rise))
            return w.node("Max", w.node("Min", y, 1.0), 0.0)
        case StepFunction():
            return w.pick(curve.values.clip(0.0, 1.0), w.below(x, curve.edges, strictly=True))
        case LogOddsCurve():
            s = w.node("Max", w.node("Min", x, 1 - _LEAST), _LEAST)
            left = w.node("Mul", w.node("Log", s), curve.a)
            right = w.node("Mul", w.log1p(w.node("Neg", s)), curve.b)
            return w.sigmoid(w.node("Add", w.node("Sub", left, right), curve.c))
        case _:
            assert_never(curve)


def _step(w: _Writer, step: Step, x: str) -> str:  # noqa: PLR0911  (one case a step)
    """Apply a step to rows (n, k)."""
    match step:
        case Affine():
            moved = w.node("MatMul", x, step.weight.T) if step.weight.ndim == 2 else w.node("Mul", x, step.weight)
            return w.node("Add", moved, step.bias)
        case Softmax():
            return w.node("Softmax", x, axis=1)  # one operation, which `surefoot verify` and others know
        case LogSoftmax():
            return w.log_sums(x)[0]
        case InverseFocal():
            return _focal_undo(w, step, x)
        case RowTemperature():
            return _row_temperature(w, step, x)
        case Curves():
            return _curves(w, step, x)
        case TopCurve():
            return _top_curve(w, step, x)
        case Normalise():
            return _shares(w, x)
        case Reweigh():
            return _shares(w, w.node("Mul", x, step.scaled()))
        case Mix():
            left = max(1.0 - float(step.weights.sum()), 0.0) / w.k
            parts = [w.node("Mul", _steps(w, p, x), float(v)) for v, p in zip(step.weights, step.parts, strict=True)]
            return w.node("Add", w.node("Sum", *parts), left)
        case _:
            assert_never(step)


def _shares(w: _Writer, x: str) -> str:
    """Divide rows by their sums; equal parts where a sum is 0."""
    total = w.sum(x)
    positive = w.node("Greater", total, 0.0)
    return w.node("Where", positive, w.node("Div", x, w.node("Where", positive, total, 1.0)), 1.0 / w.k)


def _focal_undo(w: _Writer, step: InverseFocal, x: str) -> str:
    log_p, log_u, _ = w.log_sums(x)
    log_u = w.node("Max", log_u, -FAR)
    exponent: str | float = float(step.gammas[0])
    for gamma, edge in zip(step.gammas[1:], np.log(step.thresholds), strict=True):
        exponent = w.node("Where", w.node("GreaterOrEqual", log_p, float(edge)), float(gamma), exponent)
    odds = w.node("Exp", w.node("Min", w.node("Sub", log_p, log_u), 700.0))
    ratio = w.node("Mul", odds, w.node("Neg", log_p))
    ratio = w.node("Where", w.node("Greater", log_u, -600.0), ratio, 1.0)
    ratio = w.node("Where", w.node("Greater", log_p, -np.inf), ratio, 0.0)
    undone = w.node("Sub", log_p, w.node("Mul", log_u, exponent))
    return w.node("Sub", undone, w.node("Log", w.node("Add", w.node("Mul", ratio, exponent), 1.0)))


def _row_temperature(w: _Writer, step: RowTemperature, x: str) -> str:
    size = w.integers(min(TOP_SCORES, w.k))
    largest, at = w._name(), w._name()
    w.nodes.append(helper.make_node("TopK", [x, size], [largest, at], axis=1, largest=1, sorted=1))
    top = w.node("Sub", largest, w.max(x))
    for weight, bias in ((step.w1, step.b1), (step.w2, step.b2)):
        top = w.node("Relu", w.node("Add", w.node("MatMul", top, weight.T), bias))
    raw = w.node("Add", w.node("MatMul", top, step.w3[:, None]), step.b3)
    warm = w.node("Add", w.node("Max", raw, 0.0), w.log1p(w.node("Exp", w.node("Neg", w.node("Abs", raw)))))
    return w.node("Div", x, w.node("Max", warm, LEAST_TEMPERATURE))


def _curves(w: _Writer, step: Curves, x: str) -> str:
    if len(step.curves) == 1:
        flat = w.node("Reshape", x, w.integers(-1, 1))
        return w.node("Reshape", _curve(w, step.curves[0], flat), w.integers(-1, w.k))
    columns = [
        _curve(w, curve, w.node("Slice", x, w.integers(j), w.integers(j + 1), w.integers(1)))
        for j, curve in enumerate(step.curves)
    ]
    return w.node("Concat", *columns, axis=1)


def _top_curve(w: _Writer, step: TopCurve, x: str) -> str:
    mask = w.top(x)
    other = w.node("Sub", 1.0, mask)
    score = w.sum(w.node("Mul", x, mask))
    if len(step.curves) == 1:
        wanted = _curve(w, step.curves[0], score)
    else:
        columns = w.node("Concat", *(_curve(w, curve, score) for curve in step.curves), axis=1)
        wanted = w.sum(w.node("Mul", columns, mask))
    others = w.node("Mul", x, other)
    if step.power != 1:
        peak = w.max(others)
        scaled = w.node("Div", others, w.node("Where", w.node("Greater", peak, 0.0), peak, 1.0))
        others = w.node("Mul", w.node("Pow", scaled, step.power), other)
    rest = w.sum(others)
    positive = w.node("Greater", rest, 0.0)
    shares = w.node("Div", others, w.node("Where", positive, rest, 1.0))
    shares = w.node("Where", positive, shares, w.node("Div", other, w.k - 1.0))
    runner_up = w.node("Mul", w.max(shares), ABOVE)
    kept = w.node("Max", wanted, w.node("Div", runner_up, w.node("Add", runner_up, 1.0)))
    kept = w.node("Min", kept, 1.0)
    shares = w.node("Mul", shares, w.node("Sub", 1.0, kept))
    return w.node("Add", shares, w.node("Mul", mask, kept))


def _steps(w: _Writer, steps: Steps, x: str) -> str:
    for step in steps:
        x = _step(w, step, x)
    return x


def calibrator_to_onnx(calibrator: Calibrator, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a graph from `logits` (n, k) to `probs` (n, k, float32).

    Property: equals `predict_proba` to float32's rounding (tested against ONNX Runtime).

    Raises:
        NotFittedError: there is nothing learnt to write.
        InputError: a calibrator that could make more of float32 logits than a float64 can hold.
    """
    check_is_fitted(calibrator, "steps_")
    check_reach(calibrator.steps_, float(np.finfo(np.float32).max))
    k = calibrator.n_classes_
    w = _Writer(k)
    result = _steps(w, calibrator.steps_, w.node("Cast", "logits", to=TensorProto.DOUBLE))
    w.nodes.append(helper.make_node("Cast", [result], ["probs"], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        w.nodes, "surefoot_map",
        [helper.make_tensor_value_info("logits", dtype, ["n", k])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["n", k])],
        initializer=w.constants,
    )  # fmt: skip
    return _finished(graph, _OPSET)


def model_to_onnx(
    model: "torch.nn.Module | onnx.ModelProto | Path | str", calibrator: Calibrator,
    example: torch.Tensor | None = None,
) -> onnx.ModelProto:  # fmt: skip
    """Return one graph from the network's input to calibrated `probs` (`probs_1`, ... where that name is taken).

    Arguments:
        model: a network whose output is logits (n, k); or the ONNX graph of one, or its file.
        calibrator: fitted on the logits of that network.
        example: an input (n, ...) of a PyTorch network, on its device; the first dimension is free in the graph.

    Raises:
        InputError: no example for a PyTorch network, a graph with another output than logits (n, k), or one that ONNX
            Runtime, where it is installed, does not load.
    """
    check_is_fitted(calibrator, "steps_")
    if isinstance(model, torch.nn.Module):
        if example is None:
            raise InputError("exporting a PyTorch network needs an example input: example=torch.zeros(1, ...)")
        network = _export(model, example)
    else:
        network = model if isinstance(model, onnx.ModelProto) else load_onnx(model)
    if len(network.graph.output) != 1:
        raise InputError(f"the network must have one output, its logits; it has {len(network.graph.output)}")
    output = network.graph.output[0]
    last = next((node.op_type for node in network.graph.node if output.name in node.output), "")
    if last in ("Softmax", "LogSoftmax"):
        raise InputError(f"the network ends in a {last}{_CUT_OFF}")
    k = calibrator.n_classes_
    shape = [d.dim_value for d in output.type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] not in (0, k):
        raise InputError(f"the network's output has shape {shape}, the calibrator was fitted on logits (n, {k})")
    _check_logits(network, k)
    opset = next(o.version for o in network.opset_import if o.domain in ("", "ai.onnx"))
    if opset < _OPSET:
        network = onnx.version_converter.convert_version(network, _OPSET)
    taken = _names_in(network.graph)
    probs = next(n for n in ("probs", *(f"probs_{i}" for i in range(1, len(taken) + 2))) if n not in taken)
    prefix = "surefoot/"
    while any(name.startswith(prefix) for name in taken):
        prefix = f"surefoot_{prefix}"
    combined = onnx.compose.merge_models(
        network, _same_opset(calibrator_to_onnx(calibrator, output.type.tensor_type.elem_type), network),
        io_map=[(output.name, "logits")], prefix1="", prefix2=prefix,
    )  # fmt: skip
    for node in combined.graph.node:
        for i, name in enumerate(node.output):
            if name == f"{prefix}probs":
                node.output[i] = probs
    combined.graph.output[0].name = probs
    onnx.checker.check_model(combined)
    _check_runs(combined)
    return combined


def _names_in(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all values and nodes of a graph, also of graphs in it."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    taken = {value.name for value in values} | {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        taken |= {node.name, *node.input, *node.output}
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                taken |= _names_in(inner)
    return taken


def _check_logits(network: onnx.ModelProto, k: int) -> None:
    """Run a network on random inputs: refuse what gives no logits of k classes, whatever its last operation is called.

    What does not run on any of them is not judged: `_check_runs` and the shapes must do.

    Raises:
        InputError: another number of classes, or probabilities, their logarithms, or numbers between 0 and 1.
    """
    outputs = [rows for rows in _outputs(network) if rows.size]
    for rows in outputs:
        if rows.ndim != 2 or rows.shape[1] != k:
            raise InputError(
                f"the network gives rows of shape {rows.shape}, the calibrator was fitted on logits (n, {k})"
            )
    finite = [rows.astype(np.float64) for rows in outputs if np.isfinite(rows.astype(np.float64)).all()]
    if not finite:
        return
    table = np.concatenate(finite)
    if len(table) < 2 or np.ptp(table, axis=0).max() == 0:  # whatever comes in, the same comes out
        return
    if table.min() >= 0 and np.abs(table.sum(1) - 1).max() <= _SUMS:
        raise InputError(f"the network gives probabilities{_CUT_OFF}")
    if table.max() <= 0 and np.abs(row_log_sums(table)).max() <= _SUMS:
        raise InputError(f"the network gives logarithms of probabilities{_CUT_OFF}")
    if table.min() >= 0 and table.max() <= 1:
        raise InputError(f"the network gives numbers between 0 and 1, whatever its input{_CUT_OFF}")


def _outputs(network: onnx.ModelProto) -> Iterator[np.ndarray]:
    """Run a network on random inputs of several sizes, in a batch of several where it takes one."""
    run = _runner(network)
    constants = {constant.name for constant in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in constants]
    rng = np.random.default_rng(0)
    for free in _FREE_SIZES:
        worked = False
        for scale in (0.3, 1.0, 1.0, 10.0, 1000.0):
            try:
                given = {value.name: _random(rng, value, free, scale) for value in inputs}
                output = np.asarray(run(given))
            except Exception:  # whatever a runtime makes of a shape or a number that it does not take
                continue
            worked = True
            yield output
        if worked:
            return


def _random(rng: np.random.Generator, value: onnx.ValueInfoProto, free: int, scale: float) -> np.ndarray:
    about = value.type.tensor_type
    shape = [d.dim_value or (_BATCH if i == 0 else free) for i, d in enumerate(about.shape.dim)]
    dtype = helper.tensor_dtype_to_np_dtype(about.elem_type)
    if dtype.kind in "iub":
        return rng.integers(2, size=shape).astype(dtype)
    return (scale * rng.normal(size=shape)).astype(dtype)


def _runner(network: onnx.ModelProto) -> Callable[[dict[str, np.ndarray]], Any]:
    """Return what runs a network: ONNX Runtime where it is installed, else ONNX's own."""
    onnxruntime = _runtime()
    if onnxruntime is None:
        reference: Any = ReferenceEvaluator(network)
        return lambda given: reference.run(None, given)[0]
    try:
        session = _session(onnxruntime, network)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"ONNX Runtime does not load the network: {reason}") from error
    return lambda given: session.run(None, given)[0]


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")  # used where it is there, needed nowhere
    except ModuleNotFoundError:
        return None


def _session(onnxruntime: Any, model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _check_runs(model: onnx.ModelProto) -> None:
    """Refuse a graph that ONNX Runtime does not load, where it is installed."""
    onnxruntime = _runtime()
    if onnxruntime is None:
        return
    try:
        _session(onnxruntime, model)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"ONNX Runtime does not load the network with its calibrator: {reason}") from error


def _same_opset(model: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """Declare the opset of another graph: the nodes used here mean the same from opset 18 on."""
    del model.opset_import[:]
    model.opset_import.extend(o for o in like.opset_import if o.domain in ("", "ai.onnx"))
    model.ir_version = like.ir_version
    return model


def _export(model: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """Export a network in evaluation mode, its first dimension free."""
    was, about = model.training, logging.getLogger("torch.onnx")
    level = about.level
    about.setLevel(logging.ERROR)  # it reports each optional package that is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch, about PyTorch
            program = torch.onnx.export(
                model.eval(), (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False
            )
    finally:
        about.setLevel(level)
        model.train(was)
    return program.model_proto  # type: ignore[union-attr]


def _finished(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="surefoot")
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def batch_words(model: onnx.ModelProto) -> str:
    """Say how many inputs at once a graph takes: any number only where its first dimension is free."""
    first = model.graph.input[0].type.tensor_type.shape.dim[:1]
    if first and first[0].HasField("dim_value") and first[0].dim_value > 0:
        size = first[0].dim_value
        return f"takes {size} input{'s' if size > 1 else ''} at a time, as the network does"
    return "takes any number of inputs at a time"


def save_onnx(model: onnx.ModelProto, path: Path | str) -> None:
    """Write a graph, whole or not at all.

    Raises:
        InputError: the name does not end in .onnx.
    """
    if Path(path).suffix != ".onnx":
        raise InputError(f"an ONNX graph is written as .onnx, got {path}")
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def load_onnx(path: Path | str) -> onnx.ModelProto:
    """Read a graph, plain or gzipped, and check that it is one.

    Raises:
        FileError: it is missing or damaged, or its weights lie outside its folder.
    """
    model = load_model(path)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # whatever protobuf and the checker raise
        raise FileError(f"{path} is not an ONNX graph, or it is damaged: {str(error).splitlines()[0]}") from error
    return model
