"""Random ONNX graphs of every operation that is read, with random attributes, shapes and operator sets, evaluated
beside ONNX Runtime: what the door lets in is the same function, and the rest is refused in one line.

Half of the graphs are read as they are; for the others one thing that a reader could get wrong is planted into what was
read (a weight, a sign, the order of values, a shape), and the door must see it. A fault is: a network that was let in
and whose values differ from the runtime's beyond rounding at inputs that the door did not try; one that was planted and
let in; an error that is not one clear line.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from fuzz import Attack
from surefoot.core.errors import FileError, InputError
from surefoot.graph.graph import Graph, Node, evaluate
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Gather, Linear, Relu
from surefoot.spec import opening

CASES = 3000
BEFORE = "30 of 949 read as another function, 4 tracebacks; nothing was compared at the door"


class Draw:
    """A graph that grows by one random operation at a time."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.opset = int(rng.choice([7, 9, 11, 12, 13, 15, 17, 18, 19, 21]))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shape = self.start()
        self.given = list(self.shape)
        self.last = "x"

    def start(self) -> list[int]:
        """Draw the input's shape."""

        def pick(*values: int) -> int:
            return int(self.rng.choice(values))

        kinds = [[1, pick(2, 3, 4)], [1, pick(1, 2), pick(3, 5, 6)], [1, pick(1, 2, 4), pick(3, 4, 5), pick(3, 4, 6)]]
        return kinds[pick(0, 1, 2, 2)]

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype=kind)
        return name

    def normal(self, *shape: int) -> str:
        """Add a constant of random numbers."""
        return self.constant(self.rng.normal(size=shape))

    def add(self, op: str, *inputs: str, **attributes: Any) -> None:
        """Add an operation of the last value."""
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *inputs], [out], **attributes))
        self.last = out

    def model(self) -> onnx.ModelProto:
        """Make the model."""
        shape = ["n" if self.rng.random() < 0.3 else 1, *self.given[1:]]
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 8
        return model


def grown(rng: np.random.Generator) -> onnx.ModelProto | None:
    """Draw a graph that ONNX Runtime runs; None where this one it does not."""
    drawn = Draw(rng)
    for _ in range(int(rng.integers(1, 5))):
        kept = len(drawn.nodes), drawn.last, drawn.shape
        try:
            STEPS[int(rng.integers(len(STEPS)))](drawn)
            y = runtime(drawn.model())(np.zeros((1, int(np.prod(drawn.given)))))
            if not y.size:
                raise ValueError("nothing is left")
        except Exception:  # attributes that fit no shape: this operation is left out
            del drawn.nodes[kept[0] :]
            drawn.last, drawn.shape = kept[1:]
            continue
        drawn.shape = list(y.shape)
    return drawn.model() if drawn.nodes else None


