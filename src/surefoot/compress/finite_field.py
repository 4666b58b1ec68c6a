"""Are two polynomial networks the same polynomial? Evaluated over prime fields, where nothing is rounded.

Weights are binary fractions m 2^e, which are numbers of the field too (2 has an inverse). Two polynomials of degree N
that differ over the field agree at a random point with a probability of at most N / p (Schwartz, Zippel), so a few
points decide it. Two that differ may be the same over the field, but only if p divides every coefficient of their
difference: times a power of 2 each is a whole number of at most H bits, and at most H / 30 primes above 2^30 divide it.

Primes and points are drawn from the system's cryptographic source when the question is put: whoever made the networks
cannot know them.
"""

import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from scipy import sparse

from surefoot.core.errors import InputError
from surefoot.graph.degree import degree_of
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Add, Affine, Concat, Elementwise, Input, MaxPool2d, Mul, Relu, Softmax
from surefoot.graph.same import same_operations
from surefoot.proof.constants import has_rounded
from surefoot.proof.matrices import affine_matrix

LARGE = 2**30  # primes are between this and twice it: products fit 64 bits
PRIMES = 50_697_537  # there are so many: 105,097,565 below 2^31, less 54,400,028 below 2^30
WRONG = Fraction(1, 10**18)  # "the same" is said only where it is wrong with at most this probability
POINTS = 64  # at most

Matrices: TypeAlias = dict[int, tuple[sparse.csr_matrix, np.ndarray]]  # of each affine node: y = M x + b
Bits: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class SamePolynomial:
    """Whether two networks are the same polynomial; if they are, with which probability that is wrong at most.

    None where that cannot be told: no difference was met, but the degree is so large that this says little.
    """

    same: bool | None
    error: float


def same_polynomial(first: Graph, second: Graph) -> SamePolynomial:
    """Decide whether two polynomial networks are equal for every input whatever, in exact arithmetic.

    Where reading rounded a constant (of 1 / 3), `same` is True for the same operations, else None. Otherwise:
    `same` False is certain. True is wrong with a probability of at most (H / 30 / PRIMES + N / 2^30)^points, N the
    degree and H the bits of coefficients, whatever the networks are and whoever made them: it is over primes and points
    that are drawn here. There are as many points as bring it below 1e-18.

    Raises:
        InputError: networks of different inputs or outputs, or one that is no polynomial; the message names what bends.

    Reference: Schwartz 1980, Zippel 1979.
    """
    if first.input_shape != second.input_shape or first.output_shape != second.output_shape:
        raise InputError(
            f"networks from {first.input_shape} to {first.output_shape} and from {second.input_shape} to "
            f"{second.output_shape} cannot be the same"
        )
    degree = max(_degree(first), _degree(second))
    if has_rounded(first) or has_rounded(second):  # the file's constants, such as 1 / 3, are not those of the graph
        same = same_operations(first, second)
        return SamePolynomial(True, 0.0) if same else SamePolynomial(None, 1.0)
    matrices = matrices_of(first), matrices_of(second)
    chance = chance_of_a_point(degree, height(first, second, *matrices))
    error, points = Fraction(1), 0
    while points < POINTS and error > WRONG:
        prime = draw_prime()
        x = draw_point(int(np.prod(first.input_shape)), prime)
        one, two = (evaluate_in_field(g, x, prime, m) for g, m in zip((first, second), matrices, strict=True))
        if not np.array_equal(one, two):
            return SamePolynomial(False, 0.0)
        error, points = error * chance, points + 1
    return SamePolynomial(True if error <= WRONG else None, float(np.nextafter(float(error), 1.0)))


def _degree(graph: Graph) -> int:
    degree = degree_of(graph)
    if degree.degree is None:
        raise InputError(f"not a polynomial: {', '.join(degree.offenders[:3])}")
    return degree.degree


