"""The steps of calibrators as nodes of an ONNX graph, in float64 whatever the type of the logits."""

from typing import Any, assert_never

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from surefoot.recalibrate.base import Steps
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

_LEAST = 2.0**-53


class Writer:
    """Collects nodes and constants; each method adds a node and gives the name of its output."""

    def __init__(self, classes: int) -> None:
        self.k = classes
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def name(self) -> str:
        """Return a name that no other value has."""
        self._count += 1
        return f"map_{self._count}"

    def node(self, op: str, *inputs: "str | float | np.ndarray", **attributes: Any) -> str:
        """Add a node; numbers among the inputs become float64 constants."""
        name = self.name()
        names = [x if isinstance(x, str) else self.constant(np.asarray(x, dtype=np.float64)) for x in inputs]
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        return name

    def constant(self, value: np.ndarray) -> str:
        """Add a constant of its own type."""
        name = self.name()
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


def _curve(w: Writer, curve: CalibrationCurve, x: str) -> str:
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


def _step(w: Writer, step: Step, x: str) -> str:  # noqa: PLR0911  (one case a step)
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
            parts = [
                w.node("Mul", write_steps(w, p, x), float(v)) for v, p in zip(step.weights, step.parts, strict=True)
            ]
            return w.node("Add", w.node("Sum", *parts), left)
        case _:
            assert_never(step)


def _shares(w: Writer, x: str) -> str:
    """Divide rows by their sums; equal parts where a sum is 0."""
    total = w.sum(x)
    positive = w.node("Greater", total, 0.0)
    return w.node("Where", positive, w.node("Div", x, w.node("Where", positive, total, 1.0)), 1.0 / w.k)


def _focal_undo(w: Writer, step: InverseFocal, x: str) -> str:
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


def _row_temperature(w: Writer, step: RowTemperature, x: str) -> str:
    size = w.integers(min(TOP_SCORES, w.k))
    largest, at = w.name(), w.name()
    w.nodes.append(helper.make_node("TopK", [x, size], [largest, at], axis=1, largest=1, sorted=1))
    top = w.node("Sub", largest, w.max(x))
    for weight, bias in ((step.w1, step.b1), (step.w2, step.b2)):
        top = w.node("Relu", w.node("Add", w.node("MatMul", top, weight.T), bias))
    raw = w.node("Add", w.node("MatMul", top, step.w3[:, None]), step.b3)
    warm = w.node("Add", w.node("Max", raw, 0.0), w.log1p(w.node("Exp", w.node("Neg", w.node("Abs", raw)))))
    return w.node("Div", x, w.node("Max", warm, LEAST_TEMPERATURE))


def _curves(w: Writer, step: Curves, x: str) -> str:
    if len(step.curves) == 1:
        flat = w.node("Reshape", x, w.integers(-1, 1))
        return w.node("Reshape", _curve(w, step.curves[0], flat), w.integers(-1, w.k))
    columns = [
        _curve(w, curve, w.node("Slice", x, w.integers(j), w.integers(j + 1), w.integers(1)))
        for j, curve in enumerate(step.curves)
    ]
    return w.node("Concat", *columns, axis=1)


def _top_curve(w: Writer, step: TopCurve, x: str) -> str:
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


def write_steps(w: Writer, steps: Steps, x: str) -> str:
    """Apply steps to rows (n, k), one after another."""
    for step in steps:
        x = _step(w, step, x)
    return x
