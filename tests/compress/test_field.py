"""Over a prime field: numbers against Python's integers, equal polynomials, polynomials that hardly differ."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from surefoot.compress.field import LARGE, _prime, evaluate_in_field, field_of, same_polynomial
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Add, Linear, Mul, Relu, Scale
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MODELS, PolynomialNet

PRIME = 2**31 - 1


def test_primes_are_prime() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = _prime(rng)
        assert LARGE <= n < 2 * LARGE
        assert all(n % d for d in range(2, int(n**0.5) + 1))


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True))
def test_floats_are_exact_numbers_of_the_field(x: float) -> None:
    exact = Fraction(x)
    expected = exact.numerator * pow(exact.denominator, -1, PRIME) % PRIME
    assert int(field_of(np.array([x]), PRIME)[0]) == expected


def read(name: str, seed: int = 0, shape: tuple[int, ...] = (1, 8, 8)) -> Graph:
    torch.manual_seed(seed)
    model = MODELS[name](shape, 10)
    model(torch.randn(8, *shape))
    return graph_of_module(model, torch.rand(2, *shape)).to(torch.float64)


def moved(graph: Graph, by: float) -> Graph:
    """Change one weight of the last linear map."""
    nodes = list(graph.nodes)
    at = max(i for i, node in enumerate(nodes) if isinstance(node.op, Linear))
    op = nodes[at].op
    assert isinstance(op, Linear)
    weight = op.weight.clone()
    weight[0, 0] += by
    builder = GraphBuilder(graph.input_shape)
    for i, node in enumerate(nodes[1:], 1):
        builder.add(Linear(weight, op.offset) if i == at else node.op, *node.inputs)
    return builder.build()


@pytest.mark.parametrize("name", ["ccp-2", "ccp-4", "ncp-4", "ncp-skip-4", "prod-poly", "pi-small"])
def test_a_network_is_itself_and_not_one_that_differs_in_the_last_bit_of_a_weight(name: str) -> None:
    graph = read(name)
    found = same_polynomial(graph, graph)
    assert found.same
    assert found.error < 1e-30
    assert not same_polynomial(graph, moved(graph, 1e-12)).same


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
                offset = [0.0] * len(rows) if op.offset is None else op.offset.tolist()
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
    more = square.add(Scale(one, one), 0)
    square.add(Mul(), more, more)
    spread = GraphBuilder((1,))
    spread.add(Add(), spread.add(Mul(), 0, 0), spread.add(Scale(2 * one, one), 0))
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