def runtime(model: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """Give a function from flat inputs (1, d) to the output as it is."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    shape = [side if isinstance(side, int) else 1 for side in given.shape]
    return lambda x: np.asarray(session.run(None, {"x": x.reshape(shape).astype(np.float32)})[0])


def _sides(d: Draw) -> int:
    return max(len(d.shape) - 2, 1)


def _window(d: Draw) -> dict[str, Any]:
    n, rng = _sides(d), d.rng
    attributes: dict[str, Any] = {"kernel_shape": rng.integers(1, 4, n).tolist()}
    if rng.random() < 0.6:
        attributes["strides"] = rng.integers(1, 4, n).tolist()
    style = rng.choice(["none", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if style == "pads":
        attributes["pads"] = rng.integers(0, 3, 2 * n).tolist()
    elif style != "none":
        attributes["auto_pad"] = str(style)
    return attributes


def _conv(d: Draw) -> None:
    channels, rng = d.shape[1] if len(d.shape) > 1 else 1, d.rng
    group = int(rng.choice([g for g in (1, 2, channels) if channels % g == 0]))
    window = _window(d)
    if rng.random() < 0.3 and "auto_pad" not in window:
        window["dilations"] = rng.integers(1, 3, _sides(d)).tolist()
    out = group * int(rng.integers(1, 3))
    inputs = [d.normal(out, channels // group, *window["kernel_shape"])]
    inputs += [d.normal(out)] if rng.random() < 0.5 else []
    d.add("Conv", *inputs, group=group, **window)


def _pool(d: Draw) -> None:
    window, kind = _window(d), str(d.rng.choice(["MaxPool", "AveragePool"]))
    if d.opset >= 10 and d.rng.random() < 0.5:
        window["ceil_mode"] = int(d.rng.integers(0, 2))
    if kind == "AveragePool" and d.rng.random() < 0.5:
        window["count_include_pad"] = int(d.rng.integers(0, 2))
    if d.rng.random() < 0.3 and d.opset >= (10 if kind == "MaxPool" else 19):
        window["dilations"] = d.rng.integers(1, 3, _sides(d)).tolist()
    d.add(kind, **window)
    if kind == "MaxPool" and d.opset >= 8 and d.rng.random() < 0.2:
        d.nodes[-1].output.append(f"n{len(d.nodes)}")


def _global(d: Draw) -> None:
    d.add(str(d.rng.choice(["GlobalAveragePool", "GlobalMaxPool"])))


def _gemm(d: Draw) -> None:
    n, m, rng = d.shape[-1], int(d.rng.integers(1, 5)), d.rng
    transposed = int(rng.integers(0, 2))
    inputs = [d.normal(m, n) if transposed else d.normal(n, m)]
    rows = d.shape[0]
    offsets = [(m,), (1, m), (1,), (), (rows, 1), (rows, m)] + ([] if d.opset < 11 else [(1, 1)])
    if d.opset < 11 or rng.random() < 0.7:
        inputs.append(d.normal(*offsets[int(rng.integers(len(offsets)))]))
    a = {"alpha": float(rng.normal()), "beta": float(rng.normal())} if rng.random() < 0.5 else {}
    d.add("Gemm", *inputs, transB=transposed, **a)


def _matmul(d: Draw) -> None:
    n, m = d.shape[-1], int(d.rng.integers(1, 5))
    if d.rng.random() < 0.3 and len(d.shape) > 1:
        name = d.normal(*(1,) * int(d.rng.integers(0, 3)), m, d.shape[-2])
        d.nodes.append(helper.make_node("MatMul", [name, d.last], [f"v{len(d.nodes)}"]))
        d.last = d.nodes[-1].output[0]
        return
    shape = [(n,), (n, m), (n, m), (n, m), (1, n, m), (1, 1, n, m)][int(d.rng.integers(6))]
    d.add("MatMul", d.normal(*shape))


def _norm(d: Draw) -> None:
    c = d.shape[1] if len(d.shape) > 1 else 1
    variance = d.constant(np.abs(d.rng.normal(size=c)) * d.rng.choice([0.0, 1e-5, 1.0]))
    a = {"epsilon": float(d.rng.choice([1e-5, 1e-3, 0.1]))} if d.rng.random() < 0.5 else {}
    if d.opset < 9 and d.rng.random() < 0.3:
        a["spatial"] = int(d.rng.integers(0, 2))
    d.add("BatchNormalization", d.normal(c), d.normal(c), d.normal(c), variance, **a)
    if d.opset < 14 and d.rng.random() < 0.2:  # runtimes take the batch's statistics then
        d.nodes[-1].output.extend(f"n{len(d.nodes)}_{i}" for i in range(4))


def _arithmetic(d: Draw) -> None:
    rng = d.rng
    op = str(rng.choice(["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"]))
    shape = [n if rng.random() < 0.6 else 1 for n in d.shape[int(rng.integers(0, len(d.shape))) :]]
    if rng.random() < 0.2:
        shape[-1] = int(rng.integers(1, 5))
    value = rng.normal(size=shape)
    if op in ("Max", "Min") and rng.random() < 0.3:
        value = value * rng.choice([1e4, 1e31, np.inf]) * np.sign(value) * (-1 if op == "Max" else 1)
    other = d.constant(value) if rng.random() < 0.75 else d.last
    if rng.random() < 0.3 and op != "Div":
        d.nodes.append(helper.make_node(op, [other, d.last], [f"v{len(d.nodes)}"]))
        d.last = d.nodes[-1].output[0]
    else:
        d.add(op, other)


def _clip(d: Draw) -> None:
    low = float(d.rng.choice([-0.5, -1e31, -np.inf, -3.4028235e38]))
    high = float(d.rng.choice([0.5, 2e3, 1e31, np.inf, 3.4028235e38]))
    if d.opset < 11:
        d.add("Clip", min=max(low, -3e38), max=min(high, 3e38))
    elif d.rng.random() < 0.3:
        d.add("Clip", d.constant(low))
    else:
        d.add("Clip", "" if d.rng.random() < 0.3 else d.constant(low), d.constant(high))


def _simple(d: Draw) -> None:
    op = str(d.rng.choice(["Relu", "LeakyRelu", "Neg", "Identity", "Dropout", "Cast"]))
    a: dict[str, Any] = {"to": int(d.rng.choice([TensorProto.FLOAT, TensorProto.DOUBLE]))} if op == "Cast" else {}
    if op == "LeakyRelu" and d.rng.random() < 0.5:
        a = {"alpha": float(d.rng.random())}
    d.add(op, **a)
    if op == "Dropout" and d.rng.random() < 0.5:
        d.nodes[-1].output.append(f"n{len(d.nodes)}")
    if a.get("to") == TensorProto.DOUBLE:
        d.add("Relu")
        d.add("Cast", to=TensorProto.FLOAT)


def _axes(d: Draw) -> list[int]:
    rank = len(d.shape)
    axes = d.rng.permutation(np.arange(1, rank))[: int(d.rng.integers(1, max(rank, 2)))]
    return [int(a) - (rank if d.rng.random() < 0.4 else 0) for a in axes] or [0]


def _reduce(d: Draw) -> None:
    op = str(d.rng.choice(["ReduceMean", "ReduceSum"]))
    axes, keep = _axes(d), int(d.rng.integers(0, 2))
    if d.opset >= (13 if op == "ReduceSum" else 18):
        d.add(op, d.constant(axes, np.int64), keepdims=keep)
    else:
        d.add(op, axes=axes, keepdims=keep)


def _reshape(d: Draw) -> None:
    size, rng = int(np.prod(d.shape)), d.rng
    style = rng.integers(0, 5)
    if style == 0:
        d.add("Flatten", axis=int(rng.integers(-len(d.shape), len(d.shape) + 1)) if d.opset >= 11 else 1)
    elif style == 1:
        parts = [n for n in range(1, size + 1) if size % n == 0]
        n = int(rng.choice(parts))
        target = [[1, n, size // n], [1, -1], [0, -1], [1, n, -1, 1], [-1, n]][int(rng.integers(0, 5))]
        if rng.random() < 0.3:
            target = [n, size // n]  # several rows
        d.add("Reshape", d.constant(target, np.int64))
    elif style == 2:
        perm = [0, *rng.permutation(np.arange(1, len(d.shape))).tolist()]
        d.add("Transpose", perm=perm if rng.random() < 0.8 else rng.permutation(len(d.shape)).tolist())
    elif style == 3:
        axis = int(rng.integers(1, len(d.shape) + 1))
        d.add("Unsqueeze", *([d.constant([axis], np.int64)] if d.opset >= 13 else []), **_given(d, axes=[axis]))
    else:
        ones = [a for a, n in enumerate(d.shape) if n == 1 and a]
        if ones:
            axis = int(rng.choice(ones))
            d.add("Squeeze", *([d.constant([axis], np.int64)] if d.opset >= 13 else []), **_given(d, axes=[axis]))


def _given(d: Draw, **attributes: Any) -> dict[str, Any]:
    return {} if d.opset >= 13 else attributes


def _pad(d: Draw) -> None:
    rng, rank = d.rng, len(d.shape)
    mode = str(rng.choice(["constant", "reflect", "edge"]))
    pads = np.zeros((2, rank), int)
    pads[:, 1:] = rng.integers(-1 if mode == "constant" else 0, 3, (2, rank - 1))
    if d.opset >= 11:
        value = [d.constant(rng.normal())] if rng.random() < 0.5 and mode == "constant" else []
        d.add("Pad", d.constant(pads.flatten(), np.int64), *value, mode=mode)
    else:
        d.add("Pad", pads=pads.flatten().tolist(), mode=mode, value=float(rng.normal()))


def _moved(d: Draw) -> None:
    rng, rank = d.rng, len(d.shape)
    axis = int(rng.integers(1, rank)) if rank > 1 else 0
    n = d.shape[axis]
    match rng.integers(0, 7):
        case 0:
            step = int(rng.choice([1, 2, -1, -2])) if d.opset >= 10 else 1
            first, last = (0, 2**31 - 1) if step > 0 else (-1, -(2**31) + 1)
            first, last = (int(rng.integers(-n, n)), last) if rng.random() < 0.5 else (first, int(rng.integers(-n, n)))
            if d.opset >= 10:
                ends = [[first], [last], [axis - (rank if rng.random() < 0.5 else 0)], [step]]
                d.add("Slice", *(d.constant(end, np.int64) for end in ends))
            else:
                d.add("Slice", starts=[first], ends=[last], axes=[axis])
        case 1:
            index = rng.integers(-n if d.opset >= 11 else 0, n, [(), (2,), (1, 3)][int(rng.integers(0, 3))])
            d.add("Gather", d.constant(index, np.int64), axis=axis)
        case 2:
            _pad(d)
        case 3:
            d.add(
                "Expand",
                d.constant([m if m > 1 or not a else int(rng.integers(1, 3)) for a, m in enumerate(d.shape)], np.int64),
            )
        case 4:
            d.add("Tile", d.constant([1, *rng.integers(1, 3, rank - 1)], np.int64))
        case 5:
            mode = {"mode": str(rng.choice(["DCR", "CRD"]))} if d.opset >= 11 else {}
            d.add("DepthToSpace", blocksize=2, **mode) if rng.random() < 0.5 else d.add("SpaceToDepth", blocksize=2)
        case _:
            size = int(rng.integers(1, max(n, 2)))
            out = [f"s{len(d.nodes)}", f"t{len(d.nodes)}"]
            if d.opset >= 13:
                d.nodes.append(
                    helper.make_node("Split", [d.last, d.constant([size, n - size], np.int64)], out, axis=axis)
                )
            else:
                d.nodes.append(helper.make_node("Split", [d.last], out, axis=axis, split=[size, n - size]))
            d.last = out[int(rng.integers(0, 2))]


def _joined(d: Draw) -> None:
    axis = int(d.rng.integers(1, max(len(d.shape), 2)))
    d.add("Concat", d.last, axis=axis - (len(d.shape) if d.rng.random() < 0.5 and d.opset >= 11 else 0))


def _shaped(d: Draw) -> None:
    a = {"start": int(d.rng.integers(-2, 2))} if d.opset >= 15 and d.rng.random() < 0.5 else {}
    before = d.last
    d.add("Shape", **a)
    d.add("Gather", d.constant(0, np.int64))
    d.add("Cast", to=TensorProto.FLOAT)
    size = d.last
    d.last = before
    d.add("Add", size)


def _softmax(d: Draw) -> None:
    a = {"axis": int(d.rng.choice([1, -1]))} if d.rng.random() < 0.7 and d.opset >= 11 else {}
    d.add(str(d.rng.choice(["Softmax", "LogSoftmax"])), **a)


STEPS = [
    _conv, _pool, _pool, _global, _gemm, _matmul, _norm, _arithmetic, _clip, _simple, _reduce, _reshape, _moved, _moved,
    _joined, _shaped, _softmax,
]  # fmt: skip


def planted(graph: Graph, rng: np.random.Generator) -> Graph | None:
    """Return the graph with one thing wrong; None where nothing was found to be got wrong."""
    nodes = list(graph.nodes)
    for at in rng.permutation(np.arange(1, len(nodes))):
        node = nodes[at]
        op: Any = node.op
        match op:
            case Linear() | Conv2d() if float(op.weight.abs().max()) > 0.1:
                op = replace(op, weight=op.weight.flip(0) if rng.random() < 0.3 else 1.01 * op.weight)
            case ElementwiseAffine() if float(op.scale.abs().max()) > 0.1:
                op = replace(op, scale=1.01 * op.scale)
            case Gather() if op.index.numel() > 1:
                op = Gather(op.index.flatten().flip(0).reshape(op.index.shape))
            case Relu():
                op = ElementwiseAffine(torch.ones((), dtype=torch.float64))
            case _:
                continue
        nodes[at] = Node(node.name, op, node.inputs, node.shape)
        return Graph(tuple(nodes))
    return None


def attack(seed: int, count: int) -> Attack:
    """Draw graphs; open them, or what was planted into them."""
    met = Attack()
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        model = grown(rng)
        if model is None:
            continue
        met.tried += 1
        outcome, fault = opened(model, rng, plant=case % 2 == 1)
        met.outcomes[outcome] += 1
        if fault:
            ops = ", ".join(node.op_type for node in model.graph.node)
            met.faults.append(f"seed {seed} case {case} ({ops}): {fault}")
    return met


def opened(model: onnx.ModelProto, rng: np.random.Generator, plant: bool) -> tuple[str, str]:
    """Open a model; return how that ended and what is wrong with it, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        onnx.save(model, path)
        try:
            found = opening.open_onnx(path)
            if plant:
                wrong = planted(found.graph, rng)
                x = rng.normal(size=(5, int(np.prod(found.graph.input_shape)))).astype(np.float32)
                if wrong is None or _same(wrong, model, x):
                    return "nothing planted", ""
                opening.see_agreement(wrong, found.run, opening._probes(wrong))
                return "planted", "what was planted was not seen"
        except (InputError, FileError) as error:
            if "\n" in str(error) or len(str(error)) > 900:
                return "refused", f"not one line: {error}"
            return "seen" if "agree on what" in str(error) else "refused", ""
        except Exception as error:
            return "traceback", f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    x = rng.choice([0.1, 1.0, 3.0]) * rng.normal(size=(10, int(np.prod(found.graph.input_shape))))
    return "read", "" if _same(found.graph, model, x.astype(np.float32)) else "other values than the runtime's"


def _same(graph: Graph, model: onnx.ModelProto, x: np.ndarray) -> bool:
    run = runtime(model)
    ours = evaluate(graph, torch.from_numpy(x).double().reshape(-1, *graph.input_shape)).reshape(len(x), -1).numpy()
    theirs = np.stack([run(row[None]).astype(np.float64).ravel() for row in x])
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * (1 + np.abs(theirs).max()))
