"""Single operations and small compositions of every operation that is read, with rare attributes, over opsets 7 to 21,
read without the door beside ONNX Runtime; and behind a spike, which is 0 at all inputs that anybody would try, with one
thing that was read wrongly, through the door.

A fault of the first half is another function than the runtime's, or an error that is not one clear line; of the second
half, what was planted and is not seen.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor

from fuzz import Attack
from fuzz.readers import STEPS, Draw, planted, runtime
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, Node, apply, evaluate
from surefoot.graph.onnx_in import Reading, opset_of, reading_of_onnx
from surefoot.graph.onnx_values import OnnxValue
from surefoot.spec import opening
from surefoot.spec.operations import see_operations, see_values

CASES = 6000
BEFORE = "29 of 1,188 read as another function; behind a spike nothing was seen"
SPIKE, SHARP = np.float32(0.3), np.float32(2**20)


def _rare_window(d: Draw) -> None:
    """Pool or convolve with attributes that few exporters write, several at once."""
    rng, n = d.rng, max(len(d.shape) - 2, 1)
    op = str(rng.choice(["MaxPool", "AveragePool", "Conv"]))
    a: dict[str, Any] = {"kernel_shape": rng.integers(1, 4, n).tolist(), "strides": rng.integers(1, 5, n).tolist()}
    if rng.random() < 0.7:
        a["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]))
    elif rng.random() < 0.7:
        a["pads"] = rng.integers(0, 3, 2 * n).tolist()
    if d.opset >= {"MaxPool": 10, "AveragePool": 19, "Conv": 7}[op] and rng.random() < 0.5:
        a["dilations"] = rng.integers(1, 4, n).tolist()
    if op != "Conv" and d.opset >= 10:
        a["ceil_mode"] = int(rng.integers(0, 2))
    if op == "AveragePool":
        a["count_include_pad"] = int(rng.integers(0, 2))
    if op == "MaxPool" and d.opset >= 8 and rng.random() < 0.1:
        a["storage_order"] = int(rng.integers(0, 2))
    inputs = []
    if op == "Conv":
        channels = d.shape[1]
        group = int(rng.choice([1, channels]))
        inputs = [d.normal(group * int(rng.integers(1, 3)), channels // group, *a["kernel_shape"])]
        a["group"] = group
    d.add(op, *inputs, **a)


def _rare_extreme(d: Draw) -> None:
    """Take the larger or smaller of values and constants of other shapes, some of them infinite."""
    rng = d.rng
    op = str(rng.choice(["Max", "Min"]))
    shape = [int(rng.choice([1, n, 3 if n == 1 else n])) for n in d.shape[int(rng.integers(0, len(d.shape))) :]]
    shape = [1] * int(rng.integers(0, 2)) + shape
    none = -np.inf if op == "Max" else np.inf
    value = np.where(rng.random(shape) < rng.choice([0.0, 0.5, 1.0]), none, rng.normal(size=shape))
    more = [d.constant(np.full(shape, none))] if rng.random() < 0.3 else []
    d.add(op, d.constant(value), *more)


def _rare_pad(d: Draw) -> None:
    rng, rank = d.rng, len(d.shape)
    mode = str(rng.choice(["constant", "reflect", "edge", "wrap"]))
    if d.opset < 18 or rng.random() < 0.4:
        pads = np.zeros((2, rank), int)
        pads[:, 1:] = rng.integers(-1, 3, (2, rank - 1))
        if d.opset < 11:
            d.add("Pad", pads=pads.flatten().tolist(), mode=mode, value=float(rng.normal()))
        else:
            d.add("Pad", d.constant(pads.flatten(), np.int64), d.constant(rng.normal()), mode=mode)
        return
    axis = int(rng.integers(1, rank)) - rank * int(rng.integers(0, 2))
    d.add("Pad", d.constant(rng.integers(-1, 3, 2), np.int64), "", d.constant([axis], np.int64), mode=mode)


def _rare_gemm(d: Draw) -> None:
    rng, n, m = d.rng, d.shape[-1], int(d.rng.integers(1, 5))
    a = {name: float(rng.choice([0.0, 0.3, -2.0])) for name in ("alpha", "beta") if rng.random() < 0.6}
    turned = {"transA": int(rng.integers(0, 2))} if rng.random() < 0.2 else {}
    shape = [(m,), (1, m), (1,), (1, 1), ()][int(rng.integers(5))]
    d.add("Gemm", d.normal(n, m), d.normal(*shape), **a, **turned)


def _rare_reduce(d: Draw) -> None:
    rng, op = d.rng, str(d.rng.choice(["ReduceMean", "ReduceSum"]))
    axes = [None, [], [int(rng.integers(-len(d.shape), len(d.shape)))], list(range(1, len(d.shape)))][rng.integers(4)]
    a: dict[str, Any] = {"keepdims": int(rng.integers(0, 2))} if rng.random() < 0.7 else {}
    if d.opset < (13 if op == "ReduceSum" else 18):
        d.add(op, **a, **({"axes": axes} if axes else {}))
        return
    if rng.random() < 0.3:
        a["noop_with_empty_axes"] = int(rng.integers(0, 2))
    d.add(op, *([] if axes is None else [d.constant(axes, np.int64)]), **a)


def _rare_move(d: Draw) -> None:
    rng, rank = d.rng, len(d.shape)
    match rng.integers(0, 4):
        case 0:
            axes = rng.permutation(rank)[: int(rng.integers(1, rank + 1))]
            far = [2**63 - 1, -(2**63), 2**31 - 1]
            starts = [int(rng.integers(-6, 7)) for _ in axes]
            ends = [far[int(rng.integers(3))] if rng.random() < 0.4 else int(rng.integers(-6, 7)) for _ in axes]
            if d.opset < 10:
                d.add("Slice", starts=starts, ends=ends, axes=axes.tolist())
            else:
                steps = rng.choice([1, 2, -1, -2], len(axes))
                d.add("Slice", *(d.constant(value, np.int64) for value in (starts, ends, axes, steps)))
        case 1:
            a = {"allowzero": int(rng.integers(0, 2))} if d.opset >= 14 and rng.random() < 0.5 else {}
            target = [[-1], [0, -1], [0] * rank, [1, -1], [-1, 1, 1]][int(rng.integers(5))]
            d.add("Reshape", d.constant(target, np.int64), **a)
        case 2:
            name = str(rng.choice(["Squeeze", "Unsqueeze"]))
            axes = [[0], [-1], [0, 1], [1], [0, -1]][int(rng.integers(5))]
            d.add(name, d.constant(axes, np.int64)) if d.opset >= 13 else d.add(name, axes=axes)
        case _:
            parts = int(rng.integers(1, 4))
            out = [f"p{len(d.nodes)}_{i}" for i in range(parts)]
            a: dict[str, Any] = {"num_outputs": parts} if d.opset >= 18 else {}
            d.nodes.append(helper.make_node("Split", [d.last], out, axis=int(rng.integers(-rank, rank)), **a))
            d.last = out[int(rng.integers(parts))]


RARE = [_rare_window, _rare_window, _rare_extreme, _rare_pad, _rare_gemm, _rare_reduce, _rare_move]


def drawn(rng: np.random.Generator) -> Draw | None:
    """Draw one operation, or two, that ONNX Runtime runs; None where it does not."""
    d = Draw(rng)
    d.opset = int(rng.integers(7, 22))
    for _ in range(1 if rng.random() < 0.7 else 2):
        kept = len(d.nodes), d.last, d.shape
        some = RARE if rng.random() < 0.6 else STEPS
        try:
            some[int(rng.integers(len(some)))](d)
            y = runtime(d.model())(np.zeros((1, int(np.prod(d.given)))))
            if not y.size:
                raise ValueError("nothing is left")
        except Exception:  # attributes that fit no shape: this operation is left out
            del d.nodes[kept[0] :]
            d.last, d.shape = kept[1:]
            continue
        d.shape = list(y.shape)
    return d if d.nodes else None


def behind_a_spike(d: Draw) -> onnx.ModelProto:
    """Put what was drawn behind relu(1 - 2^20 |x - 0.3|), which is 0 but within a millionth of 0.3."""
    spike = [
        helper.make_node("Sub", ["x", "spike_c"], ["spike_d"]),
        helper.make_node("Neg", ["spike_d"], ["spike_e"]),
        helper.make_node("Relu", ["spike_d"], ["spike_p"]),
        helper.make_node("Relu", ["spike_e"], ["spike_q"]),
        helper.make_node("Add", ["spike_p", "spike_q"], ["spike_a"]),
        helper.make_node("Mul", ["spike_a", "spike_k"], ["spike_m"]),
        helper.make_node("Sub", ["spike_1", "spike_m"], ["spike_t"]),
        helper.make_node("Relu", ["spike_t"], ["spike"]),
    ]
    model = d.model()
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    for node in nodes:
        for at, name in enumerate(node.input):
            node.input[at] = "spike" if name == "x" else name
    del model.graph.node[:]
    model.graph.node.extend(spike + nodes)
    for name, value in (("spike_c", SPIKE), ("spike_k", SHARP), ("spike_1", 1.0)):
        model.graph.initializer.append(numpy_helper.from_array(np.full((1,), value, np.float32), name))
    return model


def attack(seed: int, count: int) -> Attack:
    """Draw operations; read them, or read them wrongly behind a spike."""
    met = Attack()
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        d = drawn(rng)
        if d is None:
            continue
        met.tried += 1
        outcome, fault = hidden(behind_a_spike(d), rng) if case % 2 else read(d.model(), rng)
        met.outcomes[outcome] += 1
        if fault:
            shown = [f"{n.op_type} " + " ".join(f"{a.name}={helper.get_attribute_value(a)}" for a in n.attribute)
                     for n in d.nodes]  # fmt: skip
            met.faults.append(f"seed {seed} case {case} (opset {d.opset}, {', '.join(shown)}): {fault}")
    return met


def read(model: onnx.ModelProto, rng: np.random.Generator) -> tuple[str, str]:
    """Read a model as it is, without the door; compare it with the runtime."""
    try:
        reading = reading_of_onnx(model)
    except InputError as error:
        return "refused", f"not one line: {error}" if "\n" in str(error) else ""
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    run, graph = runtime(model), reading.graph
    value = reading.known[model.graph.output[0].name]
    x = rng.normal(size=(6, int(np.prod(graph.input_shape)))) * np.array([[1.0], [1.0], [0.0], [3.0], [30.0], [1.0]])
    x[-1] = -np.abs(x[-1])
    for row in x.astype(np.float32):
        theirs = run(row[None])
        ours = evaluate(graph, torch.from_numpy(row)[None].double().reshape(1, *graph.input_shape)).numpy()
        if not isinstance(value, OnnxValue) or theirs.shape != value.full:
            return "read", f"the shape {getattr(value, 'full', None)}, {theirs.shape} by the runtime"
        size = 1 + np.abs(theirs).max() + np.abs(row).max()
        if not np.allclose(ours.ravel(), theirs.ravel(), rtol=1e-3, atol=1e-4 * size):
            return "read", "other values than the runtime's"
    return "read", ""


def hidden(model: onnx.ModelProto, rng: np.random.Generator) -> tuple[str, str]:
    """Read a model, plant what is wrong behind its spike; the door must see it, and nothing where nothing is wrong."""
    try:
        reading = reading_of_onnx(model)
        x = opening._probes(reading.graph)
        see(model, reading, x)
    except InputError as error:
        if "they do not agree" in str(error):  # a reader that errs: `read` says so where it is alone
            return "seen without a plant", ""
        return "refused", ""
    wrong = without_an_attribute(model, reading, rng) if rng.random() < 0.5 else None
    wrong = wrong or misread(reading, rng)
    if wrong is None:
        return "nothing planted", ""
    try:
        see(model, wrong, x)
    except InputError:
        return "planted and seen", ""
    return "planted", "what was planted was not seen"


def see(model: onnx.ModelProto, reading: Reading, x: np.ndarray) -> None:
    """Do what the door does to a reading."""
    see_operations(reading, see_values(model, reading, x), opset_of(model))


def misread(reading: Reading, rng: np.random.Generator) -> Reading | None:
    """Return a reading with one operation behind the spike read as another function; None where none was found."""
    first = next(step.begin for step in reading.steps if "spike" in step.node.input)
    if rng.random() < 0.2:
        name = next(name for step in reversed(reading.steps) for name in step.node.output if name)
        value = reading.known[name]
        if isinstance(value, OnnxValue) and value.full != (1,):
            return replace(reading, known={**reading.known, name: replace(value, full=(1,))})
    nodes = list(reading.nodes)
    wrong = planted(Graph((nodes[0], *nodes[first:])), rng) if first < len(nodes) else None
    if wrong is None:
        return None
    changed = [*nodes[:first], *wrong.nodes[1:]]
    x = torch.from_numpy(rng.normal(size=(5, *nodes[first - 1].shape)))
    one, two = (_behind(some, first, x, len(nodes) - 1) for some in (nodes, changed))
    if torch.allclose(one, two, rtol=2e-3, atol=2e-3 * float(one.abs().max())):
        return None
    return replace(reading, nodes=tuple(changed))


def without_an_attribute(model: onnx.ModelProto, reading: Reading, rng: np.random.Generator) -> Reading | None:
    """Return a reading that ignores an attribute behind the spike; None where that changes nothing, or fails."""
    less = onnx.ModelProto.FromString(model.SerializeToString())
    behind = [node for node in less.graph.node if node.attribute and node.op_type != "Constant"]
    if not behind:
        return None
    node = behind[int(rng.integers(len(behind)))]
    del node.attribute[int(rng.integers(len(node.attribute)))]
    try:
        wrong = reading_of_onnx(less)
    except InputError:
        return None
    steps = [replace(one, node=two.node) for one, two in zip(wrong.steps, reading.steps, strict=True)]
    name = model.graph.output[0].name
    one, two = reading.known[name], wrong.known[name]
    assert isinstance(one, OnnxValue)
    assert isinstance(two, OnnxValue)
    first = next(step.begin for step in reading.steps if "spike" in step.node.input)
    x = torch.from_numpy(rng.normal(size=(5, *reading.nodes[first - 1].shape)))
    same = one.full == two.full and torch.allclose(
        _behind(reading.nodes, first, x, one.place), _behind(wrong.nodes, first, x, two.place), rtol=2e-3, atol=2e-3
    )
    return None if same else replace(wrong, steps=tuple(steps))


def _behind(nodes: Sequence[Node], first: int, x: Tensor, last: int) -> Tensor:
    """Compute what the nodes from the first to the last make of the value before them."""
    values = {first - 1: x}
    for place in range(first, last + 1):
        values[place] = apply(nodes[place].op, [values[i] for i in nodes[place].inputs])
    return values[last]
