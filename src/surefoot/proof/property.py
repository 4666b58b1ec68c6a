"""The check of a property: that a certificate proves what is asked, leaves nothing out, and that every bound holds."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.proof.certificate import Certificate, Proof, Signs, SplitLeaf
from surefoot.proof.checker import Box, Checker
from surefoot.proof.question import Question, check_named, claims_of, property_digest, region_digest
from surefoot.proof.refined import refine
from surefoot.proof.schema import check_property_schema


def check_property(certificate: Certificate, graph: Graph, asked: Sequence[Question]) -> float:
    """Check that a certificate proves what is asked of a graph, as `checked_graph` gives it; return the least margin.

    Property: sound in real arithmetic. The margin is above 0.

    Raises:
        InputError: a certificate that is malformed, of another network, region or property, or without a part, or a
            part that is not proven.
    """
    wanted = claims_of(asked)
    check_named(certificate, [graph], property_digest(wanted), region_digest(wanted))  # before what fits another only
    check_property_schema(certificate, graph)
    claimed = claims_of(certificate.proofs)
    if claimed.keys() != wanted.keys():
        raise InputError("the certificate proves another property: its proofs are of another region")
    if claimed != wanted:
        raise InputError("the certificate proves another property: its proofs are of other outputs")
    checker = Checker(graph)
    return min(_check_proof(proof, checker) for proof in certificate.proofs)


def _check_proof(proof: Proof, checker: Checker) -> float:
    return _check_boxes(proof, checker) if proof.kind == "boxes" else _check_signs(proof, checker)


def parts_of(proof: Proof) -> int:
    """Count the parts that a proof divides its question into."""
    return len(proof.leaves) if proof.kind == "signs" else len(proof.bisections[0]) + 1


# Proofs by boxes


def _check_boxes(proof: Proof, checker: Checker) -> float:
    least = np.inf
    for number, lower, upper in _parts(proof):
        margin = _missed(proof, checker, lower, upper)
        if not margin > 0:
            raise InputError(f"box {number} is not proven: its margin is {margin:g}")
        least = min(least, margin)
    return least


def _parts(proof: Proof) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Walk the boxes that are not bisected: one pair of ends, which is changed along one axis and back again.

    Bisection number i makes boxes 2 i + 1 and 2 i + 2, so a box is made by an earlier bisection, or is the whole.
    """
    bisected: dict[int, tuple[int, int, float]] = {}
    for i, (number, axis, place) in enumerate(zip(*(array.tolist() for array in proof.bisections), strict=True)):
        if number > 2 * i:
            raise InputError(f"the certificate bisects box {number}, which is not there yet")
        bisected[number] = (i, axis, place)
    lower, upper = proof.lower.copy(), proof.upper.copy()
    todo: list[tuple[int, int, float, float]] = [(0, 0, float(lower[0]), float(upper[0]))]
    while todo:
        number, axis, low, high = todo.pop()
        lower[axis], upper[axis] = low, high
        if number < 0:  # back to what it was
            continue
        if number not in bisected:
            yield number, lower.copy(), upper.copy()
            continue
        i, axis, place = bisected[number]
        low, high = float(lower[axis]), float(upper[axis])
        if not low <= place <= high:
            raise InputError(f"the certificate bisects box {number} at {place}, which is not between {low} and {high}")
        todo += [(-1, axis, low, high), (2 * i + 2, axis, place, high), (2 * i + 1, axis, low, place)]


def _missed(proof: Proof, checker: Checker, lower: np.ndarray, upper: np.ndarray) -> float:
    """Return by how much every output for a box misses every unsafe set: its row that is missed by most."""
    boxes = checker.boxes(lower, upper, thorough=proof.thorough)
    out = len(checker.graph.nodes) - 1
    margins = []
    for weights, bounds in proof.unsafe:
        values = checker.bound(out, weights, boxes)
        if proof.thorough:
            values = np.maximum(values, checker.bound(out, weights, boxes, checker.parallel(out, boxes)))
        margins.append(float(_margins(values, bounds).max()))
    return min(margins)


def _margins(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return values - bounds, both finite, rounded down."""
    return values - bounds - 4e-16 * np.abs(bounds)


# Proofs by signs


def _check_signs(proof: Proof, checker: Checker) -> float:
    def decide(at: int, boxes: list[Box]) -> None:
        for ends in proof.refined.get(at, ()):
            refine(checker, at, boxes, ends)

    boxes = checker.boxes(proof.lower, proof.upper, proof.tightened, decide=decide)
    out, leaves = len(checker.graph.nodes) - 1, leaves_by_set(proof)
    return min(check_set(proof, checker, boxes, number, out, leaves[number]) for number in range(len(proof.unsafe)))


def leaves_by_set(proof: Proof) -> dict[int, list[SplitLeaf]]:
    """Return the leaves of each unsafe set; none for one that has none."""
    leaves: dict[int, list[SplitLeaf]] = defaultdict(list)
    for leaf in proof.leaves:
        leaves[leaf.unsafe].append(leaf)
    return leaves


def check_set(
    proof: Proof, checker: Checker, boxes: list[Box], number: int, target: int, leaves: list[SplitLeaf]
) -> float:
    """Check that the values of a node miss one unsafe set, part by part; return the least margin, above 0.

    Raises:
        InputError: a part that is missing, or that is not proven.
    """
    weights, bounds = proof.unsafe[number]
    check_cover([leaf.signs for leaf in leaves])
    least = np.inf
    for leaf in leaves:
        narrowed = list(boxes)
        allowed: dict[int, np.ndarray] = {}
        for place, value, sign in leaf.signs:
            entering = checker.graph.nodes[place].inputs[0]
            low, high = (end.copy() for end in narrowed[entering])
            low[value] = max(low[value], 0.0) if sign > 0 else low[value]
            high[value] = min(high[value], 0.0) if sign < 0 else high[value]
            narrowed[entering] = (low, high)
            allowed.setdefault(place, np.zeros(len(low)))[value] = sign
        multipliers = {  # of a sign of its own, or none
            place: np.where(mask * leaf.multipliers[place] > 0, leaf.multipliers[place], 0.0)
            for place, mask in allowed.items()
            if place in leaf.multipliers
        }
        row = slice(leaf.row, leaf.row + 1)
        values = checker.bound(target, weights[row], narrowed, leaf.slopes, multipliers)
        margin = float(_margins(values, bounds[row])[0])
        if not margin > 0:
            raise InputError(f"a part of unsafe set {number} with {len(leaf.signs)} signs is not proven: {margin:g}")
        least = min(least, margin)
    return least


def check_cover(parts: Sequence[Signs]) -> None:
    """Check that parts leave nothing out: a tree in which each node decides one value, with both signs below it.

    Raises:
        InputError: a part that is missing, or lies in another, or decides what its sibling does not.
    """
    todo = [(list(parts), 0)]
    while todo:
        branch, depth = todo.pop()
        if not branch:
            raise InputError("a part of the proof is missing")
        if any(len(signs) == depth for signs in branch):
            if len(branch) > 1:
                raise InputError("a part of the proof lies in another")
            continue
        if len({signs[depth][:2] for signs in branch}) != 1:
            raise InputError("parts of the proof decide different values")
        todo += [([signs for signs in branch if signs[depth][2] == sign], depth + 1) for sign in (1, -1)]
