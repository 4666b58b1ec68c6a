"""Small random ONNX networks that end in each kind of output, and random properties of those outputs (comparisons,
thresholds, sums, conjunctions, disjunctions, impossible and trivial ones), asked of `surefoot verify`; judged by ONNX
Runtime on the original file, over a dense grid with local search.

The networks are made by `onnx.helper` and the judge knows nothing of how they are read. A fault is: a property that
holds for float32 and is broken by a float32 input; that holds in real arithmetic and is broken by more than rounding; a
counterexample that lies outside of the region, gives another output, or breaks nothing, exactly; a question of a kind
that can be answered and is refused; an error that is not one clear line.
"""

import contextlib
import io
import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fuzz import Attack
from surefoot.cli.verify import command
from surefoot.core.errors import FileError, InputError

CASES = 1500
BEFORE = "259 of 1,000: false proofs, outputs that no runtime gives, float32 claimed of float64, tracebacks, refusals"
ENDS = ("logits", "relu", "softmax", "log-softmax", "clip", "pool", "reshape", "transpose", "two-softmax", "middle")
SECONDS = 2.0
ROUNDING = 1e-4  # of the largest output: what a proof in real arithmetic alone may miss

Row = tuple[np.ndarray, float]  # weights y <= bound
Sets = list[list[Row]]  # one of the lists holds whole


@dataclass(frozen=True, eq=False)
class Question:
    """A network, a region and what is unsafe."""

    model: onnx.ModelProto
    end: str
    kind: int  # of numbers, TensorProto
    lower: np.ndarray
    upper: np.ndarray
    sets: Sets
    outputs: int

    @property
    def text(self) -> str:
        """Write the property in VNNLIB."""
        names = [f"X_{i}" for i in range(len(self.lower))] + [f"Y_{i}" for i in range(self.outputs)]
        lines = [f"(declare-const {name} Real)" for name in names]
        for i, (low, high) in enumerate(zip(self.lower.tolist(), self.upper.tolist(), strict=True)):
            lines += [f"(assert (>= X_{i} {number(low)}))", f"(assert (<= X_{i} {number(high)}))"]
        clauses = [f"(and {' '.join(written(row) for row in rows)})" for rows in self.sets]
        return "\n".join([*lines, f"(assert (or {' '.join(clauses)}))"])

    @property
    def answerable(self) -> bool:
        """Whether an answer is due: one of the kinds that a softmax leaves answerable."""
        if self.kind == TensorProto.FLOAT16 or self.end == "middle":
            return False
        if "softmax" not in self.end or self.outputs == 1:
            return True
        return all(
            len(w.nonzero()[0]) <= 1 or (len(w.nonzero()[0]) == 2 and w.sum() == 0 and (b == 0 or "log" in self.end))
            for rows in self.sets
            for w, b in rows
        )


def number(x: float) -> str:
    """Write a number exactly, without an exponent."""
    return format(float(x), ".60f") if abs(x) < 1e6 else format(float(x), ".1f")


def written(row: Row) -> str:
    """Write a row as VNNLIB writes it: as a comparison of two where it is one."""
    weights, bound = row
    places = np.flatnonzero(weights)
    if len(places) == 2 and bound == 0 and weights[places[0]] == -weights[places[1]]:
        i, j = places if weights[places[0]] > 0 else places[::-1]
        return f"(<= Y_{i} Y_{j})"
    if len(places) == 1 and abs(weights[places[0]]) == 1:
        sign = "<=" if weights[places[0]] > 0 else ">="
        return f"({sign} Y_{places[0]} {number(float(bound * weights[places[0]]))})"
    terms = " ".join(f"(* {number(float(weights[i]))} Y_{i})" for i in places)
    return f"(<= (+ {terms} 0.0) {number(bound)})"