def chance_of_a_point(degree: int, bits: int) -> Fraction:
    """Bound the probability that two polynomials that differ agree at a random point over a random prime."""
    return min(Fraction(bits // 30, PRIMES) + Fraction(degree, LARGE), Fraction(1))


def draw_prime() -> int:
    """Draw a prime between 2^30 and 2^31, each with the same probability.

    Miller and Rabin's test to these bases is a proof below 3.2e9 (Jaeschke 1993).
    """
    while True:
        n = LARGE + secrets.randbelow(LARGE) | 1
        twos = (n - 1 & -(n - 1)).bit_length() - 1
        odd = (n - 1) >> twos

        def passes(base: int, n: int = n, odd: int = odd, twos: int = twos) -> bool:
            x = pow(base, odd, n)
            return x in (1, n - 1) or any((x := x * x % n) == n - 1 for _ in range(twos - 1))

        if all(passes(base) for base in (2, 3, 5, 7)):
            return n


def draw_point(size: int, prime: int) -> np.ndarray:
    """Draw numbers of the field: each with a probability of at most 1 / p + 2^-64, which is below 2^-30."""
    words = np.frombuffer(secrets.token_bytes(8 * size), dtype=np.uint64)
    return (words % np.uint64(prime)).astype(np.int64)


def matrices_of(graph: Graph) -> Matrices:
    """Write every affine node as a matrix and a bias."""
    matrices = {}
    for at, node in enumerate(graph.nodes):
        if isinstance(node.op, Affine):
            matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
            matrices[at] = sparse.csr_matrix(matrix), np.asarray(bias).ravel()
    return matrices


def height(first: Graph, second: Graph, one: Matrices, two: Matrices) -> int:
    """Bound the bits of every coefficient of the difference of two networks, once it is a whole number.

    Raises:
        InputError: an operation that is none of polynomials, or a weight that is not finite.
    """
    low, high = _of_sum([_bits(first, one), _bits(second, two)])
    return max(high - low, 0)


def _bits(graph: Graph, matrices: Matrices) -> Bits:
    """Return l, h: the outputs' coefficients are multiples of 2^l, and the sizes of one output's sum to at most 2^h."""
    known: list[Bits] = [(0, 0)]  # an input is a polynomial of one coefficient, 1
    for at, node in enumerate(graph.nodes[1:], 1):
        given = [known[i] for i in node.inputs]
        match node.op:
            case Affine():
                matrix, bias = matrices[at]
                terms = int(np.diff(matrix.indptr).max(initial=0)).bit_length()
                (low, high), (w_low, w_high) = given[0], bits_of(matrix.data)
                known.append(_of_sum([(low + w_low, high + w_high + terms), bits_of(bias)]))
            case Add():
                known.append(_of_sum(given))
            case Mul():
                known.append((given[0][0] + given[1][0], given[0][1] + given[1][1]))
            case Concat():
                known.append((min(low for low, _ in given), max(high for _, high in given)))
            case Relu() | Elementwise() | MaxPool2d() | Softmax() | Input():
                raise InputError(f"node {node.name!r}: {type(node.op).__name__} has no meaning in a finite field")
    return known[-1]


def _of_sum(two: list[Bits]) -> Bits:
    return min(low for low, _ in two), max(high for _, high in two) + 1


def bits_of(x: np.ndarray) -> Bits:
    """Return l, h: finite numbers are multiples of 2^l, and below 2^h in size.

    >>> bits_of(np.array([0.75, -4.0]))
    (-2, 3)
    """
    if not np.isfinite(x).all():
        raise InputError("a weight is not finite")
    mantissa, exponent = np.frexp(x[x != 0])
    if not len(mantissa):
        return 0, 0
    whole = np.abs(mantissa * 2.0**53).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1  # at the end of the 53 bits
    return int((exponent - 53 + zeros).min()), int(exponent.max())


def evaluate_in_field(graph: Graph, x: np.ndarray, prime: int, matrices: Matrices | None = None) -> np.ndarray:
    """Evaluate a polynomial network at a point of the field: integers modulo the prime, flat.

    Raises:
        InputError: an operation that is none of polynomials.
    """
    matrices = matrices_of(graph) if matrices is None else matrices
    values = [x.astype(np.int64) % prime]
    for at, node in enumerate(graph.nodes[1:], 1):
        given = [values[i] for i in node.inputs]
        match node.op:
            case Affine():
                matrix, bias = matrices[at]
                out = _product(matrix, given[0], prime)
                out += field_of(bias, prime)
            case Add():
                out = given[0] + given[1]
            case Mul():
                out = given[0] * given[1]
            case Concat():
                shaped = [v.reshape(graph.nodes[i].shape) for v, i in zip(given, node.inputs, strict=True)]
                out = np.concatenate(shaped, node.op.axis).ravel()
            case Relu() | Elementwise() | MaxPool2d() | Softmax() | Input():
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
