"""Random ONNX graphs of fixed batches and of several inputs, with resizing, volumes, reductions, scatters, thresholds
and whatever steps, over opsets 7 to 21, read without the door and evaluated beside ONNX Runtime: on rows that differ,
row by row where they were read so, and at numbers on and beside jumps.

A fault is another function than the runtime's, or an error that is not one clear line.
"""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from fuzz import Attack
from fuzz.operations import RARE
from fuzz.readers import STEPS, Draw
from surefoot.core.errors import InputError
from surefoot.graph.graph import fold
from surefoot.graph.onnx_in import reading_of_onnx
from surefoot.spec.float32 import SLACK, undecided, with_error

CASES = 6000
BEFORE = "1 of 1,784 took another nearest value in resizing, at a place that float32 rounds"


class Batch(Draw):
    """A graph of a fixed batch, perhaps of two inputs that are joined first."""

    def start(self) -> list[int]:
        """Draw the input's shape; two inputs are as wide together."""
        shape = super().start()
        if self.rng.random() < 0.15:
            shape = [1, 1, *self.rng.integers(2, 5, 3).tolist()]
        shape[0] = int(self.rng.choice([1, 2, 3]))
        self.parts = 2 if self.rng.random() < 0.3 and shape[-1] > 1 else 1
        return shape

    def model(self) -> onnx.ModelProto:
        """Make the model."""
        shape = [*self.given]
        shapes = {"x": shape}
        nodes = list(self.nodes)
        if self.parts == 2:
            left = shape[-1] // 2
            shapes = {"a": [*shape[:-1], left], "b": [*shape[:-1], shape[-1] - left]}
            nodes.insert(0, helper.make_node("Concat", ["a", "b"], ["x"], axis=len(shape) - 1))
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in shapes.items()]
        out = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        held = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(nodes, "drawn", infos, [out], held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        return model

    def feed(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Divide the input among the inputs."""
        left = self.given[-1] // 2
        return {"x": x} if self.parts == 1 else {"a": x[..., :left], "b": x[..., left:]}

    def of_two(self, op: str, value: str, *inputs: str, kind: int = TensorProto.FLOAT, **attributes: Any) -> None:
        """Add an operation of some values, and a cast to real numbers behind it."""
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [value, *inputs], [out], **attributes))
        self.last = out
        if kind != TensorProto.FLOAT:
            self.add("Cast", to=TensorProto.FLOAT)


def runs(d: Batch, x: np.ndarray) -> np.ndarray:
    """Run what was drawn, as the door does: optimised, pairs of QuantizeLinear are made one that rounds otherwise."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(d.model().SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, d.feed(x.astype(np.float32)))[0])


def _transposed(d: Batch) -> None:
    rng, n = d.rng, len(d.shape) - 2
    group = int(rng.choice([1, d.shape[1]]))
    a: dict[str, Any] = {"strides": rng.integers(1, 4, n).tolist(), "dilations": rng.integers(1, 3, n).tolist()}
    kernel = rng.integers(1, 4, n).tolist()
    if rng.random() < 0.5:
        a["pads"] = rng.integers(0, 3, 2 * n).tolist()
        a["output_padding"] = [int(rng.integers(0, s)) for s in a["strides"]]
    elif rng.random() < 0.5:
        a["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))
    weight = d.normal(d.shape[1], int(rng.integers(1, 3)), *kernel)
    d.add("ConvTranspose", weight, group=group, kernel_shape=kernel, **a)


def _volume(d: Batch) -> None:
    rng = d.rng
    a: dict[str, Any] = {"kernel_shape": rng.integers(1, 4, 3).tolist(), "strides": rng.integers(1, 3, 3).tolist()}
    if rng.random() < 0.5:
        a["pads"] = rng.integers(0, 2, 6).tolist()
    if rng.random() < 0.5:
        d.add("Conv", d.normal(2, d.shape[1], *a["kernel_shape"]), **a)
    else:
        d.add(str(rng.choice(["MaxPool", "AveragePool"])), **a)


def _resized(d: Batch) -> None:
    rng, rank = d.rng, len(d.shape)
    scales = np.ones(rank, np.float32)
    scales[2:] = rng.choice([0.5, 1.0, 1.5, 2.0, 2.3, 3.0], rank - 2)
    mode = str(rng.choice(["nearest", "linear", "cubic"]))
    if d.opset < 11:
        d.add("Upsample" if d.opset < 10 else "Resize", d.constant(scales), mode=mode)
        return
    how = str(rng.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    near = {"nearest_mode": str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))}
    near = near if mode == "nearest" else {}
    d.add("Resize", d.constant([]), d.constant(scales), mode=mode, coordinate_transformation_mode=how, **near)


def _reduced(d: Batch) -> None:
    rng, rank = d.rng, len(d.shape)
    op = str(rng.choice(["ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceProd",
                         "ReduceLogSumExp"]))  # fmt: skip
    axes = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
    axes = (axes - rank * rng.integers(0, 2, len(axes))).tolist()
    a = {"keepdims": int(rng.integers(0, 2))}
    d.add(op, d.constant(axes, np.int64), **a) if d.opset >= 18 else d.add(op, axes=axes, **a)


def _stepped(d: Batch) -> None:
    rng, op = d.rng, str(d.rng.choice(["Sign", "Floor", "Ceil", "Round", "Shrink", "ThresholdedRelu", "Compare", "Cast",
                                       "ArgMax", "Where", "Quantize"]))  # fmt: skip
    last = d.last
    match op:
        case "Shrink":
            d.add(op, lambd=float(rng.choice([0.25, 0.5])), bias=float(rng.choice([0.0, 0.25, 0.5])))
        case "ThresholdedRelu":
            d.add(op, alpha=0.5)
        case "Compare":
            how = str(rng.choice(["Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual"]))
            d.of_two(how, last, d.constant(np.round(2 * rng.normal(size=d.shape[-1:])) / 2), kind=TensorProto.BOOL)
        case "Cast":
            d.add("Cast", to=int(rng.choice([TensorProto.INT64, TensorProto.BOOL, TensorProto.INT32])))
            d.add("Cast", to=TensorProto.FLOAT)
        case "ArgMax":
            axis = int(rng.integers(-len(d.shape), len(d.shape)))
            some = {"select_last_index": int(rng.integers(0, 2))} if d.opset >= 12 else {}
            d.of_two(str(rng.choice(["ArgMax", "ArgMin"])), last, kind=TensorProto.INT64, axis=axis, **some)
        case "Where":
            d.of_two("Greater", last, d.constant(0.25), kind=TensorProto.BOOL)
            d.add("Cast", to=TensorProto.BOOL)
            d.of_two("Where", d.last, *((last, d.normal(d.shape[-1])) if rng.random() < 0.5 else (d.normal(), last)))
        case "Quantize":
            scale, zero = d.constant(rng.choice([0.25, 0.1])), d.constant(rng.integers(0, 9), np.uint8)
            d.add("QuantizeLinear", scale, zero)
            d.add("DequantizeLinear", scale, zero)
        case _:
            d.add(op)


def _put(d: Batch) -> None:
    rng = d.rng
    match rng.integers(0, 5):
        case 0:
            d.add("CumSum", d.constant(rng.integers(0, len(d.shape)), np.int64), reverse=int(rng.integers(0, 2)),
                  exclusive=int(rng.integers(0, 2)))  # fmt: skip
        case 1:
            places = rng.permutation(d.shape[1])[: int(rng.integers(1, d.shape[1] + 1))]
            rows = np.stack(np.meshgrid(np.arange(d.shape[0]), places, indexing="ij"), -1)
            d.add("ScatterND", d.constant(rows, np.int64), d.normal(*rows.shape[:2], *d.shape[2:]))
        case 2:
            d.add("Trilu", d.constant(rng.integers(-1, 2), np.int64), upper=int(rng.integers(0, 2)))
        case 3:
            other = d.last
            d.add("Neg")
            d.of_two("Concat", other, d.last, d.normal(*d.shape), axis=int(rng.integers(0, len(d.shape))))
        case _:
            mask = d.constant(rng.random(d.shape[-1]) < 0.5, np.bool_)
            d.of_two("Where", mask, d.last, d.normal(d.shape[-1]))


def _normed(d: Batch) -> None:
    c = d.shape[1]
    if np.prod(d.shape[2:]) == 1:
        raise ValueError("of one number the variance is 0, and all that runtimes give is rounding")
    op = str(d.rng.choice(["InstanceNormalization", "GroupNormalization", "LRN", "LpNormalization"]))
    match op:
        case "LRN":
            d.add(op, size=3, alpha=0.5)
        case "LpNormalization":
            d.add(op, axis=-1, p=int(d.rng.integers(1, 3)))
        case "GroupNormalization":
            d.add(op, d.normal(c), d.normal(c), num_groups=c)
        case _:
            d.add(op, d.normal(c), d.normal(c))


NEW = [_transposed, _volume, _resized, _reduced, _reduced, _stepped, _stepped, _stepped, _put, _put, _normed]


def drawn(rng: np.random.Generator) -> Batch | None:
    """Draw one to three operations that ONNX Runtime runs; None where it runs none of them."""
    d = Batch(rng)
    d.opset = int(rng.integers(7, 22))
    for _ in range(int(rng.integers(1, 4))):
        kept = len(d.nodes), d.last, d.shape
        some: list[Any] = NEW if rng.random() < 0.6 else RARE if rng.random() < 0.5 else STEPS
        try:
            some[int(rng.integers(len(some)))](d)
            y = runs(d, np.zeros(d.given))
            if not y.size or y.dtype != np.float32:
                raise ValueError("nothing is left, or no real numbers")
        except Exception:  # attributes that fit no shape: this operation is left out
            del d.nodes[kept[0] :]
            d.last, d.shape = kept[1:]
            continue
        d.shape = list(y.shape)
    return d if d.nodes else None


def attack(seed: int, count: int) -> Attack:
    """Draw graphs, read them, and compare."""
    met = Attack()
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        d = drawn(rng)
        if d is None:
            continue
        met.tried += 1
        outcome, fault = read(d, rng)
        met.outcomes[outcome] += 1
        if fault:
            shown = [f"{n.op_type} " + " ".join(f"{a.name}={helper.get_attribute_value(a)}" for a in n.attribute)
                     for n in d.nodes]  # fmt: skip
            met.faults.append(f"seed {seed} case {case} (opset {d.opset}, {d.given}, {', '.join(shown)}): {fault}")
    return met


def read(d: Batch, rng: np.random.Generator) -> tuple[str, str]:
    """Read what was drawn, and compare it with the runtime on rows that differ."""
    try:
        reading = reading_of_onnx(d.model())
    except InputError as error:
        return "refused", f"not one line: {error}" if "\n" in str(error) else ""
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    rows = reading.inputs.rows
    for size in (1.0, 0.0, 0.5, 3.0):
        x = size * rng.normal(size=d.given)
        x = np.round(2 * x) / 2 if size == 0.5 else x  # on the jumps
        x = x.astype(np.float32)
        parts = d.feed(x).values()
        flat = np.concatenate([part.reshape(rows, -1) for part in parts], 1)
        given = torch.from_numpy(flat).double().reshape(rows, *reading.graph.input_shape)
        values = fold(reading.graph, (given, torch.zeros_like(given)), with_error)
        open_ = undecided(reading.graph.nodes, values)[-1].numpy()
        open_ |= ~torch.stack([value.flatten(1).isfinite().all(1) for value, _ in values]).all(0).numpy()
        ours, error = (part.reshape(rows, -1).numpy() for part in values[-1])
        theirs = runs(d, x).reshape(rows, -1).astype(np.float64)
        if ours.shape != theirs.shape:
            return "read", f"{ours.size} outputs, {theirs.size} by the runtime"
        size_of_all = 1 + np.abs(np.nan_to_num(theirs, posinf=0, neginf=0)).max() + np.abs(x).max()
        rounding = 1e-3 * np.abs(theirs) + 1e-4 * size_of_all + SLACK * np.nan_to_num(error, posinf=np.inf)
        # nothing is told behind a step that rounding decides, or behind what has no value
        told = np.isfinite(theirs) & np.isfinite(ours) & ~open_[:, None]
        if (told & ~(np.abs(ours - theirs) <= rounding)).any():
            return "read", "other values than the runtime's"
    return ("read row by row" if rows > 1 else "read"), ""