def network(rng: np.random.Generator) -> tuple[onnx.ModelProto, str, int, int, int]:
    """Make a network; return it, how it ends, its type, and how many numbers it takes and gives."""
    end = str(rng.choice(ENDS))
    d, hidden = int(rng.integers(1, 4)), int(rng.integers(2, 6))
    k = int(rng.integers(2, 5)) if "softmax" in end or end == "middle" else int(rng.integers(1, 5))
    kind = int(rng.choice([TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16], p=[0.9, 0.07, 0.03]))
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    last = {"pool": 2 * k, "reshape": 2 * k, "transpose": 2 * k}.get(end, k)
    scale = float(rng.choice([0.3, 1.0, 4.0, 40.0], p=[0.3, 0.4, 0.2, 0.1]))
    constants = {
        "w": rng.normal(size=(d, hidden)),
        "b": rng.normal(size=hidden),
        "v": rng.normal(size=(hidden, last)) * scale,
        "c": rng.normal(size=last) * scale,
        "flat": np.array([0, d]),
        "wide": np.array([0, 1, 1, last]),
        "two": np.array([0, 2, k]),
        "row": np.array([0, k]),
        "line": np.array([0, 2 * k]),
    }
    if end == "clip":
        huge = [-0.3, 0.4] if kind == TensorProto.FLOAT16 else [-1e35, 1e31]
        constants["low"] = np.array(rng.choice([-0.3, huge[0], -np.inf]))
        constants["high"] = np.array(rng.choice([0.4, huge[1], 5e3, np.inf]))
    tensors = [
        numpy_helper.from_array(np.asarray(value, np.int64 if value.dtype.kind == "i" else dtype), name)
        for name, value in constants.items()
    ]
    shape: list[int | str] = ["n", d] if rng.random() < 0.7 else ["n", 1, 1, d]
    nodes = [helper.make_node("Reshape", ["x", "flat"], ["x0"])] if len(shape) > 2 else []
    first = "x0" if len(shape) > 2 else "x"
    nodes += [
        helper.make_node("Gemm", [first, "w", "b"], ["g"]),
        helper.make_node("Relu", ["g"], ["r"]),
        helper.make_node("Gemm", ["r", "v", "c"], ["z"]),
    ]
    nodes += {
        "logits": [helper.make_node("Identity", ["z"], ["y"])],
        "relu": [helper.make_node("Relu", ["z"], ["y"])],
        "softmax": [helper.make_node("Softmax", ["z"], ["y"], axis=int(rng.choice([1, -1])))],
        "log-softmax": [helper.make_node("LogSoftmax", ["z"], ["y"], axis=1)],
        "clip": [helper.make_node("Clip", ["z", "low", "high"], ["y"])],
        "pool": [
            helper.make_node("Reshape", ["z", "wide"], ["image"]),
            helper.make_node("MaxPool", ["image"], ["pooled"], kernel_shape=[1, 2], strides=[1, 2]),
            helper.make_node("Reshape", ["pooled", "row"], ["y"]),
        ],
        "reshape": [helper.make_node("Reshape", ["z", "two"], ["y"])],
        "transpose": [
            helper.make_node("Reshape", ["z", "two"], ["t"]),
            helper.make_node("Transpose", ["t"], ["y"], perm=[0, 2, 1]),
        ],
        "two-softmax": [helper.make_node("Softmax", ["z"], ["s"]), helper.make_node("Identity", ["s"], ["y"])],
        "middle": [helper.make_node("Softmax", ["z"], ["s"]), helper.make_node("Relu", ["s"], ["y"])],
    }[end]
    graph = helper.make_graph(
        nodes,
        "question",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model, end, kind, d, last if end in ("reshape", "transpose") else k


class Judge:
    """The original file, run by ONNX Runtime."""

    def __init__(self, model: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        (given,) = self.session.get_inputs()
        self.shape = [side if isinstance(side, int) else -1 for side in given.shape]
        self.kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}.get(given.type, np.float16)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Run inputs (n, d); return outputs (n, k)."""
        y = self.session.run(None, {"x": x.reshape(len(x), *self.shape[1:]).astype(self.kind)})[0]
        return np.asarray(y, dtype=np.float64).reshape(len(x), -1)

    def worst(self, lower: np.ndarray, upper: np.ndarray, sets: Sets, rng: np.random.Generator) -> tuple[float, float]:
        """Return the least slack that a grid and a search from its best points show, and the largest output there."""
        low, high = inside(lower, upper)
        side = {1: 1001, 2: 41, 3: 13}[len(low)]
        axes = [np.linspace(a, b, side, dtype=np.float32).clip(a, b) for a, b in zip(low, high, strict=True)]
        x = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(low))
        best, scale = np.inf, 0.0
        width = (high - low) / side
        for _ in range(5):
            y = self(x)
            slack = slack_of(y, sets)
            best, scale = min(best, float(slack.min())), max(scale, float(np.abs(y).max()))
            near = x[slack.argsort()[:5]]
            x = (near[:, None] + width * rng.uniform(-1, 1, (5, 60, len(low)))).reshape(-1, len(low))
            x = x.astype(np.float32).clip(low, high)
            width = width / 4
        return best, scale


def inside(lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and greatest float32 numbers of a box."""
    low, high = lower.astype(np.float32), upper.astype(np.float32)
    low = np.where(low < lower, np.nextafter(low, np.float32(np.inf)), low)
    return low, np.where(high > upper, np.nextafter(high, np.float32(-np.inf)), high)


def slack_of(y: np.ndarray, sets: Sets) -> np.ndarray:
    """Return how far outputs (n, k) are from all that is unsafe."""
    return np.min([np.max([y @ w - b for w, b in rows], axis=0) for rows in sets], axis=0)


def breaks(y: np.ndarray, sets: Sets) -> bool:
    """Whether one output is unsafe, exactly."""
    exact = [Fraction(float(v)) for v in y]

    def met(row: Row) -> bool:
        weights, bound = row
        return sum(Fraction(float(w)) * v for w, v in zip(weights, exact, strict=True)) <= Fraction(float(bound))

    return any(all(met(row) for row in rows) for rows in sets)


def row_of(rng: np.random.Generator, y: np.ndarray) -> Row:
    """Draw a condition; its bound is often near an extreme of what was sampled."""
    k = y.shape[1]
    weights = np.zeros(k)
    style = rng.choice(["compare", "threshold", "absurd", "difference", "sum"], p=[0.3, 0.45, 0.1, 0.1, 0.05])
    if k == 1 and style in ("compare", "difference", "sum"):
        style = "threshold"
    i, *others = rng.permutation(k)
    match style:
        case "compare":
            weights[i], weights[others[0]] = 1.0, -1.0
            return weights, 0.0
        case "absurd":
            weights[i] = rng.choice([-1.0, 1.0])
            return weights, float(rng.choice([-1.0, 0.0, 1.0, 2.0, -2.0, 1e5, -1e5, 0.5, -0.5]))
        case "threshold":
            weights[i] = rng.choice([-1.0, 1.0])
        case "difference":
            weights[i], weights[others[0]] = 1.0, -1.0
        case _:
            weights[i], weights[others[0]] = rng.choice([1.0, -1.0, 0.5]), rng.choice([1.0, 2.0])
    reached = np.sort(y @ weights)
    spread = float(reached[-1] - reached[0])
    at = rng.choice([0, 0, 0, len(reached) // 10, len(reached) // 2])
    return weights, float(np.round(reached[at] + rng.choice([-0.3, -0.03, -0.003, 0.003, 0.03]) * spread, 6))


def question(rng: np.random.Generator) -> Question:
    """Draw a network, a region and a property."""
    model, end, kind, d, k = network(rng)
    centre, radius = rng.normal(size=d).round(3), rng.choice([0.05, 0.3, 1.0], size=d)
    lower, upper = centre - radius, centre + radius
    y = Judge(model)(rng.uniform(lower, upper, (300, d)).astype(np.float32))
    sets = [[row_of(rng, y) for _ in range(int(rng.choice([1, 1, 2, 3])))] for _ in range(int(rng.choice([1, 1, 2])))]
    return Question(model, end, kind, lower, upper, sets, k)


def attack(seed: int, count: int) -> Attack:
    """Ask questions; judge the answers."""
    met = Attack()
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        asked = question(rng)
        met.tried += 1
        outcome, fault = answered(asked, rng)
        met.outcomes[outcome] += 1
        if fault:
            met.faults.append(f"seed {seed} case {case} ({asked.end}): {fault}")
    return met


def answered(asked: Question, rng: np.random.Generator) -> tuple[str, str]:
    """Ask the command; return how it ended and what is wrong with that, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        net, prop = Path(folder) / "net.onnx", Path(folder) / "p.vnnlib"
        onnx.save(asked.model, net)
        prop.write_text(asked.text)
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                command(net, prop, limit=SECONDS, as_json=True)
        except (InputError, FileError) as error:
            if "\n" in str(error) or len(str(error)) > 900:
                return "refused", f"not one line: {error}"
            return "refused", f"refused: {error}" if asked.answerable else ""
        except Exception as error:
            return "traceback", f"{type(error).__name__}: {str(error).splitlines()[:1]}"
    answer = json.loads(said.getvalue())
    return answer["verdict"], judged(asked, answer, rng)


def judged(asked: Question, answer: dict, rng: np.random.Generator) -> str:
    """Say what is wrong with an answer."""
    judge = Judge(asked.model)
    if answer["verdict"] == "violated":
        x = np.array(answer["input"])
        if "distance_to_region" not in answer and not ((asked.lower <= x) & (x <= asked.upper)).all():
            return f"the input {x} is not in the region"
        y = judge(x[None])[0]
        if not np.array_equal(y, answer["output"]):
            return f"the output is {y}, not {answer['output']}"
        return "" if breaks(y, asked.sets) else f"the output {y} is not unsafe"
    if answer["verdict"] == "unknown":
        return ""
    if "float32" in answer["proven_for"] and asked.kind != TensorProto.FLOAT:
        return "proven for float32, of a network that is not computed in it"
    best, scale = judge.worst(asked.lower, asked.upper, asked.sets, rng)
    spare = 0.0 if "float32" in answer["proven_for"] else ROUNDING * (1e-2 + scale)
    return f"holds, and is broken by {-best:.3g}" if best < -spare or (best <= 0 and not spare) else ""
