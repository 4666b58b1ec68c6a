"""Over a prime field: numbers against Python's integers, equal polynomials, polynomials that hardly differ."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import first
from fuzz.polynomials import moved
from random_polynomials import build, coefficients, plan
from surefoot.compress import finite_field
from surefoot.compress.finite_field import (
    LARGE,
    PRIMES,
    WRONG,
    bits_of,
    chance_of_a_point,
    draw_point,
    draw_prime,
    evaluate_in_field,
    field_of,
    height,
    matrices_of,
    same_polynomial,
)
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Mul, Relu
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MODELS, PolynomialNet

PRIME = 2**31 - 1


def test_primes_are_prime() -> None:
    for _ in range(20):
        n = draw_prime()
        assert LARGE <= n < 2 * LARGE
        assert all(n % d for d in range(2, int(n**0.5) + 1))


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True))
def test_floats_are_exact_numbers_of_the_field(x: float) -> None:
    exact = Fraction(x)
    expected = exact.numerator * pow(exact.denominator, -1, PRIME) % PRIME
    assert int(field_of(np.array([x]), PRIME)[0]) == expected


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True), min_size=1, max_size=5))
def test_bits_say_where_numbers_begin_and_end(x: list[float]) -> None:
    low, high = bits_of(np.array(x))
    unit = Fraction(2) ** low
    assert all((Fraction(v) / unit).denominator == 1 and abs(Fraction(v)) < Fraction(2) ** high for v in x)
    if any(x):  # and no bit too many
        assert any((Fraction(v) / unit).numerator % 2 for v in x)


@pytest.mark.parametrize("seed", range(40))
def test_no_coefficient_of_a_difference_has_more_bits_than_its_height(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, steps = plan(rng)
    first, second = build(inputs, steps), build(inputs, moved(rng, steps))
    most = height(first, second, matrices_of(first), matrices_of(second))
    for p, q in zip(coefficients(first), coefficients(second), strict=True):
        rest = [c for at in p.keys() | q.keys() if (c := p.get(at, Fraction(0)) - q.get(at, Fraction(0)))]
        scale = max((c.denominator for c in rest), default=1)  # powers of 2: the largest is their common one
        whole = [int(c * scale) for c in rest]
        unit = math.gcd(*whole) & -math.gcd(*whole)  # what a power of 2 can still be divided out
        assert all(abs(c) // unit < 2**most for c in whole)


def test_the_probability_counts_primes_that_divide_and_points_that_are_roots() -> None:
    assert chance_of_a_point(0, 29) == 0
    assert chance_of_a_point(4, 300) == Fraction(10, PRIMES) + Fraction(4, LARGE)
    assert chance_of_a_point(2**31, 0) == 1
    assert sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2**10, 2**11)) == 137  # pi(2048) - pi(1024)


def test_points_are_numbers_of_the_field_and_not_those_of_the_last_question() -> None:
    x, y = draw_point(1000, PRIME), draw_point(1000, PRIME)
    assert x.dtype == np.int64
    assert ((x >= 0) & (x < PRIME)).all()
    assert (x != y).mean() > 0.99


def test_who_knows_primes_and_points_can_deceive_and_nobody_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product of x - r over the points that will be asked passes for 0, whatever the draws, if they are fixed."""
    ones = torch.ones(1, 1).double()
    zero = GraphBuilder((1,))
    zero.add(ElementwiseAffine(0 * ones[0]), zero.add(Mul(), 0, 0))
    drawn = [(draw_prime(), 0) for _ in range(64)]
    drawn = [(p, int(draw_point(1, p)[0])) for p, _ in drawn]
    made = GraphBuilder((1,))
    last = made.add(Linear(ones, torch.tensor([-float(drawn[0][1])], dtype=torch.float64)), 0)
    for _, r in drawn[1:8]:
        last = made.add(Mul(), last, made.add(Linear(ones, torch.tensor([-float(r)], dtype=torch.float64)), 0))
    with monkeypatch.context() as fixed:
        primes, points = (iter([pair[i] for pair in drawn]) for i in (0, 1))
        fixed.setattr(finite_field, "draw_prime", lambda: next(primes))
        fixed.setattr(finite_field, "draw_point", lambda size, prime: np.array([next(points)]))
        assert same_polynomial(zero.build(), made.build()).same
    assert same_polynomial(zero.build(), made.build()).same is False


