"""Whether two ONNX files are equal over a domain, by how much they can differ, and where they do."""

from pathlib import Path

import numpy as np
from torch import Tensor

from surefoot.compress.equal import Equality, equal
from surefoot.compress.finite_field import SamePolynomial, same_polynomial
from surefoot.compress.same_answer import same_answer
from surefoot.compress.stability import Patience
from surefoot.compress.within import within, within_softmax
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.graph.degree import degree_of
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import read_onnx
from surefoot.graph.ops import Reshape
from surefoot.graph.passes.prefix import prefixed
from surefoot.graph.passes.softmax import OUTPUTS, Link, flat_output, link_of, logits_of
from surefoot.spec.input_set import InputSet
from surefoot.spec.opening import Opened, open_onnx, see_agreement_within
from surefoot.spec.query import Verdict
from surefoot.spec.runtime import runner_of_onnx


def read_logits(path: Path | str) -> Graph:
    """Read an ONNX file up to its logits, in float64, as ONNX Runtime agrees that they are.

    Raises:
        FileError: a file that cannot be read.
        InputError: an operation that is not read, or a network that ONNX Runtime computes otherwise.
    """
    return flat_output(logits_of(open_onnx(path).graph))


def ends_of(first: Path | str, second: Path | str) -> Link:
    """Say what takes the logits of two ONNX files to their outputs.

    Raises:
        InputError: one ends in a softmax, or its logarithm, and the other does not: their outputs are not comparable.
    """
    one, two = link_of(read_onnx(first)), link_of(read_onnx(second))
    if one != two:
        raise InputError(
            f"{first} gives {OUTPUTS[one]} and {second} {OUTPUTS[two]}: their outputs differ by what they mean; end "
            "both in the same, then compare"
        )
    return one


def with_input_like(first: Graph, second: Graph) -> Graph:
    """Return the second with an input of the first's shape, where shapes differ by sides of 1 alone."""
    shapes = first.input_shape, second.input_shape
    one, two = (tuple(side for side in shape if side != 1) for shape in shapes)
    return prefixed(second, shapes[0], [Reshape(shapes[1])]) if one == two and shapes[0] != shapes[1] else second


def equal_files(first: Path, second: Path, domain: InputSet, seconds: float | Patience = 2.0) -> Equality:
    """Bound by how much the logits of two ONNX files can differ over a domain; look for where they do.

    Raises:
        FileError: a file that cannot be read.
        InputError: an operation that cannot be treated, or networks of different inputs, outputs or ends.
    """
    ends_of(first, second)
    one, two = open_onnx(first), open_onnx(second)
    see_over(domain, one, two)
    graphs = flat_output(logits_of(one.graph)), flat_output(logits_of(two.graph))
    return equal(graphs[0], with_input_like(*graphs), domain, seconds)


def within_files(first: Path, second: Path, domain: InputSet, most: float, seconds: float | Deadline) -> Verdict:
    """Prove that no output of two ONNX files differs by `most` or more over a domain, or give an input where one does.

    Raises:
        FileError: a file that cannot be read.
        InputError: an operation that cannot be treated, or networks of different inputs, outputs or ends.
    """
    link = ends_of(first, second)
    one, two = open_onnx(first), open_onnx(second)
    see_over(domain, one, two)

    def run(x: np.ndarray) -> np.ndarray:
        return one.run(x) - two.run(x)

    two_graph = with_input_like(one.graph, two.graph)
    if link == "identity":
        return within(flat_output(one.graph), flat_output(two_graph), domain, most, seconds, run)
    return within_softmax(one.graph, two_graph, domain, most, seconds, run)


def same_answer_files(
    first: Path, second: Path, domain: InputSet, seconds: float | Deadline, sure: float = 0.0
) -> Verdict:
    """Prove that two ONNX files have the same largest output wherever the first is so sure; see `same_answer`.

    Raises:
        FileError: a file that cannot be read.
        InputError: an operation that cannot be treated, or networks of different inputs, outputs or ends.
    """
    ends_of(first, second)
    one, two = open_onnx(first), open_onnx(second)
    see_over(domain, one, two)
    logits = flat_output(logits_of(one.graph))
    other = flat_output(logits_of(with_input_like(one.graph, two.graph)))
    runs = [runner_of_onnx(load_onnx_model(path), logits=True) for path in (first, second)]

    def run(x: np.ndarray) -> np.ndarray:
        return np.concatenate([run(x) for run in runs], 1)

    return same_answer(logits, other, domain, seconds, sure, run)


def same_polynomial_files(first: Path, second: Path) -> SamePolynomial | None:
    """Decide whether two ONNX files with products are the same polynomial; None where one is not such a network.

    Raises:
        FileError: a file that cannot be read.
        InputError: an operation that cannot be treated, or networks of different inputs, outputs or ends.
    """
    ends_of(first, second)
    one, two = (read_logits(path) for path in (first, second))
    if any((degree_of(graph).degree or 0) < 2 for graph in (one, two)):
        return None
    return same_polynomial(one, two)


def see_over(domain: InputSet, *networks: Opened) -> None:
    """See that networks are what ONNX Runtime computes over a domain."""
    for opened in networks:
        see_agreement_within(opened.graph, opened.run, [domain.ends(opened.graph.input_shape)])


def logits_of_file(path: Path, x: Tensor) -> np.ndarray:
    """Evaluate an ONNX file's logits in float64, (n, k)."""
    return evaluate(read_logits(path), x).numpy()


def replayed(first: Path, second: Path, x: np.ndarray) -> tuple[float, bool]:
    """Run one input through both files in float32: the largest difference of a logit, and whether answers differ."""
    flat = x.reshape(1, -1).astype(np.float32)
    one, two = (runner_of_onnx(load_onnx_model(path), logits=True)(flat) for path in (first, second))
    return float(np.abs(one - two).max()), int(one.argmax()) != int(two.argmax())
