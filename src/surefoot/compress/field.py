"""Are two polynomial networks the same polynomial? Evaluated over prime fields, where nothing is rounded.

Weights are binary fractions m 2^e, which are numbers of the field too (2 has an inverse). Two polynomials of degree N
that differ over the field agree at a random point with a probability of at most N / p (Schwartz, Zippel), so a few
points decide it. Each has a prime of its own, drawn at random: a difference that one divides does not hide from others.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from surefoot.core.errors import InputError
from surefoot.graph.degree import degree_of
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.proof.matrices import affine_matrix

POINTS = 4
LARGE = 2**30  # primes are between this and twice it: products fit 64 bits


@dataclass(frozen=True)
class SamePolynomial:
    """Whether two networks are the same polynomial; if they are, with which probability that is wrong at most."""

    same: bool
    error: float


def same_polynomial(first: Graph, second: Graph, points: int = POINTS, seed: int = 0) -> SamePolynomial:
    """Decide whether two polynomial networks are equal for every input whatever, in exact arithmetic.

    `same` False is certain. True is wrong with a probability of at most (degree / prime)^points over the random points,
    for primes that do not divide all coefficients in which the two differ.

    Raises:
        InputError: networks of different inputs or outputs, or one that is no polynomial; the message names what bends.

    Reference: Schwartz 1980, Zippel 1979.
    """
    if first.input_shape != second.input_shape or first.output_shape != second.output_shape:
        raise InputError(
            f"networks from {first.input_shape} to {first.output_shape} and from {second.input_shape} to "
            f"{second.output_shape} cannot be the same"
        )
    degrees = []
    for graph in (first, second):
        found = degree_of(graph)
        if found.degree is None:
            raise InputError(f"not a polynomial: {', '.join(found.offenders[:3])}")
        degrees.append(found.degree)
    rng = np.random.default_rng(seed)
    for _ in range(points):
        prime = _prime(rng)
        x = rng.integers(0, prime, size=int(np.prod(first.input_shape)))
        one, two = (evaluate_in_field(graph, x, prime) for graph in (first, second))
        if not np.array_equal(one, two):
            return SamePolynomial(False, 0.0)
    return SamePolynomial(True, (max(degrees) / LARGE) ** points)


def _prime(rng: np.random.Generator) -> int:
    """Draw a prime; Miller and Rabin's test to these bases is a proof below 3.2e9 (Jaeschke 1993)."""
    while True:
        n = int(rng.integers(LARGE, 2 * LARGE)) | 1
        twos = (n - 1 & -(n - 1)).bit_length() - 1
        odd = (n - 1) >> twos

        def passes(base: int, n: int = n, odd: int = odd, twos: int = twos) -> bool:
            x = pow(base, odd, n)
            return x in (1, n - 1) or any((x := x * x % n) == n - 1 for _ in range(twos - 1))

        if all(passes(base) for base in (2, 3, 5, 7)):
            return n


def evaluate_in_field(graph: Graph, x: np.ndarray, prime: int) -> np.ndarray:
    """Evaluate a polynomial network at a point of the field: integers modulo the prime, flat.

    Raises:
        InputError: an operation that is none of polynomials.
    """
    values = [x.astype(np.int64) % prime]
    for node in graph.nodes[1:]:
        given = [values[i] for i in node.inputs]
        match node.op:
            case Affine():
                matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                out = _product(sparse.csr_matrix(matrix), given[0], prime)
                out += field_of(np.asarray(bias).ravel(), prime)
            case Add():
                out = given[0] + given[1]
            case Mul():
                out = given[0] * given[1]
            case Concat():
                shaped = [v.reshape(graph.nodes[i].shape) for v, i in zip(given, node.inputs, strict=True)]
                out = np.concatenate(shaped, node.op.axis).ravel()
            case Relu() | MaxPool2d() | Softmax() | Input():
                raise InputError(f"node {node.name!r}: {type(node.op).__name__} has no meaning in a finite field")
        values.append(out % prime)
    return values[-1]


def field_of(x: np.ndarray, prime: int) -> np.ndarray:
    """Return finite float64 numbers, m 2^e exactly, as numbers of the field.

    >>> field_of(np.array([0.5, -3.0]), 7).tolist()  # 2 x 4 = 1 modulo 7
    [4, 4]
    """
    if not np.isfinite(x).all():
        raise InputError("a weight is not finite")
    mantissa, exponent = np.frexp(x)
    whole = (mantissa * 2.0**53).astype(np.int64) % prime
    powers, which = np.unique(exponent - 53, return_inverse=True)
    scale = np.array([pow(2, int(e) % (prime - 1), prime) for e in powers], dtype=np.int64)
    return whole * scale[which.reshape(whole.shape)] % prime


def _product(matrix: sparse.csr_matrix, x: np.ndarray, prime: int) -> np.ndarray:
    terms = field_of(matrix.data, prime) * x[matrix.indices] % prime  # below 2^31: 2^32 of them can be added
    sums = np.concatenate([[0], np.cumsum(terms)])
    return sums[matrix.indptr[1:]] - sums[matrix.indptr[:-1]]
