"""The check of a difference: of which signs two networks have over a domain, and how far apart they are then."""

from fractions import Fraction

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.proof.affine_forms import affine_forms_of, difference
from surefoot.proof.certificate import Certificate, Proof
from surefoot.proof.checker import Box, Checker
from surefoot.proof.constants import reading_error
from surefoot.proof.property import check_set, leaves_by_set
from surefoot.proof.question import DIFFERENCE, check_named, check_networks, domain_digest
from surefoot.proof.schema import check_equality_schema


def check_equal(certificate: Certificate, first: Graph, second: Graph) -> np.ndarray:
    """Bound the difference of each output of two graphs, as `checked_graph` gives them, over the certificate's domain.

    By what the certificate says and no search: boxes are computed anew by `Checker`, signs that the certificate decides
    are proven, and the networks' affine forms are compared. None of it knows of rewrites.

    Property: sound in real arithmetic.

    Raises:
        InputError: a certificate that is malformed, of other networks, of two domains or of no input, a sign that is
            not proven, networks that are not shown to agree.
    """
    if (first.input_shape, first.output_shape) != (second.input_shape, second.output_shape):
        raise InputError(
            f"networks from {first.input_shape} to {first.output_shape} and from {second.input_shape} to "
            f"{second.output_shape} cannot be equal"
        )
    check_networks(certificate, [first, second])  # before what fits others only
    check_equality_schema(certificate, first, second)
    one, two = certificate.proofs
    check_named(certificate, [first, second], DIFFERENCE, domain_digest(one))
    if not all(np.array_equal(a, b) for a, b in zip(_domain(one), _domain(two), strict=True)):
        raise InputError("the certificate speaks of two domains")
    for proof in certificate.proofs:
        if not is_inside(proof):  # of no input at all anything could be shown
            raise InputError("the input that the certificate names does not satisfy its rows: the domain may be empty")
    boxes = check_units(one, first), check_units(two, second)
    bound = difference(affine_forms_of(first, boxes[0]), affine_forms_of(second, boxes[1]))
    bound = bound + reading_error(first, boxes[0]) + reading_error(second, boxes[1])
    if not np.isfinite(bound).all():
        raise InputError("the certificate does not show that the networks agree")
    return bound


def _domain(proof: Proof) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        proof.lower,
        proof.upper,
        np.zeros((0, 1)) if proof.constraints is None else np.column_stack(proof.constraints),
    )


def is_inside(proof: Proof) -> bool:
    """Whether the input that a proof names lies in its box and satisfies its rows, in exact arithmetic."""
    if proof.constraints is None or proof.inside is None:
        return proof.constraints is None  # a box that is not empty needs no input to show it
    *x, q = proof.inside
    in_box = all(
        Fraction(low) * q <= p <= Fraction(high) * q
        for low, p, high in zip(proof.lower.tolist(), x, proof.upper.tolist(), strict=True)
    )
    return in_box and all(
        sum((Fraction(w) * p for w, p in zip(row, x, strict=True) if w), Fraction(0)) <= Fraction(bound) * q
        for row, bound in zip(proof.constraints[0].tolist(), proof.constraints[1].tolist(), strict=True)
    )


def check_units(proof: Proof, graph: Graph) -> list[Box]:
    """Return boxes of all nodes, each set of the proof used to decide a sign once it has been checked.

    Raises:
        InputError: a set that is not proven.
    """
    checker, leaves = Checker(graph, proof.constraints), leaves_by_set(proof)

    def decide(at: int, boxes: list[Box]) -> None:
        for number in [n for n, place in enumerate(proof.places) if place == at]:
            check_set(proof, checker, boxes, number, at, leaves[number])
            row = proof.unsafe[number][0][0]  # 1 or -1 at one value, and the bound is 0
            (value,) = np.flatnonzero(row)
            low, high = boxes[at]
            if row[value] > 0:
                low[value] = max(low[value], 0.0)
            else:
                high[value] = min(high[value], 0.0)

    return checker.boxes(proof.lower, proof.upper, proof.tightened, decide=decide)