def test_a_degree_that_points_say_little_of_is_left_open() -> None:
    squares = GraphBuilder((1,))
    last = 0
    for _ in range(40):  # x to the power of 2^40
        last = squares.add(Mul(), last, last)
    graph = squares.build()
    assert same_polynomial(graph, graph).same is None
    more = GraphBuilder((1,))
    last = 0
    for _ in range(41):
        last = more.add(Mul(), last, last)
    assert same_polynomial(graph, more.build()).same is False


def read(name: str, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> Graph:
    torch.manual_seed(seed)
    model = MODELS[name](shape, 10)
    model(torch.randn(8, *shape))
    return graph_of_module(model, torch.rand(2, *shape)).to(torch.float64)


def with_another_weight(graph: Graph, by: float) -> Graph:
    """Change one weight of the last linear map."""
    nodes = list(graph.nodes)
    at = max(i for i, node in enumerate(nodes) if isinstance(node.op, Linear))
    op = nodes[at].op
    assert isinstance(op, Linear)
    weight = op.weight.clone()
    weight[0, 0] += by
    builder = GraphBuilder(graph.input_shape)
    for i, node in enumerate(nodes[1:], 1):
        builder.add(Linear(weight, op.bias) if i == at else node.op, *node.inputs)
    return builder.build()


@pytest.mark.parametrize("name", first(3, ["ccp-2", "ncp-skip-4", "pi-small", "ccp-4", "ncp-4", "prod-poly"]))
def test_a_network_is_itself_and_not_one_that_differs_in_the_last_bit_of_a_weight(name: str) -> None:
    graph = read(name)
    found = same_polynomial(graph, graph)
    assert found.same
    assert found.error <= WRONG
    assert not same_polynomial(graph, with_another_weight(graph, 1e-12)).same


def test_values_against_fractions() -> None:
    torch.manual_seed(0)
    graph = graph_of_module(PolynomialNet((3,), 2, "ncp", (3,), 4), torch.rand(1, 3)).to(torch.float64)
    x = [5, 7, 11]
    values: list[list[Fraction]] = [[Fraction(v) for v in x]]
    for node in graph.nodes[1:]:
        a = values[node.inputs[0]]
        match node.op:
            case Linear() as op:
                rows = [
                    sum((Fraction(w) * v for w, v in zip(r, a, strict=True)), Fraction(0)) for r in op.weight.tolist()
                ]
                offset = [0.0] * len(rows) if op.bias is None else op.bias.tolist()
                values.append([r + Fraction(o) for r, o in zip(rows, offset, strict=True)])
            case Mul():
                values.append([p * q for p, q in zip(a, values[node.inputs[1]], strict=True)])
            case Add():
                values.append([p + q for p, q in zip(a, values[node.inputs[1]], strict=True)])
            case _:
                from surefoot.proof.matrices import affine_matrix  # noqa: PLC0415

                matrix, bias = affine_matrix(node, graph.nodes[node.inputs[0]].shape)
                rows = [
                    sum((Fraction(w) * v for w, v in zip(r, a, strict=True)), Fraction(0))
                    for r in matrix.toarray().tolist()
                ]
                values.append([r + Fraction(float(b)) for r, b in zip(rows, np.ravel(bias), strict=True)])
    expected = [v.numerator * pow(v.denominator, -1, PRIME) % PRIME for v in values[-1]]
    assert evaluate_in_field(graph, np.array(x), PRIME).tolist() == expected


def test_the_same_polynomial_written_otherwise() -> None:
    """(x + 1)^2 and x^2 + 2x + 1, which no float arithmetic finds equal everywhere."""
    one = torch.ones(1).double()
    square = GraphBuilder((1,))
    more = square.add(ElementwiseAffine(one, one), 0)
    square.add(Mul(), more, more)
    spread = GraphBuilder((1,))
    spread.add(Add(), spread.add(Mul(), 0, 0), spread.add(ElementwiseAffine(2 * one, one), 0))
    assert same_polynomial(square.build(), spread.build()).same


def test_mistakes() -> None:
    builder = GraphBuilder((2,))
    builder.add(Relu(), 0)
    with pytest.raises(InputError, match="not a polynomial: relu"):
        same_polynomial(builder.build(), builder.build())
    with pytest.raises(InputError, match="cannot be the same"):
        same_polynomial(read("ccp-2"), builder.build())
    with pytest.raises(InputError, match="finite"):
        field_of(np.array([np.inf]), PRIME)
