"""docs/guide/onnx.md names every operation that is read, what it becomes, and which attributes are read.

python tests/test_onnx_page.py    # writes the table anew
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from onnx import helper

from graph.test_onnx_inputs import CASES
from graph.test_onnx_recurrent import layer
from onnx_models import model_of
from surefoot.graph.graph import Node
from surefoot.graph.onnx_attributes import ATTRIBUTES
from surefoot.graph.onnx_constants import FOLDED
from surefoot.graph.onnx_in import SUPPORTED, Reading, reading_of_onnx
from surefoot.graph.onnx_ml import ML_READERS
from surefoot.graph.onnx_recurrent import RECURRENT
from surefoot.graph.ops import Concat, Elementwise, Gather, MaxPool2d, Mul, Relu, Reshape, Softmax

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "onnx.md"
FIRST = [
    ("Softplus", ["x"], ["p"]),
    ("Relu", ["x"], ["r"]),
    ("Reshape", ["p", "1"], ["q"]),
    ("Reshape", ["r", "2"], ["z"]),
]  # a positive value, and another one
MORE = [  # what the cases of single operations have none of: further values
    ("Concat", ["p", "r"], ["a"], {"axis": 1}), ("Div", ["r", "p"], ["b"], {}), ("Log", ["p"], ["c"], {}),
    ("MatMul", ["q", "z"], ["d"], {}), ("Mul", ["r", "p"], ["e"], {}), ("ReduceLogSum", ["p"], ["f"], {"axes": [1]}),
    ("Split", ["p"], ["g", "h"], {"axis": 1}), ("Sqrt", ["p"], ["i"], {}), ("Sum", ["p", "r"], ["j"], {}),
    ("LogSoftmax", ["p"], ["k"], {}), ("Pow", ["p", "half"], ["l"], {}), ("Where", ["m", "p", "r"], ["o"], {}),
]  # fmt: skip
ORDER = ("moves", "affine", "ReLUs", "maxima", "products")


WORDS = {Gather: "moves", Reshape: "moves", Concat: "moves", Relu: "ReLUs", MaxPool2d: "maxima", Mul: "products"}


def kind_of(node: Node) -> str:
    """Say what an operation of a graph is, in the words of the page."""
    match node.op:
        case Elementwise() as op:
            return f"{'function' if op.function.steps is None else 'step'} {op.name}"
        case Softmax() as op:
            return "log-softmax at the end" if op.log else "softmax at the end"
        case op:
            return WORDS.get(type(op), "affine")


def kinds() -> dict[str, set[str]]:
    """Collect what every operation becomes in the cases that it is tested by."""
    found: dict[str, set[str]] = defaultdict(set)
    readings: list[Reading] = []
    constants = {
        "1": np.array([1, 2, 3]),
        "2": np.array([1, 3, 2]),
        "half": np.array([0.5], np.float32),
        "m": np.array([True, False] * 3),
    }
    for op, given, results, more in MORE:
        nodes = [helper.make_node(*node) for node in FIRST]
        model = model_of([*nodes, helper.make_node(op, given, results, **more)], constants, [1, 6])
        model.graph.output[0].name = results[0]
        readings.append(reading_of_onnx(model))
    for nodes, constants, shape, opset in CASES.values():
        readings.append(reading_of_onnx(model_of(nodes, constants, shape, opset)))
    readings += [reading_of_onnx(layer(op, "y")) for op in RECURRENT]
    for reading in readings:
        for step in reading.steps:
            found[step.node.op_type] |= {kind_of(node) for node in reading.nodes[step.begin : step.end]}
    return found


def shown(kinds: set[str]) -> str:
    """Write what stands in a row: moves only where nothing else is done."""
    own = [kind for kind in ORDER if kind in kinds and not (kind == "moves" and len(kinds) > 1)]
    for word in ("function", "step"):
        names = sorted(kind.split()[1] for kind in kinds if kind.startswith(f"{word} "))
        own += [f"{word}{'s' if len(names) > 1 else ''} {', '.join(names)}"] if names else []
    return "; ".join([*own, *sorted(kind for kind in kinds if kind.endswith("at the end"))]) or "the value itself"


def table() -> str:
    found = kinds()
    rows = ["| operation | becomes | attributes that are read |", "|---|---|---|"]
    for op in sorted(SUPPORTED | FOLDED):
        what = "constants" if op not in found and op not in READ else shown(found[op])
        rows.append(f"| {op} | {what} | {', '.join(sorted(ATTRIBUTES.get(op, ())))} |")
    return "\n".join(rows)


READ = SUPPORTED - {"Constant", "Shape", "Size"}  # what values are read by, and not constants alone


def with_table(page: str) -> str:
    return re.sub(r"(?s)(<!-- operations -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}\n{table()}\n\n{m[2]}", page)


def test_the_page_names_what_is_read() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run python tests/test_onnx_page.py"
    assert all(op in page for op in ML_READERS)


def test_every_operation_has_a_case() -> None:
    assert {*kinds()} >= READ, sorted(READ - {*kinds()})


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
